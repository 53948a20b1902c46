"""OpenCLIP's text tower (ViT-H in Stable Diffusion 2, ViT-bigG in XL), read into transformers' CLIP text encoder.

The original keeps query, key and value in one matrix and multiplies with its projection from the other side; sizes
follow from the shapes in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from atelier.base.errors import BadModelFile
from atelier.families.family import Component, Cut
from atelier.prompts.chunks import Marks

#: rows are filled up with 0, not with the end of the text
OPEN_MARKS = Marks(comma=267, bos=49406, eos=49407, pad=0)
#: every published tower has heads of this width
HEAD_WIDTH = 64
TOKENS = "token_embedding.weight"
NORM = "ln_final.weight"

_ENDS = (
    ("embeddings.token_embedding.", "token_embedding."),
    ("embeddings.position_embedding.weight", "positional_embedding"), ("final_layer_norm.", "ln_final."),
)  # fmt: skip
_BLOCK = (
    ("layer_norm1.", "ln_1."), ("layer_norm2.", "ln_2."), ("mlp.fc1.", "mlp.c_fc."), ("mlp.fc2.", "mlp.c_proj."),
    ("self_attn.out_proj.", "attn.out_proj."),
)  # fmt: skip
_LAYER = re.compile(r"encoder\.layers\.(\d+)\.(.*)")
_FUSED = re.compile(r"self_attn\.([qkv])_proj\.(weight|bias)")
_RESBLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.")


def openclip_names(names: Iterable[str]) -> dict[str, str | Cut]:
    """Name in a transformers CLIPTextModel, with or without projection -> its place in the original tower."""
    return {name: _place(name.removeprefix("text_model.")) for name in names}


def _place(name: str) -> str | Cut:
    if name == "text_projection.weight":
        return Cut("text_projection", turned=True)
    return tower_place(name, _ENDS)


def tower_place(name: str, ends: Iterable[tuple[str, str]]) -> str | Cut:
    """Where a tensor of a transformers tower is in one of CLIP's own; `ends` are pairs of what is outside of blocks."""
    if found := _LAYER.match(name):
        start, rest = f"transformer.resblocks.{found[1]}.", found[2]
        if fused := _FUSED.fullmatch(rest):
            return Cut(f"{start}attn.in_proj_{fused[2]}", part="qkv".index(fused[1]), of=3)
        return start + _swapped(rest, _BLOCK)
    return _swapped(name, ends)


def _swapped(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    found = next(((ours, theirs) for ours, theirs in pairs if name.startswith(ours)), None)
    return name if found is None else found[1] + name[len(found[0]) :]


def layer_count(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> int:
    """How many blocks the file has. Some Stable Diffusion 2 files lack the last one, which is never used."""
    found = (_RESBLOCK.match(name[len(prefix) :]) for name in shapes if name.startswith(prefix))
    return max((int(match[1]) + 1 for match in found if match), default=0)


def openclip_config(
    shapes: Mapping[str, tuple[int, ...]], prefix: str, params: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Arguments of `CLIPTextConfig` for the tower under `prefix`. `params` may name `heads`, which no shape tells.

    Raises `BadModelFile` naming the tensor without which the sizes cannot be known.
    """
    given = params or {}

    def shape(name: str) -> tuple[int, ...]:
        found = shapes.get(prefix + name)
        if not found:
            raise BadModelFile(
                f"The text encoder cannot be used: it has no {prefix + name}.",
                remedy="The file is incomplete.",
                missing=[prefix + name],
            )
        return found

    vocabulary, width = shape(TOKENS)
    projection = shapes.get(f"{prefix}text_projection") or (width, width)
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": shape("transformer.resblocks.0.mlp.c_fc.weight")[0],
        "num_hidden_layers": layer_count(shapes, prefix),
        "num_attention_heads": int(given.get("heads") or max(1, width // HEAD_WIDTH)),
        "max_position_embeddings": shape("positional_embedding")[0],
        "hidden_act": str(given.get("hidden_act", "gelu")),
        "projection_dim": projection[-1],
        "layer_norm_eps": 1e-5,
        "attention_dropout": 0.0,
        "bos_token_id": OPEN_MARKS.bos,
        "eos_token_id": OPEN_MARKS.eos,
        "pad_token_id": OPEN_MARKS.pad,
    }


def openclip_component(
    shapes: Mapping[str, tuple[int, ...]],
    name: str,
    prefix: str,
    params: Mapping[str, Any] | None = None,
    projection: bool = True,
) -> Component:
    """The tower as a component of a model; with `projection` its pooled vector is part of what it gives."""
    config = openclip_config(shapes, prefix, params)
    kind = CLIPTextModelWithProjection if projection else CLIPTextModel
    return Component(name, lambda: kind(CLIPTextConfig(**config)), openclip_names, (prefix,))
