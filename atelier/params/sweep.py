"""Sweep: which values a grid may vary, how they are written, and how one is put into a request."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from atelier.base.errors import BadRequest
from atelier.params.field import Declaration, declarations_of
from atelier.params.groups import GROUPS
from atelier.params.request import DECLARATIONS, KINDS, GenerationRequest, find_declaration

#: a grid of more is a slip of the keyboard
MOST_VALUES = 1000

SEARCH, ORDER, SIZE, STRENGTH = "prompt search", "prompt order", "size", "denoising"

#: A1111's axes in its order, by which the API of its grid script names them: label, target, kind of run.
#: A target is a dotted name of the request, `settings.` and a setting, or one of the four words above.
A1111_AXES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Nothing", "", KINDS),
    ("Seed", "seed.seed", KINDS),
    ("Var. seed", "seed.subseed", KINDS),
    ("Var. strength", "seed.subseed_strength", KINDS),
    ("Steps", "sampling.steps", KINDS),
    ("Hires steps", "hires.steps", ("txt2img",)),
    ("CFG Scale", "sampling.cfg_scale", KINDS),
    ("Image CFG Scale", "source.image_cfg_scale", ("img2img",)),
    ("Prompt S/R", SEARCH, KINDS),
    ("Prompt order", ORDER, KINDS),
    ("Sampler", "sampling.sampler", KINDS),
    ("Hires sampler", "hires.sampler", ("txt2img",)),
    ("Checkpoint name", "settings.sd_model_checkpoint", KINDS),
    ("Negative Guidance minimum sigma", "sampling.s_min_uncond", KINDS),
    ("Sigma Churn", "sampling.s_churn", KINDS),
    ("Sigma min", "sampling.s_tmin", KINDS),
    ("Sigma max", "sampling.s_tmax", KINDS),
    ("Sigma noise", "sampling.s_noise", KINDS),
    ("Schedule type", "sampling.scheduler", KINDS),
    ("Schedule min sigma", "settings.sigma_min", KINDS),
    ("Schedule max sigma", "settings.sigma_max", KINDS),
    ("Schedule rho", "settings.rho", KINDS),
    ("Beta schedule alpha", "settings.beta_dist_alpha", KINDS),
    ("Beta schedule beta", "settings.beta_dist_beta", KINDS),
    ("Eta", "sampling.eta", KINDS),
    ("Clip skip", "settings.CLIP_stop_at_last_layers", KINDS),
    ("Denoising", STRENGTH, KINDS),
    ("Initial noise multiplier", "settings.initial_noise_multiplier", KINDS),
    ("Extra noise", "settings.img2img_extra_noise", KINDS),
    ("Hires upscaler", "hires.upscaler", ("txt2img",)),
    ("Cond. Image Mask Weight", "settings.inpainting_mask_weight", ("img2img",)),
    ("VAE", "settings.sd_vae", KINDS),
    ("Styles", "prompt.styles", KINDS),
    ("UniPC Order", "settings.uni_pc_order", KINDS),
    ("Face restore", "settings.face_restoration_model", KINDS),
    ("Token merging ratio", "settings.token_merging_ratio", KINDS),
    ("Token merging ratio high-res", "settings.token_merging_ratio_hr", KINDS),
    ("Always discard next-to-last sigma", "settings.always_discard_next_to_last_sigma", KINDS),
    ("SGM noise multiplier", "settings.sgm_noise_multiplier", KINDS),
    ("Refiner checkpoint", "refiner.checkpoint", KINDS),
    ("Refiner switch at", "refiner.switch_at", KINDS),
    ("RNG source", "settings.randn_source", KINDS),
    ("FP8 mode", "settings.fp8_storage", KINDS),
    ("Size", SIZE, KINDS),
)

_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_RANGE = re.compile(
    rf"({_NUMBER})\s*-\s*({_NUMBER})(?:\s*\(\s*({_NUMBER})\s*\)|\s*\[\s*([0-9]+)\s*\])?", re.ASCII
)
_SIZE = re.compile(r"([0-9]{1,5})\s*[x×*]\s*([0-9]{1,5})")


@dataclass(frozen=True)
class Axis:
    """One thing that a grid can vary. `declaration` is None for the axes that are no single value."""

    label: str
    target: str
    declaration: Declaration | None = None
    kinds: tuple[str, ...] = KINDS

    @property
    def choices(self) -> tuple[Any, ...] | str | None:
        return self.declaration.param.choices if self.declaration is not None else None


def axes(kind: str, settings: Collection[Declaration] | None = None) -> tuple[Axis, ...]:
    """The axes for a kind of run: A1111's in its order, then every other number, choice and switch of a request.

    `settings` are the declarations of settings, by default the program's. Axes whose value nobody declares are
    left out.
    """
    known = {f"settings.{d.name}": d for d in (_program_settings() if settings is None else settings)}
    known |= {d.path: d for d in DECLARATIONS}
    found = []
    for label, target, kinds in A1111_AXES:
        if kind in kinds and (target in known or target in ("", SEARCH, ORDER, SIZE, STRENGTH)):
            found.append(Axis(label, target, known.get(target), kinds))
    taken = {axis.target for axis in found}
    other = ("source", "mask", "soft") if kind == "txt2img" else ("hires",)
    for declaration in DECLARATIONS:
        skipped = declaration.part in (*other, "prompt", "batch", "output") or "denoising" in declaration.name
        if declaration.path not in taken and not skipped and declaration.kind in ("int", "float", "bool", "str"):
            found.append(Axis(declaration.param.label, declaration.path, declaration, (kind,)))
    return tuple(found)


def find_axis(label: str, kind: str, settings: Collection[Declaration] | None = None) -> Axis:
    """The axis of a label or target. Raises `BadRequest`."""
    known = axes(kind, settings)
    for axis in known:
        if label.lower() in (axis.label.lower(), axis.target.lower()):
            return axis
    raise BadRequest("axis", f"there is no axis {label!r}.", remedy=f"Use one of: {', '.join(a.label for a in known)}.")


def parse_values(axis: Axis, text: str) -> tuple[Any, ...]:
    """The values of an axis: `1, 2, 5`, `1-5`, `1-10 (+2)` for a step, `1-10 [5]` for a count, CSV with quotes.

    "Prompt S/R" gives pairs (search, replacement) whose search is the first value; "Prompt order" every order of
    the values; sizes pairs. Raises `BadRequest` for text that is no value of the axis, and for too many.
    """
    words = split_csv(text)
    kind = axis.declaration.kind if axis.declaration is not None else ""
    values: Iterable[Any]
    if axis.target == "":
        values = (None,)
    elif axis.target == SEARCH:
        values = ((words[0], word) for word in words)
    elif axis.target == ORDER:
        values = permutations(words)
    elif axis.target == SIZE:
        values = [_size(word, axis.label) for word in words]
    elif axis.target == "prompt.styles":
        values = [tuple(style.strip() for style in word.split(",") if style.strip()) for word in words]
    elif axis.target == STRENGTH or kind in ("int", "float"):
        values = [number for word in words for number in parse_numbers(word, kind == "int", axis.label)]
    else:
        values = words
    checked = []
    for value in values:
        checked.append(axis.declaration.check(value) if axis.declaration is not None else value)
        if len(checked) > MOST_VALUES:
            raise BadRequest(axis.label, f"more than {MOST_VALUES} values.", remedy="Give fewer.")
    if not checked:
        raise BadRequest(axis.label, "there is no value.", remedy="Write values such as 1, 2, 5 or 1-10 (+2).")
    return tuple(checked)


def split_csv(text: str) -> list[str]:
    """The items between commas, stripped; quotes keep commas and line breaks inside an item."""
    try:
        rows = csv.reader([text.replace("\r\n", "\n").replace("\n", " ")], skipinitialspace=True)
        return [item.strip() for row in rows for item in row if item.strip()]
    except csv.Error as error:
        raise BadRequest("axis", f"the values cannot be read: {error}.", remedy="Close the quotes.") from error


def parse_numbers(word: str, whole: bool, label: str) -> list[float]:
    """One item of a list of numbers: a number or a range. Both ends of a range count, where the step meets them."""
    match = _RANGE.fullmatch(word.strip())
    if match is None:
        try:
            number = float(word)
        except ValueError:
            remedy = "Write 5, 1-5, 1-10 (+2) or 1-10 [5]."
            raise BadRequest(label, f"{word!r} is not a number.", remedy=remedy) from None
        # Seeds are larger than a float is exact.
        return [int(word) if whole and re.fullmatch(r"\s*[+-]?[0-9]+\s*", word) else number]
    first, last, step, count = match.groups()
    start, end = float(first), float(last)
    if whole:
        start, end = _whole(first, label), _whole(last, label)
    if count is not None:
        found = _spread(start, end, int(count), label)
    else:
        found = _stepped(start, end, float(step) if step is not None else (1 if end >= start else -1), label)
    return [int(value) for value in found] if whole else [round(value, 10) for value in found]


def _whole(text: str, label: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadRequest(label, f"{text!r} is not a whole number.") from None


def _spread(start: float, end: float, count: int, label: str) -> list[float]:
    if not 1 <= count <= MOST_VALUES:
        raise BadRequest(label, f"a range of {count} values.", remedy=f"Take 1 to {MOST_VALUES}.")
    if count == 1:
        return [start]
    return [start + (end - start) * index / (count - 1) for index in range(count)]


def _stepped(start: float, end: float, step: float, label: str) -> list[float]:
    if step == 0 or (end - start) * step < 0:
        raise BadRequest(label, f"a step of {step:g} does not lead from {start:g} to {end:g}.", remedy="Turn the sign.")
    # A billionth of a step, so that 0.1 steps reach 1 in spite of rounding.
    count = (end - start) / step + 1e-9
    if count >= MOST_VALUES:
        raise BadRequest(label, f"more than {MOST_VALUES} values.", remedy="Take a larger step.")
    return [start + index * step for index in range(int(count) + 1)]


def _size(word: str, label: str) -> tuple[int, int]:
    match = _SIZE.fullmatch(word)
    if match is None:
        raise BadRequest(label, f"{word!r} is not a size.", remedy="Write 512x768.")
    return int(match.group(1)), int(match.group(2))


def apply_value(request: GenerationRequest, axis: Axis, value: Any) -> GenerationRequest:
    """The request with one value of an axis in place. Raises `BadRequest`."""
    if axis.target == "":
        return request
    if axis.target == SIZE:
        return request.with_values(**{"size.width": value[0], "size.height": value[1]})
    if axis.target == STRENGTH:
        part = "hires" if request.kind == "txt2img" else "source"
        return request.with_values(**{f"{part}.denoising_strength": value})
    if axis.target == "prompt.styles":
        return request.with_values(**{"prompt.styles": (*request.prompt.styles, *value)})
    if axis.target == SEARCH:
        return _replaced(request, *value)
    if axis.target == ORDER:
        return _ordered(request, value)
    part, _, name = axis.target.partition(".")
    if part == "settings":
        return request.with_values(overrides={**request.overrides, name: value})
    if find_declaration(axis.target) is None:
        raise BadRequest(axis.label, "a request has no such value.")
    if axis.target == "refiner.checkpoint":
        return request.with_values(**{axis.target: value, "refiner.enabled": str(value) not in ("", "None")})
    return request.with_values(**{axis.target: value})


def _replaced(request: GenerationRequest, search: str, replacement: str) -> GenerationRequest:
    prompt = request.prompt
    if search not in prompt.positive and search not in prompt.negative:
        raise BadRequest("Prompt S/R", f"{search!r} is in neither prompt.", remedy="Begin with a text of the prompt.")
    paths = {"prompt.positive": prompt.positive, "prompt.negative": prompt.negative,
             "hires.prompt": request.hires.prompt, "hires.negative": request.hires.negative}  # fmt: skip
    return request.with_values(**{path: text.replace(search, replacement) for path, text in paths.items()})


def _ordered(request: GenerationRequest, words: tuple[str, ...]) -> GenerationRequest:
    """Puts the words into the places that they hold in the prompt, in the given order."""
    text = request.prompt.positive
    for word in words:
        if word not in text:
            raise BadRequest("Prompt order", f"{word!r} is not in the prompt.", remedy="Use texts of the prompt.")
    # Longest first, so that "red" does not take the place of "red fox".
    pattern = re.compile("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)))
    left = list(words)
    seen: set[str] = set()

    def put(match: re.Match[str]) -> str:
        if match.group(0) in seen:
            return match.group(0)
        seen.add(match.group(0))
        return left.pop(0)

    return request.with_values(**{"prompt.positive": pattern.sub(put, text)})


def _program_settings() -> tuple[Declaration, ...]:
    return tuple(declaration for group in GROUPS for declaration in declarations_of(group))
