"""Fooocus: its own scheme, a JSON object in the place of the parameters; its other scheme is A1111's text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from atelier.params.foreign.found import Found, file_stem, json_object, sampler_of, schedule_of

PROGRAM = "Fooocus"
_NUMBERS = re.compile(r"\d+")


def read(texts: Mapping[str, str], size: tuple[int, int]) -> Found | None:
    data = json_object(texts.get("parameters")) or json_object(texts.get("Comment"))
    own = data.get("metadata_scheme") == "fooocus" or texts.get("fooocus_scheme") == "fooocus"
    if not own and not str(data.get("version", "")).startswith(PROGRAM):
        return None
    if "prompt" not in data and "full_prompt" not in data:
        return None
    sides = _NUMBERS.findall(str(data.get("resolution", "")))
    refiner = data.get("refiner_model")
    skip = data.get("clip_skip")
    values = {
        "Steps": data.get("steps"), "Sampler": sampler_of(data.get("sampler")),
        "Schedule type": schedule_of(data.get("scheduler")) or None, "CFG scale": data.get("guidance_scale"),
        "Seed": data.get("seed"), "Size": f"{sides[0]}x{sides[1]}" if len(sides) == 2 else f"{size[0]}x{size[1]}",
        "Model hash": data.get("base_model_hash"), "Model": file_stem(data.get("base_model")) or None,
        "VAE": data.get("vae") if data.get("vae") not in (None, "Default (model)", "None") else None,
        "Clip skip": skip if isinstance(skip, int) and skip > 1 else None,
        "Refiner": file_stem(refiner) if refiner not in (None, "None", "") else None,
        "Refiner switch at": data.get("refiner_switch") if refiner not in (None, "None", "") else None,
        "Sharpness": data.get("sharpness"), "Fooocus styles": data.get("styles"),
    }  # fmt: skip
    prompt = _text(data.get("full_prompt")) or _text(data.get("prompt"))
    negative = _text(data.get("full_negative_prompt")) or _text(data.get("negative_prompt"))
    found = Found(PROGRAM, prompt, negative, values)
    found.add_networks(_networks(data))
    return found


def _text(value: Any) -> str:
    """The whole prompt is a list: the own one, then what styles added."""
    if isinstance(value, list):
        return ", ".join(dict.fromkeys(str(item).strip(" ,") for item in value if str(item).strip(" ,")))
    return str(value or "")


def _networks(data: Mapping[str, Any]) -> list[tuple[str, Any]]:
    listed = data.get("loras")
    if isinstance(listed, list) and listed:
        return [(str(lora[0]), lora[1]) for lora in listed if isinstance(lora, list) and len(lora) >= 2]
    combined = (str(v).rpartition(" : ") for k, v in data.items() if str(k).startswith("lora_combined_"))
    return [(name, weight) for name, colon, weight in combined if colon]
