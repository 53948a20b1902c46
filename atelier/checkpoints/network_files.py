"""NetworkFile: the files of small networks on disk, what their headers tell, and how a name finds one."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from atelier.base.errors import BadModelFile, Conflict, NotFound, SaveFailed
from atelier.base.files import CHUNK, HashCache, sha256_of
from atelier.base.log import fields, logger
from atelier.base.notes import FORBIDDEN, notes_path, read_notes
from atelier.base.paths import Paths
from atelier.checkpoints.header import read_safetensors_header
from atelier.checkpoints.network_facts import family_of, readable, trigger_words
from atelier.checkpoints.reader import is_pickle
from atelier.checkpoints.walk import natural, walk

log = logger(__name__)

LORAS = (".safetensors", ".pt", ".ckpt", ".bin")
HYPERNETWORKS = (".pt", ".ckpt")
EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class NetworkFile:
    """`name` is the file's name without extension, `alias` the name it was trained under, else `name`.

    `family` is "" where neither the header nor the notes beside the file tell it. `metadata` is what the trainer left,
    with JSON values parsed. `trigger` are the words that a prompt should have.
    """

    name: str
    path: Path
    alias: str = ""
    family: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    trigger: str = ""

    @property
    def stamp(self) -> tuple[str, int, int]:
        """Changes with the file. Raises `OSError` when it is gone."""
        stat = os.stat(self.path)
        return str(self.path), stat.st_size, stat.st_mtime_ns


class NetworkFiles:
    """Reads folders when told to `scan`, or at the first question; headers once, and again when they change."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._hashes: HashCache | None = None
        self._loras: tuple[NetworkFile, ...] | None = None
        self._hypernetworks: tuple[NetworkFile, ...] = ()
        self._read: dict[Path, tuple[tuple[int, ...], NetworkFile]] = {}

    def scan(self) -> None:
        """Looks at all folders again."""
        loras = [self._lora(path) for path in self._files("lora", LORAS)]
        self._loras = tuple(sorted(loras, key=lambda f: natural(f.name)))
        plain = [NetworkFile(path.stem, path, path.stem) for path in self._files("hypernetwork", HYPERNETWORKS)]
        self._hypernetworks = tuple(sorted(plain, key=lambda f: natural(f.name)))
        log.info("networks scanned %s", fields(loras=len(loras), hypernetworks=len(plain)))

    def loras(self) -> tuple[NetworkFile, ...]:
        if self._loras is None:
            self.scan()
        return self._loras or ()

    def hypernetworks(self) -> tuple[NetworkFile, ...]:
        self.loras()
        return self._hypernetworks

    def find_lora(self, name: str) -> NetworkFile:
        """By file name, else by an alias that only one file has. Folders are looked at again before giving up.

        Raises `NotFound`, which says so where an alias is shared by several files.
        """
        found = self._find(name, self.loras())
        if found is None:
            self.scan()
            found = self._find(name, self.loras())
        return found or self._missing(name, self.loras(), "network")

    def find_hypernetwork(self, name: str) -> NetworkFile:
        """By file name. Raises `NotFound`."""
        found = self._find(name, self.hypernetworks())
        if found is None:
            self.scan()
            found = self._find(name, self.hypernetworks())
        return found or self._missing(name, self.hypernetworks(), "hypernetwork")

    def short_hash(self, file: NetworkFile) -> str:
        """The first 12 digits of the hash that does not change with the metadata, "" when the file cannot be read.

        The trainer's own where the file tells it, else sha256 of what follows the header; of the whole file for
        pickles. Computed once, seconds for a large file.
        """
        told = file.metadata.get("sshs_model_hash")
        if isinstance(told, str) and len(told) >= 12:
            return told[:12].lower()
        if self._hashes is None:
            self._hashes = HashCache(self._paths.cache / "hashes-addnet.json", weights_sha256)
        try:
            return self._hashes.sha256(file.path)[:12]
        except SaveFailed as error:
            log.warning("hash not kept %s", fields(file=file.path.name, reason=error.message))
            return (self._hashes.known(file.path) or "")[:12]
        except OSError as error:
            log.warning("hash not computed %s", fields(file=file.path.name, reason=str(error)))
            return ""

    def _files(self, kind: str, extensions: tuple[str, ...]) -> list[Path]:
        found: dict[Path, Path] = {}
        for root in self._paths.folders(kind):
            for path in walk(root):
                if path.is_file() and path.suffix.lower() in extensions:
                    found.setdefault(Path(os.path.realpath(path)), path)
        return list(found.values())

    def _lora(self, path: Path) -> NetworkFile:
        stamp = (*_stamp(path), *_stamp(notes_path(path)))
        known = self._read.get(path)
        if known is None or known[0] != stamp:
            known = self._read[path] = (stamp, read_lora(path))
        return known[1]

    @staticmethod
    def _find(name: str, files: tuple[NetworkFile, ...]) -> NetworkFile | None:
        by_name = [f for f in files if name in (f.name, f.path.name)]
        by_path = [
            f for f in files if name == f.path.as_posix() or f.path.with_suffix("").as_posix().endswith(f"/{name}")
        ]
        if by_name or by_path:
            return (by_name or by_path)[0]
        by_alias = [f for f in files if f.alias == name]
        if name.lower() in FORBIDDEN or len(by_alias) > 1:
            return None
        close = by_alias or [f for f in files if f.name.lower() == name.lower()]
        return close[0] if len(close) == 1 else None

    @staticmethod
    def _missing(name: str, files: tuple[NetworkFile, ...], what: str) -> NetworkFile:
        sharing = [f.name for f in files if f.alias == name]
        if sharing:
            raise NotFound(
                f"The alias {name!r} does not tell which file is meant.",
                remedy=f"Write the file's name: {', '.join(sharing[:5])}.", name=name, closest=sharing,
            )  # fmt: skip
        names = [f.name for f in files]
        close = difflib.get_close_matches(name, [*names, *(f.alias for f in files)], n=3)
        raise NotFound(
            f"There is no {what} named {name!r}.",
            remedy=f"Try: {', '.join(close)}." if close else "",
            name=name,
            closest=close,
        )


