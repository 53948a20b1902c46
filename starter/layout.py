"""The key names of a Stable Diffusion 1 checkpoint (LDM layout), from and to those of the networks in `models`."""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch

from atelier.base.errors import BadModelFile

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
_RESNET = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("time_emb_proj", "emb_layers.1"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("conv_shortcut", "skip_connection"),
)
_ENDS = (
    ("conv_in", "input_blocks.0.0"),
    ("time_embedding.linear_1", "time_embed.0"),
    ("time_embedding.linear_2", "time_embed.2"),
    ("conv_norm_out", "out.0"),
    ("conv_out", "out.2"),
)
_ATTENTION = (("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out"))


def _resnet(tail: str) -> str:
    for ours, ldm in _RESNET:
        tail = re.sub(rf"^\.{ours}\.", f".{ldm}.", tail)
    return tail


def _block(base: str, number: int, kind: str, tail: str) -> str:
    return f"{base}.{number}.{0 if kind == 'resnets' else 1}" + (_resnet(tail) if kind == "resnets" else tail)


def unet_key(key: str, attending_up: Iterable[int], layers: int = 1) -> str:
    """LDM name of a UNet key. `attending_up`: the up levels with attention, where the upsampler stands third."""
    for ours, ldm in _ENDS:
        if key.startswith(ours + "."):
            return UNET + key.replace(ours, ldm, 1)
    if m := re.match(r"down_blocks\.(\d+)\.(resnets|attentions)\.(\d+)(\..*)", key):
        return UNET + _block("input_blocks", 1 + int(m[1]) * (layers + 1) + int(m[3]), m[2], m[4])
    if m := re.match(r"down_blocks\.(\d+)\.downsamplers\.0\.conv(\..*)", key):
        return UNET + f"input_blocks.{(int(m[1]) + 1) * (layers + 1)}.0.op{m[2]}"
    if m := re.match(r"up_blocks\.(\d+)\.(resnets|attentions)\.(\d+)(\..*)", key):
        return UNET + _block("output_blocks", int(m[1]) * (layers + 1) + int(m[3]), m[2], m[4])
    if m := re.match(r"up_blocks\.(\d+)\.upsamplers\.0\.conv(\..*)", key):
        place = 2 if int(m[1]) in attending_up else 1
        return UNET + f"output_blocks.{int(m[1]) * (layers + 1) + layers}.{place}.conv{m[2]}"
    m = re.match(r"mid_block\.(resnets|attentions)\.(\d+)(\..*)", key)
    if m is None:
        raise KeyError(key)
    return UNET + (f"middle_block.{int(m[2]) * 2}" + _resnet(m[3]) if m[1] == "resnets" else "middle_block.1" + m[3])


def vae_key(key: str) -> str:
    name = re.sub(r"^encoder\.down_blocks\.(\d+)\.resnets\.(\d+)", r"encoder.down.\1.block.\2", key)
    name = re.sub(r"^encoder\.down_blocks\.(\d+)\.downsamplers\.0", r"encoder.down.\1.downsample", name)
    name = re.sub(
        r"^decoder\.up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"decoder.up.{3 - int(m[1])}.block.{m[2]}", name
    )
    name = re.sub(r"^decoder\.up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"decoder.up.{3 - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    name = (
        name.replace("mid_block.attentions.0", "mid.attn_1")
        .replace("conv_shortcut", "nin_shortcut")
        .replace("conv_norm_out", "norm_out")
    )
    if "attn_1" in name:
        for ours, ldm in _ATTENTION:
            name = name.replace(f"attn_1.{ours}.", f"attn_1.{ldm}.")
    return VAE + name


def text_key(key: str) -> str:
    return TEXT + (key if key.startswith("text_model.") else "text_model." + key)


def attending_up(keys: Iterable[str]) -> set[int]:
    return {int(m[1]) for key in keys if (m := re.match(r"up_blocks\.(\d+)\.attentions", key))}


def unet_names(keys: Iterable[str]) -> dict[str, str]:
    """Our UNet keys to LDM's."""
    keys = list(keys)
    places = attending_up(keys)
    return {key: unet_key(key, places) for key in keys}


def to_ldm(
    unet: dict[str, torch.Tensor], vae: dict[str, torch.Tensor], text: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """All three state dicts under LDM names. The autoencoder's attention becomes 1x1 convolutions, as in LDM files."""
    out = {ldm: unet[ours] for ours, ldm in unet_names(unet).items()}
    for key, value in vae.items():
        name = vae_key(key)
        out[name] = value[:, :, None, None] if "attn_1" in name and value.ndim == 2 else value
    out.update({text_key(key): value for key, value in text.items() if "position_ids" not in key})
    return out


def _taken(
    file: dict[str, torch.Tensor], names: dict[str, str], like: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    wrong = [ldm for ours, ldm in names.items() if ldm not in file or file[ldm].numel() != like[ours].numel()]
    if wrong:
        raise BadModelFile(
            f"{len(wrong)} tensors are missing or of another size, such as {wrong[0]}.",
            remedy="Use a checkpoint of this shape.",
        )
    return {ours: file[ldm].float().reshape(like[ours].shape) for ours, ldm in names.items()}


def unet_from_ldm(file: dict[str, torch.Tensor], like: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`like`: the state dict of a UNet of the same shape. Raises BadModelFile when the file has another shape."""
    return _taken(file, unet_names(like), like)


def vae_from_ldm(file: dict[str, torch.Tensor], like: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return _taken(file, {key: vae_key(key) for key in like}, like)


def text_from_ldm(
    file: dict[str, torch.Tensor], like: dict[str, torch.Tensor], used: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The text encoder with only the rows `used` of the token table."""
    out = {}
    for key in (key for key in like if "position_ids" not in key):
        if text_key(key) not in file:
            raise BadModelFile(f"The text encoder lacks {text_key(key)}.", remedy="Use a checkpoint of this shape.")
        value = file[text_key(key)].float()
        out[key] = value[used] if key.endswith("token_embedding.weight") else value
    return out
