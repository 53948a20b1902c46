"""Prediction: what a network predicts (noise or velocity), and how that becomes a denoised latent."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

KINDS = ("eps", "v")
# A table whose last entry is exactly 0 would give an infinite sigma.
LAST_ALPHA_OF_ZERO_SNR = 4.8973451890853435e-08


def scaled_linear_alphas(linear_start: float, linear_end: float, steps: int) -> Tensor:  # [steps]
    """Cumulative alphas of the schedule of latent diffusion: betas linear in their square root."""
    betas = torch.linspace(linear_start**0.5, linear_end**0.5, steps, dtype=torch.float64) ** 2
    return torch.cumprod(1.0 - betas, dim=0).float()


def rescale_to_zero_snr(alphas_cumprod: Tensor) -> Tensor:  # [T] -> [T]
    """Shifts and scales the square roots so that the last is 0 and the first unchanged (Lin et al. 2023)."""
    roots = alphas_cumprod.sqrt()
    first, last = roots[0].clone(), roots[-1].clone()
    rescaled = ((roots - last) * first / (first - last)) ** 2
    rescaled[-1] = LAST_ALPHA_OF_ZERO_SNR
    return rescaled


def per_row(values: Tensor, like: Tensor) -> Tensor:  # [N], [N, ...] -> [N, 1, ...]
    return values.to(device=like.device).reshape(-1, *([1] * (like.ndim - 1)))


@dataclass(frozen=True, eq=False)
class Prediction:
    """A network trained on discrete noise levels, seen as a denoiser over continuous sigma.

    `kind` is eps (noise) or v (velocity). `alphas_cumprod` has one entry a training timestep, falling.
    With `quantize` a sigma is given to the network as the nearest whole timestep.
    """

    kind: str
    alphas_cumprod: Tensor  # [T]
    quantize: bool = False
    sigmas: Tensor = field(init=False)  # [T], rising
    log_sigmas: Tensor = field(init=False)  # [T]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown prediction kind {self.kind!r}; one of {', '.join(KINDS)}")
        alphas = self.alphas_cumprod.detach().float().cpu()
        sigmas = self._table(alphas)
        object.__setattr__(self, "alphas_cumprod", alphas)
        object.__setattr__(self, "sigmas", sigmas)
        object.__setattr__(self, "log_sigmas", sigmas.log())

    @classmethod
    def scaled_linear(
        cls,
        kind: str = "eps",
        linear_start: float = 0.00085,
        linear_end: float = 0.012,
        steps: int = 1000,
        zero_terminal_snr: bool = False,
        half_alphas: bool = False,
    ) -> Prediction:
        """The noise schedule of SD 1, 2 and XL. `half_alphas` rounds alphas to half precision first (old seeds)."""
        alphas = scaled_linear_alphas(linear_start, linear_end, steps)
        if half_alphas:
            alphas = alphas.half().float()
        return cls(kind, rescale_to_zero_snr(alphas) if zero_terminal_snr else alphas)

    def with_quantize(self, quantize: bool) -> Prediction:
        return self if quantize == self.quantize else replace(self, quantize=quantize)

    def with_levels(self, zero_snr: bool, half_alphas: bool = False) -> Prediction:
        """The same network on changed noise levels: down to pure noise, or from alphas rounded to half precision."""
        alphas = self.alphas_cumprod.half().float() if half_alphas else self.alphas_cumprod
        # A table that already ends in pure noise stays as it is.
        if zero_snr and float(alphas[-1]) > 2 * LAST_ALPHA_OF_ZERO_SNR:
            alphas = rescale_to_zero_snr(alphas)
        return self if alphas is self.alphas_cumprod else replace(self, alphas_cumprod=alphas)

    def _table(self, alphas: Tensor) -> Tensor:
        return ((1 - alphas) / alphas).sqrt()

    @property
    def sigma_min(self) -> float:
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        return float(self.sigmas[-1])

    def sigma_to_t(self, sigma: Tensor) -> Tensor:  # [...] -> [...]
        """Timestep of a sigma: linear in log sigma between table entries, or the nearest entry."""
        wanted = sigma.float().cpu().log()
        table = self.log_sigmas
        if self.quantize:
            return (wanted.reshape(-1, 1) - table).abs().argmin(dim=1).reshape(sigma.shape).float()
        low = (torch.searchsorted(table, wanted, right=True) - 1).clamp(0, len(table) - 2)
        weight = ((table[low] - wanted) / (table[low] - table[low + 1])).clamp(0, 1)
        return (1 - weight) * low + weight * (low + 1)

    def t_to_sigma(self, t: Tensor) -> Tensor:  # [...] -> [...]
        """Sigma of a possibly fractional timestep: linear in log sigma between its neighbours."""
        place = t.float().cpu().clamp(0, len(self.log_sigmas) - 1)
        low, high, weight = place.floor().long(), place.ceil().long(), place.frac()
        return ((1 - weight) * self.log_sigmas[low] + weight * self.log_sigmas[high]).exp()

    def alpha_bar(self, t: float) -> float:
        """Cumulative alpha of a possibly fractional timestep: linear in its logarithm."""
        place = min(max(float(t), 0.0), len(self.alphas_cumprod) - 1.0)
        low = min(int(place), len(self.alphas_cumprod) - 2)
        first, second = float(self.alphas_cumprod[low]), float(self.alphas_cumprod[low + 1])
        return math.exp(math.log(first) + (place - low) * (math.log(second) - math.log(first)))

    def c_in(self, sigma: Tensor) -> Tensor:  # [...] -> [...]
        """Factor that brings x = x0 + sigma * noise to the variance that the network was trained on."""
        return 1 / (sigma**2 + 1) ** 0.5

    def denoised(self, x: Tensor, output: Tensor, sigma: Tensor) -> Tensor:  # [N, ...], [N, ...], [N] -> [N, ...]
        """The network's output as its guess of the clean latent, at x = x0 + sigma * noise."""
        sigma = per_row(sigma, x)
        if self.kind == "eps":
            return x - sigma * output
        return x / (sigma**2 + 1) - output * (sigma / (sigma**2 + 1) ** 0.5)

    def eps_from_denoised(self, x: Tensor, denoised: Tensor, sigma: Tensor) -> Tensor:  # [N, ...] -> [N, ...]
        return (x - denoised) / per_row(sigma, x)

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:  # [N, ...], [N, ...], [N] -> [N, ...]
        """What the network should predict for sqrt(a) * x0 + sqrt(1 - a) * noise; used in training."""
        if self.kind == "eps":
            return noise
        alphas = per_row(self.alphas_cumprod[t.long().cpu()], x0).to(x0.dtype)
        return alphas.sqrt() * noise - (1 - alphas).sqrt() * x0


