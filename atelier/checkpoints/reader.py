"""Weights out of a file, one tensor at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

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
    """An open file of weights, read tensor by tensor straight into the memory where the tensor will stay.

    Read and not memory-mapped, which was tried: the peak of memory is the same, a first read from disk is two to four
    times as fast (large requests instead of page faults), and a file that is cut, replaced or lost while it is in use
    gives an error or nothing instead of ending the process.
    """

    def __init__(self, path: Path, file: FileIO) -> None:
        self.path = path
        self._file = file

    def read(
        self, info: TensorInfo, dtype: torch.dtype | None = None, device: torch.device | None = None
    ) -> torch.Tensor:
        """One tensor, in `dtype` and on `device` if given. Raises `BadModelFile` when the file ends too early."""
        source = TYPES[info.dtype]
        flat = torch.empty(info.nbytes // source.itemsize, dtype=source)
        if info.nbytes:
            # As bytes: numpy has no bfloat16.
            self._read_into(memoryview(flat.view(torch.uint8).numpy()), info.start)
        if info.stride is None:
            tensor = flat.reshape(info.shape)
        else:
            tensor = flat.as_strided(info.shape, info.stride).contiguous()
        return tensor.to(device=device, dtype=dtype) if dtype is not None or device is not None else tensor

    def _read_into(self, target: memoryview, start: int) -> None:
        try:
            self._file.seek(start)
            while target:
                count = self._file.readinto(target)
                if not count:
                    raise BadModelFile(f"{self.path.name} became shorter while it was read.", path=str(self.path))
                target = target[count:]
        except OSError as error:
            reason = error.strerror or error
            raise BadModelFile(f"{self.path.name} cannot be read: {reason}.", path=str(self.path)) from error


@contextmanager
def open_weights(path: Path) -> Iterator[Weights]:
    """Raises `BadModelFile` when the file cannot be opened."""
    try:
        file = FileIO(path, "rb")
    except OSError as error:
        raise BadModelFile(f"{path.name} cannot be read: {error.strerror or error}.", path=str(path)) from error
    with file:
        yield Weights(path, file)


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
