"""Small networks and texts for the tests of sampling."""

from __future__ import annotations

from dataclasses import replace

import torch

from atelier.sampling.conditioning import Conditioning, ScheduledEncoding, TextEncoding
from atelier.sampling.denoise import Denoiser
from atelier.sampling.guidance import ClassifierFree
from atelier.sampling.prediction import Prediction, per_row

EPS = Prediction.scaled_linear()


def text(value: float, length: int = 2) -> TextEncoding:
    return TextEncoding(torch.full((length, 3), value))


def constant(value: float, length: int = 2) -> ScheduledEncoding:
    return ScheduledEncoding.constant(text(value, length))


def conditioning(positive: list[float], negative: float = 0.0, **rest) -> Conditioning:
    return Conditioning(
        tuple(((1.0, constant(value)),) for value in positive), tuple(constant(negative) for _ in positive), **rest
    )


def product_network(inputs):
    """Arithmetic only, so that a row's result cannot depend on where in the batch it stands."""
    level = inputs.context.sum(dim=(1, 2)) * 0.1 + inputs.t * 0.0005
    x = inputs.latents
    return x * 0.5 + x.roll(1, -1) * 0.25 + per_row(level, x)


class GaussianNetwork:
    """The exact noise guess for pictures drawn from N(mean, spread^2): the mean follows from the text."""

    def __init__(self, spread: float = 0.5, prediction: Prediction = EPS):
        self.spread, self.prediction, self.calls = spread, prediction, 0

    def __call__(self, inputs):
        self.calls += 1
        sigma = per_row(inputs.sigma, inputs.latents)
        x = inputs.latents * (sigma**2 + 1) ** 0.5
        mean = per_row(inputs.context[:, 0, 0], x)
        x0 = (x * self.spread**2 + mean * sigma**2) / (self.spread**2 + sigma**2)
        return (x - x0) / sigma


def exact_flow(start: torch.Tensor, sigma: float, mean: float, spread: float) -> torch.Tensor:
    """Where the probability flow of N(mean, spread^2) leads from `start` at sigma, at sigma 0."""
    return mean + (start - mean) * spread / (spread**2 + sigma**2) ** 0.5


def denoiser(call, cond, cfg_scale=1.0, **rest) -> Denoiser:
    rest.setdefault("guidance", ClassifierFree(cfg_scale))
    return Denoiser(call=call, prediction=EPS, conditioning=cond, **rest)


def only(cond: Conditioning, image: int) -> Conditioning:
    """The conditioning of one picture of a batch."""
    return replace(cond, positive=cond.positive[image : image + 1], negative=cond.negative[image : image + 1])
