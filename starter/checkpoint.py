"""A checkpoint file in the layout of Stable Diffusion 1, read into the starter's networks and written from them."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from starter import layout
from starter.models import TEXT_WIDTH, UNetShape, alphas_cumprod, build_text, build_unet, build_vae
from starter.tokens import VOCABULARY

#: a text that the model draws well
EXAMPLE_PROMPT = "a red circle on a blue background"


def load_vae(path: Path) -> AutoencoderKL:
    """The autoencoder of a checkpoint, or of a file that holds only that part."""
    vae = build_vae()
    vae.load_state_dict(layout.vae_from_ldm(load_file(path), vae.state_dict()))
    return vae.eval().to(memory_format=torch.channels_last)


def save_vae(path: Path, vae: AutoencoderKL) -> None:
    tensors = layout.to_ldm({}, vae.state_dict(), {})
    save_file({key: value.half().contiguous() for key, value in tensors.items()}, path)


def shape_of(path: Path) -> UNetShape:
    """The UNet's shape from the yaml beside the checkpoint."""
    model = yaml.safe_load(path.with_suffix(".yaml").read_text())["model"]
    params = model["params"]["unet_config"]["params"]
    widths = tuple(params["model_channels"] * factor for factor in params["channel_mult"])
    attention = tuple(2**i in params["attention_resolutions"] for i in range(len(widths)))
    return UNetShape(widths, attention, params["in_channels"], params["image_size"])


def read(path: Path, shape: UNetShape, used: torch.Tensor) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """State dicts of UNet and text encoder; of the token table the rows `used`.

    Rows that were never trained are all the mean row in such a file; they get a little noise here, so that
    training can tell them apart.
    """
    file = load_file(path)
    unet = layout.unet_from_ldm(file, build_unet(shape).state_dict())
    text = layout.text_from_ldm(file, build_text(len(used)).state_dict(), used)
    table = next(value for key, value in text.items() if key.endswith("token_embedding.weight"))  # [V, 128]
    whole = file[layout.text_key(next(key for key in text if key.endswith("token_embedding.weight")))].float()
    common = whole.mode(dim=0).values
    untrained = (table - common).abs().amax(1) < 1e-6
    table[untrained] += 0.05 * torch.randn(int(untrained.sum()), TEXT_WIDTH, generator=torch.Generator().manual_seed(0))
    return unet, text


def full_table(rows: torch.Tensor, used: torch.Tensor) -> torch.Tensor:  # [V, 128] -> [49408, 128]
    """The table of all CLIP tokens; tokens that no caption used get the mean row."""
    table = rows.mean(0, keepdim=True).repeat(VOCABULARY, 1)
    table[used] = rows
    return table


def yaml_of(shape: UNetShape, size: int = 256) -> str:
    """The checkpoint's yaml, as LDM programs read it."""
    width = shape.outer()
    unet = {
        "image_size": shape.size,
        "in_channels": shape.channels,
        "out_channels": 4,
        "model_channels": width,
        "channel_mult": [w // width for w in shape.widths],
        "num_res_blocks": 1,
        "num_heads": 4,
        "attention_resolutions": [2**i for i, attends in enumerate(shape.attention) if attends],
        "use_spatial_transformer": True,
        "transformer_depth": 1,
        "context_dim": TEXT_WIDTH,
        "norm_num_groups": 16,
        "use_checkpoint": False,
        "legacy": False,
    }
    vae = {
        "double_z": True,
        "z_channels": 4,
        "resolution": size,
        "in_channels": 3,
        "out_ch": 3,
        "ch": 32,
        "ch_mult": [1, 2, 2, 4],
        "num_res_blocks": 1,
        "attn_resolutions": [],
        "dropout": 0.0,
        "norm_num_groups": 8,
    }
    text = {
        "hidden_size": TEXT_WIDTH,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 4 * TEXT_WIDTH,
    }
    params = {
        "parameterization": "v",
        "linear_start": 0.00085,
        "linear_end": 0.0120,
        "timesteps": 1000,
        "channels": 4,
        "image_size": shape.size,
        "scale_factor": 0.18215,
        "conditioning_key": "crossattn" if shape.channels == 4 else "hybrid",
        "unet_config": {"target": "ldm.modules.diffusionmodules.openaimodel.UNetModel", "params": unet},
        "first_stage_config": {
            "target": "ldm.models.autoencoder.AutoencoderKL",
            "params": {"embed_dim": 4, "ddconfig": vae},
        },
        "cond_stage_config": {"target": "ldm.modules.encoders.modules.FrozenCLIPEmbedder", "params": text},
    }
    model = {"target": "ldm.models.diffusion.ddpm.LatentDiffusion", "params": params}
    # Other programs pass over what they do not know; Atelier's page shows it to who has not typed anything yet.
    return yaml.safe_dump({"model": model, "example_prompt": EXAMPLE_PROMPT}, sort_keys=False)


def write(
    path: Path,
    unet: dict[str, torch.Tensor],
    text: dict[str, torch.Tensor],
    vae: AutoencoderKL,
    used: torch.Tensor,
    shape: UNetShape,
    notes: dict[str, str],
) -> int:
    """Writes `path` (fp16) and the yaml beside it; returns the size in bytes. `notes` go into the file's metadata."""
    full = {
        key: full_table(value, used) if key.endswith("token_embedding.weight") else value for key, value in text.items()
    }
    tensors = {key: value.half().contiguous() for key, value in layout.to_ldm(unet, vae.state_dict(), full).items()}
    tensors["alphas_cumprod"] = alphas_cumprod()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    save_file(tensors, partial, metadata={"format": "pt", "prediction_type": "v_prediction", **notes})
    partial.replace(path)
    path.with_suffix(".yaml").write_text(yaml_of(shape))
    return path.stat().st_size
