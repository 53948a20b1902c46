"""Shelf: the model files on disk, their names, titles and hashes, and how a name finds its file."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from atelier.base.errors import Conflict, NotFound, SaveFailed
from atelier.base.files import HashCache
from atelier.base.log import fields, logger
from atelier.base.notes import read_notes
from atelier.base.paths import Paths
from atelier.checkpoints.clip_statistics import is_statistics
from atelier.checkpoints.embeddings import EXTENSIONS, EmbeddingReader, EmbeddingSet
from atelier.checkpoints.network_files import NetworkFiles
from atelier.checkpoints.walk import natural, walk
from atelier.families.clip import embedding_widths
from atelier.families.model import Model

log = logger(__name__)

CHECKPOINTS = (".safetensors", ".ckpt")
VAES = (".safetensors", ".ckpt", ".pt", ".pth")
VAE_MARK = ".vae"
#: the model that comes with the program is taken only when there is no other
SHIPPED = "atelier-"


@dataclass(frozen=True)
class CheckpointFile:
    """A checkpoint on disk: a file, or a folder in diffusers layout. `name` is its path below the models folder."""

    name: str
    path: Path
    sha256: str | None = None
    config: Path | None = None

    @property
    def short(self) -> str:
        """The first 10 digits of the hash, or "" while it is not known."""
        return (self.sha256 or "")[:10]

    @property
    def title(self) -> str:
        return f"{self.name} [{self.short}]" if self.short else self.name

    @property
    def stem(self) -> str:
        base = self.name.rsplit("/", 1)[-1]
        return base if self.path.is_dir() else base.rsplit(".", 1)[0]

    @property
    def short_title(self) -> str:
        return f"{self.stem} [{self.short}]" if self.short else self.stem

    def names(self) -> tuple[str, ...]:
        """Every text that means this file exactly, except its old hash."""
        found = [self.name.replace("/", "_").replace("\\", "_"), self.title, self.name, str(self.path), self.stem,
                 self.short_title]  # fmt: skip
        if self.sha256:
            found += [f"{self.name} [{self.sha256}]", self.short, self.sha256]
        return tuple(found)


@dataclass(frozen=True)
class VaeFile:
    """`name` is the file's name with its extension."""

    name: str
    path: Path
    sha256: str | None = None

    @property
    def short(self) -> str:
        return (self.sha256 or "")[:10]


def old_hash(path: Path) -> str:
    """The short hash of before 2023: sha256 of 64 KiB at 1 MiB, 8 digits. Shorter files hash nothing."""
    with open(path, "rb") as file:
        file.seek(0x100000)
        return hashlib.sha256(file.read(0x10000)).hexdigest()[:8]