@dataclass(frozen=True, eq=False)
class ConsistencyPrediction(Prediction):
    """A latent consistency model (Luo et al. 2023): distilled on every 20th timestep only, with a boundary condition.

    Timesteps are 19, 39, ... 999 of 1000; a sigma is always given as the nearest of them.
    """

    points: int = 50
    sigma_data: float = 0.5
    timestep_scaling: float = 10.0

    @property
    def stride(self) -> int:
        return len(self.alphas_cumprod) // self.points

    def _table(self, alphas: Tensor) -> Tensor:
        kept = alphas[self.stride_of(alphas) - 1 :: self.stride_of(alphas)]
        return ((1 - kept) / kept).sqrt()

    def stride_of(self, alphas: Tensor) -> int:
        return len(alphas) // self.points

    def sigma_to_t(self, sigma: Tensor) -> Tensor:
        wanted = sigma.float().cpu().log().reshape(-1, 1)
        nearest = (wanted - self.log_sigmas).abs().argmin(dim=1).reshape(sigma.shape)
        return (nearest * self.stride + self.stride - 1).float()

    def t_to_sigma(self, t: Tensor) -> Tensor:
        return super().t_to_sigma((t.float() - (self.stride - 1)) / self.stride)

    def denoised(self, x: Tensor, output: Tensor, sigma: Tensor) -> Tensor:
        x0 = super().denoised(x, output, sigma)
        scaled = per_row(self.sigma_to_t(sigma), x) * self.timestep_scaling
        c_skip = self.sigma_data**2 / (scaled**2 + self.sigma_data**2)
        c_out = scaled / (scaled**2 + self.sigma_data**2) ** 0.5
        return c_out * x0 + c_skip * x
