"""Writer: a file of weights written tensor by tensor, so that no second copy of a model is ever in memory."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from atelier.base.errors import SaveFailed
from atelier.base.files import atomic_writer
from atelier.checkpoints.header import ITEM_BYTES, TensorInfo
from atelier.checkpoints.reader import TYPES

#: safetensors' names of types, by torch's
NAMES: Mapping[torch.dtype, str] = MappingProxyType({dtype: name for name, dtype in TYPES.items()})
FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})


@dataclass(frozen=True)
class Outgoing:
    """A tensor that is to be written: `dtype` is safetensors' name of its type."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return TensorInfo(self.dtype, self.shape, 0).nbytes


def write_safetensors(
    path: Path,
    tensors: Iterable[Outgoing],
    make: Callable[[Outgoing], torch.Tensor],
    metadata: Mapping[str, str] | None = None,
    done: Callable[[int, int], Any] = lambda written, total: None,
) -> None:
    """`make` gives each tensor when its turn comes; `done` hears of bytes written, and may raise to give up.

    The file appears under its name only when it is whole. Raises `SaveFailed`, before the first byte where the disk
    has no room.
    """
    # Wide types first, so that every tensor starts at a multiple of its own size.
    ordered = sorted(tensors, key=lambda t: (-ITEM_BYTES[t.dtype], t.name))
    total = sum(t.nbytes for t in ordered)
    check_room(path, total)
    with atomic_writer(path) as file:
        file.write(header_bytes(ordered, metadata))
        written = 0
        for outgoing in ordered:
            file.write(tensor_bytes(make(outgoing), outgoing))
            written += outgoing.nbytes
            done(written, total)


def write_state_dict(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """For small files, whose tensors are all in memory."""
    outgoing = [Outgoing(name, NAMES[tensor.dtype], tuple(tensor.shape)) for name, tensor in tensors.items()]
    write_safetensors(path, outgoing, lambda t: tensors[t.name], metadata)


def write_pickle(
    path: Path,
    tensors: Iterable[Outgoing],
    make: Callable[[Outgoing], torch.Tensor],
    done: Callable[[int, int], Any] = lambda written, total: None,
) -> None:
    """As `write_safetensors`, in the form of old checkpoints (.ckpt), which has to be in memory as a whole."""
    ordered = list(tensors)
    total = sum(t.nbytes for t in ordered)
    check_room(path, total)
    state, made = {}, 0
    for outgoing in ordered:
        state[outgoing.name] = make(outgoing).to(TYPES[outgoing.dtype])
        made += outgoing.nbytes
        done(made, total)
    with atomic_writer(path) as file:
        torch.save({"state_dict": state}, file)


def check_room(path: Path, size: int) -> None:
    """Raises `SaveFailed` where the disk that will hold `path` has less than `size` bytes left."""
    folder = next((p for p in path.parents if p.is_dir()), Path("."))
    free = shutil.disk_usage(folder).free
    if free < size:
        raise SaveFailed(
            f"There is no room for {path.name}: it needs {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free.",
            remedy="Free some disk space.", path=str(path), needed=size, free=free,
        )  # fmt: skip


def header_bytes(tensors: Iterable[Outgoing], metadata: Mapping[str, str] | None) -> bytes:
    """Length and header of a safetensors file, padded so that the weights begin at a multiple of eight."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    begin = 0
    for tensor in tensors:
        end = begin + tensor.nbytes
        entries[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def tensor_bytes(tensor: torch.Tensor, outgoing: Outgoing) -> memoryview:
    """The tensor's bytes in the type that was announced. Raises `ValueError` for another shape."""
    if tuple(tensor.shape) != outgoing.shape:
        raise ValueError(f"{outgoing.name} is {list(tensor.shape)}, announced was {list(outgoing.shape)}")
    plain = narrowed(tensor, outgoing.dtype).to("cpu").contiguous().reshape(-1)
    return memoryview(plain.view(torch.uint8).numpy()) if plain.numel() else memoryview(b"")


def narrowed(tensor: torch.Tensor, dtype: str) -> torch.Tensor:
    """In another type. Eight bits have no infinity: what is too large for them becomes their largest number."""
    wanted = TYPES[dtype]
    if dtype.startswith("F8") and tensor.dtype != wanted:
        most = torch.finfo(wanted).max
        return tensor.float().clamp(-most, most).to(wanted)
    return tensor.to(wanted)
