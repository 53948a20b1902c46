"""Previews: small pictures of unfinished latents, at most a few a second and only when someone watches."""

from __future__ import annotations

import base64
import io
import time

import torch
from PIL import Image

from atelier.base.events import PreviewReady
from atelier.families.latent import LatentSpace
from atelier.pipeline.state import Pass

MAX_SIDE = 512


class Previewer:
    """Skips a picture when the last one was sent less than the refresh period ago, or nobody listens."""

    def __init__(self, current: Pass) -> None:
        settings = current.batch.run.settings
        self._pass = current
        self._every = settings.show_progress_every_n_steps if settings.live_previews_enable else -1
        self._period = settings.live_preview_refresh_period / 1000
        self._format = settings.live_previews_image_format
        self._steps = 0
        self._last = 0.0
        self._sent = 0

    def offer(self, denoised: torch.Tensor) -> None:  # [B, C, h, w]
        self._steps += 1
        run = self._pass.batch.run
        if self._every < 1 or self._steps % self._every or time.monotonic() - self._last < self._period:
            return
        if not run.services.watched(run.job):
            return
        self._last = time.monotonic()
        self._sent += 1
        picture = preview_image(denoised, self._pass.model.latent)
        data = io.BytesIO()
        picture.save(data, self._format, quality=75)
        run.publish(
            PreviewReady(
                job=run.job, data=base64.b64encode(data.getvalue()).decode("ascii"),
                media=f"image/{self._format}", index=self._sent,
            )
        )  # fmt: skip


def preview_image(latents: torch.Tensor, space: LatentSpace) -> Image.Image:
    """Each latent cell becomes one colour, then is enlarged. The pictures of a batch stand side by side."""
    pixels = (space.preview_rgb(latents.detach()) * 255).to(torch.uint8)  # [B, 3, h, w]
    strip = torch.cat(list(pixels.permute(0, 2, 3, 1)), dim=1).cpu().numpy()  # [h, B * w, 3]
    picture = Image.fromarray(strip)
    factor = max(1, min(space.factor, MAX_SIDE // max(picture.size)))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.BICUBIC)
