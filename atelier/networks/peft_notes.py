"""PeftNotes: what PEFT and diffusers say of a file beside its tensors, which would be read wrongly without it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from atelier.base.errors import BadModelFile
from atelier.checkpoints.network_files import NetworkFile
from atelier.networks.peft import EXACT

#: where diffusers keeps the settings of an adapter inside the file, each under the name of its network
INSIDE = "lora_adapter_metadata"
BESIDE = "adapter_config.json"
#: the name under which PEFT saves; the notes beside it are about this file alone
OWN_NAME = "adapter_model"


def complete(file: NetworkFile, layers: Mapping[str, dict[str, torch.Tensor]]) -> None:
    """Entries of a LoRA without alpha get what the notes tell; those of an OFT get its formula.

    Raises `BadModelFile` for notes that cannot be read.
    """
    told = file.metadata.get(INSIDE)
    told = told if isinstance(told, Mapping) else {}
    turned = any("oft_R" in parts for parts in layers.values())
    if not told and file.path.stem == OWN_NAME or turned:
        told = {**_beside(file.path), **told}
    if not told:
        return
    for layer, parts in layers.items():
        if "oft_R" in parts and told.get("use_cayley_neumann") is False:
            parts[EXACT] = torch.tensor(True)
        if "up" in parts and "down" in parts and not {"alpha", "scale"} & parts.keys():
            _strength(told, layer, parts)


def _strength(told: Mapping[str, Any], layer: str, parts: dict[str, torch.Tensor]) -> None:
    heads = {key.rpartition(".")[0] for key in told if key.endswith(".lora_alpha")}
    head = max((h for h in heads if layer.startswith(f"{h.replace('.', '_')}_")), key=len, default=None)
    start = "" if head is None else f"{head}."
    patterns = told.get(f"{start}alpha_pattern") or {}
    own = next((v for name, v in patterns.items() if layer.endswith(str(name).replace(".", "_"))), None)
    alpha = own if own is not None else told.get(f"{start}lora_alpha")
    if not isinstance(alpha, (int, float)) or isinstance(alpha, bool):
        return
    if told.get(f"{start}use_rslora"):
        # Kalajdzievski 2023: divided by the root of the rank.
        parts["scale"] = torch.tensor(alpha / math.sqrt(parts["down"].shape[0]))
    else:
        parts["alpha"] = torch.tensor(float(alpha))


def _beside(path: Path) -> Mapping[str, Any]:
    notes = path.with_name(BESIDE)
    if not notes.is_file():
        return {}
    try:
        told = json.loads(notes.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise BadModelFile(f"{notes} cannot be read: {error}", path=str(notes)) from error
    return told if isinstance(told, dict) else {}
