"""Infotext: the parameters stored in a picture, as text and as a request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from atelier.base.errors import BadRequest
from atelier.params.field import Declaration, declarations_of
from atelier.params.groups import GROUPS
from atelier.params.guidance import SWITCHES
from atelier.params.infotext_legacy import (
    ABSENT,
    ALIASES,
    NO_CHECKPOINT,
    SAME_CHECKPOINT,
    SAME_SAMPLER,
    SAME_SCHEDULER,
    fill_absent,
    has_weights,
    imply_settings,
    lift_legacy,
)
from atelier.params.parts import MASKED_CONTENT
from atelier.params.request import DECLARATIONS, KINDS, GenerationRequest
from atelier.params.told import told

#: the order in which the first keys stand; the others follow as they come, then LAST
HEAD = (
    "Steps", "Sampler", "Schedule type", "CFG scale", "Image CFG scale", "Seed", "Face restoration", "Size",
    "Model hash", "Model", "FP8 weight", "Cache FP16 weight for LoRA", "VAE hash", "VAE", "Variation seed",
    "Variation seed strength", "Seed resize from", "Denoising strength", "Conditional mask weight", "Clip skip", "ENSD",
    "Token merging ratio", "Token merging ratio hr", "Init image hash", "RNG", "Tiling",
)  # fmt: skip
LAST = ("Version", "User")
#: a line with fewer pairs belongs to the prompt
FEWEST_PAIRS = 3

_NEGATIVE = "Negative prompt:"
# The second branch swallows runs that no colon follows, so that none of their characters is tried again.
_PAIR = re.compile(r'[ \-/]*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)|[\w \-/]+')
_SIZE = re.compile(r"([0-9]{1,9})x([0-9]{1,9})")

#: (prompt, negative) -> (names of styles, prompt without them, negative without them)
ExtractStyles = Callable[[str, str], tuple[tuple[str, ...], str, str]]


def quote(value: Any) -> Any:
    """A value as it stands in the line: as it is, or as a JSON string where comma, colon or line break would hurt."""
    if isinstance(value, (dict, list, tuple)):
        value = json.dumps(value, ensure_ascii=False)
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r"[,:\n]", text) else value


def unquote(text: str) -> str:
    """The value behind a text of the line; one that is no JSON string is taken as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return text


def write_infotext(prompt: str, negative: str, head: Mapping[str, Any], extras: Mapping[str, Any] | None = None) -> str:
    """The whole text. Keys of `HEAD` come in its order, the others in the order given, `LAST` at the end.

    `extras` wins over `head`, but a key keeps its place; None leaves a key out; a value equal to its key is
    written once.
    """
    values = {**head, **(extras or {})}
    order = (
        *(key for key in HEAD if key in values),
        *(key for key in values if key not in HEAD and key not in LAST),
        *(key for key in LAST if key in values),
    )
    pairs = (_pair(key, values[key]) for key in order if values[key] is not None)
    negative_line = f"\n{_NEGATIVE} {negative}" if negative else ""
    return f"{prompt}{negative_line}\n{', '.join(pairs)}".strip()


def _pair(key: str, value: Any) -> str:
    return key if key == value else f"{key}: {quote(value)}"


def parse_infotext(
    text: str,
    *,
    defaults: bool = True,
    backcompat: bool = True,
    skip: Collection[str] = (),
    extract_styles: ExtractStyles | None = None,
    styles: str = "Apply if any",
) -> dict[str, Any]:
    """Keys and values of a text, with "Prompt" and "Negative prompt". Never raises.

    Values are texts, but for those that `defaults` fills in (see `ABSENT`). `WxH` becomes `key-1` and `key-2`.
    `backcompat` adds the settings that the version of the text implies; keys in `skip` are dropped.
    `styles` says what becomes of styles that `extract_styles` finds: Ignore, Apply, Discard, or Apply if any.
    """
    prompt, negative, values = _split(text)
    values["Prompt"], values["Negative prompt"] = prompt, negative
    if extract_styles is not None and styles != "Ignore":
        _take_styles(values, extract_styles, styles)
    lift_legacy(values)
    if defaults:
        fill_absent(values)
    if backcompat:
        imply_settings(values)
    return {key: value for key, value in values.items() if key not in skip}


def _split(text: str) -> tuple[str, str, dict[str, Any]]:
    *lines, last = text.strip().split("\n")
    pairs = [match.groups() for match in _PAIR.finditer(last.strip()) if match.group(1)]
    if len(pairs) < FEWEST_PAIRS:
        lines.append(last)
        pairs = []
    prompt: list[str] = []
    negative: list[str] = []
    current = prompt
    for line in map(str.strip, lines):
        if line.startswith(_NEGATIVE):
            current = negative
            line = line[len(_NEGATIVE) :].strip()
        current.append(line)
    values: dict[str, Any] = {}
    for key, raw in pairs:
        if raw:
            _store(values, key, unquote(raw))
    return "\n".join(prompt), "\n".join(negative), values


def _store(values: dict[str, Any], key: str, value: str) -> None:
    size = _SIZE.fullmatch(value)
    if size is None:
        values[key] = value
    else:
        values[f"{key}-1"], values[f"{key}-2"] = size.groups()


