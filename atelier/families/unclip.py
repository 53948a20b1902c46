"""unCLIP: what an image variation model is told of a picture: CLIP's vector of it, under noise of a chosen level.

The image encoder's weights are in the checkpoint, in the original names of CLIP; sizes follow from their shapes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from atelier.families.family import Component, Cut, Evidence
from atelier.families.ldm import UNET_PREFIX
from atelier.families.model import Model, place_of
from atelier.families.openclip import tower_place

LABEL = f"{UNET_PREFIX}label_emb.0.0.weight"
VISUAL = "embedder.model.visual."
STATISTICS = "noise_augmentor."
LEVELS = 1000
HEAD_WIDTH = 64
#: hidden widths of the published towers with heads of another width: ViT-H has 80
HEADS = {1280: 16}.get
#: mean and spread of the colours that CLIP was trained on
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)

_ENDS = (
    ("embeddings.class_embedding", "class_embedding"), ("embeddings.patch_embedding.", "conv1."),
    ("embeddings.position_embedding.weight", "positional_embedding"), ("pre_layrnorm.", "ln_pre."),
    ("post_layernorm.", "ln_post."),
)  # fmt: skip
_RESBLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.")


class NoiseStatistics(nn.Module):
    """Mean and spread of CLIP's vectors, with which they are brought to the scale of the noise."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mean, self.std = nn.Parameter(torch.zeros(1, width)), nn.Parameter(torch.ones(1, width))


def unclip_components(evidence: Evidence) -> dict[str, Component]:
    """The image encoder of a file that has one, and the statistics where they are in it."""
    if LABEL not in evidence.shapes or f"{VISUAL}proj" not in evidence.shapes:
        return {}
    config = vision_config(evidence.shapes)
    found = {
        "image_encoder": Component(
            "image_encoder", lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(**config)), vision_names, (VISUAL,)
        )
    }
    shape = evidence.shapes.get(f"{STATISTICS}data_mean")
    if shape is not None:
        names = {"mean": "data_mean", "std": "data_std"}
        found["noise_statistics"] = Component(
            "noise_statistics", lambda: NoiseStatistics(shape[-1]), lambda _: names, (STATISTICS,)
        )
    return found


def vision_config(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Arguments of `CLIPVisionConfig`. OpenAI's towers, which are narrower than ViT-H, use their own fast GELU.

    Raises KeyError for a tensor that is missing.
    """
    width, projection = shapes[f"{VISUAL}proj"]
    patch = shapes[f"{VISUAL}conv1.weight"][-1]
    side = math.isqrt(shapes[f"{VISUAL}positional_embedding"][0] - 1)
    found = (_RESBLOCK.match(name[len(VISUAL) :]) for name in shapes if name.startswith(VISUAL))
    return {
        "hidden_size": width,
        "intermediate_size": shapes[f"{VISUAL}transformer.resblocks.0.mlp.c_fc.weight"][0],
        "num_hidden_layers": max(int(match[1]) + 1 for match in found if match),
        "num_attention_heads": HEADS(width) or max(1, width // HEAD_WIDTH),
        "image_size": side * patch,
        "patch_size": patch,
        "projection_dim": projection,
        "hidden_act": "quick_gelu" if width == 1024 else "gelu",
        "layer_norm_eps": 1e-5,
        "attention_dropout": 0.0,
    }


def vision_names(names: Iterable[str]) -> dict[str, str | Cut]:
    """Name in a transformers CLIPVisionModelWithProjection -> its place in CLIP's own tower."""
    return {name: _place(name.removeprefix("vision_model.")) for name in names}


def _place(name: str) -> str | Cut:
    if name == "visual_projection.weight":
        return Cut("proj", turned=True)
    return tower_place(name, _ENDS)


def image_vectors(model: Model, pixels: torch.Tensor) -> torch.Tensor:  # [N, 3, H, W] in -1..1 -> [N, D], float32
    """CLIP's vectors of pictures, which are stretched to the square that it looks at."""
    encoder = model.extras["image_encoder"]
    device, dtype = place_of(encoder)
    side = encoder.config.image_size
    small = F.interpolate(pixels.float(), size=(side, side), mode="bicubic", align_corners=False, antialias=True)
    mean, std = (torch.tensor(values, device=small.device).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    normal = ((small.clamp(-1, 1) + 1) / 2 - mean) / std
    with torch.no_grad():
        return encoder(pixel_values=normal.to(device, dtype)).image_embeds.float()


def noised(
    vectors: torch.Tensor, level: int, noise: torch.Tensor, statistics: nn.Module | None = None
) -> torch.Tensor:  # [N, D], [N, D] -> [N, 2 * D]
    """The vectors under noise of a level from 0 to 999, followed by the level itself (Ramesh and others 2022).

    The noise grows by the cosine schedule (Nichol and Dhariwal 2021), on vectors of mean 0 and spread 1.
    """
    mean, std = (0.0, 1.0) if statistics is None else (statistics.mean.to(vectors), statistics.std.to(vectors))
    alpha = cosine_alphas(LEVELS)[level].to(vectors)
    mixed = alpha.sqrt() * ((vectors - mean) / std) + (1 - alpha).sqrt() * noise.to(vectors)
    told = waves(torch.full((len(vectors),), float(level)), vectors.shape[1]).to(vectors)
    return torch.cat([mixed * std + mean, told], dim=1)


def cosine_alphas(steps: int) -> torch.Tensor:  # [steps]
    """Cumulative alphas of the cosine schedule, whose betas stay below 0.999."""

    def kept(at: float) -> float:
        return math.cos((at + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - kept((step + 1) / steps) / kept(step / steps), 0.999) for step in range(steps)]
    return torch.cumprod(1 - torch.tensor(betas, dtype=torch.float64), dim=0).float()


def waves(values: torch.Tensor, width: int) -> torch.Tensor:  # [N] -> [N, width]
    """Numbers as cosines and sines of falling frequencies, as a denoiser is told its timestep."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
    angles = values.float()[:, None] * frequencies[None]
    return torch.cat([angles.cos(), angles.sin()], dim=1)