def read_lora(path: Path) -> NetworkFile:
    """What the header and the notes beside a file tell. A damaged file is listed by its name alone."""
    notes = _notes(path)
    metadata, shapes = EMPTY, {}
    if not is_pickle(path):
        try:
            header = read_safetensors_header(path)
            metadata = readable(header.metadata)
            shapes = {name: info.shape for name, info in header.tensors.items()}
        except BadModelFile as error:
            log.warning("network file unreadable %s", fields(file=path.name, reason=error.message))
    told = metadata.get("ss_output_name")
    alias = path.stem if told in (None, "", "None") else str(told)
    family = family_of(metadata, shapes, notes)
    return NetworkFile(path.stem, path, alias, family, metadata, trigger_words(metadata, notes))


def weights_sha256(path: Path) -> str:
    """sha256 of what follows the header of a safetensors file; of the whole file where it is none."""
    with open(path, "rb") as file:
        start = int.from_bytes(file.read(8), "little") + 8
        if is_pickle(path) or not 8 < start <= os.fstat(file.fileno()).st_size:
            return sha256_of(path)
        file.seek(start)
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = os.stat(path)
    except OSError:
        # No notes, or a file that just went away: as good as any other state to compare with.
        return (-1, -1)
    return stat.st_size, stat.st_mtime_ns


def _notes(path: Path) -> Mapping[str, Any]:
    """A1111's notes of a user about a file."""
    try:
        return read_notes(path)
    except Conflict as error:
        log.warning("notes of network unreadable %s", fields(file=str(path), error=error.message))
        return EMPTY