def _take_styles(values: dict[str, Any], extract: ExtractStyles, mode: str) -> None:
    found, prompt, negative = extract(values["Prompt"], values["Negative prompt"])
    taken = {"Prompt": prompt, "Negative prompt": negative}
    hires_prompt, hires_negative = values.get("Hires prompt", ""), values.get("Hires negative prompt", "")
    if hires_prompt or hires_negative:
        hires_found, hires_prompt, hires_negative = extract(hires_prompt, hires_negative)
        taken |= {"Hires prompt": hires_prompt, "Hires negative prompt": hires_negative}
        if hires_found != found:
            # Styles act on both passes; what is in one only was typed there.
            found, taken = (), {}
    values.update(taken)
    if mode == "Apply" or (mode == "Apply if any" and found):
        values["Styles array"] = list(found)


@dataclass(frozen=True)
class _Words:
    """A value of the request that infotext tells in words; None is not written."""

    label: str
    words: tuple[tuple[Any, str], ...]
    unwritten: Any


WORDS: Mapping[str, _Words] = MappingProxyType({
    "mask.invert": _Words("Mask mode", ((False, "Inpaint masked"), (True, "Inpaint not masked")), False),
    "mask.fill": _Words("Masked content", tuple(enumerate(MASKED_CONTENT)), 1),
    "mask.only_masked": _Words("Inpaint area", ((False, "Whole picture"), (True, "Only masked")), False),
})  # fmt: skip

#: texts that stand for an empty choice
SAME_VALUES = MappingProxyType({
    "hires.sampler": SAME_SAMPLER, "hires.scheduler": SAME_SCHEDULER, "hires.checkpoint": SAME_CHECKPOINT,
    "refiner.checkpoint": NO_CHECKPOINT,
})  # fmt: skip


def infotext_fields(request: GenerationRequest) -> dict[str, Any]:
    """Label -> value of everything in a request that infotext tells, but for the prompts.

    Both for `head` and `extras` of `write_infotext`, which puts the keys in order. The seed is the request's:
    a picture's own must be set by the caller.
    """
    found: dict[str, Any] = {}
    for declaration in DECLARATIONS:
        path, label = declaration.path, declaration.param.infotext
        words = WORDS.get(path)
        if not told(path, request) or not (label or words):
            continue
        value = request.get(path)
        if words is not None:
            found[words.label] = None if value == words.unwritten else dict(words.words)[value]
        elif label.endswith("-1"):
            found[label[:-2]] = str(value)
        elif label.endswith("-2"):
            found[label[:-2]] += f"x{value}"
        else:
            found[label] = value
    return {label: value for label, value in found.items() if value is not None}


def settings_fields(
    settings: Mapping[str, Any], declarations: Collection[Declaration] | None = None, prompt: str = ""
) -> dict[str, Any]:
    """Label -> value of every setting that a reader of the text would not assume by itself.

    `declarations` are the settings to look at; by default those of the program. `prompt` is prompt and negative
    prompt: the emphasis mode is told only where they hold weights. "VAE" is left to the caller, who knows the file.
    """
    found: dict[str, Any] = {}
    for declaration in _program_settings() if declarations is None else declarations:
        label = declaration.param.infotext
        if not label or label == "VAE" or declaration.name not in settings:
            continue
        if label == "Emphasis" and not has_weights(prompt):
            continue
        value = settings[declaration.name]
        assumed = declaration.default
        if label in ABSENT:
            assumed = declaration.check(ABSENT[label])
        if value != assumed:
            found[label] = value
    return found


def _program_settings() -> tuple[Declaration, ...]:
    return tuple(declaration for group in GROUPS for declaration in declarations_of(group))


@dataclass(frozen=True)
class PasteRules:
    """How a text meets the request and settings that are there.

    `kind` is txt2img or img2img, by default the base's. `settings` are the present values, `declarations` the
    settings to look for; by default the program's, at their defaults. `fields` are the dotted names that the form
    has controls for: a label of any other goes to a setting of the same label, if there is one.
    `resolve_sampler(sampler, schedule)` splits names such as "DPM++ 2M Karras"; `resolve_model(name, hash)` gives
    a checkpoint's title or None.
    """

    kind: str = ""
    settings: Mapping[str, Any] | None = None
    declarations: tuple[Declaration, ...] = field(default_factory=_program_settings)
    fields: frozenset[str] | None = None
    resolve_sampler: Callable[[str, str], tuple[str, str]] | None = None
    resolve_model: Callable[[str, str], str | None] | None = None

    def current(self, declaration: Declaration) -> Any:
        return (self.settings or {}).get(declaration.name, declaration.default)


@dataclass(frozen=True)
class Pasted:
    """`overrides` are the settings that the text implies and that differ from the present ones.

    `problems` tells of values that fit no declaration, by label; they were left out.
    """

    request: GenerationRequest
    overrides: Mapping[str, Any]
    problems: Mapping[str, str]


