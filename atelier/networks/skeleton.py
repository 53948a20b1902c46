"""Skeleton: a checkpoint's networks without weights, and where in its file the weights of each layer lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from atelier.checkpoints.detect import identify, modern_name
from atelier.checkpoints.fill import Piece, Source, build_empty, match_tensors
from atelier.checkpoints.header import Header
from atelier.checkpoints.reader import read_header
from atelier.checkpoints.shelf import CheckpointFile
from atelier.families.family import Family
from atelier.families.ldm import unet_names
from atelier.families.ldm_config import read_config
from atelier.networks.keys import Target

#: families whose networks kohya's programs name after the layers of the LDM layout
LDM_NAMED = ("sdxl", "sdxl_refiner")


@dataclass(frozen=True)
class Skeleton:
    """`pieces[component][tensor]` is a place in the file. The autoencoder is left out."""

    file: CheckpointFile
    family: Family
    header: Header
    modules: dict[str, nn.Module]
    pieces: dict[str, dict[str, Piece]]

    @property
    def denoiser(self) -> nn.Module:
        return self.modules["unet"]

    def components(self) -> dict[str, nn.Module]:
        return self.modules

    def layers(self) -> Iterator[tuple[str, str, nn.Module]]:
        """Component, name and module of every layer with a weight."""
        for component, module in self.modules.items():
            for name, part in module.named_modules():
                if f"{name}.weight" in self.pieces[component]:
                    yield component, name, part

    def places(self, target: Target, leaf: str) -> list[Piece]:
        """Where a tensor ("weight" or "bias") of a target's modules lies; empty where one of them has none."""
        own = {id(part): name for name, part in self.modules[target.component].named_modules()}
        pieces = self.pieces[target.component]
        found = [pieces.get(f"{own[id(part)]}.{leaf}") for part in target.modules]
        return [] if None in found else [piece for piece in found if piece is not None]

    def kohya_names(self) -> dict[tuple[str, str], str]:
        """(component, layer) -> its name in a LoRA file of sd-scripts."""
        keys, found = self.family.network_keys, {}
        encoders = [name for name in self.modules if name.startswith("text_encoder")]
        ldm = self._ldm_names() if self.family.name in LDM_NAMED else {}
        for component, name, _ in self.layers():
            if component == "unet":
                found[component, name] = keys.denoiser[0] + ldm.get(name, name).replace(".", "_")
            else:
                prefix = keys.text_encoder[min(encoders.index(component), len(keys.text_encoder) - 1)]
                found[component, name] = f"{prefix}text_model_{name.removeprefix('text_model.').replace('.', '_')}"
        return found

    def _ldm_names(self) -> dict[str, str]:
        names = [f"{name}.weight" for component, name, _ in self.layers() if component == "unet"]
        known = unet_names(names, self.denoiser.config.layers_per_block)
        return {ours.removesuffix(".weight"): theirs.removesuffix(".weight") for ours, theirs in known.items()}


def open_skeleton(file: CheckpointFile, allow_pickle: bool = False) -> Skeleton:
    """Reads no weight. Raises `BadModelFile`, `UnknownModel` or `ForbiddenPickle`."""
    header = read_header(file.path, allow_pickle)
    family, _, evidence = identify(header, None if file.config is None else read_config(file.config))
    source = Source(header.path, {modern_name(name): info for name, info in header.tensors.items()})
    modules, pieces = {}, {}
    for name, component in family.blueprint(evidence).components.items():
        if name != "vae":
            modules[name] = build_empty(component, file.path)
            pieces[name] = match_tensors(modules[name], component, source)
    return Skeleton(file, family, header, modules, pieces)
