"""Gradio's own front end, changed in one place: tabs and accordions are built at once, not when they are first opened.

Scripts of extensions look up elements of every tab when the page is ready; in the unchanged front end what was never
opened does not exist. One function of the bundle decides what waits. It is found by what it does, since its name
changes with every build; where it is not found the bundle is served as it is, and the page still works.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import gradio

from atelier.base.log import fields, logger

log = logger(__name__)

_ASSETS = Path(gradio.__file__).parent / "templates" / "frontend" / "assets"
_LAZY = re.compile(
    r"function (?P<name>[\w$]+)\((?P<node>[\w$]+),(?P<rest>[\w$]+,[\w$]+)\)\{return (?P=node)\.type===`accordion`"
    r"&&(?P=node)\.props\.props\.open===!1&&[^{}]*(?:\{[^{}]*\}[^{}]*){0,6},(?P=node)\}"
)


@dataclass(frozen=True)
class Bundle:
    """`hits` is how many functions were changed: 1 when all is well."""

    name: str
    text: str
    hits: int


def eager(text: str) -> tuple[str, int]:
    """The bundle with the deciding function made to decide nothing, and how often it was found."""
    return _LAZY.subn(r"function \g<name>(\g<node>,\g<rest>){return \g<node>}", text)


def core_bundle() -> Bundle | None:
    """The changed file; None when it could not be found or changed."""
    found = [Bundle(path.name, *eager(path.read_text("utf-8"))) for path in sorted(_ASSETS.glob("core-*.js"))]
    changed = [bundle for bundle in found if bundle.hits == 1]
    if len(changed) != 1:
        log.warning("Gradio's front end is not the one that is known, tabs are built when opened: %s", fields(
            version=gradio.__version__, files=len(found), hits=sum(b.hits for b in found),
        ))  # fmt: skip
        return None
    return changed[0]
