"""Starting latents: nothing for txt2img, an encoded picture for img2img, a masked one for inpainting."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from atelier.base.events import StageChanged
from atelier.families.tiles import TILE
from atelier.imaging.decode import flatten
from atelier.imaging.inpaint import InpaintFrame, InpaintOptions, frame_inpaint
from atelier.imaging.masks import latent_mask
from atelier.imaging.resize import LATENT, resize
from atelier.pipeline.autoencode import encode_pixels, in_tiles, no_room
from atelier.pipeline.state import Pass, Run
from atelier.pipeline.watching import resampler_of

FILL_NOISE, FILL_NOTHING = 2, 3
#: which draw of a picture's seed the encoder's own noise is; any fixed number other than the seed itself will do
ENCODER_STREAM = 0x5EED


def prepare_source(run: Run) -> None:
    """Reads, masks and sizes the source pictures once for the job; they wait in `run.notes["frames"]`."""
    request = run.request
    if request.kind == "txt2img":
        return
    run.publish(StageChanged(job=run.job, stage="reading pictures"))
    blobs = run.services.blobs
    pictures = [blobs.image(ref, f"source.images[{k}]") for k, ref in enumerate(request.source.images)]
    mask = blobs.image(request.mask.image, "mask.image") if request.mask.image is not None else None
    run.notes["frames"] = [_frame(run, picture, mask) for picture in pictures]
    run.crop = run.notes["frames"][0].box


def _frame(run: Run, picture: Image.Image, mask: Image.Image | None) -> InpaintFrame:
    request, settings = run.request, run.settings
    size = (run.plan.width, run.plan.height)
    if mask is None:
        picture = flatten(picture, settings.img2img_background_color)
        mode = request.source.resize_mode
        return InpaintFrame(picture if mode == LATENT else resize(picture, *size, mode, resampler_of(run)))
    own = request.mask
    options = InpaintOptions(
        *size,
        resize_mode=request.source.resize_mode,
        invert=own.invert,
        blur_x=own.blur_x,
        blur_y=own.blur_y,
        fill=own.fill,
        only_masked=own.only_masked,
        padding=own.padding,
        hard_mask=own.round,
        background=settings.img2img_background_color,
    )
    frame = frame_inpaint(picture, mask, options, resampler_of(run))
    if frame.mask is None and own.only_masked:
        run.comment("The mask is empty; the whole picture was used.")
    return frame


def source_for_batch(current: Pass) -> None:
    """Fills `source` and `keep_mask` of a first pass."""
    frames = frames_of(current)
    if frames:
        current.source = _encoded(current, [frame.image for frame in frames])
        if frames[0].mask is not None:
            _apply_mask(current, frames)


def frames_of(current: Pass) -> list[InpaintFrame]:
    """One frame for each picture of the batch; a single source serves all."""
    frames = current.batch.run.notes.get("frames", [])
    return [frames[k % len(frames)] for k in range(len(current.batch.seeds))] if frames else []


def pixels_of(images: list[Image.Image], device: torch.device) -> torch.Tensor:  # [B, 3, H, W] in -1..1
    stacked = np.stack([np.asarray(image.convert("RGB"), dtype=np.float32) for image in images])
    return (torch.from_numpy(stacked).permute(0, 3, 1, 2) / 127.5 - 1).to(device)


def encoder_lease(current: Pass, width: int, height: int) -> AbstractContextManager[None]:
    """The VAE on the device, with room to encode one picture of this size, in pixels."""
    run, model = current.batch.run, current.model
    services = run.services
    cells = [height // model.latent.factor, width // model.latent.factor]
    if in_tiles(run, model, *cells) or no_room(run, model, *cells):
        cells = [min(side, TILE) for side in cells]
    estimate = services.estimator.encode(model.vae, *cells, services.ladder.attention.choice.kernel)
    return services.ladder.lease(model.vae, working=estimate.bytes, teller=run)


def _encoded(current: Pass, images: list[Image.Image]) -> torch.Tensor:  # [B, C, h, w]
    model = current.model
    height, width = current.height // model.latent.factor, current.width // model.latent.factor
    with encoder_lease(current, images[0].width, images[0].height):
        # A source that stays the same for the whole batch is encoded once; noise of the encoder follows the seed.
        latents = [
            encode_picture(current, image, seed) for image, seed in zip(images, current.batch.seeds, strict=True)
        ]
    result = torch.cat(latents)
    if result.shape[-2:] != (height, width):
        result = F.interpolate(result, size=(height, width), mode="bilinear", antialias=False)
    return result


def encode_picture(current: Pass, image: Image.Image, seed: int) -> torch.Tensor:  # [1, C, h, w]
    model = current.model
    factor = model.latent.factor
    whole = (max(factor, image.width // factor * factor), max(factor, image.height // factor * factor))
    if image.size != whole:
        image = resize(image, *whole)
    return _encode(current, pixels_of([image], model.device), (seed ^ ENCODER_STREAM) % 2**63)


def _encode(current: Pass, pixels: torch.Tensor, seed: int) -> torch.Tensor:  # [1, 3, H, W] -> [1, C, h, w]
    # A new generator each time, so that a second try after a failure draws the same noise.
    return encode_pixels(current.batch.run, current.model, pixels, lambda: torch.Generator("cpu").manual_seed(seed))


def _apply_mask(current: Pass, frames: list[InpaintFrame]) -> None:
    request = current.batch.run.request
    own = request.mask
    height, width = current.source.shape[-2:]
    masks = np.stack([latent_mask(frame.mask, width, height, rounded=request.rounds_mask) for frame in frames])
    repaint = torch.from_numpy(masks)[:, None].to(current.source)  # [B, 1, h, w]
    current.keep_mask = 1 - repaint
    if own.fill == FILL_NOISE:
        # The noise of the plain seeds of the job's first batch, the same for every batch of the job.
        notes = current.batch.run.notes
        if "fill_noise" not in notes:
            notes["fill_noise"] = replace(current.noise, subseed_strength=0.0, resize_from=(0, 0)).first()
        noise = notes["fill_noise"]
        noise = noise[torch.arange(len(frames)) % len(noise)]
        current.source = current.source * current.keep_mask + noise.to(current.source) * repaint
    elif own.fill == FILL_NOTHING:
        current.source = current.source * current.keep_mask


def inpainting_channels(current: Pass, frames: list[InpaintFrame]) -> torch.Tensor:  # [B, 1 + C, h, w]
    """What a 9-channel model is fed beside the latents: the mask, and the picture without the masked part, encoded.

    Without a picture: a mask of ones and a grey picture.
    """
    model = current.model
    factor = model.latent.factor
    size = (len(current.batch.seeds), 1, current.height // factor, current.width // factor)
    if not frames:
        grey = torch.zeros(1, 3, current.height, current.width, device=model.device)
        mask = torch.ones(size, device=model.device)
        with encoder_lease(current, current.width, current.height):
            masked = _encode(current, grey, ENCODER_STREAM)
        return torch.cat([mask, masked.expand(size[0], -1, -1, -1)], dim=1)
    rows = []
    with encoder_lease(current, current.width, current.height):
        for frame, seed in zip(frames, current.batch.seeds, strict=True):
            rows.append(_masked_row(current, frame, seed, size[2:]))
    return torch.cat(rows)


def _masked_row(current: Pass, frame: InpaintFrame, seed: int, cells: tuple[int, int]) -> torch.Tensor:
    """[1, 1 + C, h, w]. The setting's weight below 1 lets the model see something of what is under the mask."""
    run, model = current.batch.run, current.model
    size = (current.width, current.height)
    image = frame.image if frame.image.size == size else resize(frame.image, *size)
    pixels = pixels_of([image], model.device)
    if frame.mask is None:
        mask = torch.ones(1, 1, size[1], size[0], device=model.device)
    else:
        values = np.asarray(frame.mask.resize(size), dtype=np.float32) / 255
        mask = torch.from_numpy(values)[None, None].to(model.device)
        mask = mask.round() if run.request.rounds_mask else mask
    seen = torch.lerp(pixels, pixels * (1 - mask), run.settings.inpainting_mask_weight)
    masked = _encode(current, seen, (seed ^ ENCODER_STREAM) % 2**63)
    return torch.cat([F.interpolate(mask, size=cells), masked], dim=1)
