"""OptionInfo: how an A1111 extension describes one setting, and how that becomes a declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Optional

from atelier.params.field import Declaration, Param, checked


class OptionInfo:
    """`component_args` is a dict, or a function without arguments that returns one."""

    def __init__(
        self, default: Any = None, label: str = "", component: Any = None, component_args: Any = None,
        onchange: Callable[[], Any] | None = None, section: tuple | None = None,
        refresh: Callable[[], Any] | None = None, comment_before: str = "", comment_after: str = "",
        infotext: str | None = None, restrict_api: bool = False, category_id: str | None = None,
    ) -> None:  # fmt: skip
        self.default = default
        self.label = label
        self.component = component
        self.component_args = component_args
        self.onchange = onchange
        self.section = section
        self.category_id = category_id
        self.refresh = refresh
        self.do_not_save = False
        self.comment_before = comment_before
        self.comment_after = comment_after
        self.infotext = infotext
        self.restrict_api = restrict_api
        self.restart = False

    def link(self, label: str, url: str) -> OptionInfo:
        self.comment_before += f"[<a href='{url}' target='_blank'>{label}</a>]"
        return self

    def js(self, label: str, js_func: str) -> OptionInfo:
        self.comment_before += f"[<a onclick='{js_func}(); return false'>{label}</a>]"
        return self

    def info(self, info: str) -> OptionInfo:
        self.comment_after += f"<span class='info'>({info})</span>"
        return self

    def html(self, html: str) -> OptionInfo:
        self.comment_after += html
        return self

    def needs_restart(self) -> OptionInfo:
        self.restart = True
        return self.info("requires restart")

    def needs_reload_ui(self) -> OptionInfo:
        self.restart = True
        return self.info("requires Reload UI")


class OptionHTML(OptionInfo):
    """A text among the settings; it has no value."""

    def __init__(self, text: str) -> None:
        super().__init__(str(text).strip(), label="", component=None)
        self.do_not_save = True


def options_section(section_identifier: tuple, options_dict: dict[str, OptionInfo]) -> dict[str, OptionInfo]:
    """Stamps a section, (id, label) or (id, label, category), on every option of a dict."""
    for info in options_dict.values():
        if len(section_identifier) == 2:
            info.section = tuple(section_identifier)
        else:
            info.section = (section_identifier[0], section_identifier[1])
            info.category_id = section_identifier[2]
    return options_dict


def section_of(info: OptionInfo) -> tuple[str, str]:
    section = info.section or ("other", "Other")
    return str(section[0]), str(section[1] if len(section) > 1 and section[1] else section[0])


def component_args(info: OptionInfo) -> Mapping[str, Any]:
    given = info.component_args() if callable(info.component_args) else info.component_args
    return given if isinstance(given, Mapping) else {}


class Loose(Declaration):
    """Choices are offered and not enforced: A1111 checks none, and they are often made anew while the program runs."""

    def check(self, value: Any) -> Any:
        return checked(value, replace(self, param=replace(self.param, choices=None)))


def declaration(key: str, info: OptionInfo, args: Mapping[str, Any]) -> Declaration:
    """The option as a declaration of the program. Values are held to its type, not to its limits."""
    minimum, maximum, step = (args.get(name) for name in ("minimum", "maximum", "step"))
    choices = args.get("choices")
    plain = isinstance(choices, (list, tuple)) and all(isinstance(choice, (str, int, float)) for choice in choices)
    param = Param(
        label=info.label or key,
        minimum=minimum if isinstance(minimum, (int, float)) else None,
        maximum=maximum if isinstance(maximum, (int, float)) else None,
        step=step if isinstance(step, (int, float)) else None,
        hard=(None, None),
        choices=tuple(choices) if plain else None,
        help=_plain(info.comment_after),
        infotext=info.infotext or "",
        restart=info.restart,
        restrict_api=info.restrict_api,
        elem=key,
    )
    return Loose(section_of(info)[0], key, _type(info, args), info.default, param)


def _type(info: OptionInfo, args: Mapping[str, Any]) -> Any:
    default, step = info.default, args.get("step")
    if isinstance(default, bool):
        return bool
    if isinstance(default, int):
        # Number boxes, and sliders with fractional steps, give fractions whatever the default looks like.
        whole = isinstance(step, int) or (step is None and info.component is None)
        return int if whole and isinstance(args.get("minimum", 0), int) else float
    if isinstance(default, float):
        return float
    if isinstance(default, (list, tuple)) or args.get("multiselect"):
        return tuple[Any, ...]
    if isinstance(default, dict):
        return dict[str, Any]
    return str if isinstance(default, str) else Optional[Any]  # noqa: UP045 - Any cannot be joined by | in 3.10


def read_value(info: OptionInfo | None, value: Any) -> Any:
    """A value as extensions expect it: lists, and whole numbers where the default is one."""
    if isinstance(value, tuple):
        return list(value)
    whole = info is not None and type(info.default) is int and isinstance(value, float) and value.is_integer()
    return int(value) if whole else value


def _plain(html: str) -> str:
    text, inside = [], False
    for character in html:
        if character in "<>":
            inside = character == "<"
        elif not inside:
            text.append(character)
    return "".join(text).strip()
