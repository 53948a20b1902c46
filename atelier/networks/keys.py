"""The names in files of small networks: which layer of a model is meant, and which part of its change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from atelier.checkpoints.load import LoadedModel
from atelier.families.ldm import unet_names

_PARTS = (
    "alpha|scale|dora_scale|hada_w[12]_[ab]|hada_t[12]|lokr_w[12](?:_[ab])?|lokr_t[12]|diff|diff_b|w_norm|b_norm"
    "|oft_blocks|oft_diag|rescale|on_input|bias_indices|bias_values|bias_size|bias"
)
#: how a key ends, with the layer's name before it; the first that fits counts
_ENDINGS = (
    # diffusers: to_q.lora.up, to_q.lora_linear_layer.up, processor.to_q_lora.up
    re.compile(r"(?P<layer>.*)[._]lora(?:_linear_layer)?\.(?P<part>up|down|mid)\.weight"),
    # kohya and LyCORIS; PEFT puts an adapter's name before the last word
    re.compile(r"(?P<layer>.*)\.lora_(?P<part>up|down|mid)(?:\.[\w-]+)?\.weight"),
    re.compile(r"(?P<layer>.*)\.lora_(?P<part>[AB])(?:\.[\w-]+)*?(?:\.weight)?"),
    re.compile(r"(?P<layer>.*)\.lora_(?P<part>magnitude)_vector(?:\.[\w-]+)*"),
    re.compile(r"(?P<layer>.*)\.(?P<part>oft_[rsR]|boft_[Rs]|ia3_l)(?:\.default)?(?:\.weight)?"),
    re.compile(rf"(?P<layer>.*)\.(?P<part>{_PARTS})(?:\.default)?"),
    re.compile(r"(?P<layer>.*)\.(?P<part>a1|a2|b1|b2|bm)\.weight"),
    re.compile(r"(?P<layer>.*)\.(?P<part>weight)"),
)
_RENAMED = MappingProxyType({"A": "down", "B": "up"})

#: how trainers begin the names of a denoiser's layers, besides what the family says; dots are written as "_"
DENOISER = ("lora_unet_", "unet_", "diffusion_model_", "model_diffusion_model_", "lycoris_unet_", "lycoris_", "")
#: the same for the first and for the second text encoder
TEXT = (
    ("lora_te_", "lora_te1_", "text_encoder_", "te_", "text_encoders_clip_l_transformer_", "lycoris_text_encoder_",
     "cond_stage_model_transformer_", ""),
    ("lora_te2_", "text_encoder_2_", "text_encoders_clip_g_transformer_", "lycoris_text_encoder_2_"),
)  # fmt: skip
#: OpenCLIP's names inside a block, by those of transformers
_OPEN_CLIP = (
    ("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"), ("mlp_fc1", "mlp_c_fc"), ("mlp_fc2", "mlp_c_proj"),
    ("self_attn_out_proj", "attn_out_proj"), ("self_attn_q_proj", "attn_q_proj"),
    ("self_attn_k_proj", "attn_k_proj"), ("self_attn_v_proj", "attn_v_proj"),
)  # fmt: skip
_BLOCK = re.compile(r"(input|output)_blocks\.(\d+)\.|(middle)_block\.")


def split_key(key: str) -> tuple[str, str] | None:
    """The layer as the file names it, with "_" for ".", and the part. None for a key of another kind."""
    for ending in _ENDINGS:
        found = ending.fullmatch(key)
        if found:
            return _layer(found["layer"]), _RENAMED.get(found["part"], found["part"])
    return None


def _layer(name: str) -> str:
    name = name.removeprefix("base_model.model.").replace(".processor.", ".").replace(".", "_")
    # Attention processors of diffusers wrote "to_out_lora" for what is the layer to_out.0.
    return f"{name}_0" if name.endswith("_to_out") else name


@dataclass(frozen=True)
class Target:
    """What an entry changes: one layer, or several whose weights stand one under the other in the file's model.

    `block` is the place in the denoiser as people count it: "IN04", "M00", "OUT11", or "BASE" for all the rest.
    """

    component: str
    name: str
    modules: tuple[nn.Module, ...]
    block: str = "BASE"


class LayerMap:
    """The layers of a model under every name that files give them. Built from the model's own module names."""

    def __init__(self, model: LoadedModel) -> None:
        self._targets: dict[str, Target] = {}
        keys = model.family.network_keys
        self._add((*keys.denoiser, *DENOISER), list(_denoiser_names(model.denoiser)))
        encoders = text_encoders(model)
        for index, (component, module) in enumerate(encoders.items()):
            own = keys.text_encoder if len(encoders) == 1 else keys.text_encoder[index : index + 1]
            self._add((*own, *TEXT[min(index, 1)]), list(_text_names(component, module)))

    def _add(self, prefixes: Iterable[str], names: list[tuple[str, Target]]) -> None:
        for prefix in dict.fromkeys(prefixes):
            for name, target in names:
                self._targets.setdefault(prefix + name, target)

    def find(self, layer: str) -> Target | None:
        """The layer of that name as `split_key` gives it."""
        return self._targets.get(layer)


