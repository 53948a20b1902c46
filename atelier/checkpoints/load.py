"""LoadedModel: a checkpoint file, or a folder in diffusers layout, made into a model: whole or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from atelier.base.errors import BadModelFile
from atelier.base.log import fields, logger
from atelier.checkpoints import fill, folder
from atelier.checkpoints.clip_statistics import statistics_beside
from atelier.checkpoints.detect import identify, modern_name
from atelier.checkpoints.header import Header
from atelier.checkpoints.reader import open_weights, read_header
from atelier.checkpoints.shelf import CheckpointFile, VaeFile
from atelier.device.eight_bits import NOTHING, Storage
from atelier.families.autoencoder import decode, encode_images, with_fitted_preview
from atelier.families.clip import load_tokenizer
from atelier.families.family import Blueprint, Component, EncodeOptions, Family
from atelier.families.ldm_config import read_config
from atelier.families.model import Model, place_of
from atelier.sampling.conditioning import TextEncoding
from atelier.sampling.step import ModelInputs

log = logger(__name__)

#: components that have a place of their own in a model
USUAL = ("unet", "vae", "text_encoder", "text_encoder_2")
STATISTICS = "noise_statistics"
#: components that work once a picture, and whose numbers do not fit into half precision
PRECISE = ("depth", STATISTICS)
NO_VAE = "Choose a VAE under SD VAE in the settings, or put one beside the checkpoint under its name."


@dataclass(frozen=True)
class Placement:
    """Where and in which precision a model lives: `device` computes, `home` holds the weights after loading."""

    device: torch.device
    unet_dtype: torch.dtype = torch.float32
    vae_dtype: torch.dtype = torch.float32
    text_dtype: torch.dtype = torch.float32
    home: torch.device | None = None
    #: components whose matrices are stored in 8 bits, whatever the settings say
    stored: Storage = field(default_factory=lambda: NOTHING)

    @property
    def rest(self) -> torch.device:
        return self.home or self.device

    def dtype(self, component: str) -> torch.dtype:
        own = {"unet": self.unet_dtype, "vae": self.vae_dtype, **dict.fromkeys(PRECISE, torch.float32)}
        return own.get(component, self.text_dtype)


@dataclass
class LoadedModel(Model):
    """A model with its family and the file that it came from. `vae_file` is None while the built-in VAE is used."""

    family: Family
    file: CheckpointFile
    blueprint: Blueprint
    vae_file: VaeFile | None = None

    def encode_texts(self, texts: Sequence[str], options: EncodeOptions) -> list[TextEncoding]:
        return self.family.encode(self, texts, options)

    def call_denoiser(self, inputs: ModelInputs) -> torch.Tensor:  # [N, C, h, w]
        return self.family.call(self, inputs)

    def encode_images(
        self, pixels: torch.Tensor, generator: torch.Generator | None = None, noise: torch.Tensor | None = None,
        *, tiled: bool = False, wrap: bool = False,
    ) -> torch.Tensor:  # [B, 3, H, W] in -1..1 -> scaled [B, C, h, w]  # fmt: skip
        return encode_images(self, pixels, generator, noise, tiled, wrap)

    def decode(
        self, latents: torch.Tensor, *, tiled: bool = False, wrap: bool = False
    ) -> torch.Tensor:  # scaled [B, C, h, w] -> [B, 3, H, W], about -1..1
        return decode(self, latents, tiled, wrap)

    def use_vae_dtype(self, dtype: torch.dtype) -> None:
        """The VAE computes in another precision from now on."""
        self.vae.to(dtype=dtype)
        self.vae_dtype = dtype

    @property
    def fingerprint(self) -> str:
        """Equal for models that encode texts in the same way; part of the key of cached encodings."""
        return self.file.sha256 or str(self.file.path)

    def components(self) -> dict[str, nn.Module]:
        second = {} if self.text_encoder_2 is None else {"text_encoder_2": self.text_encoder_2}
        return {"unet": self.denoiser, "vae": self.vae, "text_encoder": self.text_encoder, **second, **self.extras}


def _no_need(_bytes: int) -> None:
    """Takes it that there is room."""


def load_checkpoint(
    file: CheckpointFile,
    placement: Placement,
    vae: VaeFile | None = None,
    allow_pickle: bool = False,
    make_room: Callable[[int], None] = _no_need,
) -> LoadedModel:
    """Everything is checked against the header before the first weight is read.

    `vae` is used instead of what the file has. `make_room` is told how many bytes will be read, when the file is known
    to be sound. Raises `BadModelFile`, `UnknownModel` or `ForbiddenPickle`, and what `make_room` raises.
    """
    if file.path.is_dir():
        family, blueprint, sources = folder.open_folder(file.path, allow_pickle)
    else:
        family, blueprint, sources = _open_file(file, allow_pickle)
    if vae is not None:
        sources["vae"] = _vae_source(vae, allow_pickle)
    elif not _has_vae(sources["vae"], blueprint.components["vae"]):
        raise BadModelFile(f"{file.path.name} has no VAE.", remedy=NO_VAE, path=str(file.path), missing=["vae"])
    plans = {name: _plan(blueprint.components[name], sources[name]) for name in blueprint.components}
    make_room(sum(plan.numbers * placement.dtype(name).itemsize for name, plan in plans.items()))
    modules = {name: _filled(plan, placement, name) for name, plan in plans.items()}
    modules |= _statistics(file, modules, placement, allow_pickle)
    latent = blueprint.latent
    if not latent.preview:
        latent = with_fitted_preview(latent, modules["vae"])
    log.info("checkpoint loaded %s", fields(file=file.name, family=family.name, variant=blueprint.variant))
    return LoadedModel(
        denoiser=modules["unet"],
        text_encoder=modules["text_encoder"],
        text_encoder_2=modules.get("text_encoder_2"),
        tokenizer=load_tokenizer(),
        vae=modules["vae"],
        prediction=blueprint.prediction if blueprint.ask is None else blueprint.ask(modules["unet"]),
        latent=latent,
        in_channels=blueprint.in_channels,
        device=placement.device,
        unet_dtype=placement.unet_dtype,
        vae_dtype=placement.vae_dtype,
        family=family,
        file=file,
        blueprint=blueprint,
        vae_file=vae,
        extras={name: module for name, module in modules.items() if name not in USUAL},
    )


def _statistics(
    file: CheckpointFile, modules: Mapping[str, nn.Module], placement: Placement, allow_pickle: bool
) -> dict[str, nn.Module]:
    """Those of CLIP's vectors out of a file beside the checkpoint, for an image variation model that has none."""
    encoder = modules.get("image_encoder")
    if encoder is None or STATISTICS in modules or file.path.is_dir():
        return {}
    found = statistics_beside(file.path, encoder.config.projection_dim, allow_pickle)
    return {} if found is None else {STATISTICS: found.to(placement.rest, placement.dtype(STATISTICS))}


