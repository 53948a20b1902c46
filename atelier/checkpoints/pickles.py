"""Pickled model files, read by an unpickler that knows a short list of names and builds no tensor.

Both forms of PyTorch files are read: the zip archive and the older bare sequence of pickles. Tensors come out as
`StoredTensor`: where their bytes lie in the file. Nothing that a pickle names is ever called except what stands here.
"""

from __future__ import annotations

import collections
import io
import math
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from atelier.base.errors import BadModelFile, ForbiddenPickle
from atelier.checkpoints.header import ITEM_BYTES, REMEDY, TensorInfo

STORAGES = MappingProxyType({
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
    "BoolStorage": "BOOL", "UntypedStorage": "U8",
})  # fmt: skip
DTYPES = ("float16", "float32", "float64", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
#: trainers leave these objects beside the weights; they are replaced by an empty shell and never run
SHELLS = frozenset({
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.utilities.types._METRIC",
    "lightning_fabric.utilities.data.AttributeDict",
    "omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata", "omegaconf.nodes.AnyNode", "argparse.Namespace",
})  # fmt: skip


@dataclass
class Storage:
    """A block of elements of one type; `start` is its first byte in the file, known once the file was walked."""

    key: str
    dtype: str
    count: int
    start: int = -1


@dataclass(frozen=True)
class StoredTensor:
    """A tensor whose bytes are still in the file; `offset` and `stride` count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def info(self) -> TensorInfo:
        start = self.storage.start + self.offset * ITEM_BYTES[self.storage.dtype]
        contiguous = tuple(math.prod(self.shape[i + 1 :]) for i in range(len(self.shape)))
        return TensorInfo(self.storage.dtype, self.shape, start, None if self.stride == contiguous else self.stride)


@dataclass(frozen=True)
class StoredNumber:
    """A numpy scalar that a trainer left in the file; nobody needs its value."""

    dtype: Any = None


class Shell:
    """Stands for an object of a trainer's class; keeps nothing and does nothing."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.ignored = len(args) + len(kwargs)

    def __setstate__(self, state: object) -> None:
        self.ignored = 1


@dataclass(frozen=True)
class _StorageType:
    dtype: str


def read_pickle(path: Path) -> Any:
    """The object in a PyTorch file, with `StoredTensor` in place of tensors.

    Raises `ForbiddenPickle`, which names the class, for anything outside the list, and `BadModelFile` for damage.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(4)
            file.seek(0)
            if not start:
                raise BadModelFile(f"{path.name} is empty (0 bytes).", remedy=REMEDY, path=str(path))
            return _read_zip(path, file) if start == b"PK\x03\x04" else _read_legacy(path, file)
    except OSError as error:
        raise BadModelFile(f"{path.name} cannot be read: {error.strerror or error}.", path=str(path)) from error
    except (zipfile.BadZipFile, EOFError, struct.error, KeyError, IndexError, TypeError, AttributeError, ValueError,
            pickle.UnpicklingError, UnicodeDecodeError, OverflowError, MemoryError) as error:  # fmt: skip
        # A pickle of random bytes can fail in any of these ways; what was asked for is a model file.
        raise BadModelFile(
            f"{path.name} is damaged or not a PyTorch file ({type(error).__name__}).", remedy=REMEDY, path=str(path)
        ) from error


def _read_zip(path: Path, file: BinaryIO) -> Any:
    storages: dict[str, Storage] = {}
    with zipfile.ZipFile(file) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        main = next((name for name in entries if name.endswith("data.pkl")), None)
        if main is None:
            raise BadModelFile(f"{path.name} is a zip archive without a model.", remedy=REMEDY, path=str(path))
        folder = main[: -len("data.pkl")]
        order = entries.get(f"{folder}byteorder")
        if order is not None and archive.read(order).strip() != sys.byteorder.encode():
            raise BadModelFile(f"{path.name} was written on a machine with another byte order.", path=str(path))
        value = _Guarded(io.BytesIO(archive.read(main)), path, storages).load()
    for storage in storages.values():
        entry = entries[f"{folder}data/{storage.key}"]
        if entry.compress_type != zipfile.ZIP_STORED:
            remedy = "Convert it to safetensors."
            raise BadModelFile(f"{path.name} holds compressed weights.", remedy=remedy, path=str(path))
        # The local header repeats the name and may pad differently from the directory: it has to be read itself.
        file.seek(entry.header_offset)
        local = file.read(30)
        if local[:4] != b"PK\x03\x04":
            raise zipfile.BadZipFile("local header")
        name_length, extra_length = struct.unpack("<HH", local[26:30])
        storage.start = entry.header_offset + 30 + name_length + extra_length
        _fits(path, file, storage)
    return value


def _read_legacy(path: Path, file: io.BufferedReader) -> Any:
    storages: dict[str, Storage] = {}
    # Every PyTorch file of this form begins with the pickle protocol; a text file could spell a class name.
    if file.peek(1)[:1] != b"\x80" or _Guarded(file, path, storages).load() != LEGACY_MAGIC:
        raise BadModelFile(f"{path.name} is not a PyTorch file.", remedy=REMEDY, path=str(path))
    _Guarded(file, path, storages).load()  # protocol version
    _Guarded(file, path, storages).load()  # sizes of the writing machine
    value = _Guarded(file, path, storages).load()
    for key in _Guarded(file, path, storages).load():
        storage = storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count != storage.count:
            raise BadModelFile(f"{path.name} is damaged: a block has another length than stated.", remedy=REMEDY)
        storage.start = file.tell()
        _fits(path, file, storage)
        file.seek(storage.start + count * ITEM_BYTES[storage.dtype])
    return value


def _fits(path: Path, file: BinaryIO, storage: Storage) -> None:
    position = file.tell()
    size = file.seek(0, io.SEEK_END)
    file.seek(position)
    if storage.start + storage.count * ITEM_BYTES[storage.dtype] > size:
        raise BadModelFile(f"{path.name} is cut off.", remedy=REMEDY, path=str(path), size=size)


class _Guarded(pickle.Unpickler):
    """`find_class` answers with our own small builders or refuses; storages are recorded, not read."""

    def __init__(self, file: BinaryIO, path: Path, storages: dict[str, Storage]) -> None:
        super().__init__(file)
        self._path = path
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.storage") and name in STORAGES:
            return _StorageType(STORAGES[name])
        full = f"{module}.{name}"
        if full in SHELLS:
            return Shell
        allowed = ALLOWED.get(full)
        if allowed is None:
            raise ForbiddenPickle(
                f"{self._path.name} asks for {full}, which a model file does not need.",
                remedy="Do not use this file, or get it as safetensors.",
                path=str(self._path),
                forbidden=full,
            )
        return allowed

    def persistent_load(self, saved: Any) -> Storage:
        kind, storage_type, key, _place, count = saved[:5]
        if kind != "storage" or not isinstance(storage_type, _StorageType) or any(saved[5:]):
            raise pickle.UnpicklingError("unknown persistent id")
        return self._storages.setdefault(str(key), Storage(str(key), storage_type.dtype, int(count)))


def _tensor(storage: Storage, offset: int, size: Any, stride: Any, *_rest: Any) -> StoredTensor:
    tensor = StoredTensor(storage, int(offset), tuple(int(n) for n in size), tuple(int(n) for n in stride))
    span = 0 if 0 in tensor.shape else 1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride, strict=True))
    if min((offset, *tensor.shape, *tensor.stride)) < 0 or offset + span > storage.count:
        raise ValueError("a tensor reaches outside its storage")
    return tensor


def _parameter(data: Any, *_rest: Any) -> Any:
    return data


def _ordered(*args: Any) -> dict:
    # OrderedDict carries attributes (`_metadata`) that a plain dict cannot take.
    return collections.OrderedDict(*args)


def _scalar(dtype: Any = None, *_rest: Any) -> StoredNumber:
    return StoredNumber(dtype)


def _rebuild(cls: Any, *_rest: Any) -> Any:
    if cls is not Shell:
        raise pickle.UnpicklingError("an object of a class that is not a shell")
    return Shell()


class _Dtype:
    """Takes the place of `numpy.dtype`; remembers only its code."""

    def __init__(self, code: Any = None, *_rest: Any) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        self.code = self.code


class _ParameterDict(dict):
    """Takes the place of torch's ParameterDict: old textual inversions hold one."""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            for group in ("_parameters", "_buffers"):
                self.update(state.get(group) or {})


def _encode(text: str, encoding: str = "latin1") -> bytes:
    return text.encode(encoding)


ALLOWED: Mapping[str, Callable[..., Any]] = MappingProxyType({
    "collections.OrderedDict": _ordered,
    "collections.defaultdict": lambda *_args: {},
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
    "torch.nn.modules.container.ParameterDict": _ParameterDict,
    "torch.Size": tuple,
    "torch.device": _scalar,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy.dtype": _Dtype,
    "_codecs.encode": _encode,
    "builtins.set": set,
    "__builtin__.set": set,
    "builtins.dict": dict,
    "builtins.list": list,
    "builtins.int": int,
    "copyreg._reconstructor": _rebuild,
    "copy_reg._reconstructor": _rebuild,
    **{f"torch.{name}": _Dtype(name) for name in DTYPES},
})  # fmt: skip
