"""Noise shaped like a picture: its spectrum, its spread and its colours, as something to begin outpainting from.

The idea of filling new ground with noise of the known picture's spectrum is parlance-zz's (g-diffuser, MIT licence).
"""

from __future__ import annotations

import numpy as np
from PIL import Image


def shaped_noise(
    known: Image.Image, size: tuple[int, int], *, falloff: float = 1.0, color_variation: float = 0.05, seed: int = 0
) -> Image.Image:
    """RGB of `size`. White noise gets the amplitudes of `known`'s Fourier spectrum, to the power of `falloff`: 0 leaves
    it white, larger values make it smoother. Then each channel gets `known`'s own distribution of values.

    `color_variation` is how far the channels go their own ways: 0 is the picture's brightness alone.
    """
    width, height = size
    pixels = np.asarray(known.convert("RGB"), dtype=np.float64) / 255  # [H, W, 3]
    draw = np.random.default_rng(seed % 2**63)
    grey, colored = draw.standard_normal((height, width, 1)), draw.standard_normal((height, width, 3))
    noise = (1 - color_variation) * grey + color_variation * colored
    spectrum = _amplitudes(pixels, (height, width)) ** falloff
    shaped = np.fft.ifft2(np.fft.fft2(noise, axes=(0, 1)) * spectrum[..., None], axes=(0, 1)).real
    channels = [_with_values_of(shaped[..., channel], pixels[..., channel]) for channel in range(3)]
    return Image.fromarray(np.rint(np.stack(channels, axis=2) * 255).clip(0, 255).astype(np.uint8))


def _amplitudes(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:  # [H, W, 3] -> [height, width], mean 1
    """How strong each frequency is in the picture, its edges faded out so that they do not count as detail."""
    luma = pixels @ np.array((0.299, 0.587, 0.114))
    window = np.outer(np.hanning(luma.shape[0] + 2)[1:-1], np.hanning(luma.shape[1] + 2)[1:-1])
    strength = np.fft.fftshift(np.abs(np.fft.fft2((luma - luma.mean()) * window)))
    # The same frequencies on the grid of the new size.
    fitted = Image.fromarray(strength.astype(np.float32), mode="F").resize(
        (size[1], size[0]), Image.Resampling.BILINEAR
    )
    found = np.fft.ifftshift(np.asarray(fitted, dtype=np.float64)).clip(1e-6)
    return found / found.mean()


def _with_values_of(noise: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The noise with its values exchanged, rank by rank, for those of the picture."""
    order = np.argsort(noise, axis=None)
    values = np.sort(wanted, axis=None)
    places = np.linspace(0, values.size - 1, order.size)
    result = np.empty(order.size)
    result[order] = np.interp(places, np.arange(values.size), values)
    return result.reshape(noise.shape)
