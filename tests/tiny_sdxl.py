"""TinyXL: reduced Stable Diffusion XL models of random weights, base and refiner, in the original layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from atelier.families.ldm import UNET_PREFIX, VAE_PREFIX, text_names, unet_names
from tests.tiny import TinySizes, bare_vae_state, tiny_text_encoder, tiny_vae
from tests.tiny_openclip import OpenTower, as_transformers

#: what the second encoder gives for the whole text; not its width, so that a turned projection is noticed
POOLED = 20
#: how each number beside the text is spread out
SPREAD = 8


@dataclass
class TinyXL:
    """The sizes of a reduced model; latents have 4 channels and an eighth of the picture's sides."""

    refiner: bool = False
    in_channels: int = 4
    l_width: int = 16
    g_width: int = 24
    layers: int = 3
    seed: int = 0
    #: what the configuration says: "eps", "v", or "" for nothing
    prediction: str = ""

    @property
    def context(self) -> int:
        return self.g_width if self.refiner else self.l_width + self.g_width

    @property
    def numbers(self) -> int:
        return 5 if self.refiner else 6

    @property
    def depth(self) -> int | tuple[int, ...]:
        return 2 if self.refiner else (1, 1, 2)

    @property
    def mult(self) -> tuple[int, ...]:
        return (1, 2, 2, 2) if self.refiner else (1, 2, 2)


def xl_unet(sizes: TinyXL) -> UNet2DConditionModel:
    """By the configuration that diffusers gives to these models, reduced."""
    attention = [level in (1, 2) for level in range(len(sizes.mult))]
    widths = tuple(16 * m for m in sizes.mult)
    torch.manual_seed(sizes.seed)
    return UNet2DConditionModel(
        sample_size=8, in_channels=sizes.in_channels, out_channels=4,
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
        block_out_channels=widths, layers_per_block=1, cross_attention_dim=sizes.context,
        attention_head_dim=tuple(w // 8 for w in widths), norm_num_groups=8, use_linear_projection=True,
        transformer_layers_per_block=sizes.depth, addition_embed_type="text_time", addition_time_embed_dim=SPREAD,
        projection_class_embeddings_input_dim=POOLED + sizes.numbers * SPREAD,
    ).eval()  # fmt: skip


def xl_vae(sizes: TinyXL) -> Any:
    vae = tiny_vae(TinySizes(seed=sizes.seed))
    vae.register_to_config(scaling_factor=0.13025, force_upcast=False)
    return vae


def xl_first(sizes: TinyXL) -> CLIPTextModel:
    return tiny_text_encoder(TinySizes(context=sizes.l_width, text_layers=sizes.layers, seed=sizes.seed))


def xl_tower(sizes: TinyXL) -> OpenTower:
    return OpenTower(sizes.g_width, sizes.layers, heads=2, projection=POOLED, seed=sizes.seed + 3)


def xl_second(sizes: TinyXL) -> CLIPTextModelWithProjection:
    return as_transformers(xl_tower(sizes))


def xl_state(sizes: TinyXL, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """The tensors of a single-file checkpoint under their original names."""
    unet = xl_unet(sizes).state_dict()
    out = {UNET_PREFIX + theirs: unet[ours] for ours, theirs in unet_names(unet, 1).items()}
    out |= {VAE_PREFIX + name: value for name, value in bare_vae_state(xl_vae(sizes), dtype).items()}
    place = 0
    if not sizes.refiner:
        first = xl_first(sizes).state_dict()
        names = text_names(name for name in first if not name.endswith("position_ids"))
        out |= {f"conditioner.embedders.0.transformer.{theirs}": first[ours] for ours, theirs in names.items()}
        place = 1
    tower = xl_tower(sizes).state_dict()
    out |= {f"conditioner.embedders.{place}.model.{name}": value for name, value in tower.items()}
    return {name: value.detach().to(dtype).contiguous().clone() for name, value in out.items()}


def xl_yaml(sizes: TinyXL) -> str:
    """What differs from the full size, in the form of the original configurations."""
    encoders = [{"params": {"heads": 2}}] * (1 if sizes.refiner else 2)
    scaling = {"eps": "EpsScaling", "v": "VScaling"}.get(sizes.prediction)
    target = {"target": f"sgm.modules.diffusionmodules.denoiser_scaling.{scaling}"}
    params = {
        "denoiser_config": {"params": {"scaling_config": target} if scaling else {}},
        "network_config": {"params": {
            "image_size": 8, "model_channels": 16, "channel_mult": list(sizes.mult), "num_res_blocks": 1,
            "attention_resolutions": [4, 2], "num_head_channels": 8, "norm_num_groups": 8,
            "transformer_depth": sizes.depth if sizes.refiner else list(sizes.depth),
            "context_dim": [sizes.context] * 4 if sizes.refiner else sizes.context}},
        "first_stage_config": {"params": {"ddconfig": {
            "resolution": 64, "ch": 16, "ch_mult": [1, 1, 2, 2], "num_res_blocks": 1, "norm_num_groups": 8}}},
        "conditioner_config": {"params": {"emb_models": encoders}},
    }  # fmt: skip
    return yaml.safe_dump({"model": {"params": params}}, sort_keys=False)


def write_tiny_xl(
    folder: Path,
    name: str = "tiny-xl",
    sizes: TinyXL | None = None,
    dtype: torch.dtype = torch.float32,
    more: dict[str, torch.Tensor] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Writes `name.safetensors` and `name.yaml`; `more` are tensors beside the usual. About 9 MB in float32."""
    sizes = sizes or TinyXL()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    save_file({**xl_state(sizes, dtype), **(more or {})}, str(path), metadata={"format": "pt", **(metadata or {})})
    path.with_suffix(".yaml").write_text(xl_yaml(sizes), "utf-8")
    return path
