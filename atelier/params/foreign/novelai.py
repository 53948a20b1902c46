"""NovelAI: its comment as JSON, in texts of the file or hidden in its alpha channel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from atelier.params.foreign.found import Found, json_object, sampler_of, schedule_of

#: what one pair of braces does there
STEP = 1.05
_NUMBERED = re.compile(r"(-?\d+(?:\.\d+)?)::(.*?)(?:::|$)", re.DOTALL)


def read(texts: Mapping[str, str], size: tuple[int, int]) -> Found | None:
    """`texts` holds the file's own, or the hidden text as JSON under `parameters`."""
    hidden = json_object(texts.get("parameters"))
    told: Mapping[str, Any] = hidden if "Comment" in hidden else texts
    if "NovelAI" not in str(told.get("Software", "")) or "Comment" not in told:
        return None
    data = json_object(told["Comment"])
    if not {"steps", "scale", "seed"} <= data.keys():
        return None
    prompt, negative = _texts(data, str(told.get("Description", "")))
    values = {
        "Steps": data["steps"], "Sampler": sampler_of(data.get("sampler") or "k_euler_ancestral"),
        "Schedule type": schedule_of(data["noise_schedule"]) if data.get("noise_schedule") else None,
        "CFG scale": data["scale"], "Seed": data["seed"], "Size": f"{size[0]}x{size[1]}",
        "Denoising strength": data.get("strength") if data.get("request_type") == "Img2ImgRequest" else None,
        "Clip skip": 2, "ENSD": 31337,
    }  # fmt: skip
    return Found("NovelAI", weighted(prompt), weighted(negative), values)


def _texts(data: Mapping[str, Any], description: str) -> tuple[str, str]:
    """Since its fourth model the prompt is in parts: one for the picture, one for each character."""
    prompt, negative = description or str(data.get("prompt") or ""), str(data.get("uc") or "")
    parts = [_captions(data.get(name)) for name in ("v4_prompt", "v4_negative_prompt")]
    return (parts[0] or prompt, parts[1] or negative)


def _captions(part: Any) -> str:
    caption = part.get("caption") if isinstance(part, Mapping) else None
    if not isinstance(caption, Mapping):
        return ""
    characters = caption.get("char_captions")
    more = [c.get("char_caption") for c in characters or () if isinstance(c, Mapping)]
    return ", ".join(str(text) for text in (caption.get("base_caption"), *more) if text)


def weighted(text: str) -> str:
    """{a} and [a] and 1.5::a:: become (a:1.05), (a:0.952), (a:1.5); brackets that mean themselves there are escaped."""
    if not re.search(r"[{}\[\]]|::", text):
        return text
    text = re.sub(r"(?<!\\)([()])", r"\\\1", text)
    text = _NUMBERED.sub(lambda m: f"({m[2].strip()}:{float(m[1]):g})" if m[2].strip() else "", text)
    out: list[str] = []
    opened: list[tuple[str, int]] = []
    for character in text:
        if character in "{[":
            opened.append((character, len(out)))
            out.append("")
        elif character in "}]" and opened and opened[-1][0] == {"}": "{", "]": "["}[character]:
            _, start = opened.pop()
            inner = "".join(out[start + 1 :])
            out[start:] = [_wrapped(inner, STEP if character == "}" else 1 / STEP)]
        elif character not in "}]":
            out.append(character)
    return "".join(out)


def _wrapped(inner: str, factor: float) -> str:
    """Brackets in brackets multiply."""
    found = re.fullmatch(r"\(((?:[^()\\]|\\.)*):([\d.]+)\)", inner)
    if found:
        return f"({found[1]}:{round(float(found[2]) * factor, 3):g})"
    return f"({inner}:{round(factor, 3):g})" if inner.strip() else ""
