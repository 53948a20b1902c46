"""The starter's three networks: a KL autoencoder of factor 8, a cross-attention UNet and a CLIP text encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextConfig, CLIPTextModel

LATENT_SCALE = 0.18215
TEXT_WIDTH = 128


@dataclass(frozen=True)
class UNetShape:
    """Widths of the UNet's levels, outermost first, and which of them attend to themselves and to the text."""

    widths: tuple[int, ...] = (64, 64, 128, 192)
    attention: tuple[bool, ...] = (False, False, True, True)
    channels: int = 4
    size: int = 32

    def outer(self) -> int:
        return self.widths[0]


def build_vae() -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 64, 64, 128),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=256,
    )


def build_unet(shape: UNetShape) -> UNet2DConditionModel:
    down = tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in shape.attention)
    up = tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(shape.attention))
    unet = UNet2DConditionModel(
        sample_size=shape.size,
        in_channels=shape.channels,
        out_channels=4,
        down_block_types=down,
        up_block_types=up,
        block_out_channels=shape.widths,
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    # Plain matrix products: on a CPU the backward pass of fused attention is several times slower at 8x8 and 4x4.
    unet.set_attn_processor(AttnProcessor())
    return unet.to(memory_format=torch.channels_last)


def build_text(vocabulary: int) -> CLIPTextModel:
    """The last two tokens of the table must be start and end of text."""
    end = vocabulary - 1
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=4,
            num_attention_heads=4,
            max_position_embeddings=77,
            projection_dim=TEXT_WIDTH,
            hidden_act="quick_gelu",
            bos_token_id=end - 1,
            eos_token_id=end,
            pad_token_id=end,
        )
    )
    text.set_attn_implementation("eager")
    return text


def start_text(text: CLIPTextModel) -> None:
    """First values that learn fast. The last bias keeps the mean embedding away from 0: emphasis divides by it."""
    with torch.no_grad():
        for name, value in text.named_parameters():
            if "token_embedding" in name:
                value.normal_(0, 0.05)
            if name.endswith("final_layer_norm.bias"):
                value.fill_(0.25)


def alphas_cumprod() -> torch.Tensor:  # [1000]
    """Stable Diffusion 1's `scaled_linear` schedule."""
    return torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2, 0)


@torch.no_grad()
def encode(vae: AutoencoderKL, pictures: torch.Tensor) -> torch.Tensor:  # [B, 3, H, W] in -1..1 -> [B, 4, H/8, W/8]
    """The mean of the latent distribution, scaled."""
    moments = vae.quant_conv(vae.encoder(pictures.contiguous(memory_format=torch.channels_last)))
    return moments.float()[:, :4] * LATENT_SCALE


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:  # [B, 4, h, w] -> [B, 8h, 8w, 3] uint8
    pictures = vae.decode((latents.float() / LATENT_SCALE).contiguous(memory_format=torch.channels_last)).sample.float()
    return pictures.clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1)


def to_input(pictures: torch.Tensor) -> torch.Tensor:  # [B, H, W, 3] uint8 -> [B, 3, H, W] in -1..1
    return pictures.permute(0, 3, 1, 2).float().div(127.5).sub(1)
