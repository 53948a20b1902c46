"""Previews: small pictures of unfinished latents, at most a few a second and only when someone watches."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from PIL import Image

from atelier.base.errors import AtelierError
from atelier.base.events import PreviewReady
from atelier.base.log import fields, logger
from atelier.checkpoints.approx import DECODER
from atelier.families.latent import LatentSpace
from atelier.pipeline.decode import decode, decode_small
from atelier.pipeline.state import Pass
from atelier.sampling.denoise import Denoiser
from atelier.sampling.step import StepInfo

log = logger(__name__)

MAX_SIDE = 512
#: a strip of finished pictures is made no larger than this
MAX_STRIP = 1536
FULL, CHEAP, ROUGH, TINY = "Full", "Approx cheap", "Approx NN", "TAESD"
PROMPT, NEGATIVE = "Prompt", "Negative prompt"


class Previewer:
    """Skips a picture when the last one was sent less than the refresh period ago, or nobody listens."""

    def __init__(self, current: Pass) -> None:
        settings = current.batch.run.settings
        self._pass = current
        self._every = settings.show_progress_every_n_steps if settings.live_previews_enable else -1
        self._period = settings.live_preview_refresh_period / 1000
        self._format = settings.live_previews_image_format
        self._method = settings.show_progress_type
        self._content = settings.live_preview_content
        self._steps = 0
        self._last = 0.0
        self._sent = 0

    def following(self, denoiser: Denoiser) -> Callable[[StepInfo], None]:
        """What a sampler tells of its steps, as the guess that the settings want to see."""

        def on_step(info: StepInfo) -> None:
            alone = {PROMPT: denoiser.last_cond, NEGATIVE: denoiser.last_uncond}.get(self._content)
            self.offer(info.denoised if alone is None else alone)

        return on_step

    def offer(self, denoised: torch.Tensor) -> None:  # [B, C, h, w]
        self._steps += 1
        run = self._pass.batch.run
        if self._every < 1 or self._steps % self._every or time.monotonic() - self._last < self._period:
            return
        if not run.services.watched(run.job):
            return
        self._sent += 1
        picture = self.picture(denoised)
        # Counted from the end, so that a slow preview does not take all of the time.
        self._last = time.monotonic()
        data = io.BytesIO()
        picture.save(data, self._format, quality=75)
        run.publish(
            PreviewReady(
                job=run.job, data=base64.b64encode(data.getvalue()).decode("ascii"),
                media=f"image/{self._format}", index=self._sent,
            )
        )  # fmt: skip

    def picture(self, denoised: torch.Tensor) -> Image.Image:
        """By the method of the settings; by the cheap one where its file is missing or it failed."""
        run, model = self._pass.batch.run, self._pass.model
        try:
            if self._method == FULL:
                return strip(decode(run, denoised, model))
            if self._method in (ROUGH, TINY):
                network = run.services.approx.network(model, DECODER, run.settings.allow_pickle)
                if network is not None:
                    latents = F.avg_pool2d(denoised, 2) if self._method == ROUGH else denoised
                    return strip(decode_small(run, network, latents))
        except AtelierError as error:
            log.warning("preview failed, the cheap one is used: %s", fields(method=self._method, reason=error.message))
            self._method = CHEAP
        return preview_image(denoised, run.services.approx.latent(model, run.settings.allow_pickle))


def strip(pixels: torch.Tensor) -> Image.Image:  # [B, 3, H, W] in 0..1
    """The pictures of a batch side by side."""
    joined = torch.cat(list((pixels * 255).to(torch.uint8).permute(0, 2, 3, 1)), dim=1)  # [H, B * W, 3]
    picture = Image.fromarray(joined.cpu().numpy())
    picture.thumbnail((MAX_STRIP, MAX_STRIP))
    return picture


def preview_image(latents: torch.Tensor, space: LatentSpace) -> Image.Image:
    """Each latent cell becomes one colour, then is enlarged. The pictures of a batch stand side by side."""
    picture = strip(space.preview_rgb(latents.detach()))
    factor = max(1, min(space.factor, MAX_SIDE // max(picture.size)))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.BICUBIC)
