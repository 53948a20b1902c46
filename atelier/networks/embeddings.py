"""Textual inversion: files of learned words, read and matched to a model."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from atelier.base.errors import AtelierError, BadModelFile
from atelier.base.log import fields, logger
from atelier.checkpoints.reader import read_state_dict

log = logger(__name__)

EXTENSIONS = (".pt", ".bin", ".safetensors", ".png", ".webp")
IMAGES = (".png", ".webp")


@dataclass(frozen=True)
class Embedding:
    """`vectors` is [v, C]; the width C says which text encoder it belongs to."""

    name: str
    vectors: torch.Tensor
    path: Path
    sha256: str
    step: int | None = None
    checkpoint: str = ""
    checkpoint_name: str = ""

    @property
    def short(self) -> str:
        return self.sha256[:12]


class EmbeddingShelf:
    """The embeddings in a set of folders, read again only when a file changed."""

    def __init__(self, folders: tuple[Path, ...], allow_pickle: bool = False) -> None:
        self._folders = folders
        self.allow_pickle = allow_pickle
        self._read: dict[Path, tuple[float, Embedding | None]] = {}
        self.failures: dict[Path, str] = {}

    def scan(self) -> None:
        """Looks at the folders again. A file that cannot be read is listed in `failures`, with the reason."""
        found = {}
        for folder in self._folders:
            for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
                if path.suffix.lower() in EXTENSIONS and not path.name.lower().endswith(".preview.png"):
                    found[path] = path.stat().st_mtime
        self._read = {p: entry for p, entry in self._read.items() if p in found and entry[0] == found[p]}
        for path, changed in found.items():
            if path not in self._read:
                self._read[path] = (changed, self._try(path))

    def all(self) -> tuple[Embedding, ...]:
        return tuple(embedding for _, embedding in self._read.values() if embedding is not None)

    def for_width(self, width: int) -> Mapping[str, torch.Tensor]:
        """Name -> vectors [v, width] of the embeddings that fit a text encoder."""
        return {e.name: e.vectors for e in self.all() if e.vectors.shape[1] == width}

    def _try(self, path: Path) -> Embedding | None:
        self.failures.pop(path, None)
        try:
            return read_embedding(path, self.allow_pickle)
        except AtelierError as error:
            self.failures[path] = str(error)
            log.warning("embedding left out: %s", fields(file=path.name, reason=error.message))
            return None


def read_embedding(path: Path, allow_pickle: bool = False) -> Embedding:
    """Raises `BadModelFile` with the reason when the file holds no embedding."""
    data = path.read_bytes()
    if not data:
        raise BadModelFile(f"{path.name} is empty.", remedy="Download it again.")
    content = _from_image(path) if path.suffix.lower() in IMAGES else read_state_dict(path, allow_pickle=allow_pickle)
    vectors = _vectors(content, path)
    return Embedding(
        name=str(content.get("name") or path.stem) if path.suffix.lower() in IMAGES else path.stem,
        vectors=vectors.detach().float(),
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        step=content.get("step") if isinstance(content.get("step"), int) else None,
        checkpoint=str(content.get("sd_checkpoint") or ""),
        checkpoint_name=str(content.get("sd_checkpoint_name") or ""),
    )


def _vectors(content: Mapping[str, Any], path: Path) -> torch.Tensor:  # [v, C]
    """A1111's own form, its safetensors form, or diffusers' one tensor under the token's name."""
    nested = content.get("string_to_param")
    tensors = nested if isinstance(nested, Mapping) else content
    if "clip_g" in tensors and "clip_l" in tensors:
        raise BadModelFile(f"{path.name} is an embedding for SDXL.", remedy="Use it with an SDXL checkpoint.")
    found = [value for value in tensors.values() if isinstance(value, torch.Tensor)]
    if len(found) != 1:
        raise BadModelFile(f"{path.name} holds {len(found)} tensors where an embedding has one.")
    vectors = found[0]
    vectors = vectors[None] if vectors.ndim == 1 else vectors
    if vectors.ndim != 2 or not vectors.is_floating_point():
        raise BadModelFile(f"{path.name} holds a tensor of shape {tuple(vectors.shape)}, not an embedding.")
    return vectors


def _from_image(path: Path) -> dict[str, Any]:
    """The text chunk `sd-ti-embedding`: base64 of JSON in which tensors are nested lists."""
    try:
        with Image.open(path) as image:
            text = image.info.get("sd-ti-embedding")
    except OSError as error:
        raise BadModelFile(f"{path.name} is not a picture that can be read: {error}.") from error
    if text is None:
        raise BadModelFile(f"{path.name} is a picture without an embedding in it.")
    try:
        return json.loads(base64.b64decode(text), object_hook=_tensor)
    except (binascii.Error, ValueError) as error:
        raise BadModelFile(f"{path.name} holds a damaged embedding: {error}.") from error


def _tensor(value: dict[str, Any]) -> Any:
    return torch.tensor(value["TORCHTENSOR"]) if "TORCHTENSOR" in value else value
