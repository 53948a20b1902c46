"""param(): one declaration of a value that a user can set, its limits and its names everywhere it appears."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, dataclass
from typing import Any

from atelier.base.errors import BadRequest

T = typing.TypeVar("T")


class Unset:
    """Stands for a value that was not given, where None is a value."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()


@dataclass(frozen=True)
class Param:
    """What `param()` was told.

    `minimum`, `maximum` and `step` shape the slider on the page; `hard` holds the limits that are enforced, since
    number boxes accept values outside of a slider's range. `choices` is a tuple, or the name of a list in
    `Capabilities` ("samplers") that only a running engine knows. `api_default` differs from the default where
    programs that call the HTTP API depend on A1111's schema.
    """

    label: str = ""
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    hard: tuple[float | None, float | None] | None = None
    choices: tuple[Any, ...] | str | None = None
    help: str = ""
    infotext: str = ""
    a1111: str = ""
    api: str = ""
    api_default: Any = UNSET
    elem: str = ""
    widget: str = ""
    restart: bool = False
    restrict_api: bool = False
    max_length: int | None = None

    @property
    def limits(self) -> tuple[float | None, float | None]:
        return self.hard if self.hard is not None else (self.minimum, self.maximum)


def param(default: Any = MISSING, *, factory: Callable[[], Any] | None = None, **declared: Any) -> Any:
    """A dataclass field with a declaration. See `Param` for the keywords."""
    metadata = {"param": Param(**declared)}
    if factory is not None:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Declaration:
    """One declared value of a part: `path` is its dotted name, `size.width`."""

    part: str
    name: str
    type: Any
    default: Any
    param: Param

    @property
    def path(self) -> str:
        return f"{self.part}.{self.name}"

    @property
    def optional(self) -> bool:
        return type(None) in _members(self.type)

    @property
    def kind(self) -> str:
        """bool, int, float, str, list, dict or the name of another class."""
        for member in _members(self.type):
            if member is not type(None):
                origin = typing.get_origin(member) or member
                return {tuple: "list", list: "list", dict: "dict"}.get(origin, getattr(origin, "__name__", "any"))
        return "any"

    def check(self, value: Any) -> Any:
        return checked(value, self)


def part(name: str, title: str = "", category: str = "") -> Callable[[type[T]], type[T]]:
    """Makes a class a frozen dataclass whose values are checked at construction.

    Raises `BadRequest` with the field's dotted name when a value has the wrong type or is outside its hard limits.
    """

    def decorate(cls: type[T]) -> type[T]:
        def __post_init__(self: Any) -> None:
            for declaration in declarations_of(type(self)):
                value = getattr(self, declaration.name)
                object.__setattr__(self, declaration.name, checked(value, declaration))

        cls.part_name = name
        cls.part_title = title
        cls.part_category = category
        cls.__post_init__ = __post_init__
        made = dataclass(frozen=True, kw_only=True)(cls)
        made.part_declarations = _read(made, name)
        return made

    return decorate


def declarations_of(cls: Any) -> tuple[Declaration, ...]:
    return cls.part_declarations


def _read(cls: Any, name: str) -> tuple[Declaration, ...]:
    hints = typing.get_type_hints(cls)
    found = []
    for field in dataclasses.fields(cls):
        if "param" not in field.metadata:
            continue
        default = field.default if field.default_factory is MISSING else field.default_factory()
        found.append(Declaration(name, field.name, hints[field.name], default, field.metadata["param"]))
    return tuple(found)


def _members(kind: Any) -> tuple[Any, ...]:
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return typing.get_args(kind)
    return (kind,)


def checked(value: Any, declaration: Declaration) -> Any:
    """The value in its declared type and within its hard limits. Raises `BadRequest`."""
    if value is None:
        if declaration.optional:
            return None
        raise BadRequest(declaration.path, "a value is needed.", remedy=f"Leave it out for {declaration.default!r}.")
    kind = declaration.kind
    if kind == "bool":
        return _bool(value, declaration)
    if kind == "int":
        return _within(_int(value, declaration), declaration)
    if kind == "float":
        return _within(_float(value, declaration), declaration)
    if kind == "str":
        return _str(value, declaration)
    if kind == "list":
        return _list(value, declaration)
    if kind == "dict":
        if not isinstance(value, typing.Mapping):
            raise BadRequest(declaration.path, f"expected an object, got {type(value).__name__}.")
        return dict(value)
    return value


def _wrong(value: Any, declaration: Declaration, wanted: str) -> BadRequest:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return BadRequest(declaration.path, f"expected {wanted}, got {shown}.")


def _bool(value: Any, declaration: Declaration) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise _wrong(value, declaration, "true or false")


def _int(value: Any, declaration: Declaration) -> int:
    if isinstance(value, str):
        try:
            value = float(value) if not value.strip().lstrip("+-").isdigit() else int(value)
        except ValueError:
            raise _wrong(value, declaration, "a whole number") from None
    if isinstance(value, float) and (not math.isfinite(value) or value != int(value)):
        raise _wrong(value, declaration, "a whole number")
    try:
        return int(value)
    except (TypeError, ValueError):
        raise _wrong(value, declaration, "a whole number") from None


def _float(value: Any, declaration: Declaration) -> float:
    # A float subclass is kept as it is: A1111 extensions put counting numbers in the place of the CFG scale.
    try:
        number = value if isinstance(value, float) else float(value)
    except (TypeError, ValueError):
        raise _wrong(value, declaration, "a number") from None
    if not math.isfinite(number):
        raise _wrong(value, declaration, "a finite number")
    return number


def _within(number: Any, declaration: Declaration) -> Any:
    low, high = declaration.param.limits
    if (low is not None and number < low) or (high is not None and number > high):
        span = f"at least {low:g}" if high is None else f"at most {high:g}" if low is None else f"{low:g} to {high:g}"
        raise BadRequest(
            declaration.path, f"{number} is outside its limits.", remedy=f"Use {span}.", minimum=low, maximum=high
        )
    choices = declaration.param.choices
    if isinstance(choices, tuple) and number not in choices:
        raise _not_a_choice(number, declaration)
    return number


def _str(value: Any, declaration: Declaration) -> str:
    if not isinstance(value, str):
        raise _wrong(value, declaration, "text")
    limit = declaration.param.max_length
    if limit is not None and len(value) > limit:
        raise BadRequest(declaration.path, f"{len(value)} characters are too many.", remedy=f"Use at most {limit}.")
    choices = declaration.param.choices
    if isinstance(choices, tuple) and value not in choices:
        for choice in choices:
            if str(choice).lower() == value.lower():
                return choice
        raise _not_a_choice(value, declaration)
    return value


def _not_a_choice(value: Any, declaration: Declaration) -> BadRequest:
    known = ", ".join(map(str, declaration.param.choices or ()))
    return BadRequest(declaration.path, f"{value!r} is not a choice.", remedy=f"Use one of: {known}.")


def _list(value: Any, declaration: Declaration) -> tuple:
    if isinstance(value, str) or not isinstance(value, typing.Iterable):
        raise _wrong(value, declaration, "a list")
    items = tuple(value)
    args = next((typing.get_args(m) for m in _members(declaration.type) if m is not type(None)), ())
    if args and args[0] is str and not all(isinstance(item, str) for item in items):
        raise _wrong(value, declaration, "a list of texts")
    return items
