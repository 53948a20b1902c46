"""SwarmUI, Draw Things and Easy Diffusion: programs that write one flat list of values."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

from atelier.params.foreign.found import Found, file_stem, json_object, sampler_of, schedule_of, size_of

_XMP_COMMENT = re.compile(r"<exif:UserComment>.*?<rdf:li[^>]*>(.*?)</rdf:li>", re.DOTALL)


def read_swarmui(texts: Mapping[str, str], size: tuple[int, int]) -> Found | None:
    data = json_object(texts.get("parameters")).get("sui_image_params")
    if not isinstance(data, Mapping):
        return None
    values = {
        "Steps": data.get("steps"), "Sampler": sampler_of(data.get("sampler")) or None,
        "Schedule type": schedule_of(data.get("scheduler")) or None, "CFG scale": data.get("cfgscale"),
        "Seed": data.get("seed"), "Size": size_of(data.get("width"), data.get("height")) or f"{size[0]}x{size[1]}",
        "Model": file_stem(data.get("model")) or None, "VAE": file_stem(data.get("vae")) or None,
        "Variation seed": data.get("variationseed"), "Variation seed strength": data.get("variationseedstrength"),
        "Denoising strength": data.get("initimagecreativity"), "Refiner": file_stem(data.get("refinermodel")) or None,
    }  # fmt: skip
    found = Found("SwarmUI", str(data.get("prompt") or ""), str(data.get("negativeprompt") or ""), values)
    weights = _list(data.get("loraweights"))
    found.add_networks([(n, weights[i] if i < len(weights) else 1) for i, n in enumerate(_list(data.get("loras")))])
    return found


def _list(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return list(value) if isinstance(value, (list, tuple)) else []


def read_draw_things(texts: Mapping[str, str], size: tuple[int, int]) -> Found | None:
    packet = next((t for k, t in texts.items() if k.lower() in ("xmp", "xml:com.adobe.xmp")), "")
    found = _XMP_COMMENT.search(packet)
    data = json_object(html.unescape(found[1])) if found else {}
    if "c" not in data:
        return None
    values = {
        "Steps": data.get("steps"), "Sampler": sampler_of(str(data.get("sampler") or "").removesuffix(" Karras")),
        "Schedule type": "Karras" if str(data.get("sampler")).endswith(" Karras") else None,
        "CFG scale": data.get("scale"), "Seed": data.get("seed"), "Size": data.get("size") or f"{size[0]}x{size[1]}",
        "Model": file_stem(data.get("model")) or None,
        "Denoising strength": data.get("strength") if data.get("strength") not in (None, 1, 1.0) else None,
    }  # fmt: skip
    told = Found("Draw Things", str(data["c"]), str(data.get("uc") or ""), values)
    loras = data.get("lora") if isinstance(data.get("lora"), list) else []
    told.add_networks([(lora.get("model"), lora.get("weight", 1)) for lora in loras if isinstance(lora, Mapping)])
    return told


def read_easy_diffusion(texts: Mapping[str, str], size: tuple[int, int]) -> Found | None:
    if "prompt" not in texts or not {"num_inference_steps", "Steps"} & texts.keys():
        return None

    def told(*names: str) -> str | None:
        return next((texts[name] for name in names if texts.get(name) not in (None, "", "None")), None)

    values = {
        "Steps": told("num_inference_steps", "Steps"), "Sampler": sampler_of(told("sampler_name", "Sampler")),
        "CFG scale": told("guidance_scale", "Guidance Scale"), "Seed": told("seed", "Seed"),
        "Size": size_of(told("width", "Width"), told("height", "Height")) or f"{size[0]}x{size[1]}",
        "Model": file_stem(told("use_stable_diffusion_model", "Stable Diffusion model")) or None,
        "VAE": file_stem(told("use_vae_model", "VAE model")) or None,
        "Denoising strength": told("prompt_strength", "Prompt Strength"),
    }  # fmt: skip
    found = Found("Easy Diffusion", texts["prompt"], told("negative_prompt", "Negative Prompt") or "", values)
    lora = told("use_lora_model", "LoRA model")
    found.add_networks([(lora, told("lora_alpha", "LoRA Strength") or 1)] if lora else [])
    return found
