"""What the header of a small network's file tells: its metadata as values, its family, its trigger words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from atelier.base.notes import VERSIONS

#: pictures that trainers put into the metadata; too large to be carried about
PICTURES = ("ssmd_cover_images", "modelspec.thumbnail")
#: how names of base models begin, in `ss_base_model_version` and in `modelspec.architecture`
BASES = (
    ("sdxl", "sdxl"), ("stable-diffusion-xl", "sdxl"), ("sd_v1", "sd1"), ("stable-diffusion-v1", "sd1"),
    ("sd_v2", "sd2"), ("stable-diffusion-v2", "sd2"), ("sd3", "sd3"), ("stable-diffusion-3", "sd3"), ("flux", "flux"),
)  # fmt: skip
#: inputs of cross-attention keys
WIDTHS = MappingProxyType({768: "sd1", 1024: "sd2", 2048: "sdxl"})
_MARKS = (
    (("lora_te2_", "text_encoder_2."), "sdxl"),
    (("double_blocks", "single_transformer_blocks", "single_blocks"), "flux"),
    (("joint_blocks", "joint_transformer_blocks"), "sd3"),
)
_NARROW = ("lora_down.weight", "lora_A.weight", "lora.down.weight", "_lora.down.weight", "hada_w1_b")
#: tags counted by a trainer that are told, at most
TAGS = 3


def readable(metadata: Mapping[str, str]) -> Mapping[str, Any]:
    """Texts as they are, JSON objects parsed, pictures left out."""
    return MappingProxyType({key: _value(text) for key, text in metadata.items() if key not in PICTURES})


def _value(text: str) -> Any:
    if not text.startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        # A text that merely begins with a brace.
        return text


def family_of(metadata: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], notes: Mapping[str, Any]) -> str:
    """sd1, sd2, sdxl, sd3, flux, another trainer's word for another family, or "" where nothing tells.

    The user's notes count first, then what the trainer wrote, then names and shapes; a file with a trainer's
    metadata and nothing of all that is of SD1.
    """
    told = VERSIONS.get(str(notes.get("sd version", "")))
    if told:
        return told
    version = str(metadata.get("ss_base_model_version") or metadata.get("modelspec.architecture") or "").lower()
    known = next((family for start, family in BASES if version.startswith(start)), None)
    if known:
        return known
    if version:
        return version.split("/")[0]
    if metadata.get("ss_v2") == "True":
        return "sd2"
    seen = _seen(shapes)
    return seen or ("sd1" if any(key.startswith("ss_") for key in metadata) else "")


def _seen(shapes: Mapping[str, tuple[int, ...]]) -> str:
    for marks, family in _MARKS:
        if any(mark in name for name in shapes for mark in marks):
            return family
    for name, shape in shapes.items():
        if "attn2" in name and "to_k" in name and name.endswith(_NARROW) and len(shape) >= 2:
            return WIDTHS.get(shape[1], "")
    return ""


def trigger_words(metadata: Mapping[str, Any], notes: Mapping[str, Any]) -> str:
    """What a prompt should say: the user's activation text, the author's phrase, else the tags of every picture."""
    for text in (notes.get("activation text"), metadata.get("modelspec.trigger_phrase")):
        if isinstance(text, str) and text.strip():
            return text.strip()
    folders = metadata.get("ss_tag_frequency")
    counts: dict[str, int] = {}
    for tags in folders.values() if isinstance(folders, dict) else ():
        for tag, count in _counts(tags):
            counts[tag] = counts.get(tag, 0) + count
    most = max(counts.values(), default=0)
    # What stands at every picture was put there to be called by it.
    return ", ".join([tag for tag, count in counts.items() if count == most][:TAGS])


def _counts(tags: Any) -> Iterable[tuple[str, int]]:
    items = tags.items() if isinstance(tags, dict) else ()
    return ((str(tag).strip(), count) for tag, count in items if isinstance(count, int) and str(tag).strip())
