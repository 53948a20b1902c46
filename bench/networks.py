"""Networks: what it costs to put a LoRA into a model and to take it out again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from atelier.checkpoints.load import LoadedModel
from atelier.checkpoints.reader import read_state_dict
from atelier.device.memory import give_back
from atelier.prompts.tags import extract_tags
from bench.report import Figure, figure
from bench.studio import Studio
from bench.timing import Effort, Figures, alternate

#: of its touched weights: reading them once out of a file, as a checkpoint is read
MOST_READS = 1.5
RANK = 16
NAME = "bench"


def measure_networks(studio: Studio, folder: Path, effort: Effort, name: str, full: bool) -> Iterator[Figure]:
    """A LoRA on every linear layer of denoiser and text encoder, over one read of those weights.

    Only a `full` model has weights that are worth a target: those of a small one are read in a few milliseconds.
    """
    model, networks = studio.model, studio.engine.services.networks
    touched = _write_lora(model, folder)
    studio.engine.services.shelf.networks.scan()
    copy = folder / "touched.safetensors"
    save_file({str(i): weight.detach().cpu().contiguous() for i, weight in enumerate(touched)}, str(copy))
    on = extract_tags(f"<lora:{NAME}:0.8>")[1]

    def change(tags: tuple, told: Callable[[], None] = studio.settle) -> None:
        report = networks.apply(model, tags, spare=1)
        told()
        if report.comments:
            raise RuntimeError(f"the LoRA was not used: {report.comments[0]}")

    def apply() -> Figures:
        figures = _timed(lambda: change(on), "apply")
        return {**figures, **(off := _timed(lambda: change(()), "remove")), "step": figures["apply"] + off["remove"]}

    contenders = {
        "read": lambda: _timed(lambda: read_state_dict(copy)),
        "copy": lambda: _timed(lambda: [weight.detach().clone() for weight in touched]),
        "apply": apply,
    }
    rounds = alternate(contenders, effort)
    size = sum(w.numel() * w.element_size() for w in touched) / 1e6
    what = f"{name}: a LoRA of rank {RANK} on {len(touched)} layers ({size:.0f} MB)"
    yield figure(f"{name}.apply", f"{what}, applied", "ms", rounds.spread("apply", "apply"), scale=1000)
    yield figure(f"{name}.remove", f"{what}, removed", "ms", rounds.spread("apply", "remove"), scale=1000)
    yield figure(f"{name}.reads", f"{name}: both, over one read of the touched weights out of a cached file", "x",
                 rounds.ratio("apply", "read", "step"), limit=MOST_READS if full else None)  # fmt: skip
    yield figure(f"{name}.copies", f"{name}: both, over one copy of them in memory", "x",
                 rounds.ratio("apply", "copy", "step"))  # fmt: skip


def _timed(work: Callable[[], object], name: str = "step") -> Figures:
    # As where a checkpoint is read: into new memory. What the allocator happens to have kept halves a read's time.
    give_back()
    began = time.perf_counter()
    kept = work()
    seconds = time.perf_counter() - began
    del kept
    return {name: seconds}


def _write_lora(model: LoadedModel, folder: Path) -> list[torch.Tensor]:
    """Returns the weights that it touches."""
    tensors, touched = {}, []
    generator = torch.Generator().manual_seed(0)
    for prefix, network in (("lora_unet_", model.denoiser), ("lora_te_", model.text_encoder)):
        for layer, module in network.named_modules():
            if not isinstance(module, nn.Linear):
                continue
            text = "" if prefix == "lora_unet_" or layer.startswith("text_model") else "text_model_"
            key = prefix + text + layer.replace(".", "_")
            rows, columns = module.weight.shape
            tensors[f"{key}.lora_up.weight"] = torch.randn(rows, RANK, generator=generator).half() * 0.01
            tensors[f"{key}.lora_down.weight"] = torch.randn(RANK, columns, generator=generator).half() * 0.01
            touched.append(module.weight)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, str(folder / f"{NAME}.safetensors"))
    return touched
