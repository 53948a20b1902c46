"""Textual inversions: a few vectors under a name, out of every container in which people share them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from atelier.base.errors import AtelierError, BadModelFile
from atelier.base.log import fields, logger
from atelier.checkpoints.reader import is_pickle, read_object, read_state_dict

log = logger(__name__)

EXTENSIONS = (".pt", ".bin", ".safetensors", ".png", ".webp", ".avif", ".jxl")
#: what a picture that is damaged, or holds something else, can raise
NOT_A_CARD = (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, binascii.Error, zlib.error)
PICTURES = (".png", ".webp", ".avif", ".jxl")
TEXT_CHUNK = "sd-ti-embedding"
#: which text encoder a tensor of an SDXL file belongs to; "" is the only encoder of SD1 and SD2
SDXL_PARTS = ("clip_l", "clip_g")


@dataclass(frozen=True)
class Embedding:
    """`tensors` by text encoder: {"": [v, C]} for one encoder, {"clip_l": [v, 768], "clip_g": [v, 1280]} for SDXL."""

    name: str
    path: Path
    tensors: Mapping[str, torch.Tensor]
    sha256: str = ""
    step: int | None = None
    checkpoint: str = ""
    checkpoint_name: str = ""

    @property
    def short(self) -> str:
        """The first 12 digits of the hash, as infotext has it."""
        return self.sha256[:12]

    @property
    def vectors(self) -> int:
        return next(iter(self.tensors.values())).shape[0]

    @property
    def width(self) -> int:
        """C; for SDXL the sum over both encoders, 2048."""
        return sum(tensor.shape[1] for tensor in self.tensors.values())


@dataclass(frozen=True)
class EmbeddingSet:
    """`loaded` by name, for encoders of `widths`; `skipped` says why others are not used, `places` where they lie."""

    loaded: Mapping[str, Embedding] = field(default_factory=lambda: MappingProxyType({}))
    skipped: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    widths: tuple[int, ...] = ()
    places: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))

    def tensors(self) -> dict[str, torch.Tensor]:
        """name -> [v, C], as `EncodeOptions.embeddings` wants it."""
        joined = {name: joined_rows(e.tensors, self.widths) for name, e in self.loaded.items()}
        return {name: rows for name, rows in joined.items() if rows is not None}


def joined_rows(tensors: Mapping[str, torch.Tensor], widths: Sequence[int]) -> torch.Tensor | None:  # [v, C]
    """An embedding for text encoders of these widths, their parts beside each other; None when it is for others.

    The refiner of SDXL has only the second encoder, and takes its part of what was made for both.
    """
    parts = [tensors[part] for part in SDXL_PARTS if part in tensors]
    if len(parts) == len(SDXL_PARTS):
        own = parts[-len(widths) :]
        fits = [part.shape[1:] for part in own] == [(width,) for width in widths] and len({len(p) for p in parts}) == 1
        return torch.cat(own, dim=1) if fits else None
    rows = next(iter(tensors.values())) if len(tensors) == 1 else None
    return rows if rows is not None and rows.ndim == 2 and rows.shape[1] == sum(widths) else None


class EmbeddingReader:
    """Reads embeddings once, and again when their file changes."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[tuple[int, int, bool], Embedding | str]] = {}

    def load(self, files: Iterable[Path], widths: Sequence[int], allow_pickle: bool = False) -> EmbeddingSet:
        """Those whose vectors are as wide as the text encoders' own. Never raises: a damaged file is skipped with its
        reason."""
        loaded: dict[str, Embedding] = {}
        skipped: dict[str, str] = {}
        places: dict[str, Path] = {}
        for file in files:
            found = self._one(file, allow_pickle)
            if isinstance(found, str):
                skipped[file.stem] = found
                places[file.stem] = file
            elif joined_rows(found.tensors, widths) is None:
                skipped[found.name] = f"it has {found.width} numbers a vector, the model wants {sum(widths)}"
                places[found.name] = file
            else:
                loaded.setdefault(found.name, found)
        named = MappingProxyType(places)
        return EmbeddingSet(MappingProxyType(loaded), MappingProxyType(skipped), tuple(widths), named)

    def _one(self, path: Path, allow_pickle: bool) -> Embedding | str:
        try:
            stat = path.stat()
        except OSError as error:
            return str(error.strerror or error)
        stamp = (stat.st_size, stat.st_mtime_ns, allow_pickle)
        known = self._read.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            found: Embedding | str = read_embedding(path, allow_pickle)
        except AtelierError as error:
            log.warning("embedding skipped %s", fields(file=path.name, reason=error.message))
            found = error.message
        self._read[path] = (stamp, found)
        return found


