"""Network references: the tags <lora:name:1> of a prompt."""

from __future__ import annotations

import re
from dataclasses import dataclass

from atelier.base.errors import BadRequest

_TAG = re.compile(r"<(\w+):([^>]+)>")

LORA_KINDS = ("lora", "lyco")


@dataclass(frozen=True)
class NetworkTag:
    """`<kind:item:item>`: items with exactly one `=` are named, the others positional."""

    kind: str
    positional: tuple[str, ...]
    named: tuple[tuple[str, str], ...] = ()

    def option(self, name: str) -> str | None:
        return dict(self.named).get(name)


@dataclass(frozen=True)
class NetworkUse:
    """What a lora or hypernet tag asks for. `te` and `unet` are multipliers; `dyn` keeps only so many ranks."""

    name: str
    te: float = 1.0
    unet: float = 1.0
    dyn: int | None = None


def extract_tags(text: str) -> tuple[str, tuple[NetworkTag, ...]]:
    """The text without its tags (nothing takes their place), and the tags in order. Never raises.

    Any word is a kind; one that no network type answers to is for the caller to report.
    """
    tags: list[NetworkTag] = []

    def cut(match: re.Match[str]) -> str:
        tags.append(_tag(match.group(1), match.group(2)))
        return ""

    # Nothing after the last ">" can be a tag; not looking there keeps a row of "<a:<a:<a:" linear.
    end = text.rfind(">") + 1
    return _TAG.sub(cut, text[:end]) + text[end:], tuple(tags)


def _tag(kind: str, args: str) -> NetworkTag:
    items = args.split(":")
    positional = tuple(item for item in items if item.count("=") != 1)
    named = (item.split("=") for item in items if item.count("=") == 1)
    return NetworkTag(kind, positional, tuple((key, value) for key, value in named))


def resolve_tag(tag: NetworkTag) -> NetworkUse:
    """The multipliers of a lora, lyco or hypernet tag.

    lora: name, te (1), unet (as te), dyn; named `te=`, `unet=`, `dyn=` win. hypernet: name, multiplier (1).
    Raises `BadRequest` for a missing name or a weight that is no number; the caller notes it and leaves this
    tag out.
    """
    written = _written(tag)
    if not tag.positional or not tag.positional[0].strip():
        raise BadRequest("prompt.positive", f"the tag {written} names no file.", remedy="Write <lora:name:1>.")
    name = tag.positional[0]
    te = _number(tag, written, "te", 1, 1.0)
    if tag.kind not in LORA_KINDS:
        return NetworkUse(name, te, te)
    unet = _number(tag, written, "unet", 2, te)
    rank = _number(tag, written, "dyn", 3, None)
    return NetworkUse(name, te, unet, None if rank is None else int(rank))


def _number(tag: NetworkTag, written: str, name: str, index: int, default: float | None) -> float | None:
    text = tag.option(name)
    if text is None:
        text = tag.positional[index] if len(tag.positional) > index else None
    if text is None:
        return default
    try:
        value = float(text)
        if value - value != 0:
            raise ValueError("not finite")
    except ValueError as error:
        raise BadRequest(
            "prompt.positive", f"{text!r} in the tag {written} is not a number.", remedy="Write <lora:name:0.8>."
        ) from error
    return value


def _written(tag: NetworkTag) -> str:
    items = (*tag.positional, *(f"{key}={value}" for key, value in tag.named))
    return f"<{tag.kind}:{':'.join(items)}>"