def with_vae(
    model: LoadedModel, placement: Placement, vae: VaeFile | None, allow_pickle: bool = False,
    kept: nn.Module | None = None,
) -> LoadedModel:  # fmt: skip
    """The same model with another VAE, or with its built-in one for None. The rest is shared, nothing is changed.

    `kept` is that VAE, read before.
    """
    module = kept or _read_vae(model, placement, vae, allow_pickle)
    latent = model.blueprint.latent
    if not latent.preview:
        latent = with_fitted_preview(latent, module)
    return replace(model, vae=module, vae_file=vae, latent=latent, vae_dtype=place_of(module)[1])


def _read_vae(model: LoadedModel, placement: Placement, vae: VaeFile | None, allow_pickle: bool) -> nn.Module:
    if vae is not None:
        source = _vae_source(vae, allow_pickle)
    elif model.file.path.is_dir():
        source = folder.open_folder(model.file.path, allow_pickle)[2]["vae"]
    else:
        source = _open_file(model.file, allow_pickle)[2]["vae"]
        if not _has_vae(source, model.blueprint.components["vae"]):
            raise BadModelFile(f"{model.file.path.name} has no VAE.", remedy=NO_VAE, path=str(model.file.path))
    return _filled(_plan(model.blueprint.components["vae"], source), placement, "vae")


def _open_file(file: CheckpointFile, allow_pickle: bool) -> tuple[Family, Blueprint, dict[str, fill.Source]]:
    header = read_header(file.path, allow_pickle)
    config = None if file.config is None else read_config(file.config)
    family, _, evidence = identify(header, config)
    blueprint = family.blueprint(evidence)
    return family, blueprint, dict.fromkeys(blueprint.components, _source(header))


def _source(header: Header) -> fill.Source:
    return fill.Source(header.path, {modern_name(name): info for name, info in header.tensors.items()})


def _vae_source(vae: VaeFile, allow_pickle: bool) -> fill.Source:
    return _source(read_header(vae.path, allow_pickle))


def _has_vae(source: fill.Source, component: Component) -> bool:
    return any(f"{prefix}decoder.conv_in.weight" in source.tensors for prefix in component.prefixes)


@dataclass(frozen=True)
class _Plan:
    """A module without weights, and where each of its tensors is."""

    module: nn.Module
    wanted: Mapping[str, fill.Piece]
    path: Path

    @property
    def numbers(self) -> int:
        return sum(math.prod(piece.shape) for piece in self.wanted.values())


def _plan(component: Component, source: fill.Source) -> _Plan:
    module = fill.build_empty(component, source.path)
    return _Plan(module, fill.match_tensors(module, component, source), source.path)


def _filled(plan: _Plan, placement: Placement, name: str) -> nn.Module:
    with open_weights(plan.path) as weights:
        return fill.fill(plan.module, plan.wanted, weights, placement.rest, placement.dtype(name))
