"""Soft inpainting: old and new are mixed by degrees at every step, and the result is laid over the original where it
has changed.

The method is that of A1111's script of this name; the formulas are those of the project's notes on sampling.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageFilter

from atelier.imaging.inpaint import InpaintFrame
from atelier.imaging.masks import cut_out
from atelier.params.parts import SoftInpainting
from atelier.pipeline.state import Pass, Run
from atelier.sampling.step import Step

#: of the filter that looks at a cell's surroundings
KERNEL, KERNEL_WIDTH = 5, 1.5
#: the shares of the surroundings' weight that are averaged: first the strongest, then the middle
STRONGEST, MIDDLE = (0.9, 1.0), (0.25, 0.75)
#: where the masks wait in the notes of a run
NOTE = "soft masks"
#: softness of the final mask, in pixels
EDGE = 4
SMALL = 1e-7


def is_soft(run: Run) -> bool:
    return run.request.soft.enabled and run.request.inpainting


def soft_blend(run: Run) -> Callable[[Step], torch.Tensor] | None:
    """What the denoiser does in the place of a plain mask, or None."""
    options = run.request.soft
    return (lambda step: blend(step, options)) if is_soft(run) else None


def blend(step: Step, options: SoftInpainting) -> torch.Tensor:  # [B, C, h, w]
    """Kept more the less noise there is, with the contrast of a mean of higher order."""
    sigma = step.sigma.to(step.denoised)[:, None, None, None]
    share = step.nmask ** (sigma**options.mask_blend_power * options.mask_blend_scale)
    return mix(step.init_latents, step.denoised, share, options.detail_preservation)


def mix(old: torch.Tensor, new: torch.Tensor, share: torch.Tensor, power: float) -> torch.Tensor:  # [B, C, h, w]
    """Between two latents; a cell's length is the power mean of the two lengths, since a plain mix would be dull."""
    mixed = old + (new - old) * share
    lengths = [torch.linalg.vector_norm(x.double(), dim=1, keepdim=True) for x in (old, new, mixed)]
    wanted = (lengths[0] ** power * (1 - share) + lengths[1] ** power * share) ** (1 / power)
    return (mixed * (wanted / lengths[2].clamp(min=SMALL))).to(new.dtype)


def leave_masks(current: Pass) -> None:
    """For each picture of the batch the mask by which the result is laid over the original; for `finish.py`."""
    run = current.batch.run
    run.notes.pop(NOTE, None)
    if is_soft(run) and current.keep_mask is not None:
        nmask = (1 - current.keep_mask).expand(len(current.latents), -1, -1, -1)
        pictures = zip(current.latents, current.source, nmask, strict=True)
        run.notes[NOTE] = [final_mask(*picture, run.request.soft) for picture in pictures]


def final_mask(now: torch.Tensor, before: torch.Tensor, nmask: torch.Tensor, options: SoftInpainting) -> Image.Image:
    """L, of latent size; white where the new picture is shown. `now` and `before` [C, h, w], `nmask` [1, h, w]."""
    distance = torch.linalg.vector_norm((now - before).float(), dim=0).cpu().numpy()  # [h, w]
    weights = kernel()
    for low, high in (STRONGEST, MIDDLE):
        distance = percentile_mean(distance, weights, low, high)
    share = nmask[0].float().cpu().numpy()
    influence = options.mask_influence
    scale = 0.5 * (1 - influence) + influence * (1 - share ** (options.mask_blend_scale / 2))
    threshold = options.difference_threshold * scale / (1.00001 - scale)
    relative = distance / np.maximum(threshold, SMALL)
    kept = 1 / (1 + relative**options.difference_contrast)
    kept = kept**3 * (kept * (kept * 6 - 15) + 10)
    return Image.fromarray(np.clip((1 - kept) * 255, 0, 255).astype(np.uint8))


def kernel() -> np.ndarray:  # [KERNEL, KERNEL]
    """A bell that falls to nothing at its rim."""
    reach = KERNEL // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    radius = np.hypot(x, y)
    return np.exp(-((radius / KERNEL_WIDTH) ** 2)) * np.clip(1 - radius / (reach + 1), 0, 1)


def percentile_mean(values: np.ndarray, weights: np.ndarray, low: float, high: float) -> np.ndarray:  # [h, w]
    """For each cell: its surroundings in rising order, and of their weight the mean of the part from low to high."""
    reach = weights.shape[0] // 2
    padded = np.pad(values, reach)
    inside = np.pad(np.ones_like(values), reach)
    windows = np.lib.stride_tricks.sliding_window_view(padded, weights.shape).reshape(*values.shape, -1)
    counted = np.lib.stride_tricks.sliding_window_view(inside, weights.shape).reshape(*values.shape, -1)
    counted = counted * weights.reshape(-1)
    order = np.argsort(windows, axis=-1)
    ordered = np.take_along_axis(windows, order, axis=-1)
    ends = np.cumsum(np.take_along_axis(counted, order, axis=-1), axis=-1)
    total = ends[..., -1:]
    begins = np.concatenate([np.zeros_like(total), ends[..., :-1]], axis=-1)
    part = np.clip(np.minimum(ends, high * total) - np.maximum(begins, low * total), 0, None)
    return (ordered * part).sum(axis=-1) / np.maximum(part.sum(axis=-1), SMALL)


def soft_overlay(frame: InpaintFrame, small: Image.Image) -> tuple[Image.Image, Image.Image]:
    """The overlay and its mask, of the original's size: `small` is of latent size, for the part that was worked on."""
    original = frame.original
    if frame.box is None:
        mask = small.resize(original.size, Image.Resampling.BICUBIC)
    else:
        left, top, right, bottom = frame.box
        mask = Image.new("L", original.size)
        mask.paste(small.resize((right - left, bottom - top), Image.Resampling.BICUBIC), (left, top))
    mask = mask.filter(ImageFilter.GaussianBlur(EDGE))
    return cut_out(original, mask), mask
