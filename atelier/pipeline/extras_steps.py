"""The steps of an Extras run that the program brings itself, under A1111's names, in A1111's order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageChops, ImageOps

from atelier.base.errors import BadRequest
from atelier.imaging.crop import Bounds, Interest, best_size, crop_to, focal_crop, is_oversized, split_oversized
from atelier.params.extras import FLIPS, OBJECTIVES, SCALE_TO
from atelier.params.settings import SettingsSnapshot
from atelier.pipeline.describe import rules_of
from atelier.pipeline.extras_state import ExtrasRun, PostPicture


def _never(run: ExtrasRun, picture: PostPicture) -> None:
    """Most steps have nothing to say before the others begin."""


def _always(run: ExtrasRun) -> None:
    """Most steps need nothing that could be missing."""


@dataclass(frozen=True)
class PostStep:
    """`wanted` says whether the request asks for it. `first` sees every picture before any step works on it.

    `stage` says in words for people what is done.
    """

    name: str
    order: float
    wanted: Callable[[ExtrasRun], bool]
    work: Callable[[ExtrasRun, PostPicture], Any]
    stage: str = ""
    first: Callable[[ExtrasRun, PostPicture], Any] = _never
    #: raises what would end the step anyhow, before other steps take their time
    ready: Callable[[ExtrasRun], Any] = _always


def in_order(steps: Iterable[PostStep], settings: SettingsSnapshot) -> list[PostStep]:
    """Those that the settings name come first, in their order; the others follow in their own."""
    first = {name: place for place, name in enumerate(settings.postprocessing_operation_order)}
    return sorted(steps, key=lambda step: (first.get(step.name, len(first)), step.order, step.name))


# -- enlarging


def _has_upscalers(run: ExtrasRun) -> None:
    asked = run.request.upscale
    for place, name in enumerate((asked.upscaler_1, asked.upscaler_2), 1):
        if name != "None":
            run.services.upscalers.get(name, f"upscale.upscaler_{place}")


def _aim(run: ExtrasRun, picture: PostPicture) -> None:
    """Steps that cut pictures to a size take it from here."""
    asked = run.request.upscale
    if asked.mode == SCALE_TO:
        picture.shared.target_width, picture.shared.target_height = asked.width, asked.height


def _upscale(run: ExtrasRun, picture: PostPicture) -> None:
    asked, image = run.request.upscale, picture.image
    if asked.upscaler_1 == "None":
        return
    width, height = _goal(run, picture)
    limit = run.settings.img_max_size_mp
    if width * height > limit * 1e6:
        raise BadRequest(
            "upscale.scale", f"the result would be {width}x{height}, which is above {limit} megapixels.",
            remedy="Use a smaller factor, or raise the limit in Settings.",
        )  # fmt: skip
    names = [asked.upscaler_1]
    if asked.upscaler_2 != "None" and asked.visibility > 0:
        names.append(asked.upscaler_2)
    made = []
    begin, length = run.share
    for index, name in enumerate(names):
        run.share = (begin + length * index / len(names), length / len(names))
        upscaler = run.services.upscalers.get(name, f"upscale.upscaler_{index + 1}")
        made.append(upscaler.to(image, width, height, run.watch()))
        picture.info[f"Postprocess upscaler{'' if index == 0 else ' 2'}"] = upscaler.name
    picture.image = made[0]
    if len(made) > 1:
        alike = "RGBA" if "RGBA" in (made[0].mode, made[1].mode) else "RGB"
        picture.image = Image.blend(made[0].convert(alike), made[1].convert(alike), asked.visibility)
    if asked.mode == SCALE_TO and asked.crop:
        picture.image = _middle(picture.image, asked.width, asked.height)
        picture.info["Postprocess crop to"] = f"{picture.image.width}x{picture.image.height}"


def _goal(run: ExtrasRun, picture: PostPicture) -> tuple[int, int]:
    """The size to enlarge to: sides are cut down to multiples of 8, as A1111 does, but never below Scale to."""
    asked, image = run.request.upscale, picture.image
    if asked.mode == SCALE_TO:
        picture.info["Postprocess upscale to"] = f"{asked.width}x{asked.height}"
        factor = max(asked.width / image.width, asked.height / image.height)
        least = (asked.width, asked.height)
    else:
        factor, least = asked.scale, (8, 8)
        if asked.max_side and max(image.size) * factor > asked.max_side:
            factor = asked.max_side / max(image.size)
            picture.info["Postprocess max side length"] = asked.max_side
        picture.info["Postprocess upscale by"] = int(factor) if factor == int(factor) else round(factor, 4)
    # A hair is added, since 512 / 49 * 49 may be a hair below 512.
    width, height = (max(at_least, int(side * factor + 1e-6) // 8 * 8) for side, at_least in zip(image.size, least))
    return width, height


def _middle(image: Image.Image, width: int, height: int) -> Image.Image:
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((max(0, left), max(0, top), min(image.width, left + width), min(image.height, top + height)))


# -- cutting


def _target(run: ExtrasRun, picture: PostPicture, part: str) -> tuple[int, int]:
    width, height = picture.shared.target_width, picture.shared.target_height
    if not width or not height:
        raise BadRequest(
            f"{part}.enabled", "this step needs a size to cut to.", remedy="Choose Scale to, with a width and a height."
        )
    return width, height


def _split(run: ExtrasRun, picture: PostPicture) -> None:
    width, height = _target(run, picture, "split")
    asked = run.request.split
    if not is_oversized(picture.image, width, height, asked.threshold):
        return
    pieces = list(split_oversized(picture.image, width, height, asked.overlap))
    picture.image = pieces[0]
    picture.extra_images += [picture.create_copy(piece) for piece in pieces[1:]]


def _focal(run: ExtrasRun, picture: PostPicture) -> None:
    width, height = _target(run, picture, "focal")
    asked = run.request.focal
    interest = Interest(asked.face_weight, asked.entropy_weight, asked.edges_weight)
    faces = run.services.tools.face_centres(picture.image, run.watch()) if asked.face_weight > 0 else ()
    picture.image = focal_crop(picture.image, width, height, interest, faces)


def _autocrop(run: ExtrasRun, picture: PostPicture) -> None:
    asked = run.request.autocrop
    largest = asked.objective == OBJECTIVES[0]
    bounds = Bounds(asked.min_side, asked.max_side, asked.min_area, asked.max_area, asked.threshold, largest)
    size = best_size(picture.image, bounds)
    if size is None:
        picture.disable_processing = True
        run.comment(
            f"No size within the bounds suits a picture of {picture.image.width}x{picture.image.height}; it was left "
            "as it is."
        )
        return
    picture.image = crop_to(picture.image, *size)


def _flip(run: ExtrasRun, picture: PostPicture) -> None:
    ways = run.request.flip.ways
    for way, mirrored in zip(FLIPS, (ImageOps.mirror, ImageOps.flip, lambda i: ImageOps.flip(ImageOps.mirror(i)))):
        if way in ways:
            picture.extra_images.append(picture.create_copy(mirrored(picture.image), disable_processing=False))


# -- faces, background, words


def _gfpgan(run: ExtrasRun, picture: PostPicture) -> None:
    _restore(run, picture, "GFPGAN", run.request.gfpgan.visibility)


def _codeformer(run: ExtrasRun, picture: PostPicture) -> None:
    asked = run.request.codeformer
    _restore(run, picture, "CodeFormer", asked.visibility, asked.weight)
    picture.info["CodeFormer weight"] = round(asked.weight, 3)


def _has_restorer(name: str) -> Callable[[ExtrasRun], None]:
    def ready(run: ExtrasRun) -> None:
        missing = run.services.tools.missing_restorer(name)
        if missing is not None:
            raise missing

    return ready


def _restore(run: ExtrasRun, picture: PostPicture, name: str, visibility: float, weight: float = 0.5) -> None:
    restored = run.services.tools.restore_faces(name, picture.image, weight, run.watch())
    if restored.size == picture.image.size and visibility < 1:
        restored = Image.blend(picture.image.convert(restored.mode), restored, visibility)
    picture.image = restored
    picture.info[f"{name} visibility"] = round(visibility, 3)


def _background(run: ExtrasRun, picture: PostPicture) -> None:
    mask = run.services.tools.foreground(picture.image, run.watch())
    picture.info["Postprocess background removed"] = True
    if run.request.background.mask_only:
        picture.image = mask
        return
    cut = picture.image.convert("RGBA")
    cut.putalpha(ImageChops.multiply(cut.getchannel("A"), mask))
    picture.image = cut


def _caption(run: ExtrasRun, picture: PostPicture) -> None:
    models = {"Deepbooru": "deepdanbooru", "BLIP": "blip"}
    texts = [picture.caption] if picture.caption else []
    rules = rules_of(run.settings)
    texts += [run.services.tools.describe(picture.image, models[by], rules, run.watch())
              for by in run.request.caption.by]  # fmt: skip
    picture.caption = ", ".join(text for text in texts if text)


def _asks(part: str) -> Callable[[ExtrasRun], bool]:
    return lambda run: bool(getattr(run.request, part).enabled)


STEPS = (
    PostStep("Upscale", 1000, _asks("upscale"), _upscale, "enlarging", _aim, _has_upscalers),
    PostStep("GFPGAN", 2000, _asks("gfpgan"), _gfpgan, "restoring faces", ready=_has_restorer("GFPGAN")),
    PostStep("CodeFormer", 3000, _asks("codeformer"), _codeformer, "restoring faces",
             ready=_has_restorer("CodeFormer")),
    PostStep("Remove background", 3500, _asks("background"), _background, "removing the background"),
    PostStep("Split oversized images", 4000, _asks("split"), _split, "splitting"),
    PostStep("Auto focal point crop", 4010, _asks("focal"), _focal, "cropping"),
    PostStep("Auto-sized crop", 4020, _asks("autocrop"), _autocrop, "cropping"),
    PostStep("Create flipped copies", 4030, _asks("flip"), _flip, "mirroring"),
    PostStep("Caption", 4040, _asks("caption"), _caption, "describing"),
)  # fmt: skip
