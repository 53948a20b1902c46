"""Family: what one kind of model must say about itself: data and a few functions, no inheritance."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from atelier.families.latent import LatentSpace
from atelier.families.model import Model
from atelier.sampling.conditioning import TextEncoding
from atelier.sampling.prediction import Prediction
from atelier.sampling.step import ModelInputs

EMPHASIS_MODES = ("Original", "No norm", "Ignore", "None")


@dataclass(frozen=True)
class Evidence:
    """What is known about a file before a weight is read.

    `shapes` by tensor name; `metadata` as trainers left it; `config` is the file's own `.yaml`, parsed, or None.
    """

    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    config: Mapping[str, Any] | None = None

    def any_key(self, start: str = "", part: str = "") -> str | None:
        return next((k for k in self.shapes if k.startswith(start) and part in k), None)


@dataclass(frozen=True)
class Match:
    """The file is of this family. `variant` is a word for people: "", "inpainting"."""

    variant: str = ""


@dataclass(frozen=True)
class NoMatch:
    """Why not. `missing` are decisive keys that were not found; `score` counts those that were, to name the closest."""

    reason: str
    missing: tuple[str, ...] = ()
    score: int = 0
    #: the file is of this family but in a form that cannot be used
    near: bool = False


@dataclass(frozen=True)
class Cut:
    """A tensor that a file keeps in another form: one of `of` equal parts of its rows, or turned by 90 degrees."""

    name: str
    part: int = 0
    of: int = 1
    turned: bool = False


@dataclass(frozen=True)
class Component:
    """One network of a model and where its weights are in the file.

    `build` makes the module, called where the meta device is the default. `names` maps the module's tensor names to
    the file's, without prefix. The first of `prefixes` under which the file has tensors is used.
    """

    name: str
    build: Callable[[], nn.Module]
    names: Callable[[Iterable[str]], Mapping[str, str | Cut]]
    prefixes: tuple[str, ...]


@dataclass(frozen=True)
class Blueprint:
    """Everything needed to make a model of a file, except the weights.

    With `ask` the denoiser itself tells what it predicts, when its weights are there; `prediction` then does not count.
    """

    components: Mapping[str, Component]
    prediction: Prediction
    latent: LatentSpace
    in_channels: int
    variant: str = ""
    ask: Callable[[nn.Module], Prediction] | None = None


@dataclass(frozen=True)
class EncodeOptions:
    """`clip_skip` counts from 1 (the last layer); `clip_l_skip` lets it reach the first encoder of SDXL.

    `embeddings`: name -> textual inversion vectors, [v, C]; for several encoders their widths stand beside each other.
    `negative` tells that the texts are negative prompts.
    """

    clip_skip: int = 1
    emphasis: str = "Original"
    comma_backtrack: int = 20
    clip_l_skip: bool = False
    negative: bool = False
    embeddings: Mapping[str, torch.Tensor] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def fingerprint(self) -> tuple[Hashable, ...]:
        """Equal for options that give the same encoding; part of the key of cached encodings."""
        known = tuple((name, tuple(t.shape), float(t.double().sum())) for name, t in sorted(self.embeddings.items()))
        return (self.clip_skip, self.emphasis, self.comma_backtrack, self.clip_l_skip, self.negative, known)


@dataclass(frozen=True)
class PictureFacts:
    """What some families tell their network beside the text: sizes in pixels, and scores of beauty."""

    width: int
    height: int
    crop_top: int = 0
    crop_left: int = 0
    low_score: float = 2.5
    high_score: float = 6.0


@dataclass(frozen=True)
class NetworkKeys:
    """How files of small networks (LoRA and kin) begin the names of this family's layers."""

    denoiser: tuple[str, ...]
    text_encoder: tuple[str, ...]


@dataclass(frozen=True)
class Family:
    name: str
    title: str
    default_size: tuple[int, int]
    default_sampler: str
    default_guidance: float
    latent: LatentSpace
    #: is a file of this family? Decided by names and shapes alone.
    match: Callable[[Evidence], Match | NoMatch]
    blueprint: Callable[[Evidence], Blueprint]
    #: all texts of one schedule together -> one encoding each
    encode: Callable[[Model, Sequence[str], EncodeOptions], list[TextEncoding]]
    #: the raw output of the network, [N, C, h, w]
    call: Callable[[Model, ModelInputs], torch.Tensor]
    network_keys: NetworkKeys
    #: numbers that the network is told, for the prompt and for the negative prompt; None where it is told nothing
    sizes: Callable[[PictureFacts], tuple[tuple[float, ...], tuple[float, ...]]] | None = None
    #: the components that can be trained
    train: tuple[str, ...] = ()
