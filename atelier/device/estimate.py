"""Estimator: bytes that a pass of a denoiser or of an autoencoder will need beside the weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from atelier.base.log import fields, logger
from atelier.device.attention import SLICE_BYTES, SPLIT
from atelier.device.eight_bits import working_type
from atelier.device.memory import Meter, meter_for

log = logger(__name__)

#: Numbers alive at the peak, in units of (channels x cells) or (channels x pixels). Counted by following every tensor
#: of the full-size Stable Diffusion 1 networks, from 256 to 1024 pixels and batches of 1 to 4, where they do not
#: depend on the size; the second is for networks without attention in their first level.
UNET_WITH_ATTENTION = 26.1
UNET_WITHOUT = 16.2
#: by the channels of the first and of the second level of an autoencoder
VAE_FIRST, VAE_SECOND = 5.1, 3.05
#: matrices of scores alive at once where attention is not fused into one kernel
SCORES = 4
#: what counting tensors does not see: workspaces of convolutions, and gaps between blocks of memory. Not measured.
CUSHION = 1.25
#: a measurement further away than this was of something else
FARTHEST = 4.0


@dataclass(frozen=True)
class Sizes:
    """What a UNet of diffusers' kind says of itself. `heads` is that of the first level with attention, 0 if unknown;
    `level` is that level, from 0, whose sides are 2 ** level times smaller."""

    channels: int
    heads: int
    level: int

    @classmethod
    def of(cls, denoiser: nn.Module) -> Sizes | None:
        """None for networks of another kind."""
        config = getattr(denoiser, "config", None)
        widths, kinds = getattr(config, "block_out_channels", None), getattr(config, "down_block_types", None)
        if not widths or not kinds:
            return None
        levels = [i for i, kind in enumerate(kinds) if "Attn" in kind]
        level = levels[0] if levels else len(kinds)
        # diffusers calls the number of heads `attention_head_dim`; `num_attention_heads` wins where it is given.
        heads = getattr(config, "num_attention_heads", None) or getattr(config, "attention_head_dim", None) or 0
        if isinstance(heads, Sequence):
            heads = heads[min(level, len(heads) - 1)]
        return cls(int(widths[0]), int(heads), level)


@dataclass(frozen=True)
class Estimate:
    """`bytes` is 0 when nothing is known. `what` names the kind of work, for corrections."""

    what: str
    bytes: int


@dataclass
class Estimator:
    """Counts by formula and corrects itself by measured peaks, where the device can tell. Belongs to one worker.

    Latents are counted in cells: `height` and `width` of the latents, not of the picture.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    meter: Meter | None = None
    _ratios: dict[str, float] = field(default_factory=dict)

    @classmethod
    def on(cls, device: torch.device) -> Estimator:
        return cls(device, meter_for(device))

    def denoiser(self, denoiser: nn.Module, rows: int, height: int, width: int, kernel: str) -> Estimate:
        """One call of a UNet with `rows` latents, prompt and negative prompt counted separately."""
        sizes, element = Sizes.of(denoiser), _element(denoiser)
        if sizes is None:
            return Estimate("denoiser", 0)
        share = UNET_WITH_ATTENTION if sizes.level == 0 else UNET_WITHOUT
        count = share * sizes.channels * rows * height * width * element
        tokens = (height >> sizes.level) * (width >> sizes.level)
        scores = self._scores(rows * max(sizes.heads, 1), tokens, element, kernel)
        return self._corrected(f"denoiser {kernel} {element}", count + scores)

    def decode(self, vae: nn.Module, height: int, width: int, kernel: str) -> Estimate:
        """Decoding one picture."""
        return self._autoencoder("decode", vae, height, width, kernel)

    def encode(self, vae: nn.Module, height: int, width: int, kernel: str) -> Estimate:
        """Encoding one picture."""
        return self._autoencoder("encode", vae, height, width, kernel)

    def _autoencoder(self, what: str, vae: nn.Module, height: int, width: int, kernel: str) -> Estimate:
        widths = getattr(getattr(vae, "config", None), "block_out_channels", None)
        if not widths:
            return Estimate(what, 0)
        element = _element(vae)
        pixels = height * width * 4 ** (len(widths) - 1)
        numbers = VAE_FIRST * widths[0]
        if what == "decode" and len(widths) > 1:
            # The decoder enlarges to full size before it narrows to the width of the first level.
            numbers = max(numbers, VAE_SECOND * widths[1])
        # Attention works on the smallest maps, so its scores and the large maps are not alive at the same time.
        scores = self._scores(1, height * width, element, kernel)
        return self._corrected(f"{what} {kernel} {element}", max(numbers * pixels * element, scores))

    def _scores(self, matrices: int, tokens: int, element: int, kernel: str) -> float:
        """Bytes of attention's scores. The fused kernels of CUDA and of the CPU keep none."""
        if self.device.type in ("cuda", "cpu"):
            return 0.0
        whole = float(SCORES * matrices * tokens * tokens * element)
        return min(whole, SCORES * SLICE_BYTES) if kernel == SPLIT else whole

    def _corrected(self, what: str, count: float) -> Estimate:
        return Estimate(what, int(count * self._ratios.get(what, CUSHION)))

    @contextmanager
    def measuring(self, estimate: Estimate) -> Iterator[Watch]:
        """The block does the work that was estimated; its peak corrects later estimates of the same kind.

        The block says `watch.drop()` when it did less than that. Where the device cannot tell, nothing happens.
        """
        watch = Watch()
        if self.meter is None or estimate.bytes == 0:
            yield watch
            return
        self.meter.start()
        yield watch
        if not watch.dropped:
            self._learn(estimate, self.meter.peak())

    def _learn(self, estimate: Estimate, peak: int) -> None:
        old = self._ratios.get(estimate.what, CUSHION)
        seen = old * peak / estimate.bytes
        if peak <= 0 or not 1 / FARTHEST <= seen <= FARTHEST:
            return
        # Up at once, down slowly: too little room costs a failure, too much only an eviction.
        self._ratios[estimate.what] = seen if seen > old else (old + seen) / 2
        log.debug("estimate corrected: %s", fields(what=estimate.what, estimate=estimate.bytes, peak=peak))


@dataclass
class Watch:
    """Held while a peak is measured."""

    dropped: bool = False

    def drop(self) -> None:
        self.dropped = True


def _element(module: nn.Module) -> int:
    """Bytes of one number in the precision that the network calculates in."""
    return working_type(module).itemsize


def gigabytes(size: int) -> Any:
    """For people: 1.5 GB."""
    return f"{size / 1e9:.1f} GB"