def text_encoders(model: LoadedModel) -> dict[str, nn.Module]:
    """The text encoders among a model's components, in order."""
    return {name: module for name, module in model.components().items() if name.startswith("text_encoder")}


def _weighted(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules that have a weight of their own."""
    return ((name, part) for name, part in module.named_modules() if name and "weight" in part._parameters)


def _denoiser_names(denoiser: nn.Module) -> Iterator[tuple[str, Target]]:
    layers = dict(_weighted(denoiser))
    resnets = getattr(getattr(denoiser, "config", None), "layers_per_block", None)
    ldm = unet_names((f"{name}.weight" for name in layers), resnets) if isinstance(resnets, int) else {}
    for name, module in layers.items():
        old = ldm.get(f"{name}.weight", f"{name}.weight").removesuffix(".weight")
        target = Target("unet", name, (module,), _block(old))
        yield name.replace(".", "_"), target
        yield old.replace(".", "_"), target


def _block(name: str) -> str:
    found = _BLOCK.match(name)
    if found is None:
        return "BASE"
    return "M00" if found[3] else f"{'IN' if found[1] == 'input' else 'OUT'}{int(found[2]):02d}"


def _text_names(component: str, encoder: nn.Module) -> Iterator[tuple[str, Target]]:
    layers = {name.removeprefix("text_model."): module for name, module in _weighted(encoder)}
    for name, module in layers.items():
        target, flat = Target(component, name, (module,)), name.replace(".", "_")
        yield flat, target
        yield f"text_model_{flat}", target
        # Before 2023 diffusers named the projections of text encoders as those of denoisers.
        if "_self_attn_" in flat:
            old = re.sub(r"_self_attn_(q|k|v|out)_proj$", r"_self_attn_to_\1", flat)
            yield f"text_model_{old}", target
        for old in _open_clip_names(flat):
            yield old, target
    for joined, target in _joined(component, layers):
        yield joined, target


def _open_clip_names(flat: str) -> Iterator[str]:
    found = re.fullmatch(r"encoder_layers_(\d+)_(.*)", flat)
    name = dict(_OPEN_CLIP).get(found[2]) if found else None
    if name:
        for start in ("", "model_"):
            yield f"{start}transformer_resblocks_{found[1]}_{name}"


def _joined(component: str, layers: dict[str, nn.Module]) -> Iterator[tuple[str, Target]]:
    """OpenCLIP keeps query, key and value in one matrix."""
    for name in layers:
        found = re.fullmatch(r"encoder\.layers\.(\d+)\.self_attn\.q_proj", name)
        if found is None:
            continue
        stem = name.removesuffix("q_proj")
        three = tuple(layers[f"{stem}{letter}_proj"] for letter in "qkv")
        target = Target(component, f"{stem}in_proj", three)
        for start in ("", "model_"):
            yield f"{start}transformer_resblocks_{found[1]}_attn_in_proj", target
