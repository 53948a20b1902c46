"""Header: names, shapes and places of the tensors in a file, read without reading a single weight."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from atelier.base.errors import BadModelFile

#: bytes of one element, by the name that safetensors gives to the type
ITEM_BYTES = MappingProxyType({
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "C64": 8,
})  # fmt: skip
#: a header longer than this is damage, not a model (the format's own limit)
LONGEST = 100_000_000
REMEDY = "Download or copy the file again."


@dataclass(frozen=True)
class TensorInfo:
    """One tensor: `start` is its first byte in the file; `stride`, in elements, is None where it is contiguous."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stride: tuple[int, ...] | None = None

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the file that the tensor spans."""
        if self.stride is None:
            return self.count * ITEM_BYTES[self.dtype]
        if self.count == 0:
            return 0
        last = sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        return (last + 1) * ITEM_BYTES[self.dtype]

    @property
    def steps(self) -> tuple[int, ...]:
        """Elements between neighbours along each axis, contiguous or not."""
        if self.stride is not None:
            return self.stride
        return tuple(math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape)))

    def rows(self, part: int, of: int) -> TensorInfo | None:
        """One of `of` equal parts along the first axis, still in the file; None where it cannot be divided so."""
        if not self.shape or self.shape[0] % of:
            return None
        count = self.shape[0] // of
        start = self.start + part * count * self.steps[0] * ITEM_BYTES[self.dtype]
        return replace(self, shape=(count, *self.shape[1:]), start=start)

    def turned(self) -> TensorInfo | None:
        """Rows as columns, still in the file; None for what is not a matrix."""
        if len(self.shape) != 2:
            return None
        return replace(self, shape=self.shape[::-1], stride=self.steps[::-1])


@dataclass(frozen=True)
class Header:
    """What a file holds. `metadata` is the text that trainers leave in safetensors files, empty for pickles."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    pickled: bool = False

    def __contains__(self, key: str) -> bool:
        return key in self.tensors

    def shape(self, key: str) -> tuple[int, ...] | None:
        info = self.tensors.get(key)
        return None if info is None else info.shape

    def any_key(self, start: str = "", part: str = "") -> str | None:
        """The first key with this beginning that contains `part`, or None."""
        return next((k for k in self.tensors if k.startswith(start) and part in k), None)


def read_safetensors_header(path: Path) -> Header:
    """Raises `BadModelFile` when the file is cut, empty, or not a safetensors file; every offset is checked."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            return _parse(path, file, size)
    except OSError as error:
        raise BadModelFile(f"{path.name} cannot be read: {error.strerror or error}.", path=str(path)) from error


def _parse(path: Path, file: BinaryIO, size: int) -> Header:
    if size == 0:
        raise _bad(path, "is empty (0 bytes)", size)
    if size < 8:
        raise _bad(path, f"is far too short for a model ({size} bytes)", size)
    (length,) = struct.unpack("<Q", file.read(8))
    if length > LONGEST or length < 2:
        raise _bad(path, "is not a safetensors file: it does not begin with a header", size)
    if 8 + length > size:
        if _looks_like_header(file):
            raise _bad(path, "is cut off inside its header", size)
        raise _bad(path, "is not a safetensors file: it does not begin with a header", size)
    try:
        entries = json.loads(file.read(length).decode("utf-8"))
    except ValueError as error:
        raise _bad(path, "has a damaged header", size) from error
    if not isinstance(entries, dict):
        raise _bad(path, "has a damaged header", size)
    metadata = entries.pop("__metadata__", None) or {}
    tensors = {name: _entry(path, name, entry, 8 + length, size) for name, entry in entries.items()}
    texts = {str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {}
    return Header(path, MappingProxyType(tensors), MappingProxyType(texts))


def _looks_like_header(file: BinaryIO) -> bool:
    return file.read(2)[:1] == b"{"


def _entry(path: Path, name: str, entry: object, data: int, size: int) -> TensorInfo:
    try:
        dtype, shape = str(entry["dtype"]), tuple(int(n) for n in entry["shape"])  # type: ignore[index]
        begin, end = (int(n) for n in entry["data_offsets"])  # type: ignore[index]
    except (KeyError, TypeError, ValueError) as error:
        raise _bad(path, f"has a damaged header entry for {name!r}", size) from error
    if dtype not in ITEM_BYTES:
        raise BadModelFile(f"{path.name} stores {name!r} as {dtype}, which is not known here.", path=str(path))
    info = TensorInfo(dtype, shape, data + begin)
    if begin < 0 or end - begin != info.nbytes:
        raise _bad(path, f"has a damaged header entry for {name!r}: its size does not fit its shape", size)
    if data + end > size:
        raise _bad(path, f"is cut off: it should have at least {data + end} bytes and has {size}", size)
    return info


def _bad(path: Path, what: str, size: int) -> BadModelFile:
    return BadModelFile(f"{path.name} {what}.", remedy=REMEDY, path=str(path), size=size)
