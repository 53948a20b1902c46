"""Network: one opened file of the LoRA kind: its layers' parts, and embeddings that it brings along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch

from atelier.base.errors import BadModelFile
from atelier.checkpoints.network_files import NetworkFile
from atelier.checkpoints.reader import read_state_dict
from atelier.networks.form import Parts
from atelier.networks.keys import split_key
from atelier.networks.peft_notes import complete

BUNDLE = "bundle_emb."
#: parts of an SDXL embedding by the text encoder they are for; any other tensor is for the only encoder
ENCODERS = MappingProxyType({"clip_l": "clip_l", "clip_g": "clip_g"})
#: files with LoRA-like names that change something else than this model
OTHERS = (
    ("lllite", "it is a ControlNet-LLLite, which belongs to ControlNet"),
    ("lora_controlnet", "it is a Control-LoRA, which belongs to ControlNet"),
    ("motion_modules", "it changes an AnimateDiff motion module"),
)


@dataclass(frozen=True)
class Network:
    """`layers` by name as `keys.split_key` gives it. `embeddings`: name -> text encoder ("" for one) -> [v, C]."""

    file: NetworkFile
    layers: Mapping[str, Parts]
    embeddings: Mapping[str, Mapping[str, torch.Tensor]] = field(default_factory=lambda: MappingProxyType({}))
    #: keys that are no part of any form
    unknown: tuple[str, ...] = ()


def read_network(file: NetworkFile, allow_pickle: bool = False) -> Network:
    """Raises `BadModelFile` when nothing in the file is a change of a layer, `ForbiddenPickle` as the reader does."""
    layers: dict[str, dict[str, torch.Tensor]] = {}
    embeddings: dict[str, dict[str, torch.Tensor]] = {}
    unknown = []
    tensors = read_state_dict(file.path, allow_pickle)
    for key, tensor in tensors.items():
        if key.startswith(BUNDLE):
            name, _, part = key.removeprefix(BUNDLE).partition(".")
            rows = tensor.float()
            embeddings.setdefault(name, {})[ENCODERS.get(part, "")] = rows[None] if rows.ndim == 1 else rows
            continue
        found = split_key(key)
        if found is None:
            unknown.append(key)
        else:
            layers.setdefault(found[0], {})[found[1]] = tensor
    complete(file, layers)
    other = next((reason for mark, reason in OTHERS if any(mark in key for key in tensors)), None)
    if other or not (layers or embeddings):
        reason = other or "none of its tensors is a change of a layer"
        raise BadModelFile(f"{file.path.name} cannot be used: {reason}.", path=str(file.path))
    return Network(file, layers, embeddings, tuple(unknown))
