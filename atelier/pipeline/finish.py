"""Finishing: decoded tensors become pictures, put back under the mask where there was one."""

from __future__ import annotations

import torch
from PIL import Image

from atelier.imaging.color import match_color, match_picture
from atelier.imaging.inpaint import InpaintFrame
from atelier.imaging.masks import apply_overlay
from atelier.pipeline.faces import restore_faces, wants_faces
from atelier.pipeline.finishing import finish_frame
from atelier.pipeline.soft import NOTE, soft_overlay
from atelier.pipeline.state import Batch, Frame


def finish_batch(batch: Batch) -> None:
    """Fills `batch.frames`, one for each entry of `batch.images`, firing the hooks of a frame in their order."""
    run, hooks = batch.run, batch.run.services.hooks
    first_index = len([p for p in run.pictures if p.role == "picture"])
    faces = wants_faces(batch)
    for position, pixels in enumerate(batch.images):
        source = _source(batch, position)
        frame = Frame(
            batch, first_index + position, position, to_image(pixels),
            seed=_at(batch.seeds, position), subseed=_at(batch.subseeds, position),
            prompt=_at(batch.prompts, position), negative=_at(batch.negatives, position),
        )  # fmt: skip
        if source is not None:
            frame.overlay, frame.mask_for_overlay = source.overlay, source.full_mask
            if NOTE in run.notes and source.original is not None:
                frame.overlay, frame.mask_for_overlay = soft_overlay(source, _at(run.notes[NOTE], position))
        if faces:
            restore_faces(frame)
        hooks.amend_frame(frame=frame)
        hooks.amend_overlay(frame=frame)
        _composite(frame, source)
        hooks.amend_composite(frame=frame)
        finish_frame(frame)
        batch.frames.append(frame)


def _composite(frame: Frame, source: InpaintFrame | None) -> None:
    settings, plain = frame.batch.run.settings, frame.image
    if frame.colors is not None:
        frame.image = match_color(plain, frame.colors)
    elif source is not None and settings.img2img_color_correction:
        frame.image = match_picture(plain, source.image)
    frame.before_color = None if frame.image is plain else plain
    if source is not None and frame.overlay is not None and settings.overlay_inpaint:
        frame.image = apply_overlay(frame.image, frame.overlay, source.box)


def to_image(pixels: torch.Tensor) -> Image.Image:  # [3, H, W] in 0..1
    # Truncated, not rounded: A1111 casts after multiplying, and equal pictures need equal rounding.
    values = (pixels.float().clamp(0, 1) * 255).permute(1, 2, 0).to(torch.uint8)
    return Image.fromarray(values.cpu().numpy())


def _source(batch: Batch, position: int) -> InpaintFrame | None:
    frames = batch.run.notes.get("frames")
    return frames[position % len(frames)] if frames else None


def _at(values: list, position: int):
    return values[position] if position < len(values) else values[-1]
