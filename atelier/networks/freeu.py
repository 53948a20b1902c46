"""FreeU: backbone and skip connections of a UNet weighed anew, as a context that undoes itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from atelier.networks.patch import Patch


@dataclass(frozen=True)
class FreeUFactors:
    """`b` amplifies the backbone, `s` scales the lowest frequencies of the skip connections; 1 in the blocks of four
    times the UNet's own width, 2 in those of twice. Version 2 amplifies by how much each place says."""

    b1: float
    b2: float
    s1: float
    s2: float
    version: int = 2


@contextmanager
def freeu(unet: nn.Module, factors: FreeUFactors) -> Iterator[None]:
    """Si et al. 2023, sections 3.2 and 4; the widths and the half of the channels that is amplified as in their
    program. Acts where backbone and skip connection meet: before each residual block of the way up."""
    width = unet.config.block_out_channels[0]
    known = {4 * width: (factors.b1, factors.s1), 2 * width: (factors.b2, factors.s2)}
    with Patch() as patch:
        for block in unet.up_blocks:
            _watch(block, known, factors.version, patch)
        yield


def _watch(block: nn.Module, known: dict[int, tuple[float, float]], version: int, patch: Patch) -> None:
    skips: list[int] = []

    def remember(block: nn.Module, inputs: Any, given: dict[str, Any]) -> None:
        told = given.get("res_hidden_states_tuple")
        told = inputs[1] if told is None else told
        skips[:] = [skip.shape[1] for skip in told]

    def weigh(resnet: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        # The last skip connection meets the first residual block.
        own = skips.pop()
        hidden, skip = inputs[0].split([inputs[0].shape[1] - own, own], dim=1)
        if hidden.shape[1] not in known:
            return inputs
        b, s = known[hidden.shape[1]]
        joined = torch.cat([amplified(hidden, b, version), low_scaled(skip, s)], dim=1)
        return (joined, *inputs[1:])

    patch.hook(block.register_forward_pre_hook(remember, with_kwargs=True))
    for resnet in block.resnets:
        patch.hook(resnet.register_forward_pre_hook(weigh))


def amplified(hidden: Tensor, b: float, version: int) -> Tensor:  # [N, C, H, W]
    """Half of the channels times b, or times a factor up to b that follows the mean over channels at each place."""
    half = hidden.shape[1] // 2
    factor: Tensor | float = b
    if version == 2:
        mean = hidden.mean(dim=1, keepdim=True)
        low, high = mean.amin(dim=(2, 3), keepdim=True), mean.amax(dim=(2, 3), keepdim=True)
        # In half precision a small number would be 0.
        factor = (b - 1) * (mean - low) / (high - low).clamp_min(torch.finfo(mean.dtype).tiny) + 1
    return torch.cat([hidden[:, :half] * factor, hidden[:, half:]], dim=1)


def low_scaled(skip: Tensor, s: float, reach: int = 1) -> Tensor:  # [N, C, H, W]
    """The 2 x 2 lowest frequencies times s."""
    frequencies = torch.fft.fftshift(torch.fft.fftn(skip.float(), dim=(-2, -1)), dim=(-2, -1))
    row, column = skip.shape[-2] // 2, skip.shape[-1] // 2
    low = torch.ones(skip.shape[-2:], device=skip.device)
    low[max(row - reach, 0) : row + reach, max(column - reach, 0) : column + reach] = s
    back = torch.fft.ifftn(torch.fft.ifftshift(frequencies * low, dim=(-2, -1)), dim=(-2, -1))
    return back.real.to(skip.dtype)
