"""The LDM single-file layout: how its tensor names follow from the names inside diffusers and transformers modules.

The mapping is computed from the module's own names, so that a missing tensor is known before any weight is read, and
a file can be written back under the names that other programs expect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
TEXT_PREFIX = "cond_stage_model.transformer."

_RESNET = (
    ("norm1.", "in_layers.0."), ("conv1.", "in_layers.2."), ("time_emb_proj.", "emb_layers.1."),
    ("norm2.", "out_layers.0."), ("conv2.", "out_layers.3."), ("conv_shortcut.", "skip_connection."),
)  # fmt: skip
_UNET_ENDS = (
    ("conv_in.", "input_blocks.0.0."), ("time_embedding.linear_1.", "time_embed.0."),
    ("time_embedding.linear_2.", "time_embed.2."), ("time_embedding.cond_proj.", "time_embed.cond_proj."),
    ("add_embedding.linear_1.", "label_emb.0.0."), ("add_embedding.linear_2.", "label_emb.0.2."),
    ("class_embedding.linear_1.", "label_emb.0.0."), ("class_embedding.linear_2.", "label_emb.0.2."),
    ("conv_norm_out.", "out.0."), ("conv_out.", "out.2."),
)  # fmt: skip
_VAE_ATTENTION = (
    ("group_norm.", "norm."), ("to_q.", "q."), ("to_k.", "k."), ("to_v.", "v."), ("to_out.0.", "proj_out."),
)  # fmt: skip

_UNET_PART = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.*)")
_UNET_SCALE = re.compile(r"(down|up)_blocks\.(\d+)\.(?:down|up)samplers\.0\.conv\.(.*)")
_UNET_MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.*)")
_VAE_BLOCK = re.compile(r"(encoder|decoder)\.(?:down|up)_blocks\.(\d+)\.(resnets|downsamplers|upsamplers)\.(\d+)\.(.*)")
_VAE_MIDDLE = re.compile(r"(encoder|decoder)\.mid_block\.(resnets|attentions)\.(\d+)\.(.*)")


def _swap_head(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    for ours, theirs in pairs:
        if name.startswith(ours):
            return theirs + name[len(ours) :]
    return name


def unet_names(names: Iterable[str], resnets_per_level: int) -> dict[str, str]:
    """Name in a diffusers UNet -> name in an LDM file, without `model.diffusion_model.`.

    `resnets_per_level` is `layers_per_block` of the diffusers configuration.
    """
    names = list(names)
    with_attention = {m[2] for n in names if (m := _UNET_PART.match(n)) and m[1] == "up" and m[3] == "attentions"}
    return {name: _unet_name(name, resnets_per_level + 1, with_attention) for name in names}


def _unet_name(name: str, stride: int, with_attention: set[str]) -> str:
    if part := _UNET_PART.match(name):
        side, level, kind, index, rest = part[1], int(part[2]), part[3], int(part[4]), part[5]
        number = stride * level + index
        block = f"input_blocks.{number + 1}" if side == "down" else f"output_blocks.{number}"
        return f"{block}.0.{_swap_head(rest, _RESNET)}" if kind == "resnets" else f"{block}.1.{rest}"
    if scale := _UNET_SCALE.match(name):
        side, level, rest = scale[1], int(scale[2]), scale[3]
        if side == "down":
            return f"input_blocks.{stride * (level + 1)}.0.op.{rest}"
        # The upsampler stands behind the attention where there is one.
        place = 2 if scale[2] in with_attention else 1
        return f"output_blocks.{stride * level + stride - 1}.{place}.conv.{rest}"
    if middle := _UNET_MIDDLE.match(name):
        kind, index, rest = middle[1], int(middle[2]), middle[3]
        if kind == "attentions":
            return f"middle_block.1.{rest}"
        return f"middle_block.{2 * index}.{_swap_head(rest, _RESNET)}"
    return _swap_head(name, _UNET_ENDS)


def vae_names(names: Iterable[str], levels: int) -> dict[str, str]:
    """Name in a diffusers AutoencoderKL -> name in an LDM file, without `first_stage_model.`.

    LDM counts the decoder's levels from the finest, diffusers from the coarsest.
    """
    return {name: _vae_name(name, levels) for name in names}


def _vae_name(name: str, levels: int) -> str:
    if block := _VAE_BLOCK.match(name):
        side, level, kind, index, rest = block[1], int(block[2]), block[3], block[4], block[5]
        place = f"encoder.down.{level}" if side == "encoder" else f"decoder.up.{levels - 1 - level}"
        if kind == "resnets":
            return f"{place}.block.{index}.{_swap_head(rest, (('conv_shortcut.', 'nin_shortcut.'),))}"
        return f"{place}.{kind[:-2]}.{rest}"
    if middle := _VAE_MIDDLE.match(name):
        side, kind, index, rest = middle[1], middle[2], int(middle[3]), middle[4]
        if kind == "attentions":
            return f"{side}.mid.attn_1.{_swap_head(rest, _VAE_ATTENTION)}"
        return f"{side}.mid.block_{index + 1}.{_swap_head(rest, (('conv_shortcut.', 'nin_shortcut.'),))}"
    return name.replace(".conv_norm_out.", ".norm_out.")


def text_names(names: Iterable[str]) -> dict[str, str]:
    """Name in a transformers CLIPTextModel -> name in an LDM file, without `cond_stage_model.transformer.`.

    Files have `text_model.` in front; the module has it or not, depending on the version of transformers.
    """
    return {name: name if name.startswith("text_model.") else f"text_model.{name}" for name in names}
