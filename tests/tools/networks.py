"""Small upscalers with known weights, written as the files in which people share them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from atelier.tools.rrdb import RRDBNet


def small_rrdb(ups: int = 2, fold: int = 1, growth: int = 8, blocks: int = 1) -> RRDBNet:
    torch.manual_seed(ups * 10 + fold)
    network = RRDBNet(3, 8, growth, blocks, ups, fold).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2.5)
    return network


def write_rrdb(folder: Path, name: str = "small-4x", **shape: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    save_file({k: v.contiguous() for k, v in small_rrdb(**shape).state_dict().items()}, path)
    return path


def old_names(state: dict[str, torch.Tensor], blocks: int, ups: int) -> dict[str, torch.Tensor]:
    """The weights under the names of ESRGAN's first release."""
    last = 3 * ups + 2
    places = {"conv_first": "model.0", "conv_body": f"model.1.sub.{blocks}", "conv_hr": f"model.{last}"}
    places |= {"conv_last": f"model.{last + 2}"} | {f"conv_up{i + 1}": f"model.{3 * (i + 1)}" for i in range(ups)}
    found = {}
    for name, tensor in state.items():
        parts = name.split(".")
        if parts[0] == "body":
            _, block, dense, conv, kind = parts
            found[f"model.1.sub.{block}.{dense.upper()}.{conv}.0.{kind}"] = tensor
        else:
            found[f"{places[parts[0]]}.{parts[1]}"] = tensor
    return found
