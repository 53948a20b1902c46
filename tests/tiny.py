"""Small random models built in code: real layouts and real tensor names, a few megabytes, no downloads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
import yaml
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from atelier.families.ldm import TEXT_PREFIX, UNET_PREFIX, VAE_PREFIX, text_names, unet_names, vae_names

VOCABULARY = 49408


@dataclass
class TinySizes:
    """The sizes of a reduced Stable Diffusion 1.x; latents have 4 channels and an eighth of the picture's sides."""

    in_channels: int = 4
    model_channels: int = 16
    channel_mult: tuple[int, ...] = (1, 2, 2)
    attention_resolutions: tuple[int, ...] = (1, 2)
    res_blocks: int = 1
    heads: int = 2
    groups: int = 8
    context: int = 16
    vae_channels: int = 16
    vae_mult: tuple[int, ...] = (1, 1, 2, 2)
    vae_res_blocks: int = 1
    text_layers: int = 2
    text_heads: int = 2
    seed: int = 0
    prediction: str = "eps"
    extra: dict = field(default_factory=dict)
    #: further arguments of the denoiser, and their names in the configuration
    unet_extra: dict = field(default_factory=dict)
    unet_params: dict = field(default_factory=dict)


#: Stable Diffusion 1.x as it is: 859 + 84 + 123 million weights; such a file needs no yaml
FULL = TinySizes(
    model_channels=320, channel_mult=(1, 2, 4, 4), attention_resolutions=(1, 2, 4), res_blocks=2, heads=8, groups=32,
    context=768, vae_channels=128, vae_mult=(1, 2, 4, 4), vae_res_blocks=2, text_layers=12, text_heads=12,
)  # fmt: skip


def tiny_unet(sizes: TinySizes | None = None) -> UNet2DConditionModel:
    s = sizes or TinySizes()
    attention = [2**i in s.attention_resolutions for i in range(len(s.channel_mult))]
    torch.manual_seed(s.seed)
    arguments = dict(
        sample_size=8,
        in_channels=s.in_channels,
        out_channels=4,
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
        block_out_channels=tuple(s.model_channels * m for m in s.channel_mult),
        layers_per_block=s.res_blocks,
        cross_attention_dim=s.context,
        attention_head_dim=s.heads,
        norm_num_groups=s.groups,
    )
    return UNet2DConditionModel(**{**arguments, **s.unet_extra}).eval()


def tiny_vae(sizes: TinySizes | None = None) -> AutoencoderKL:
    s = sizes or TinySizes()
    torch.manual_seed(s.seed + 1)
    levels = len(s.vae_mult)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=tuple(s.vae_channels * m for m in s.vae_mult),
        layers_per_block=s.vae_res_blocks,
        latent_channels=4,
        norm_num_groups=s.groups,
        sample_size=64,
    ).eval()


def tiny_text_encoder(sizes: TinySizes | None = None) -> CLIPTextModel:
    s = sizes or TinySizes()
    torch.manual_seed(s.seed + 2)
    model = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=VOCABULARY, hidden_size=s.context, intermediate_size=4 * s.context,
            num_hidden_layers=s.text_layers, num_attention_heads=s.text_heads, max_position_embeddings=77,
            projection_dim=s.context, hidden_act="quick_gelu",
            bos_token_id=49406, eos_token_id=49407, pad_token_id=49407,
        )
    ).eval()  # fmt: skip
    with torch.no_grad():
        for name, value in model.named_parameters():
            # A mean that is not near zero, so that the mean rule of emphasis does not blow the numbers up;
            # spread-out token vectors, so that different words give different encodings.
            if name.endswith("final_layer_norm.bias"):
                value.fill_(0.25)
            if name.endswith("token_embedding.weight"):
                value.normal_(0.0, 0.5)
    return model


def ldm_state(
    unet: UNet2DConditionModel | None,
    vae: AutoencoderKL | None,
    text: CLIPTextModel | None,
    dtype: torch.dtype = torch.float16,
) -> dict[str, torch.Tensor]:
    """The tensors of a single-file checkpoint with LDM names."""
    out: dict[str, torch.Tensor] = {}
    if unet is not None:
        state = unet.state_dict()
        for ours, theirs in unet_names(state, unet.config.layers_per_block).items():
            out[UNET_PREFIX + theirs] = state[ours]
    if vae is not None:
        for theirs, tensor in bare_vae_state(vae, dtype).items():
            out[VAE_PREFIX + theirs] = tensor
    if text is not None:
        state = text.state_dict()
        for ours, theirs in text_names(k for k in state if not k.endswith("position_ids")).items():
            out[TEXT_PREFIX + theirs] = state[ours]
    return {k: v.detach().to(dtype).contiguous().clone() for k, v in out.items()}