class Shelf:
    """Reads folders when told to `scan`, or at the first question. Hashes are computed only when asked for.

    `allow_pickle` is the setting of that name, for everything that is read from the shelf. Without `hashing` only
    hashes that are known already are told.
    """

    def __init__(
        self, paths: Paths, hashes: HashCache, allow_pickle: bool = False, hashing: bool = True
    ) -> None:  # fmt: skip
        self.allow_pickle = allow_pickle
        self._paths = paths
        self._hashes = hashes
        self._hashing = hashing
        self._embedding_reader = EmbeddingReader()
        #: LoRA and kin, and hypernetworks
        self.networks = NetworkFiles(paths)
        self._checkpoints: tuple[CheckpointFile, ...] | None = None
        self._vaes: tuple[VaeFile, ...] = ()
        self._embeddings: tuple[Path, ...] = ()

    def scan(self) -> None:
        """Looks at all folders again."""
        self.networks.scan()
        found: dict[str, CheckpointFile] = {}
        vaes: dict[str, VaeFile] = {}
        for root in self._paths.folders("checkpoint"):
            for path in walk(root):
                name = path.relative_to(root).as_posix()
                if _is_vae(path):
                    vaes.setdefault(path.name, VaeFile(path.name, path, self._hashes.known(path)))
                elif path.is_dir() or (path.suffix.lower() in CHECKPOINTS and not is_statistics(path)):
                    found.setdefault(name, self._checkpoint(name, path))
        for root in self._paths.folders("vae"):
            for path in walk(root):
                if path.suffix.lower() in VAES:
                    vaes.setdefault(path.name, VaeFile(path.name, path, self._hashes.known(path)))
        own = self._paths.checkpoint_file
        if own is not None and own.exists():
            found[own.name] = self._checkpoint(own.name, own)
        given = self._paths.vae_file
        if given is not None and given.is_file():
            vaes[given.name] = self.given_vae
        embeddings: dict[str, Path] = {}
        for root in self._paths.folders("embedding"):
            for path in walk(root):
                preview = path.stem.lower().endswith(".preview")
                if path.suffix.lower() in EXTENSIONS and not preview and path.stat().st_size > 0:
                    embeddings.setdefault(path.stem, path)
        self._checkpoints = tuple(sorted(found.values(), key=lambda f: natural(f.name)))
        self._vaes = tuple(sorted(vaes.values(), key=lambda f: natural(f.name)))
        self._embeddings = tuple(sorted(embeddings.values(), key=lambda p: natural(p.name)))
        log.info("models scanned %s", fields(checkpoints=len(found), vaes=len(vaes), embeddings=len(embeddings)))

    def checkpoints(self) -> tuple[CheckpointFile, ...]:
        if self._checkpoints is None:
            self.scan()
        return self._checkpoints or ()

    def vaes(self) -> tuple[VaeFile, ...]:
        self.checkpoints()
        return self._vaes

    @property
    def given_vae(self) -> VaeFile | None:
        """The one that the command line names for every checkpoint. Raises `NotFound` when its file is not there."""
        path = self._paths.vae_file
        if path is None:
            return None
        if not path.is_file():
            raise NotFound(
                f"There is no VAE at {path}.",
                remedy="Correct --vae-path, or choose a VAE under SD VAE.",
                name=str(path),
            )
        return VaeFile(path.name, path, self._hashes.known(path))

    def embeddings(self, model: Model) -> EmbeddingSet:
        """The textual inversions that fit a model's text encoders, and why the others do not."""
        self.checkpoints()
        return self._embedding_reader.load(self._embeddings, embedding_widths(model), self.allow_pickle)

    def embeddings_for(self, model: Model) -> Mapping[str, torch.Tensor]:
        """Name -> vectors [v, C], as `EncodeOptions.embeddings` wants it."""
        return self.embeddings(model).tensors()

    def default_checkpoint(self) -> CheckpointFile:
        """The first of the user's own; else the plainest that comes with the program. Raises `NotFound` without any."""
        files = self.checkpoints()
        if not files:
            folders = ", ".join(str(f) for f in self._paths.folders("checkpoint"))
            raise NotFound("There is no checkpoint.", remedy=f"Put a .safetensors file into {folders}.")
        own = next((f for f in files if not f.name.startswith(SHIPPED)), None)
        # The shipped ones for inpainting and depth have longer names.
        return own or min(files, key=lambda f: len(f.name))

    def find_checkpoint(self, name: str) -> CheckpointFile:
        """By any of its names, then by the shortest title with the text in it. Raises `NotFound` with the closest."""
        files = self.checkpoints()
        wanted = name.strip()
        exact = next((f for f in files if wanted and wanted in f.names()), None)
        if exact is None and re.fullmatch(r"[0-9a-f]{8}", wanted):
            exact = next((f for f in files if f.path.is_file() and old_hash(f.path) == wanted), None)
        found = exact or _containing(files, wanted) or _containing(files, re.sub(r"\s*\[[^\]]*\]\s*$", "", wanted))
        if found is not None:
            return found
        close = difflib.get_close_matches(wanted, [f.name for f in files] + [f.stem for f in files], n=3)
        hint = ", ".join(close or [f.name for f in files[:5]])
        raise NotFound(
            f"There is no checkpoint named {name!r}.",
            remedy=f"Try: {hint}." if hint else "Put a checkpoint into models/Stable-diffusion.",
            name=name, closest=close,
        )  # fmt: skip

    def hashed(self, file: CheckpointFile) -> CheckpointFile:
        """The same file with its sha256, which is computed now if it is not known; seconds for a large file."""
        if file.sha256 is not None:
            return file
        weights = _main_file(file.path)
        if weights is None:
            return file
        known = replace(file, sha256=self._sha256(weights))
        self._checkpoints = tuple(known if f.path == file.path else f for f in self.checkpoints())
        return known

    def hashed_vae(self, vae: VaeFile) -> VaeFile:
        """The same VAE with its sha256, which is computed now if it is not known."""
        return vae if vae.sha256 else replace(vae, sha256=self._sha256(vae.path))

    def _sha256(self, path: Path) -> str | None:
        """A model is not refused because its hash cannot be kept, or its file just went away."""
        if not self._hashing:
            return self._hashes.known(path)
        try:
            return self._hashes.sha256(path)
        except SaveFailed as error:
            log.warning("hash not kept %s", fields(file=path.name, reason=error.message))
            return self._hashes.known(path)
        except OSError as error:
            log.warning("hash not computed %s", fields(file=path.name, reason=str(error)))
            return None

    def find_vae(self, name: str) -> VaeFile:
        """By file name, with or without its extension. Raises `NotFound`."""
        for vae in self.vaes():
            if name in (vae.name, vae.path.stem, str(vae.path)):
                return vae
        close = difflib.get_close_matches(name, [v.name for v in self.vaes()], n=3)
        hint = ", ".join(close or [v.name for v in self.vaes()[:5]])
        raise NotFound(
            f"There is no VAE named {name!r}.",
            remedy=f"Try: {hint}." if hint else "Put a VAE into models/VAE.",
            name=name, closest=close,
        )  # fmt: skip

    def vae_for(self, checkpoint: CheckpointFile) -> VaeFile | None:
        """The VAE that belongs to a checkpoint: named in its .json, else one whose file name begins with its stem.

        None means that the checkpoint's own is used.
        """
        named = self._user_metadata(checkpoint).get("vae")
        if isinstance(named, str) and named not in ("", "Automatic", "None"):
            for vae in self.vaes():
                if named in (vae.name, vae.path.stem):
                    return vae
            log.warning("VAE of checkpoint not found %s", fields(checkpoint=checkpoint.name, vae=named))
        own = [v for v in self.vaes() if v.name.startswith(checkpoint.stem)]
        return min(own, key=lambda v: len(v.name), default=None)

    def _checkpoint(self, name: str, path: Path) -> CheckpointFile:
        config = path.with_suffix(".yaml")
        weights = _main_file(path)
        known = self._hashes.known(weights) if weights is not None else None
        config = config if config.is_file() else self._paths.model_config
        return CheckpointFile(name, path, known, config if path.is_file() else None)

    def _user_metadata(self, checkpoint: CheckpointFile) -> Mapping[str, Any]:
        try:
            return read_notes(checkpoint.path)
        except Conflict as error:
            log.warning("notes of checkpoint unreadable %s", fields(file=checkpoint.name, error=error.message))
            return {}


def _containing(files: tuple[CheckpointFile, ...], text: str) -> CheckpointFile | None:
    """The file with the shortest title that contains the text; as written first, then in any case of letters."""
    if not text:
        return None
    found = [f for f in files if text in f.title] or [f for f in files if text.lower() in f.title.lower()]
    return min(found, key=lambda f: len(f.title), default=None)


def _main_file(path: Path) -> Path | None:
    """The file whose hash stands for a checkpoint: itself, or the denoiser of a folder."""
    if path.is_file():
        return path
    return next(iter(sorted((path / "unet").glob("*.safetensors"))), None)


def _is_vae(path: Path) -> bool:
    return path.is_file() and path.stem.lower().endswith(VAE_MARK) and path.suffix.lower() in VAES
