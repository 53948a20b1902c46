"""GridAxis: what a grid varies: a declared value, a value of an extension's part, or an extension's own axis."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PureWindowsPath
from types import MappingProxyType
from typing import Any

from atelier.base.errors import BadRequest
from atelier.params.field import Declaration, declarations_of
from atelier.params.request import GenerationRequest
from atelier.params.sweep import A1111_AXES, ORDER, SEARCH, SIZE, Axis, apply_value, axes, parse_values

NOTHING = "Nothing"
#: how dear a change is, between 0 and 1: axes that make the engine load something are walked in the outer loops
COSTS = MappingProxyType({
    "settings.sd_model_checkpoint": 1.0, "hires.checkpoint": 0.8, "refiner.checkpoint": 0.8,
    "settings.fp8_storage": 0.8, "settings.sd_vae": 0.7, "settings.CLIP_stop_at_last_layers": 0.1,
})  # fmt: skip
#: what the values of these are drawn from, where their declaration does not say it
_LISTS = MappingProxyType({
    "hires.sampler": "samplers", "hires.scheduler": "schedulers", "hires.checkpoint": "models",
    "refiner.checkpoint": "models",
})  # fmt: skip
_MODELS = ("settings.sd_model_checkpoint", "hires.checkpoint", "refiner.checkpoint")
_SEEDS = ("seed.seed", "seed.subseed")


@dataclass(frozen=True)
class GridAxis:
    """`read` makes values of a text, `put` puts one into a request (the third argument are all of the axis), `show`
    writes one for the legend. `choices` are names, a list of `Capabilities`, or a function that gives names.

    Values must be plain data: they are kept, so that a grid can go on in another process.
    """

    label: str
    read: Callable[[str], tuple[Any, ...]]
    put: Callable[[GenerationRequest, Any, tuple[Any, ...]], GenerationRequest]
    show: Callable[[Any], str] = str
    cost: float = 0.0
    choices: tuple[str, ...] | str | Callable[[], Sequence[str]] | None = None
    target: str = ""

    @property
    def draws(self) -> bool:
        """-1 means a value that is drawn."""
        return self.target in _SEEDS


def grid_axes(
    kind: str,
    settings: Collection[Declaration] | None = None,
    parts: Sequence[type] = (),
    more: Sequence[GridAxis] = (),
) -> tuple[GridAxis, ...]:
    """All axes: A1111's under the numbers that its clients use, those of extensions, then the other declared values.

    `parts` are request parts of extensions. An axis of A1111 whose value nothing here declares keeps its number; it
    is refused when it is used.
    """
    known = axes(kind, settings)
    by_label = {axis.label: axis for axis in known}
    listed = [(label, kinds) for label, _, kinds in A1111_AXES if kind in kinds]
    found = [_declared(by_label[label]) if label in by_label else _missing(label) for label, _ in listed]
    labels = {label for label, _ in listed}
    found += [axis for axis in more if axis.label not in labels]
    found += [_declared(axis) for axis in known if axis.label not in labels]
    found += [_of_part(declaration) for cls in parts for declaration in declarations_of(cls) if _varies(declaration)]
    return tuple(found)


def axis_named(name: str, known: Sequence[GridAxis]) -> GridAxis:
    """By label, dotted name or number. Raises `BadRequest`."""
    wanted = name.strip().lower()
    if wanted.isdecimal() and int(wanted) < len(known):
        return known[int(wanted)]
    for axis in known:
        if wanted in (axis.label.lower(), axis.target.lower() or None):
            return axis
    labels = ", ".join(axis.label for axis in known)
    raise BadRequest("axis", f"there is no axis {name!r}.", remedy=f"Use one of: {labels}.")


def _declared(axis: Axis) -> GridAxis:
    return GridAxis(
        axis.label,
        read=partial(parse_values, axis),
        put=lambda request, value, _: apply_value(request, axis, value),
        show=partial(_shown, axis),
        cost=COSTS.get(axis.target, 0.0),
        choices=_LISTS.get(axis.target) or _choices(axis),
        target=axis.target,
    )


def _choices(axis: Axis) -> tuple[str, ...] | str | None:
    if axis.declaration is not None and axis.declaration.kind == "bool":
        return ("True", "False")
    if axis.target == "prompt.styles" or axis.choices is None:
        return axis.choices
    return axis.choices if isinstance(axis.choices, str) else tuple(str(choice) for choice in axis.choices)


def _shown(axis: Axis, value: Any) -> str:
    if axis.target == "":
        return ""
    if axis.target == SEARCH:
        return value[1]
    if axis.target == ORDER:
        return ", ".join(value)
    if axis.target == SIZE:
        return f"{value[0]}x{value[1]}"
    if axis.target in _MODELS:
        # A title such as "folder/name.safetensors [hash]": the name is what people know.
        return PureWindowsPath(str(value).split(" [")[0]).stem
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, float):
        value = round(value, 8)
    return f"{axis.label}: {value}"


def _missing(label: str) -> GridAxis:
    def refuse(*_: Any) -> Any:
        raise BadRequest("axis", f"{label} cannot be varied: nothing here has such a value.", remedy="Choose another.")

    return GridAxis(label, refuse, refuse)


def _varies(declaration: Declaration) -> bool:
    return declaration.kind in ("int", "float", "bool", "str") and bool(declaration.param.label)


def _of_part(declaration: Declaration) -> GridAxis:
    """A value of an extension's part: it stands in the request's `extras`, under the part's name."""
    axis = Axis(declaration.param.label, f"extras.{declaration.path}", declaration)

    def put(request: GenerationRequest, value: Any, _: tuple[Any, ...]) -> GenerationRequest:
        part = {**(request.extras.get(declaration.part) or {}), declaration.name: value}
        return request.with_values(extras={**request.extras, declaration.part: part})

    return GridAxis(
        axis.label, partial(parse_values, axis), put, partial(_shown, axis), choices=_choices(axis), target=axis.target
    )
