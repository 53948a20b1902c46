"""Old infotexts: what a missing key means, keys of former versions, and settings that old versions imply."""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import Any

SAME_SAMPLER = "Use same sampler"
SAME_SCHEDULER = "Use same scheduler"
SAME_CHECKPOINT = "Use same checkpoint"
NO_CHECKPOINT = "None"

#: what a key that is not written means; numbers and texts are those that A1111's extensions are handed
ABSENT = MappingProxyType({
    "Clip skip": "1", "Hires resize-1": 0, "Hires resize-2": 0, "Hires sampler": SAME_SAMPLER,
    "Hires schedule type": SAME_SCHEDULER, "Hires checkpoint": SAME_CHECKPOINT, "Hires prompt": "",
    "Hires negative prompt": "", "Mask mode": "Inpaint masked", "Masked content": "original",
    "Inpaint area": "Whole picture", "Masked area padding": 32, "RNG": "GPU", "Schedule type": "Automatic",
    "Schedule max sigma": 0, "Schedule min sigma": 0, "Schedule rho": 0, "VAE Encoder": "Full", "VAE Decoder": "Full",
    "FP8 weight": "Disable", "Refiner switch by sampling steps": False,
})  # fmt: skip

#: spellings that A1111 writes and its own reader does not know, and those of other programs
ALIASES = MappingProxyType({
    "Beta schedule alpha": "Beta scheduler alpha",
    "Beta schedule beta": "Beta scheduler beta",
    # As Forge, SD.Next and extensions write the methods of guidance.
    "CFG Rescale φ": "CFG Rescale", "CFG Rescale phi": "CFG Rescale", "Guidance rescale": "CFG Rescale",
    "PAG Scale": "PAG scale", "pag_scale": "PAG scale", "sag_scale": "SAG Guidance Scale",
    "sag_blur_sigma": "SAG blur sigma", "sag_threshold": "SAG Mask Threshold", "SEG Blur Sigma": "SEG blur sigma",
    "dynthres_enabled": "Dynamic thresholding enabled", "dynthres_mimic_scale": "Mimic scale",
    "dynthres_mimic_mode": "Mimic mode", "dynthres_mimic_scale_min": "Mimic scale minimum",
    "dynthres_cfg_mode": "CFG mode", "dynthres_cfg_scale_min": "CFG scale minimum",
    "dynthres_sched_val": "Scheduler value", "dynthres_interpolate_phi": "Interpolate Phi",
    "dynthres_separate_feature_channels": "Separate Feature Channels",
    "dynthres_scaling_startpoint": "Scaling Startpoint", "dynthres_variability_measure": "Variability Measure",
})  # fmt: skip

_VERSION = re.compile(r"v?([0-9]+(?:\.[0-9]+)*)(?:-([0-9]+))?(?:-.*)?")


def fill_absent(values: dict[str, Any]) -> None:
    """Adds what the missing keys mean."""
    for key, value in ABSENT.items():
        values.setdefault(key, value)
    if "Emphasis" not in values and (has_weights(values["Prompt"]) or has_weights(values["Negative prompt"])):
        values["Emphasis"] = "Original"


def has_weights(prompt: str) -> bool:
    """True when a prompt holds a bracket that is not escaped."""
    return re.search(r"[(\[]", re.sub(r"\\.", "", prompt)) is not None


def lift_legacy(values: dict[str, Any]) -> None:
    """Turns keys of former versions into what they are now; the old keys stay."""
    if values.get("Hypernet"):
        values["Prompt"] += f"<hypernet:{values['Hypernet']}:{values.get('Hypernet strength', '1.0')}>"
    _lift_additional_networks(values)
    _lift_first_pass(values)


def _lift_additional_networks(values: dict[str, Any]) -> None:
    if str(values.get("AddNet Enabled", "False")).lower() != "true":
        return
    tags = []
    index = 1
    while f"AddNet Module {index}" in values:
        if values[f"AddNet Module {index}"] == "LoRA":
            # The model is written as "name(hash)".
            name = str(values.get(f"AddNet Model {index}", "")).rpartition("(")[0]
            weight = values.get(f"AddNet Weight {index}", values.get(f"AddNet Weight A {index}", "1.0"))
            tags.append(f"<lora:{name}:{weight}>")
        index += 1
    if tags:
        values["Prompt"] += "\n" + "".join(tags)


def _lift_first_pass(values: dict[str, Any]) -> None:
    """Before hires fix had a factor, Size was the final size and "First pass size" that of the first pass."""
    keys = ("First pass size-1", "First pass size-2", "Size-1", "Size-2")
    if not all(key in values for key in keys):
        return
    first_w, first_h, width, height = (int(values[key]) for key in keys)
    if first_w == 0 or first_h == 0:
        if width == 0 or height == 0:
            return
        scale = math.sqrt(512 * 512 / (width * height))
        first_w, first_h = (math.ceil(side * scale / 64) * 64 for side in (width, height))
    values.update({"Size-1": first_w, "Size-2": first_h, "Hires resize-1": width, "Hires resize-2": height})


def imply_settings(values: dict[str, Any]) -> None:
    """Adds the settings under which the version that wrote a text would make the same picture."""
    version = parse_version(str(values.get("Version", "")))
    if version is None:
        return
    if version < ((1, 6), 0) and "[" in values["Prompt"]:
        values["Old prompt editing timelines"] = True
    if version < ((1, 6), 0) and values.get("Sampler") in ("DDIM", "PLMS"):
        values["Pad conds v0"] = True
    if version < ((1, 7), 225):
        values["Downcast alphas_cumprod"] = True
    if version < ((1, 8), 0) and values.get("Refiner"):
        values["Refiner switch by sampling steps"] = True


def parse_version(text: str) -> tuple[tuple[int, ...], int] | None:
    """`v1.7.0-225-gabc` is ((1, 7), 225): numbers without trailing zeros, commits since. None for other programs."""
    match = _VERSION.fullmatch(text.strip())
    if match is None or len(text) > 100:
        return None
    numbers = [int(part) for part in match.group(1).split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), int(match.group(2) or 0)
