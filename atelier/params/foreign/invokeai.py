"""InvokeAI: invokeai_metadata of version 3 and later, sd-metadata of version 2, the Dream line of version 1."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from atelier.params.foreign.found import Found, json_object, sampler_of, size_of

PROGRAM = "InvokeAI"
_STRENGTH = re.compile(r"\(((?:[^()\\]|\\.)*)\)(\++|-+|\d*\.?\d+)|([\w']+)(\++|-+(?=[\s,.;]|$))")
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_DREAM = re.compile(r'^\s*"(?P<prompt>.*)"\s+(?P<flags>-.*)$', re.DOTALL)


def read(texts: Mapping[str, str], size: tuple[int, int]) -> Found | None:
    newer = json_object(texts.get("invokeai_metadata"))
    if newer:
        return _newer(newer, size)
    older = json_object(texts.get("sd-metadata"))
    if isinstance(older.get("image"), Mapping):
        return _older(older, older["image"], size)
    return _dream(texts.get("Dream") or texts.get("dream") or "")


def _newer(data: Mapping[str, Any], size: tuple[int, int]) -> Found:
    sampler, schedule = _scheduler(data.get("scheduler"))
    image = data.get("generation_mode") in ("img2img", "inpaint", "outpaint", "sdxl_img2img", "sdxl_inpaint")
    skip = data.get("clip_skip")
    values = {
        "Steps": data.get("steps"), "Sampler": sampler, "Schedule type": schedule,
        "CFG scale": data.get("cfg_scale"), "Seed": data.get("seed"),
        "Size": size_of(data.get("width"), data.get("height")) or f"{size[0]}x{size[1]}",
        "Model": _name(data.get("model")), "VAE": _name(data.get("vae")),
        "Denoising strength": data.get("strength") if image else None,
        "Clip skip": int(skip) + 1 if isinstance(skip, int) and skip > 0 else None,
        "RNG": "CPU" if data.get("rand_device", "cpu") == "cpu" else None,
        "Tiling": "True" if data.get("seamless_x") and data.get("seamless_y") else None,
        "Refiner": _name(data.get("refiner_model")), "Refiner switch at": data.get("refiner_start"),
    }  # fmt: skip
    positive = [str(data.get(name) or "") for name in ("positive_prompt", "positive_style_prompt")]
    negative = [str(data.get(name) or "") for name in ("negative_prompt", "negative_style_prompt")]
    found = Found(PROGRAM, weighted(_joined(positive)), weighted(_joined(negative)), values)
    found.add_networks([(_name(lora.get("model") or lora.get("lora")), lora.get("weight", 1))
                        for lora in data.get("loras") or () if isinstance(lora, Mapping)])  # fmt: skip
    return found


def _joined(texts: list[str]) -> str:
    """The style's prompt is often the same."""
    return ", ".join(dict.fromkeys(text for text in texts if text))


def _name(model: Any) -> str | None:
    if isinstance(model, Mapping):
        model = model.get("name") or model.get("model_name") or model.get("key")
    return str(model) if model else None


def _scheduler(name: Any) -> tuple[str | None, str | None]:
    text = str(name or "")
    if not text:
        return None, None
    plain = text.removesuffix("_k")
    return sampler_of(plain), "Karras" if plain != text else None


def _older(data: Mapping[str, Any], image: Mapping[str, Any], size: tuple[int, int]) -> Found:
    prompt = image.get("prompt")
    if isinstance(prompt, list):
        parts = [p for p in prompt if isinstance(p, Mapping)]
        prompt = ", ".join(str(p.get("prompt", "")) for p in parts)
    positive, negative = _split(str(prompt or ""))
    values = {
        "Steps": image.get("steps"), "Sampler": sampler_of(image.get("sampler")), "CFG scale": image.get("cfg_scale"),
        "Seed": image.get("seed"), "Size": size_of(image.get("width"), image.get("height")) or f"{size[0]}x{size[1]}",
        "Model": data.get("model_weights"), "Model hash": str(data.get("model_hash") or "")[:10] or None,
        "Denoising strength": image.get("strength") if image.get("type") == "img2img" else None,
        "Tiling": "True" if image.get("seamless") else None,
    }  # fmt: skip
    return Found(PROGRAM, positive, negative, values)


def _split(prompt: str) -> tuple[str, str]:
    """What stands in square brackets was unwanted."""
    negative = ", ".join(text.strip() for text in _BRACKETS.findall(prompt) if text.strip())
    return weighted(re.sub(r"\s{2,}", " ", _BRACKETS.sub("", prompt)).strip(" ,")), weighted(negative)


def _dream(line: str) -> Found | None:
    found = _DREAM.match(line)
    if found is None:
        return None
    flags = dict(re.findall(r"-([A-Za-z])\s*(\S+)", found["flags"]))
    positive, negative = _split(found["prompt"])
    values = {
        "Steps": flags.get("s"), "Sampler": sampler_of(flags.get("A")), "CFG scale": flags.get("C"),
        "Seed": flags.get("S"), "Size": size_of(flags.get("W"), flags.get("H")), "Denoising strength": flags.get("f"),
    }  # fmt: skip
    return Found(PROGRAM, positive, negative, values)


def weighted(text: str) -> str:
    """word++ and (some words)1.2 become (word:1.21) and (some words:1.2): one plus is a factor of 1.1."""

    def change(match: re.Match[str]) -> str:
        words, sign = match[1] if match[1] is not None else match[3], match[2] or match[4]
        weight = float(sign) if sign[0] not in "+-" else (1.1 if sign[0] == "+" else 0.9) ** len(sign)
        return f"({words}:{round(weight, 3):g})"

    return _STRENGTH.sub(change, text)
