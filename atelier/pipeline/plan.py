"""Planning: a request and settings become seeds, prompts, batches and sizes, before the GPU is touched."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from atelier.params.request import GenerationRequest
from atelier.params.settings import SettingsSnapshot
from atelier.pipeline.state import Plan, PlanDraft, PlannedPicture
from atelier.prompts.comments import strip_comments
from atelier.prompts.styles import StyleBook

#: A1111 draws random seeds from 0 to 4294967293
RANDOM_SEEDS = 4294967294


def draw_seed() -> int:
    return random.SystemRandom().randrange(RANDOM_SEEDS)


def draft_plan(
    request: GenerationRequest, styles: StyleBook, draw: Callable[[], int] = draw_seed, pictures: int | None = None
) -> PlanDraft:
    """Prompts with styles merged, and the seeds of every picture of the job.

    Picture k has seed + k, or the same seed for all when a variation strength is set; its variation seed is
    subseed + k in any case.
    """
    count = pictures or request.batch.count * request.batch.size
    seed = draw() if request.seed.seed == -1 else request.seed.seed
    subseed = draw() if request.seed.subseed == -1 else request.seed.subseed
    varied = request.seed.subseed_strength != 0
    names = request.prompt.styles
    prompt, negative = styles.apply(request.prompt.positive, request.prompt.negative, names)
    hires = request.hires
    hires_prompt, hires_negative = styles.apply(
        hires.prompt or request.prompt.positive, hires.negative or request.prompt.negative, names
    )
    return PlanDraft(
        prompts=[prompt] * count,
        negatives=[negative] * count,
        seeds=[seed if varied else seed + k for k in range(count)],
        subseeds=[subseed + k for k in range(count)],
        hires_prompts=[hires_prompt] * count,
        hires_negatives=[hires_negative] * count,
    )


def freeze_plan(draft: PlanDraft, request: GenerationRequest, settings: SettingsSnapshot, factor: int = 8) -> Plan:
    """The draft as decided. Sizes are floored to multiples of the latent factor, as A1111 does."""
    clean = strip_comments if settings.enable_prompt_comments else str
    # An extension may have changed how many pictures there are; every list follows the prompts.
    count = len(draft.prompts)
    pictures = [
        PlannedPicture(
            index=k,
            seed=int(_at(draft.seeds, k)),
            subseed=int(_at(draft.subseeds, k)),
            prompt=clean(draft.prompts[k]),
            negative=clean(_at(draft.negatives, k)),
            hires_prompt=clean(_at(draft.hires_prompts, k)),
            hires_negative=clean(_at(draft.hires_negatives, k)),
        )
        for k in range(count)
    ]
    size = request.batch.size
    batches = tuple(tuple(pictures[start : start + size]) for start in range(0, count, size))
    width, height = _snap(request.size.width, factor), _snap(request.size.height, factor)
    hires_width = hires_height = 0
    if request.hires.enabled and request.kind == "txt2img":
        target, _ = hires_target(
            width, height, request.hires.scale, request.hires.resize_x, request.hires.resize_y, factor
        )
        hires_width, hires_height = (_snap(side, factor) for side in target)
    return Plan(width, height, batches, hires_width, hires_height)


def old_sizes(request: GenerationRequest, settings: SettingsSnapshot) -> GenerationRequest:
    """With the setting for old pictures the size of a hires fix is the final one; the first pass has about 512 x 512
    pixels, in steps of 64."""
    hires, size = request.hires, request.size
    name = "use_old_hires_fix_width_height"
    old = bool(request.overrides.get(name, settings[name]))
    if not old or not hires.enabled or request.kind != "txt2img" or hires.image is not None:
        return request
    scale = math.sqrt(512 * 512 / (size.width * size.height))
    first = {f"size.{side}": math.ceil(getattr(size, side) * scale / 64) * 64 for side in ("width", "height")}
    return request.with_values(**first, **{"hires.resize_x": size.width, "hires.resize_y": size.height})


def hires_target(
    width: int, height: int, scale: float, resize_x: int, resize_y: int, factor: int = 8
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The size to enlarge to, and how many latent cells to crop off on each axis afterwards.

    With both sides given the picture covers them and is cropped; one side keeps the aspect; none takes the factor.
    """
    if resize_x == 0 and resize_y == 0:
        return (int(width * scale), int(height * scale)), (0, 0)
    if resize_y == 0:
        return (resize_x, resize_x * height // width), (0, 0)
    if resize_x == 0:
        return (resize_y * width // height, resize_y), (0, 0)
    if width / height < resize_x / resize_y:
        cover = (resize_x, resize_x * height // width)
    else:
        cover = (resize_y * width // height, resize_y)
    return cover, ((cover[0] - resize_x) // factor, (cover[1] - resize_y) // factor)


def _snap(side: int, factor: int) -> int:
    return max(factor, side // factor * factor)


def _at(values: list, index: int):
    return values[index] if index < len(values) else values[-1]
