"""The original LDM configuration (.yaml) -> constructor arguments of diffusers and transformers modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from atelier.base.errors import BadModelFile

Config = Mapping[str, Any]
ASSETS = Path(__file__).resolve().parent / "assets"


def read_config(path: Path) -> dict[str, Any]:
    """The configuration in a `.yaml` file. Raises `BadModelFile` when it is not one."""
    try:
        parsed = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadModelFile(f"{path.name} cannot be read as a configuration: {error}", path=str(path)) from error
    model = parsed.get("model") if isinstance(parsed, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("params"), dict):
        raise BadModelFile(
            f"{path.name} is not a model configuration: it has no model.params.",
            remedy="Remove it, or put the configuration that came with the checkpoint in its place.",
            path=str(path),
        )
    return parsed


def bundled(name: str) -> dict[str, Any]:
    return read_config(ASSETS / f"{name}.yaml")


def merged(base: Config, over: Config | None) -> dict[str, Any]:
    """`base` with the values of `over` in place of its own, level by level."""
    result = dict(base)
    for key, value in (over or {}).items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def params_of(config: Config) -> Config:
    return config["model"]["params"]


def unet_config(params: Config, in_channels: int) -> dict[str, Any]:
    """Arguments of `UNet2DConditionModel` from `unet_config.params`; `in_channels` comes from the file itself."""
    widths = [int(params["model_channels"]) * int(m) for m in params["channel_mult"]]
    attention = [2**level in set(params["attention_resolutions"]) for level in range(len(widths))]
    heads: int | list[int] = int(params["num_heads"]) if params.get("num_heads", -1) > 0 else 0
    if not heads:
        heads = [width // int(params["num_head_channels"]) for width in widths]
    depth = params.get("transformer_depth", 1)
    return {
        "sample_size": int(params.get("image_size", 64)),
        "in_channels": in_channels,
        "out_channels": int(params["out_channels"]),
        "down_block_types": tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention),
        "up_block_types": tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
        "block_out_channels": tuple(widths),
        "layers_per_block": int(params["num_res_blocks"]),
        "cross_attention_dim": int(params["context_dim"]),
        # diffusers calls the number of heads attention_head_dim, for the sake of old configurations
        "attention_head_dim": heads if isinstance(heads, int) else tuple(heads),
        "use_linear_projection": bool(params.get("use_linear_in_transformer", False)),
        "transformer_layers_per_block": tuple(depth) if isinstance(depth, Sequence) else int(depth),
        "norm_num_groups": int(params.get("norm_num_groups", 32)),
    }


def vae_config(params: Config, scale: float) -> dict[str, Any]:
    """Arguments of `AutoencoderKL` from `first_stage_config.params.ddconfig`."""
    widths = tuple(int(params["ch"]) * int(m) for m in params["ch_mult"])
    return {
        "in_channels": int(params["in_channels"]),
        "out_channels": int(params["out_ch"]),
        "down_block_types": ("DownEncoderBlock2D",) * len(widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(widths),
        "block_out_channels": widths,
        "layers_per_block": int(params["num_res_blocks"]),
        "latent_channels": int(params["z_channels"]),
        "norm_num_groups": int(params.get("norm_num_groups", 32)),
        "sample_size": int(params.get("resolution", 256)),
        "scaling_factor": scale,
    }


def clip_config(params: Config, vocabulary: int) -> dict[str, Any]:
    """Arguments of `CLIPTextConfig` from `cond_stage_config.params`; `vocabulary` comes from the file itself."""
    width = int(params["hidden_size"])
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": int(params.get("intermediate_size", 4 * width)),
        "num_hidden_layers": int(params["num_hidden_layers"]),
        "num_attention_heads": int(params["num_attention_heads"]),
        "max_position_embeddings": int(params.get("max_length", 77)),
        "hidden_act": str(params.get("hidden_act", "quick_gelu")),
        "projection_dim": width,
        "layer_norm_eps": 1e-5,
        "attention_dropout": 0.0,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        "pad_token_id": 49407,
    }
