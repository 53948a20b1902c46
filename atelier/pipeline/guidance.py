"""Guidance of a pass: what the request asks for, as one object, and what the UNet needs for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from torch import nn

from atelier.base.errors import BadRequest
from atelier.networks.attention_hooks import (
    blurred_queries,
    identity_attention,
    self_attentions,
    watched_attention,
)
from atelier.networks.freeu import FreeUFactors, freeu
from atelier.networks.token_merging import token_merging
from atelier.pipeline.beside import model_guidance
from atelier.pipeline.state import Pass, Run
from atelier.sampling.guidance import ClassifierFree, Guidance
from atelier.sampling.guides.perturbed import PerturbedAttention
from atelier.sampling.guides.projected import AdaptiveProjected
from atelier.sampling.guides.rescale import Rescale
from atelier.sampling.guides.self_attention import SelfAttentionGuidance
from atelier.sampling.guides.threshold import DynamicThreshold, ThresholdOptions
from atelier.sampling.prediction import Prediction

LAYERS = "guidance.layers"


def pass_guidance(current: Pass, prediction: Prediction) -> Guidance:
    """From the inside out: classifier-free guidance in its form, the picture of edit models, further guesses, and
    rescaling of all that. A method that is off is not there at all. `prediction` is that of the network at work.

    Raises `BadRequest` where the model has no such layers.
    """
    request, settings = current.batch.run.request, current.batch.run.settings
    own, s_min = request.guidance, request.sampling.s_min_uncond
    guidance: Guidance = ClassifierFree(
        cfg_scale=current.cfg_scale,
        s_min_uncond=settings.s_min_uncond if s_min is None else s_min,
        s_min_uncond_all=settings.s_min_uncond_all,
        skip_early=settings.skip_early_cond,
    )
    if own.apg:
        guidance = AdaptiveProjected(guidance, own.apg_eta, own.apg_threshold, own.apg_momentum)
    if own.threshold:
        guidance = DynamicThreshold(guidance, ThresholdOptions(
            own.mimic_scale, own.percentile / 100, own.phi, own.mimic_mode, own.mimic_min, own.cfg_mode, own.cfg_min,
            own.mode_value, own.separate, own.startpoint, own.variability,
        ))  # fmt: skip
    guidance = _attending(current, model_guidance(current, guidance))
    return Rescale(guidance, own.rescale, prediction) if own.rescale else guidance


def _attending(current: Pass, guidance: Guidance) -> Guidance:
    """The methods that ask once more with attention disturbed, or look at it."""
    own, unet = current.batch.run.request.guidance, current.model.denoiser
    if own.pag_scale:
        layers = self_attentions(unet, own.layers, LAYERS)
        guidance = PerturbedAttention(
            guidance, "pag", own.pag_scale, lambda height, width: identity_attention(layers), own.start, own.end
        )
    if own.seg_scale:
        smoothed, sigma = self_attentions(unet, own.layers, LAYERS), own.seg_sigma
        guidance = PerturbedAttention(
            guidance, "seg", own.seg_scale,
            lambda height, width: blurred_queries(smoothed, sigma, height, width), own.start, own.end,
        )  # fmt: skip
    if own.sag_scale:
        middle = self_attentions(unet, "mid", "guidance.sag_scale")[0]
        guidance = SelfAttentionGuidance(
            guidance, own.sag_scale, lambda height, width: watched_attention(middle, height, width),
            own.sag_sigma, own.sag_threshold, own.start, own.end,
        )  # fmt: skip
    return guidance


@contextmanager
def pass_patches(current: Pass) -> Iterator[None]:
    """FreeU and token merging are in force for the time of a pass."""
    own, unet = current.batch.run.request.guidance, current.model.denoiser
    factors = FreeUFactors(own.freeu_b1, own.freeu_b2, own.freeu_s1, own.freeu_s2, own.freeu_version)
    with (
        freeu(_with_ways_up(unet), factors) if own.freeu else nullcontext(),
        token_merging(unet, merging_ratio(current.batch.run, hires=current.name == "hires")),
    ):
        yield


def _with_ways_up(unet: nn.Module) -> nn.Module:
    if not hasattr(unet, "up_blocks"):
        raise BadRequest("guidance.freeu", "this model is no UNet.", remedy="Switch FreeU off.")
    return unet


def merging_ratio(run: Run, hires: bool) -> float:
    """That of img2img or of the second pass, where one is set, before the usual one."""
    settings = run.settings
    if hires:
        return settings.token_merging_ratio_hr or settings.token_merging_ratio
    special = settings.token_merging_ratio_img2img if run.request.kind == "img2img" else 0.0
    return special or settings.token_merging_ratio


def watching_bytes(current: Pass, rows: int, height: int, width: int) -> int:
    """What self-attention guidance needs beside a call: scores of one head in the middle, in float32, twice."""
    if not current.batch.run.request.guidance.sag_scale:
        return 0
    levels = len(getattr(current.model.denoiser, "down_blocks", ())) or 1
    tokens = -(-height // 2 ** (levels - 1)) * -(-width // 2 ** (levels - 1))
    return 2 * 4 * rows * tokens**2