def read_embedding(path: Path, allow_pickle: bool = False) -> Embedding:
    """Raises `BadModelFile` when the file holds no embedding, `ForbiddenPickle` for pickles that may not be read."""
    if path.suffix.lower() in PICTURES:
        found = _from_object(path, _picture_data(path))
    elif is_pickle(path):
        found = _from_object(path, read_object(path, allow_pickle))
    else:
        found = _from_tensors(path, read_state_dict(path))
    return replace(found, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def _from_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> Embedding:
    if all(part in tensors for part in SDXL_PARTS):
        found = {part: _rows(path, tensors[part]) for part in SDXL_PARTS}
        if len({tensor.shape[0] for tensor in found.values()}) != 1:
            raise BadModelFile(f"{path.name} has a different number of vectors for its two encoders.", path=str(path))
        return Embedding(path.stem, path, MappingProxyType(found))
    if len(tensors) != 1:
        raise BadModelFile(f"{path.name} is not an embedding: it holds {len(tensors)} tensors.", path=str(path))
    rows = _rows(path, next(iter(tensors.values())))
    return Embedding(path.stem, path, MappingProxyType({"": rows}))


def _from_object(path: Path, value: Any) -> Embedding:
    """A1111's dictionary with `string_to_param`, or one tensor under its token."""
    if not isinstance(value, dict):
        raise BadModelFile(f"{path.name} is not an embedding.", path=str(path))
    params = value.get("string_to_param")
    if isinstance(params, dict):
        tensors = [t for t in params.values() if isinstance(t, torch.Tensor)]
        if len(tensors) != 1:
            raise BadModelFile(f"{path.name} has {len(tensors)} tensors where one is expected.", path=str(path))
        # Picture files carry their name inside, since people rename pictures.
        inside = value.get("name") if path.suffix.lower() in PICTURES else None
        step = value.get("step")
        return Embedding(
            name=str(inside or path.stem),
            path=path,
            tensors=MappingProxyType({"": _rows(path, tensors[0])}),
            step=step if isinstance(step, int) else None,
            checkpoint=str(value.get("sd_checkpoint") or ""),
            checkpoint_name=str(value.get("sd_checkpoint_name") or ""),
        )
    return _from_tensors(path, {k: v for k, v in value.items() if isinstance(v, torch.Tensor)})


def _rows(path: Path, tensor: torch.Tensor) -> torch.Tensor:  # [C] or [v, C] -> [v, C]
    rows = tensor.detach().float()
    rows = rows[None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or 0 in rows.shape:
        shape = list(tensor.shape)
        raise BadModelFile(f"{path.name} is not an embedding: its tensor has shape {shape}.", path=str(path))
    return rows


def _picture_data(path: Path) -> dict[str, Any]:
    """The dictionary in a picture: in a text chunk, or in the low bits of strips at its sides."""
    try:
        with Image.open(path) as image:
            image.load()
            text = image.info.get(TEXT_CHUNK)
            if text is not None:
                parsed = json.loads(base64.b64decode(text))
            else:
                parsed = json.loads(_from_strips(np.asarray(image.convert("RGB"))))
    except NOT_A_CARD as error:
        raise BadModelFile(f"{path.name} is a picture without an embedding in it.", path=str(path)) from error
    if not isinstance(parsed, dict):
        raise BadModelFile(f"{path.name} is a picture without an embedding in it.", path=str(path))
    return _decoded(parsed)


def _decoded(value: Any) -> Any:
    """Tensors stand in the text as {"TORCHTENSOR": nested lists}."""
    if isinstance(value, dict):
        if set(value) == {"TORCHTENSOR"}:
            return torch.tensor(value["TORCHTENSOR"], dtype=torch.float32)
        return {key: _decoded(item) for key, item in value.items()}
    return value


def _from_strips(pixels: np.ndarray) -> bytes:  # [H, W, 3] uint8
    """Raises ValueError where there are no strips.

    The card is a picture between two strips of data, set apart by black columns of one pixel. The left strip carries
    the low and the right strip the high half of each byte of zlib data, in the low 4 bits of each colour, XOR-ed with
    a linear congruential stream.
    """
    lit = np.argwhere((pixels > 0x0F).any(axis=2))
    if not len(lit):
        raise ValueError("the picture is black")
    (top, left), (bottom, right) = lit.min(axis=0), lit.max(axis=0) + 1
    card = pixels[top:bottom, left:right]
    dark = np.flatnonzero((card <= 0x0F).all(axis=(0, 2)))
    if len(dark) < 2:
        raise ValueError("there are no separating columns")
    low, high = card[:, : dark[0]] & 0x0F, card[:, dark[-1] + 1 :] & 0x0F
    count = min(low.size, high.size)
    low, high = _unmixed(low.reshape(-1)[:count]), _unmixed(high.reshape(-1)[:count])
    return zlib.decompressobj().decompress((high << 4 | low).astype(np.uint8).tobytes())


def _unmixed(nibbles: np.ndarray) -> np.ndarray:
    state, stream = 0, np.empty(len(nibbles), dtype=np.uint8)
    for index in range(len(nibbles)):
        state = (1664525 * state + 1013904223) % 2**32
        stream[index] = state % 255 & 0x0F
    return nibbles ^ stream
