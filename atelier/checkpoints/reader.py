"""Weights out of a file, one tensor at a time, through a memory map."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from atelier.base.errors import BadModelFile, ForbiddenPickle
from atelier.checkpoints.header import Header, TensorInfo, read_safetensors_header
from atelier.checkpoints.pickles import StoredTensor, read_pickle

TYPES = MappingProxyType({
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "I64": torch.int64, "I32": torch.int32,
    "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "U16": torch.uint16, "U32": torch.uint32,
    "U64": torch.uint64, "BOOL": torch.bool, "C64": torch.complex64,
})  # fmt: skip
PICKLES = (".ckpt", ".pt", ".pth", ".bin")
#: dictionaries that trainers wrap around the weights
WRAPPERS = ("state_dict", "model", "params_ema", "params", "module")
#: mapped pages are handed back to the system after so many bytes, so that the map never counts twice
RELEASE_EVERY = 32 << 20


def is_pickle(path: Path) -> bool:
    return path.suffix.lower() in PICKLES


def read_header(path: Path, allow_pickle: bool = False) -> Header:
    """Names and shapes in a model file of any kind. Raises `BadModelFile` or `ForbiddenPickle`."""
    if not is_pickle(path):
        return read_safetensors_header(path)
    tensors = {name: tensor.info() for name, tensor in flat_tensors(load_pickle(path, allow_pickle)).items()}
    return Header(path, MappingProxyType(tensors), pickled=True)


def load_pickle(path: Path, allow_pickle: bool) -> Any:
    """The object in a pickled file, tensors still in the file. Refused unless the setting allows pickles."""
    if not allow_pickle:
        raise ForbiddenPickle(
            f"{path.name} is a pickle file, and pickle files are switched off.",
            remedy='Convert it to safetensors, or switch on "Load .ckpt and other pickle files" in Settings.',
            path=str(path),
            setting="allow_pickle",
        )
    return read_pickle(path)


def flat_tensors(value: Any) -> dict[str, StoredTensor]:
    """The tensors by name, out of whatever dictionaries a trainer wrapped around them."""
    while isinstance(value, dict):
        inner = next((value[w] for w in WRAPPERS if isinstance(value.get(w), dict) and value[w]), None)
        if inner is None or any(isinstance(v, StoredTensor) for v in value.values()):
            break
        value = inner
    if not isinstance(value, dict):
        return {}
    return {str(k): v for k, v in value.items() if isinstance(v, StoredTensor)}


class Weights:
    """An open file of weights. Every tensor that comes out is a copy in our own memory: the file may be moved,
    replaced or deleted afterwards."""

    def __init__(self, path: Path, mapped: mmap.mmap) -> None:
        self.path = path
        self._map = mapped
        self._since_release = 0

    def read(
        self, info: TensorInfo, dtype: torch.dtype | None = None, device: torch.device | None = None
    ) -> torch.Tensor:
        """One tensor, in `dtype` and on `device` if given."""
        source = TYPES[info.dtype]
        nbytes = info.nbytes
        if info.start + nbytes > len(self._map):
            raise BadModelFile(f"{self.path.name} became shorter while it was read.", path=str(self.path))
        flat = torch.empty(nbytes // source.itemsize, dtype=source)
        if nbytes:
            # Copied as bytes: numpy has no bfloat16, and torch would warn about the read-only map.
            target = flat.view(torch.uint8).numpy()
            np.copyto(target, np.frombuffer(self._map, np.uint8, nbytes, info.start))
            self._released(nbytes)
        if info.stride is None:
            tensor = flat.reshape(info.shape)
        else:
            tensor = flat.as_strided(info.shape, info.stride).contiguous()
        return tensor.to(device=device, dtype=dtype) if dtype is not None or device is not None else tensor

    def _released(self, nbytes: int) -> None:
        self._since_release += nbytes
        if self._since_release >= RELEASE_EVERY and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._since_release = 0


@contextmanager
def open_weights(path: Path) -> Iterator[Weights]:
    """Raises `BadModelFile` when the file cannot be opened."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below, after the map
    except OSError as error:
        raise BadModelFile(f"{path.name} cannot be read: {error.strerror or error}.", path=str(path)) from error
    with file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        yield Weights(path, mapped)


def read_state_dict(path: Path, allow_pickle: bool = False) -> dict[str, torch.Tensor]:
    """All tensors of a file by name, without wrappers. For small files; a checkpoint is read component by component.

    What trainers wrote beside the tensors is in `read_header(path).metadata`. Raises `BadModelFile` or
    `ForbiddenPickle`.
    """
    header = read_header(path, allow_pickle)
    with open_weights(path) as weights:
        return {name: weights.read(info) for name, info in header.tensors.items()}


def read_object(path: Path, allow_pickle: bool = False) -> Any:
    """The whole object in a pickled file with real tensors: dictionaries of any depth, lists and tuples."""
    value = load_pickle(path, allow_pickle)
    with open_weights(path) as weights:
        return _with_tensors(value, weights)


def _with_tensors(value: Any, weights: Weights) -> Any:
    if isinstance(value, StoredTensor):
        return weights.read(value.info())
    if isinstance(value, dict):
        return {key: _with_tensors(item, weights) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_with_tensors(item, weights) for item in value)
    return value
