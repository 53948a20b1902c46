"""Variants: what the number of a denoiser's input channels says about the kind of a Stable Diffusion 1 or 2 model."""

from __future__ import annotations

from types import MappingProxyType

from atelier.families.family import Evidence, NoMatch
from atelier.families.ldm import UNET_PREFIX
from atelier.families.ldm_config import params_of

#: words for people by input channels: latents alone, and with a depth map, a picture, or a mask and a picture
VARIANTS = MappingProxyType({4: "", 5: "depth", 8: "edit", 9: "inpainting"})
_OTHERS = MappingProxyType({7: "an upscaling model"})


def variant_of(evidence: Evidence, channels: int) -> str | NoMatch:
    """The variant, or why such a model cannot be run."""
    if evidence.any_key(part="time_stack"):
        return NoMatch("it is a video model, which this version cannot run", (), 3, near=True)
    if channels not in VARIANTS:
        what = _OTHERS.get(channels) or f"a model with {channels} input channels"
        return NoMatch(f"it is {what}, which this version cannot run", (), 3, near=True)
    return VARIANTS[channels]


def own_sizes(evidence: Evidence) -> bool:
    """True when the file has a configuration of its own with sizes in it."""
    return evidence.config is not None and isinstance(params_of(evidence.config).get("unet_config"), dict)


def full_size(evidence: Evidence) -> bool:
    """True for a denoiser of the published width."""
    return evidence.shapes[f"{UNET_PREFIX}input_blocks.0.0.weight"][0] == 320
