"""What the callbacks are handed: plain objects whose fields an extension reads and, where noted, replaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class ImageSaveParams:
    """`pnginfo["parameters"]` is the infotext. Before saving image, filename and pnginfo may be replaced."""

    image: Any
    p: Any
    filename: str
    pnginfo: dict[str, Any]


@dataclass
class ExtraNoiseParams:
    noise: Any
    x: Any
    xi: Any


@dataclass
class CFGDenoiserParams:
    """Rows of `x`: every AND part of every picture, then one negative for each picture. All fields may be replaced."""

    x: Any  # [N, C, h, w]
    image_cond: Any
    sigma: Any  # [N]
    sampling_step: int
    total_sampling_steps: int
    text_cond: Any  # [P, T, C]
    text_uncond: Any  # [B, T, C]
    denoiser: Any = None


@dataclass
class CFGDenoisedParams:
    """`x` may be changed in place; replacing it has no effect."""

    x: Any  # [N, C, h, w]
    sampling_step: int
    total_sampling_steps: int
    inner_model: Any = None


@dataclass
class AfterCFGCallbackParams:
    x: Any  # [B, C, h, w]
    sampling_step: int
    total_sampling_steps: int


@dataclass
class UiTrainTabParams:
    txt2img_preview_params: Any


@dataclass
class ImageGridLoopParams:
    imgs: list[Any]
    cols: int
    rows: int


@dataclass
class BeforeTokenCounterParams:
    prompt: str
    steps: int
    styles: list[str]
    is_positive: bool = True
