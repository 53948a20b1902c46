"""Where data, models, outputs and extensions live."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Paths:
    """`program` holds the code, `data` every file of the user. Extra model folders are read in place, and
    written only with the notes and previews that a user makes.

    The names of the folders are A1111's, so that an existing installation can be pointed at.
    """

    data: Path = PROGRAM
    program: Path = PROGRAM
    models_dir: Path | None = None
    checkpoint_dirs: tuple[Path, ...] = ()
    vae_dirs: tuple[Path, ...] = ()
    #: one more checkpoint, and the configuration of those that have none beside them, as the command line names them
    checkpoint_file: Path | None = None
    model_config: Path | None = None
    #: the one for every checkpoint, where the command line names one
    vae_file: Path | None = None
    lora_dirs: tuple[Path, ...] = ()
    embedding_dirs: tuple[Path, ...] = ()
    hypernetwork_dirs: tuple[Path, ...] = ()
    styles_files: tuple[Path, ...] = ()
    settings_file: Path | None = None
    extra: dict[str, tuple[Path, ...]] = field(default_factory=dict)

    @property
    def models(self) -> Path:
        return self.models_dir or self.data / "models"

    @property
    def settings(self) -> Path:
        return self.settings_file or self.data / "config.json"

    @property
    def database(self) -> Path:
        return self.data / "atelier.sqlite"

    @property
    def blobs(self) -> Path:
        return self.data / "blobs"

    @property
    def cache(self) -> Path:
        return self.data / "cache"

    @property
    def lock(self) -> Path:
        return self.data / "atelier.lock"

    @property
    def outputs(self) -> Path:
        return self.data / "outputs"

    @property
    def extensions(self) -> Path:
        return self.data / "extensions"

    @property
    def extensions_builtin(self) -> Path:
        return self.program / "extensions-builtin"

    @property
    def embeddings(self) -> Path:
        return self.data / "embeddings"

    @property
    def styles(self) -> tuple[Path, ...]:
        return self.styles_files or (self.data / "styles.csv",)

    def folders(self, kind: str) -> tuple[Path, ...]:
        """Every folder in which files of a kind are looked for: the own one first.

        `kind` is one of checkpoint, vae, lora, embedding, hypernetwork, or a key of `extra`.
        The program's own models folder is always among them, so that the shipped model is found with any data folder.
        """
        names = {"checkpoint": "Stable-diffusion", "vae": "VAE", "lora": "Lora", "hypernetwork": "hypernetworks"}
        given = {
            "checkpoint": self.checkpoint_dirs, "vae": self.vae_dirs, "lora": self.lora_dirs,
            "embedding": self.embedding_dirs, "hypernetwork": self.hypernetwork_dirs,
        }.get(kind, ())  # fmt: skip
        if kind == "embedding":
            own = (self.embeddings, self.program / "embeddings")
        else:
            own = (self.models / names.get(kind, kind), self.program / "models" / names.get(kind, kind))
        return tuple(dict.fromkeys((*own, *given, *self.extra.get(kind, ()))))
