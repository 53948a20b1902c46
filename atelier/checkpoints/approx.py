"""ApproxFiles: the small files of models/VAE-approx that stand in for an autoencoder, and for which models they are.

Names say what a file is: `taesd_decoder`, `taesd_encoder` for Stable Diffusion 1 and 2, `taesdxl_…` for XL. A name with
something before it, `my-model-taesd_decoder`, is for checkpoints whose file name begins with that; it comes before the
general ones, and models with an autoencoder of their own take no other. `my-model-rgb` holds a matrix from a latent
cell to red, green and blue: a tensor of 4 x 3 (or 3 x 4), and a bias of 3 if there is one.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import torch
from torch import nn

from atelier.base.errors import AtelierError, BadModelFile
from atelier.base.log import fields, logger
from atelier.base.paths import Paths
from atelier.checkpoints.load import LoadedModel
from atelier.checkpoints.reader import read_state_dict
from atelier.checkpoints.walk import walk
from atelier.device.residency import Residency
from atelier.families.latent import LatentSpace
from atelier.families.tiny_autoencoder import build_tiny

log = logger(__name__)

FOLDER = "VAE-approx"
SUFFIXES = (".safetensors", ".pth", ".pt")
DECODER, ENCODER, MATRIX = "decoder", "encoder", "rgb"
#: the general files, by family
GENERAL = MappingProxyType({"sd1": "taesd", "sd2": "taesd", "sdxl": "taesdxl", "sdxl_refiner": "taesdxl"})
MOST_OPEN = 4
_NAME = re.compile(r"(?P<own>.*?)[ ._-]*(?:(?P<kind>taesd\w*?)[ ._-]?(?P<side>decoder|encoder)|(?P<matrix>rgb))", re.I)


@dataclass(frozen=True)
class ApproxFile:
    """`own` is what the names of its checkpoints begin with; empty for the general file of a `kind`."""

    path: Path
    own: str
    kind: str
    side: str


class ApproxFiles:
    """Belongs to one worker. Files are looked for when a model first asks, and read when first used."""

    def __init__(self, paths: Paths, residency: Residency) -> None:
        self._paths = paths
        self._residency = residency
        self._files: tuple[ApproxFile, ...] | None = None
        self._open: OrderedDict[Path, nn.Module] = OrderedDict()
        self._spaces: dict[tuple[Path, LatentSpace], LatentSpace] = {}
        self._bad: dict[Path, str] = {}

    def scan(self) -> None:
        """Looks at the folders again."""
        found = []
        for root in self._paths.folders(FOLDER):
            for path in walk(root):
                match = _NAME.fullmatch(path.stem) if path.suffix.lower() in SUFFIXES else None
                if match is not None:
                    side = MATRIX if match["matrix"] else match["side"].lower()
                    found.append(ApproxFile(path, match["own"].lower(), (match["kind"] or "").lower(), side))
        self._files = tuple(found)
        while self._open:
            self._drop()
        self._spaces.clear()
        self._bad.clear()

    def find(self, model: LoadedModel, side: str) -> ApproxFile | None:
        """The file that fits a model best."""
        if self._files is None:
            self.scan()
        stem = model.file.stem.lower()
        own = [f for f in self._files or () if f.side == side and f.own and stem.startswith(f.own)]
        if own:
            return max(own, key=lambda f: len(f.own))
        general = GENERAL.get(model.family.name) if has_usual_latents(model) else None
        return next((f for f in self._files or () if f.side == side and not f.own and f.kind == general), None)

    def network(self, model: LoadedModel, side: str, allow_pickle: bool = False) -> nn.Module | None:
        """The decoder or encoder for a model, or None. A file that cannot be used is told once, in the log."""
        file = self.find(model, side)
        if file is None or file.path in self._bad:
            return None
        network = self._open.get(file.path)
        if network is None:
            try:
                network = _read(file, allow_pickle)
            except AtelierError as error:
                self._bad[file.path] = error.message
                log.warning("small autoencoder not usable: %s", fields(file=file.path.name, reason=error.message))
                return None
            self._open[file.path] = network
            while len(self._open) > MOST_OPEN:
                self._drop()
        return network

    def _drop(self) -> None:
        _, network = self._open.popitem(last=False)
        self._residency.forget(network)

    def latent(self, model: LoadedModel, allow_pickle: bool = False) -> LatentSpace:
        """The model's latent space, with the preview matrix of a file where there is one."""
        file = self.find(model, MATRIX)
        if file is None or file.path in self._bad:
            return model.latent
        key = (file.path, model.latent)
        if key not in self._spaces:
            try:
                self._spaces[key] = with_matrix(model.latent, read_state_dict(file.path, allow_pickle), file.path)
            except AtelierError as error:
                self._bad[file.path] = error.message
                log.warning("preview matrix not usable: %s", fields(file=file.path.name, reason=error.message))
                return model.latent
        return self._spaces[key]

    def problem(self, model: LoadedModel, side: str) -> str:
        """Why there is no network for a model, in words."""
        file = self.find(model, side)
        return "" if file is None else self._bad.get(file.path, "")


def has_usual_latents(model: LoadedModel) -> bool:
    """False for a model with an autoencoder of its own, to which no general file fits."""
    return bool(model.blueprint.latent.preview)


def with_matrix(space: LatentSpace, tensors: dict[str, torch.Tensor], path: Path) -> LatentSpace:
    """Raises `BadModelFile` for tensors of other shapes."""
    matrix = next((t.float() for t in tensors.values() if t.ndim == 2 and 3 in t.shape), None)
    bias = next((t.float() for t in tensors.values() if tuple(t.shape) == (3,)), torch.zeros(3))
    if matrix is not None and matrix.shape[0] == 3 and matrix.shape[1] == space.channels:
        matrix = matrix.T
    if matrix is None or tuple(matrix.shape) != (space.channels, 3):
        raise BadModelFile(f"{path.name} holds no matrix of {space.channels} x 3.", path=str(path))
    rows = tuple(tuple(float(v) for v in row) for row in matrix)
    return replace(space, preview=rows, preview_bias=tuple(float(v) for v in bias))


def _read(file: ApproxFile, allow_pickle: bool) -> nn.Module:
    tensors = read_state_dict(file.path, allow_pickle)
    try:
        return build_tiny(tensors, file.side)
    except ValueError as error:
        raise BadModelFile(f"{file.path.name} is no small {file.side}: {error}.", path=str(file.path)) from error
