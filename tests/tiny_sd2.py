"""Small Stable Diffusion 2 models: linear projections, heads by width, OpenCLIP's towers for text and pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from tests.tiny import VOCABULARY, TinySizes, ldm_state, tiny_unet, tiny_vae, tiny_yaml
from tests.tiny_openclip import OpenTower, as_transformers

TEXT = "cond_stage_model.model."
VISUAL = "embedder.model.visual."
#: blocks of the tower; the last is never asked
LAYERS = 3
#: CLIP's vector of a picture
PROJECTION = 12


def sd2_sizes(labels: int = 0, **changes) -> TinySizes:
    """`labels` numbers about a picture are told to the denoiser (unCLIP)."""
    extra = {"use_linear_projection": True, "attention_head_dim": (2, 4, 4)}
    if labels:
        extra |= {"class_embed_type": "projection", "projection_class_embeddings_input_dim": labels}
    params = {"num_heads": -1, "num_head_channels": 8, "use_linear_in_transformer": True}
    return TinySizes(unet_extra=extra, unet_params=params, **changes)


def tower_of(sizes: TinySizes) -> OpenTower:
    return OpenTower(sizes.context, LAYERS, seed=sizes.seed + 2)


def text_module(sizes: TinySizes) -> CLIPTextModel:
    """What other programs run: the tower without its last block."""
    whole = as_transformers(tower_of(sizes))
    module = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=VOCABULARY, hidden_size=sizes.context, intermediate_size=4 * sizes.context,
            num_hidden_layers=LAYERS - 1, num_attention_heads=2, hidden_act="gelu", bos_token_id=49406,
            eos_token_id=49407, pad_token_id=0,
        )
    ).eval()  # fmt: skip
    state = whole.text_model.state_dict()
    own = {name: state[name.removeprefix("text_model.")] for name in module.state_dict()}
    module.load_state_dict(own)
    return module


def image_module(seed: int = 9) -> CLIPVisionModelWithProjection:
    torch.manual_seed(seed)
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=1, image_size=32,
            patch_size=8, projection_dim=PROJECTION, hidden_act="gelu",
        )
    ).eval()  # fmt: skip


def image_state(module: CLIPVisionModelWithProjection) -> dict[str, torch.Tensor]:
    """Its weights under the names of CLIP's own tower, put there by hand."""
    core = module.vision_model
    out = {
        "class_embedding": core.embeddings.class_embedding, "conv1.weight": core.embeddings.patch_embedding.weight,
        "positional_embedding": core.embeddings.position_embedding.weight, "proj": module.visual_projection.weight.T,
    }  # fmt: skip
    for ours, norm in (("ln_pre", core.pre_layrnorm), ("ln_post", core.post_layernorm)):
        out |= {f"{ours}.weight": norm.weight, f"{ours}.bias": norm.bias}
    for index, layer in enumerate(core.encoder.layers):
        start, attention = f"transformer.resblocks.{index}.", layer.self_attn
        parts = {
            "ln_1": layer.layer_norm1, "ln_2": layer.layer_norm2, "mlp.c_fc": layer.mlp.fc1,
            "mlp.c_proj": layer.mlp.fc2, "attn.out_proj": attention.out_proj,
        }  # fmt: skip
        for name, part in parts.items():
            out |= {f"{start}{name}.weight": part.weight, f"{start}{name}.bias": part.bias}
        three = (attention.q_proj, attention.k_proj, attention.v_proj)
        out[f"{start}attn.in_proj_weight"] = torch.cat([part.weight for part in three])
        out[f"{start}attn.in_proj_bias"] = torch.cat([part.bias for part in three])
    return {VISUAL + name: tensor.detach().contiguous().clone() for name, tensor in out.items()}


def sd2_state(sizes: TinySizes, dtype: torch.dtype = torch.float16) -> dict[str, torch.Tensor]:
    state = ldm_state(tiny_unet(sizes), tiny_vae(sizes), None, dtype)
    tower = {
        TEXT + name: tensor.detach().to(dtype).contiguous() for name, tensor in tower_of(sizes).state_dict().items()
    }
    return {**state, **tower}


def write_tiny_sd2(
    folder: Path, name: str = "tiny-sd2", sizes: TinySizes | None = None, dtype: torch.dtype = torch.float16,
    more: dict[str, torch.Tensor] | None = None,
) -> Path:  # fmt: skip
    """Writes `name.safetensors` and `name.yaml`. With labels the file also has an image tower; `more` are tensors
    beside the usual."""
    sizes = sizes or sd2_sizes()
    state = sd2_state(sizes, dtype)
    if "class_embed_type" in sizes.unet_extra:
        state |= {name: tensor.to(dtype) for name, tensor in image_state(image_module()).items()}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    save_file({**state, **(more or {})}, str(path), metadata={"format": "pt"})
    # The heads of so narrow a tower cannot be told from its shapes.
    extra = {"cond_stage_config": {"params": {"heads": 2}}, **sizes.extra}
    path.with_suffix(".yaml").write_text(tiny_yaml(replace(sizes, extra=extra)), "utf-8")
    return path