def bare_vae_state(vae: AutoencoderKL, dtype: torch.dtype = torch.float16) -> dict[str, torch.Tensor]:
    """The tensors of a VAE file: LDM names without prefix; attention weights are 1x1 convolutions there."""
    state = vae.state_dict()
    out = {}
    for ours, theirs in vae_names(state, len(vae.config.block_out_channels)).items():
        tensor = state[ours]
        if ".attn_1." in theirs and tensor.ndim == 2:
            tensor = tensor[:, :, None, None]
        out[theirs] = tensor.detach().to(dtype).contiguous().clone()
    return out


def tiny_state(sizes: TinySizes | None = None, dtype: torch.dtype = torch.float16) -> dict[str, torch.Tensor]:
    s = sizes or TinySizes()
    return ldm_state(tiny_unet(s), tiny_vae(s), tiny_text_encoder(s), dtype)


def tiny_yaml(sizes: TinySizes | None = None) -> str:
    """The configuration that stands beside the file, in the form of the original LDM configurations."""
    s = sizes or TinySizes()
    unet = {
        "image_size": 8, "in_channels": s.in_channels, "out_channels": 4, "model_channels": s.model_channels,
        "channel_mult": list(s.channel_mult), "num_res_blocks": s.res_blocks,
        "attention_resolutions": list(s.attention_resolutions), "num_heads": s.heads, "use_spatial_transformer": True,
        "transformer_depth": 1, "context_dim": s.context, "norm_num_groups": s.groups,
        **s.unet_params,
    }  # fmt: skip
    vae = {
        "double_z": True, "z_channels": 4, "resolution": 64, "in_channels": 3, "out_ch": 3, "ch": s.vae_channels,
        "ch_mult": list(s.vae_mult), "num_res_blocks": s.vae_res_blocks, "attn_resolutions": [],
        "norm_num_groups": s.groups,
    }  # fmt: skip
    text = {
        "hidden_size": s.context, "num_hidden_layers": s.text_layers,
        "num_attention_heads": s.text_heads, "intermediate_size": 4 * s.context,
    }  # fmt: skip
    params = {
        "linear_start": 0.00085, "linear_end": 0.012, "timesteps": 1000, "scale_factor": 0.18215,
        "conditioning_key": "hybrid" if s.in_channels == 9 else "crossattn",
        "unet_config": {"params": unet},
        "first_stage_config": {"params": {"embed_dim": 4, "ddconfig": vae}},
        "cond_stage_config": {"params": text},
        **({"parameterization": "v"} if s.prediction == "v" else {}),
        **s.extra,
    }  # fmt: skip
    return yaml.safe_dump({"model": {"params": params}}, sort_keys=False)


def write_tiny_checkpoint(
    folder: Path,
    name: str = "tiny",
    sizes: TinySizes | None = None,
    dtype: torch.dtype = torch.float16,
    with_vae: bool = True,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Writes `name.safetensors` and `name.yaml` into `folder`; returns the path of the weights. About 2.5 MB."""
    state = tiny_state(sizes, dtype)
    if not with_vae:
        state = {k: v for k, v in state.items() if not k.startswith(VAE_PREFIX)}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    save_file(state, str(path), metadata={"format": "pt", **(metadata or {})})
    path.with_suffix(".yaml").write_text(tiny_yaml(sizes), "utf-8")
    return path


def write_tiny_vae(folder: Path, name: str = "tiny-vae", sizes: TinySizes | None = None) -> Path:
    """A VAE of its own, with bare LDM names, as found in models/VAE."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    save_file(bare_vae_state(tiny_vae(sizes)), str(path))
    return path


def write_tiny_embedding(
    folder: Path, name: str = "tiny-style", vectors: int = 2, width: int = 16, seed: int = 5
) -> Path:
    """A textual inversion in A1111's safetensors form."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    generator = torch.Generator().manual_seed(seed)
    save_file({"emb_params": torch.randn(vectors, width, generator=generator)}, str(path))
    return path
