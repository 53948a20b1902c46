"""MiDaS: the depth estimator inside depth-to-image checkpoints (DPT-Hybrid, Ranftl and others 2021).

It is read into the network of transformers; sizes follow from the shapes in the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import BitConfig, DPTConfig, DPTForDepthEstimation

from atelier.families.family import Component, Cut, Evidence
from atelier.families.model import Model, place_of

PREFIX = "depth_model.model."
POSITIONS = "pretrained.model.pos_embed"
PATCH = 16
HEAD_WIDTH = 64

_STAGES = "pretrained.model.patch_embed.backbone."
_BLOCK = (
    ("layernorm_before.", "norm1."), ("layernorm_after.", "norm2."), ("intermediate.dense.", "mlp.fc1."),
    ("attention.output.dense.", "attn.proj."), ("output.dense.", "mlp.fc2."),
)  # fmt: skip
_STARTS = (
    ("dpt.embeddings.cls_token", "pretrained.model.cls_token"), ("dpt.embeddings.position_embeddings", POSITIONS),
    ("dpt.embeddings.projection.", "pretrained.model.patch_embed.proj."),
    ("dpt.embeddings.backbone.bit.embedder.convolution.", f"{_STAGES}stem.conv."),
    ("dpt.embeddings.backbone.bit.embedder.norm.", f"{_STAGES}stem.norm."),
    ("dpt.layernorm.", "pretrained.model.norm."), ("head.head.", "scratch.output_conv."),
)  # fmt: skip
_LAYER = re.compile(r"dpt\.encoder\.layer\.(\d+)\.(.*)")
_QKV = re.compile(r"attention\.attention\.(query|key|value)\.(weight|bias)")
_STAGE = re.compile(r"dpt\.embeddings\.backbone\.bit\.encoder\.stages\.(\d+)\.layers\.(\d+)\.(.*)")
_NECK = (
    (re.compile(r"neck\.reassemble_stage\.layers\.(\d+)\.projection\.(.*)"), "pretrained.act_postprocess{}.3.{}"),
    (re.compile(r"neck\.reassemble_stage\.layers\.(\d+)\.resize\.(.*)"), "pretrained.act_postprocess{}.4.{}"),
    (re.compile(r"neck\.reassemble_stage\.readout_projects\.(\d+)\.0\.(.*)"),
     "pretrained.act_postprocess{}.0.project.0.{}"),
    (re.compile(r"neck\.convs\.(\d+)\.(.*)"), "scratch.layer{}_rn.{}"),
)  # fmt: skip
_FUSION = re.compile(r"neck\.fusion_stage\.layers\.(\d+)\.(?:residual_layer(\d)\.convolution(\d)|projection)\.(.*)")


def midas_components(evidence: Evidence) -> dict[str, Component]:
    """The estimator of a file that has one."""
    if PREFIX + POSITIONS not in evidence.shapes:
        return {}
    config = midas_config(evidence.shapes)
    return {"depth": Component("depth", lambda: DPTForDepthEstimation(DPTConfig(**config)), midas_names, (PREFIX,))}


def midas_config(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Arguments of `DPTConfig`. Raises KeyError for a tensor that is missing."""

    def shape(name: str) -> tuple[int, ...]:
        return shapes[PREFIX + name]

    _, count, width = shape(POSITIONS)
    side = math.isqrt(count - 1)
    depths = [_count(shapes, f"{_STAGES}stages.{stage}.blocks.") for stage in range(3)]
    stages = [shape(f"{_STAGES}stages.{stage}.blocks.0.conv3.weight")[0] for stage in range(3)]
    backbone = BitConfig(
        global_padding="same", layer_type="bottleneck", embedding_dynamic_padding=True, depths=depths,
        hidden_sizes=stages, embedding_size=shape(f"{_STAGES}stem.conv.weight")[0],
        out_features=["stage1", "stage2", "stage3"], num_groups=32,
    )  # fmt: skip
    layers = _count(shapes, "pretrained.model.blocks.")
    return {
        "is_hybrid": True, "backbone_config": backbone, "backbone_featmap_shape": [1, stages[-1], side, side],
        "image_size": side * PATCH, "patch_size": PATCH, "hidden_size": width, "num_hidden_layers": layers,
        "num_attention_heads": max(1, width // HEAD_WIDTH), "layer_norm_eps": 1e-6, "qkv_bias": True,
        "intermediate_size": shape("pretrained.model.blocks.0.mlp.fc1.weight")[0],
        # The last two features come from the third quarter's end and from the last block.
        "backbone_out_indices": [0, 1, layers * 3 // 4 - 1, layers - 1],
        "neck_hidden_sizes": [shape(f"scratch.layer{number}_rn.weight")[1] for number in range(1, 5)],
        "neck_ignore_stages": [0, 1], "readout_type": "project", "reassemble_factors": [1, 1, 1, 0.5],
        "fusion_hidden_size": shape("scratch.layer1_rn.weight")[0], "use_batch_norm_in_fusion_residual": False,
    }  # fmt: skip


def _count(shapes: Mapping[str, tuple[int, ...]], start: str) -> int:
    start = PREFIX + start
    return len({name[len(start) :].split(".", 1)[0] for name in shapes if name.startswith(start)})


def midas_names(names: Iterable[str]) -> dict[str, str | Cut]:
    """Name in a transformers DPTForDepthEstimation -> its place in the original's file."""
    return {name: _place(name) for name in names}


def _place(name: str) -> str | Cut:
    if layer := _LAYER.match(name):
        start, rest = f"pretrained.model.blocks.{layer[1]}.", layer[2]
        if part := _QKV.fullmatch(rest):
            return Cut(f"{start}attn.qkv.{part[2]}", part=("query", "key", "value").index(part[1]), of=3)
        return start + _started(rest, _BLOCK)
    if stage := _STAGE.match(name):
        return f"{_STAGES}stages.{stage[1]}.blocks.{stage[2]}.{stage[3]}"
    if fusion := _FUSION.match(name):
        # The coarsest comes first here, and has the highest number there.
        start = f"scratch.refinenet{4 - int(fusion[1])}."
        inner = "out_conv" if fusion[2] is None else f"resConfUnit{fusion[2]}.conv{fusion[3]}"
        return f"{start}{inner}.{fusion[4]}"
    for pattern, there in _NECK:
        if found := pattern.match(name):
            return there.format(int(found[1]) + 1, found[2])
    return _started(name, _STARTS)


def _started(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    found = next(((ours, theirs) for ours, theirs in pairs if name.startswith(ours)), None)
    return name if found is None else found[1] + name[len(found[0]) :]


def estimated_depth(model: Model, pixels: torch.Tensor) -> torch.Tensor:  # [N, 3, H, W] in -1..1 -> [N, 1, h, w]
    """Inverse depth on no particular scale: more is nearer. Pictures are stretched to the square that it looks at."""
    network: nn.Module = model.extras["depth"]
    device, dtype = place_of(network)
    side = network.config.image_size
    small = F.interpolate(pixels.float(), size=(side, side), mode="bicubic", align_corners=False, antialias=True)
    with torch.no_grad():
        return network(pixel_values=small.clamp(-1, 1).to(device, dtype)).predicted_depth[:, None].float()
