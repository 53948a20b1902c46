"""Capabilities: what a worker can do, as plain data that the server side may hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class SamplerInfo:
    name: str
    aliases: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SchedulerInfo:
    name: str
    label: str
    aliases: tuple[str, ...] = ()
    default_rho: float = -1.0
    need_inner_model: bool = False


@dataclass(frozen=True)
class ModelInfo:
    """One checkpoint file. `hash` is the first ten digits of `sha256`, both empty until it was hashed."""

    title: str
    name: str
    filename: str
    hash: str = ""
    sha256: str = ""
    config: str = ""


@dataclass(frozen=True)
class FileInfo:
    name: str
    filename: str


@dataclass(frozen=True)
class NetworkInfo:
    """A LoRA or a file of its kind. `alias` is the name it was trained under, `trigger` what a prompt should say.

    `family` is sd1, sd2, sdxl and so on, empty when the file does not tell. `metadata` is what its trainer left.
    """

    name: str
    filename: str
    alias: str = ""
    family: str = ""
    trigger: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class UpscalerInfo:
    name: str
    scale: float = 4.0
    model_name: str = ""
    model_path: str = ""


@dataclass(frozen=True)
class EmbeddingInfo:
    name: str
    vectors: int
    shape: int
    step: int | None = None
    checkpoint: str = ""
    checkpoint_name: str = ""
    usable: bool = True
    filename: str = ""
    hash: str = ""
    #: why it is not usable
    reason: str = ""


@dataclass(frozen=True)
class ScriptInfo:
    """A script of an A1111 extension: what `/sdapi/v1/script-info` tells of it."""

    name: str
    is_alwayson: bool
    is_img2img: bool
    args: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Capabilities:
    """What the engine reported last. `model` is the title of the loaded checkpoint, empty when none is.

    `family` is the loaded model's, `native_size` the width and height in pixels that it was made for, (0, 0) while none
    is loaded; `needs` names what it takes beside a text: "depth", "edit" or "vary" (a picture to be edited or varied),
    "mask". `example_prompt` is a text that it draws well, where its configuration names one.
    """

    device: str = ""
    device_name: str = ""
    precision: str = ""
    attention: str = ""
    model: str = ""
    model_error: str = ""
    family: str = ""
    native_size: tuple[int, int] = (0, 0)
    needs: tuple[str, ...] = ()
    example_prompt: str = ""
    samplers: tuple[SamplerInfo, ...] = ()
    schedulers: tuple[SchedulerInfo, ...] = ()
    upscalers: tuple[UpscalerInfo, ...] = ()
    face_restorers: tuple[FileInfo, ...] = ()
    latent_upscale_modes: tuple[str, ...] = ()
    models: tuple[ModelInfo, ...] = ()
    vaes: tuple[FileInfo, ...] = ()
    embeddings: tuple[EmbeddingInfo, ...] = ()
    loras: tuple[NetworkInfo, ...] = ()
    hypernetworks: tuple[FileInfo, ...] = ()
    styles: tuple[str, ...] = ()
    scripts: tuple[ScriptInfo, ...] = ()

    def choices(self, source: str) -> tuple[str, ...]:
        """The names behind a declaration's `choices="samplers"`."""
        if source == "hires_upscalers":
            return (*self.latent_upscale_modes, *(u.name for u in self.upscalers))
        if source == "models":
            return tuple(m.title for m in self.models)
        if source == "vaes":
            return ("Automatic", "None", *(v.name for v in self.vaes))
        if source in ("default_loras", "default_hypernetworks"):
            return ("None", *(item.name for item in getattr(self, source.removeprefix("default_"))))
        if source == "schedulers":
            return tuple(s.label for s in self.schedulers)
        return tuple(getattr(item, "name", item) for item in getattr(self, source))

    def to_json(self) -> dict[str, Any]:
        """Without the metadata of networks, which may be megabytes; `/sdapi/v1/loras` tells them."""
        return asdict(replace(self, loras=tuple(replace(network, metadata={}) for network in self.loras)))
