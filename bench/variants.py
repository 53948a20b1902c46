"""Variants: other memory formats, precisions and attention kernels, against the model as Atelier loads it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from torch import nn

from bench.bare import BareLoop, difference
from bench.report import Figure, figure, over
from bench.studio import Scene, Studio
from bench.timing import Effort, Figures, StepClock, alternate


@dataclass(frozen=True)
class Variant:
    """`before` and `after` put a module into another state and back, outside of what is timed."""

    name: str
    what: str
    half: bool = False
    before: Callable[[nn.Module], object] = field(default=lambda module: None)
    after: Callable[[nn.Module], object] = field(default=lambda module: None)


def _last(module: nn.Module) -> nn.Module:
    return module.to(memory_format=torch.channels_last)


def _first(module: nn.Module) -> nn.Module:
    return module.to(memory_format=torch.contiguous_format)


PLAIN = Variant("plain", "as loaded")
VARIANTS = (
    Variant("channels_last", "channels_last", before=_last, after=_first),
    Variant("plain_attention", "attention by two matrix products",
            before=lambda m: m.set_attn_processor(AttnProcessor()),
            after=lambda m: m.set_attn_processor(AttnProcessor2_0())),
    Variant("bfloat16", "bfloat16", half=True),
    Variant("bfloat16_channels_last", "bfloat16, channels_last", half=True, before=_last, after=_first),
)  # fmt: skip


def measure_variants(studio: Studio, scene: Scene, effort: Effort, name: str) -> Iterator[Figure]:
    """Steps of the bare loop with each variant of the denoiser, and how far its picture is from the plain one.

    The autoencoder that decodes the pictures stays as it is, so that only the denoiser's difference is seen.
    """
    loop = BareLoop(studio.model, scene, studio.settle)
    unet = studio.model.denoiser
    other = copy.deepcopy(unet).to(torch.bfloat16)
    seen: dict[str, np.ndarray] = {}

    def contender(variant: Variant) -> Callable[[], Figures]:
        module = other if variant.half else unet

        def work() -> Figures:
            variant.before(module)
            try:
                figures, seen[variant.name] = loop.paint(module)
            finally:
                variant.after(module)
            return figures

        return work

    rounds = alternate({v.name: contender(v) for v in (PLAIN, *VARIANTS)}, effort)
    yield figure(f"{name}.step", f"{name}: a step, as loaded", "ms", rounds.spread("plain", "step"), scale=1000)
    for variant in VARIANTS:
        apart, mean = difference(seen[variant.name], seen["plain"])
        cpu = (rounds.ratio(variant.name, "plain", "step_cpu").median - 1) * 100
        note = f"processor time {cpu:+.0f} %; picture: largest difference {apart}/255, mean {mean:.3f}/255"
        what = f"{name}: {variant.what}, time of a step over as loaded"
        yield over(f"{name}.{variant.name}", what, rounds.ratio(variant.name, "plain", "step"), note=note)
    yield from _decoding(studio, scene, effort, name)


def _decoding(studio: Studio, scene: Scene, effort: Effort, name: str) -> Iterator[Figure]:
    model, seen = studio.model, {}
    cells = scene.side // model.latent.factor
    latents = torch.randn(1, model.latent.channels, cells, cells, generator=torch.Generator().manual_seed(3))

    def contender(key: str, before: Callable[[nn.Module], object]) -> Callable[[], Figures]:
        def work() -> Figures:
            before(model.vae)
            clock = StepClock(studio.settle)
            clock.mark()
            seen[key] = model.decode(latents.to(model.device))
            clock.mark()
            _first(model.vae)
            return clock.figures()

        return work

    contenders = {"plain": contender("plain", _first), "channels_last": contender("channels_last", _last)}
    rounds = alternate(contenders, effort)
    yield figure(f"{name}.decode", f"{name}: decoding, as loaded", "ms", rounds.spread("plain", "step"), scale=1000)
    apart = float((seen["channels_last"] - seen["plain"]).abs().max()) * 255 / 2
    yield over(f"{name}.decode.channels_last", f"{name}: decoding with channels_last over as loaded",
               rounds.ratio("channels_last", "plain", "step"), note=f"largest difference {apart:.4f}/255")  # fmt: skip
