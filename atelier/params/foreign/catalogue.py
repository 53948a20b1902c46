"""The programs whose pictures are understood: texts of a file in, infotext out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from atelier.base.log import fields, logger
from atelier.params.foreign import comfyui, fooocus, invokeai, novelai, others
from atelier.params.foreign.found import Found
from atelier.params.infotext import parse_infotext

log = logger(__name__)

Read = Callable[[Mapping[str, str], tuple[int, int]], Found | None]

#: in the order in which they are asked: the most certain first
READERS: tuple[Read, ...] = (
    novelai.read, others.read_swarmui, fooocus.read, invokeai.read, comfyui.read, others.read_draw_things,
    others.read_easy_diffusion,
)  # fmt: skip


@dataclass(frozen=True)
class Told:
    """`infotext` in A1111's form, empty where nothing is known; `program` wrote the file, "" for A1111 and its kin;
    `original` is what it wrote, where that is another text."""

    infotext: str = ""
    program: str = ""
    original: str = ""


def translate(infotext: str, items: Mapping[str, str], size: tuple[int, int]) -> Told:
    """What a picture's texts say: `infotext` is the text in A1111's place, `items` are the others. Never raises."""
    if _is_ours(infotext):
        return Told(infotext, _kin(infotext))
    texts = {**items, "parameters": infotext}
    for read in READERS:
        try:
            found = read(texts, size)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, OverflowError) as error:
            log.warning("metadata of another program cannot be read: %s", fields(reader=read.__module__, error=error))
            continue
        if found is not None:
            return Told(found.infotext, found.program, _original(infotext, items))
    return Told(infotext)


def _is_ours(text: str) -> bool:
    return not text.lstrip().startswith("{") and "Steps" in parse_infotext(text, defaults=False, backcompat=False)


def _kin(text: str) -> str:
    """Programs that write A1111's form and their own name into it."""
    version = str(parse_infotext(text, defaults=False, backcompat=False).get("Version", ""))
    if version.startswith("Fooocus"):
        return "Fooocus"
    return "Forge" if version.startswith("f") and version[1:2].isdigit() else ""


def _original(infotext: str, items: Mapping[str, str]) -> str:
    """All texts of the file, each under its name."""
    texts = {"parameters": infotext, **items} if infotext else dict(items)
    return "\n\n".join(f"{name}: {text}" for name, text in texts.items() if text)
