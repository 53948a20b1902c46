"""Ask: what one tag of a prompt asks of a network: how strong, in which blocks, at which steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from atelier.base.errors import BadRequest
from atelier.prompts.tags import NetworkTag, resolve_tag

_IN, _OUT = (tuple(f"{side}{n:02d}" for n in range(12)) for side in ("IN", "OUT"))
#: all blocks of a denoiser in their order; BASE stands for text encoders and what belongs to no block
BLOCKS = ("BASE", *_IN, "M00", *_OUT)
_ATTENDING = tuple(
    b for b in BLOCKS if b not in ("IN00", "IN03", "IN06", "IN09", "IN10", "IN11", "OUT00", "OUT01", "OUT02")
)
#: which blocks a list of so many weights is for, as in the LoRA Block Weight extension
LAYOUTS = MappingProxyType({
    12: ("BASE", "IN04", "IN05", "IN07", "IN08", "M00", *_OUT[:6]),
    17: _ATTENDING,
    20: ("BASE", *_IN[:9], "M00", *_OUT[:9]),
    26: BLOCKS,
})  # fmt: skip
#: named lists of 17 weights, as that extension ships them
PRESETS = MappingProxyType({
    "NONE": "0," * 16 + "0", "ALL": "1," * 16 + "1", "INS": "1,1,1,1" + ",0" * 13, "IND": "1,0,0,0,1,1,1" + ",0" * 10,
    "INALL": "1,1,1,1,1,1,1" + ",0" * 10, "MIDD": "1,0,0,0" + ",1" * 8 + ",0" * 5,
    "OUTD": "1" + ",0" * 7 + ",1" * 4 + ",0" * 5, "OUTS": "1" + ",0" * 11 + ",1" * 5,
    "OUTALL": "1" + ",0" * 7 + ",1" * 9,
})  # fmt: skip
#: named arguments that take a weight and may have a list of weights at steps
_WEIGHTS = ("te", "unet")
FOREVER = (-math.inf, math.inf)


@dataclass(frozen=True)
class Curve:
    """A weight over the steps of a pass: points (where, weight) with straight lines between, inside of a window.

    Places up to 1 are fractions of the pass, beyond that they are steps, counted from 1.
    """

    points: tuple[tuple[float, float], ...]
    window: tuple[float, float] = FOREVER

    @property
    def steady(self) -> bool:
        return len(self.points) == 1 and self.window == FOREVER

    @property
    def first(self) -> float:
        return self.points[0][1]

    def at(self, call: int, calls: int, steps: int) -> float:
        """The weight at a model call, which counts from 0. A step of some samplers takes several calls."""
        steps = max(1, min(steps, calls))
        step = min(steps - 1, call * steps // max(1, calls))
        here = _place(step + 1 if step else 0, steps)
        if not _place(self.window[0], steps) <= here <= _place(self.window[1], steps):
            return 0.0
        before, after = self.points[0], self.points[-1]
        for point in self.points:
            if _place(point[0], steps) <= here:
                before = point
            else:
                after = point
                break
        start, end = _place(before[0], steps), _place(after[0], steps)
        if here <= start or end <= start:
            return before[1]
        return before[1] + (after[1] - before[1]) * min(1.0, (here - start) / (end - start))


def _place(where: float, steps: int) -> float:
    """As a fraction of the pass; the last step is 1."""
    return where if where <= 1 or math.isinf(where) else (where - 1) / max(1, steps - 1)


@dataclass(frozen=True)
class Ask:
    """`te` multiplies changes of text encoders, `unet` those of the denoiser. `blocks` weighs them by block."""

    kind: str
    name: str
    te: float
    unet: Curve
    dyn: int | None = None
    blocks: tuple[tuple[str, float], ...] = ()

    def ratio(self, block: str) -> float:
        return dict(self.blocks).get(block, 1.0) if self.blocks else 1.0


def ask_of(tag: NetworkTag, hires: bool = False) -> Ask:
    """What a lora, lyco or hypernet tag asks for.

    Beside A1111's arguments: `lbw=` with a list of 12, 17, 20 or 26 weights by block or the name of a preset;
    `start=`, `stop=` and `step=a-b` for the steps at which the denoiser is changed; weights as `0@0,1@0.5`, which
    reads weight at step; `hr=`, `hrte=`, `hrunet=` for the hires pass. Raises `BadRequest` for what is no number.
    """
    named = dict(tag.named)
    # A list of weights by block may also stand without its name.
    loose = next((item for item in tag.positional[1:] if _names_blocks(item)), None)
    blocks = named.get("lbw", loose)
    positional = [item for item in tag.positional if item is not loose]
    if hires:
        whole = named.get("hr")
        positional = [positional[0], whole] if whole is not None and positional else positional
        given = {name: named.get(f"hr{name}", None if whole is not None else named.get(name)) for name in _WEIGHTS}
    else:
        given = {name: named.get(name) for name in _WEIGHTS}
    te = given["te"] if given["te"] is not None else _item(positional, 1)
    own = given["unet"] if given["unet"] is not None else _item(positional, 2)
    unet = te if own is None else own
    weights = () if not positional else (te,) if own is None else (te or "1", own)
    dyn = named.get("dyn", _item(positional, 3))
    use = resolve_tag(NetworkTag(
        tag.kind, (*positional[:1], *(_first(text) for text in weights if text is not None)),
        () if dyn is None else (("dyn", dyn),),
    ))  # fmt: skip
    points = _points(unet, tag) if unet and "@" in unet else ((0.0, use.unet),)
    return Ask(
        "lora" if tag.kind == "lyco" else tag.kind, use.name, use.te, Curve(points, _window(named, tag)), use.dyn,
        _blocks(blocks, tag) if blocks is not None else (),
    )  # fmt: skip


def _item(items: list[str], index: int) -> str | None:
    return items[index] if len(items) > index else None


def _first(text: str) -> str:
    """The weight at the start of the pass, as text; text encoders work once, before it."""
    return text.replace(";", ",").split(",")[0].split("@")[0].strip() if "@" in text else text


def _names_blocks(item: str) -> bool:
    return item.upper() in PRESETS or (item.count(",") + 1 in LAYOUTS and "@" not in item)


def _numbers(text: str, tag: NetworkTag, what: str) -> list[float]:
    try:
        found = [float(item) for item in text.replace(";", ",").split(",")]
        if not all(map(math.isfinite, found)):
            raise ValueError("not finite")
        return found
    except ValueError as error:
        name = tag.positional[0] if tag.positional else ""
        raise BadRequest("prompt.positive", f"{text!r} in the tag <{tag.kind}:{name}> is no {what}.") from error


def _points(text: str, tag: NetworkTag) -> tuple[tuple[float, float], ...]:
    found = []
    for item in text.replace(";", ",").split(","):
        weight, where = (_numbers(part, tag, "weight@step")[0] for part in (item.split("@") + ["0"])[:2])
        found.append((where, weight))
    return tuple(sorted(found, key=lambda point: (point[0] > 1, point[0])))


def _window(named: Mapping[str, str], tag: NetworkTag) -> tuple[float, float]:
    begin, _, end = named.get("step", "").partition("-")
    begin, end = named.get("start", begin), named.get("stop", end or begin)
    first, last = FOREVER
    return _step(begin, tag) if begin else first, _step(end, tag) if end else last


def _step(text: str, tag: NetworkTag) -> float:
    """A whole number is a step, so that 1 is the beginning; with a point it is a fraction, and 1.0 the end."""
    value = _numbers(text, tag, "step")[0]
    return 0.0 if value == 1 and "." not in text else value


def _blocks(text: str, tag: NetworkTag) -> tuple[tuple[str, float], ...]:
    """The weight of every block. Those that a short list leaves out are weighed as the last one before them."""
    values = _numbers(PRESETS.get(text.strip().upper(), text), tag, "list of weights or preset")
    layout = LAYOUTS.get(len(values))
    if layout is None:
        counts = ", ".join(map(str, LAYOUTS))
        raise BadRequest("prompt.positive", f"lbw={text} has {len(values)} weights.", remedy=f"Give {counts} of them.")
    listed = dict(zip(layout, values, strict=True))
    current, found = listed[layout[1]], {"BASE": listed["BASE"]}
    for block in BLOCKS[1:]:
        current = found[block] = listed.get(block, current)
    return tuple(found.items())