def request_from_infotext(text: str, base: GenerationRequest, rules: PasteRules | None = None) -> GenerationRequest:
    """The request that a text asks for; implied settings are merged into its `overrides`. Never raises."""
    pasted = paste(parse_infotext(text), base, rules)
    return pasted.request.with_values(overrides={**base.overrides, **pasted.overrides})


def paste(values: Mapping[str, Any], base: GenerationRequest, rules: PasteRules | None = None) -> Pasted:
    """Lays the values of `parse_infotext` over a request. What a text does not tell stays as in `base`."""
    rules = rules or PasteRules()
    if rules.kind and rules.kind not in KINDS:
        raise ValueError(f"unknown kind {rules.kind!r}")
    values = {ALIASES.get(key, key): value for key, value in values.items()}
    kind = rules.kind or base.kind
    problems: dict[str, str] = {}
    changes = _request_changes(values, kind, rules, problems, len(base.source.images))
    overrides = _overrides(values, _taken_labels(kind, rules), rules, problems)
    return Pasted(base.with_values(**changes), MappingProxyType(overrides), MappingProxyType(problems))


def _request_changes(
    values: Mapping[str, Any], kind: str, rules: PasteRules, problems: dict[str, str], images: int
) -> dict[str, Any]:
    """By dotted name. With several source pictures the batch keeps its size, which is theirs."""
    values = {**values, **_sampler(values, rules)}
    changes: dict[str, Any] = {}
    for declaration in DECLARATIONS:
        path = declaration.path
        words = WORDS.get(path)
        label = words.label if words is not None else declaration.param.infotext
        if label not in values or not _reads(path, kind, rules) or path == "batch.size" and images > 1:
            continue
        value = values[label]
        if words is not None:
            value = {word: key for key, word in words.words}.get(str(value), value)
        elif path in SAME_VALUES:
            value = None if value in ("", SAME_VALUES[path]) else value
        try:
            changes[path] = declaration.check(value)
        except BadRequest as error:
            problems[label] = error.message
    if "mask.blur_x" in changes:
        changes["mask.blur_y"] = changes["mask.blur_x"]
    if "Styles array" in values:
        changes["prompt.styles"] = tuple(values["Styles array"])
    if kind == "txt2img":
        # A1111 takes any denoising strength for a hires fix; a text of img2img would switch it on.
        resized = any(str(values.get(f"Hires resize-{side}", 0)) not in ("", "0") for side in (1, 2))
        hires = "Hires upscale" in values or "Hires upscaler" in values or resized
        changes["hires.enabled"] = "Denoising strength" in values and hires
        if changes["hires.enabled"]:
            # What such a text does not tell had no effect on its picture.
            for path in ("hires.steps", "hires.cfg_scale"):
                changes.setdefault(path, 0)
    if "Seed" in values:
        # The text of a picture without variation, or plainly guided, says nothing of it.
        switches = (f"guidance.{name}" for name in SWITCHES)
        for path in ("seed.subseed_strength", "seed.resize_from_w", "seed.resize_from_h", *switches):
            changes.setdefault(path, 0)
    for path, label in (("refiner.enabled", "Refiner"), ("soft.enabled", "Soft inpainting enabled")):
        if (label in values or "Steps" in values) and _reads(path, kind, rules):
            changes[path] = str(values.get(label, "False")) not in ("", "False", NO_CHECKPOINT)
    return changes


def _reads(path: str, kind: str, rules: PasteRules) -> bool:
    """Denoising strength is hires fix's in txt2img and the source's in img2img; masks are for img2img."""
    if rules.fields is not None and path not in rules.fields:
        return False
    part = path.partition(".")[0]
    return part != "hires" if kind == "img2img" else part not in ("source", "mask", "soft")


def _sampler(values: Mapping[str, Any], rules: PasteRules) -> dict[str, str]:
    if "Sampler" not in values or rules.resolve_sampler is None:
        return {}
    sampler, schedule = rules.resolve_sampler(str(values["Sampler"]), str(values.get("Schedule type", "Automatic")))
    return {"Sampler": sampler, "Schedule type": schedule}


def _taken_labels(kind: str, rules: PasteRules) -> set[str]:
    return {d.param.infotext for d in DECLARATIONS if d.param.infotext and _reads(d.path, kind, rules)}


def _overrides(
    values: Mapping[str, Any], taken: set[str], rules: PasteRules, problems: dict[str, str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for declaration in rules.declarations:
        label = declaration.param.infotext
        if not label or label in taken or label not in values:
            continue
        try:
            value = declaration.check(values[label])
        except BadRequest as error:
            problems[label] = error.message
            continue
        if value != rules.current(declaration):
            found[declaration.name] = value
    faces = values.get("Face restoration")
    if faces and rules.settings is not None and str(faces) not in ("True", "False"):
        found |= {"face_restoration": True, "face_restoration_model": str(faces)}
    ignored = (rules.settings or {}).get("disable_weights_auto_swap", True)
    name, digest = str(values.get("Model", "")), str(values.get("Model hash", ""))
    if not ignored and (name or digest):
        title = rules.resolve_model(name, digest) if rules.resolve_model is not None else digest or name
        if title and title != (rules.settings or {}).get("sd_model_checkpoint"):
            found["sd_model_checkpoint"] = title
    return found
