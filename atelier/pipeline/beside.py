"""Beside: what a model is fed beside latents and text: a mask, a depth map, the picture to be edited or varied."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from PIL import Image

from atelier.base.errors import BadRequest
from atelier.families.midas import estimated_depth
from atelier.families.unclip import image_vectors, noised
from atelier.imaging.decode import flatten
from atelier.imaging.inpaint import InpaintFrame
from atelier.imaging.resize import FILL, LATENT, resize
from atelier.pipeline.autoencode import encode_pixels
from atelier.pipeline.latents import encoder_lease, inpainting_channels, pixels_of
from atelier.pipeline.state import Pass
from atelier.sampling.embedded_guidance import EmbeddedGuidance, embedded_guidance
from atelier.sampling.guidance import Guidance
from atelier.sampling.image_guidance import ImageGuidance

#: which draw of a picture's seed the noise on CLIP's vector is
VECTOR_STREAM = 0xC11F
DEPTH_REMEDY = (
    "Give a depth map: a picture of the same view in which near things are white and far things black. "
    "On the page it has its place in img2img."
)


def feed_beside(current: Pass, frames: Sequence[InpaintFrame]) -> None:
    """Fills `concat`, `blank_concat`, `added` and `negative_added` of a pass, for models that take more than latents
    and a text.

    `frames` has one entry for each picture of the batch, or is empty without a source. Raises `BadRequest` where a
    depth map is needed and there is none.
    """
    model = current.model
    current.concat = current.blank_concat = None
    if model.is_inpainting:
        current.concat = inpainting_channels(current, list(frames))
    elif model.takes_depth:
        current.concat = depth_channels(current, frames)
    elif model.edits:
        current.concat = picture_channels(current, frames)
        if guides_by_image(current):
            current.blank_concat = torch.zeros_like(current.concat)
    if model.varies:
        current.added["image"] = picture_vectors(current, frames)
        current.negative_added["image"] = torch.zeros_like(current.added["image"])
    if model.guidance_width:
        strength = torch.full((len(current.batch.seeds),), float(current.cfg_scale) - 1)
        current.added["guidance"] = embedded_guidance(strength, model.guidance_width).to(model.device)


def guides_by_image(current: Pass) -> bool:
    """Whether the picture has a strength of its own; at 1 it follows the prompt's, which saves a third guess."""
    run = current.batch.run
    return current.model.edits and run.request.source.image_cfg_scale not in (None, 1)


def model_guidance(current: Pass, inner: Guidance) -> Guidance:
    """Guidance by text in the way that the kind of model asks for."""
    if current.model.guidance_width:
        return EmbeddedGuidance(inner)
    scale = current.batch.run.request.source.image_cfg_scale
    return ImageGuidance(inner, scale) if guides_by_image(current) and scale is not None else inner


def picture_vectors(current: Pass, frames: Sequence[InpaintFrame]) -> torch.Tensor:  # [B, 2 * D]
    """What the source shows, under noise of the request's level; zeros, as for the negative prompt, without one."""
    run, model = current.batch.run, current.model
    encoder = model.extras["image_encoder"]
    seeds = current.batch.seeds
    if not frames:
        return torch.zeros(len(seeds), 2 * encoder.config.projection_dim, device=model.device)
    with run.services.ladder.lease(encoder, teller=run):
        pixels = [pixels_of([frame.image], model.device) for frame in frames]
        vectors = run.services.ladder.run("encode", lambda: torch.cat([image_vectors(model, p) for p in pixels]), run)
    noise = torch.stack([
        torch.randn(vectors.shape[1], generator=torch.Generator().manual_seed((seed ^ VECTOR_STREAM) % 2**63))
        for seed in seeds
    ])  # fmt: skip
    return noised(vectors, run.request.source.image_noise, noise, model.extras.get("noise_statistics"))


def picture_channels(current: Pass, frames: Sequence[InpaintFrame]) -> torch.Tensor:  # [B, C, h, w]
    """The source picture's latents as the encoder gives them, without the family's scale: so InstructPix2Pix was
    trained. Without a picture there is nothing to be seen: zeros."""
    run, model = current.batch.run, current.model
    count, size = len(current.batch.seeds), (current.width, current.height)
    if not frames:
        factor = model.latent.factor
        return torch.zeros(count, model.latent.channels, size[1] // factor, size[0] // factor, device=model.device)
    images = [frame.image if frame.image.size == size else resize(frame.image, *size) for frame in frames]
    found: dict[int, torch.Tensor] = {}
    with encoder_lease(current, *size):
        for image in images:
            if id(image) not in found:
                found[id(image)] = encode_pixels(run, model, pixels_of([image], model.device), lambda: None)
    return torch.cat([model.latent.raw(found[id(image)].float()) for image in images])


def depth_channels(current: Pass, frames: Sequence[InpaintFrame]) -> torch.Tensor:  # [B, 1, h, w]
    """The depth map of every picture at the size of the latents, its farthest point at -1 and its nearest at 1."""
    run, model = current.batch.run, current.model
    factor, count = model.latent.factor, len(current.batch.seeds)
    cells = (current.height // factor, current.width // factor)
    given = run.request.source.depth
    if given is None and frames and "depth" in model.extras:
        return scaled_depth(_estimated(current, frames), cells)
    if given is None:
        raise BadRequest("source.depth", "this model needs a depth map.", remedy=DEPTH_REMEDY)
    picture = run.services.blobs.image(given, "source.depth")
    boxes = list(frames) or [None] * count
    rows = [_grey(_fitted(current, picture, frame), model.device) for frame in boxes]
    return torch.cat([scaled_depth(row, cells) for row in rows])


def _estimated(current: Pass, frames: Sequence[InpaintFrame]) -> torch.Tensor:  # [B, 1, H, W]
    """What the estimator in the checkpoint sees in the source; equal pictures are looked at once."""
    run, model = current.batch.run, current.model
    found: dict[int, torch.Tensor] = {}
    with run.services.ladder.lease(model.extras["depth"], teller=run):
        for frame in frames:
            if id(frame) not in found:
                pixels = pixels_of([frame.image], model.device)
                found[id(frame)] = run.services.ladder.run("encode", lambda p=pixels: estimated_depth(model, p), run)
    return torch.cat([found[id(frame)] for frame in frames])


def scaled_depth(depth: torch.Tensor, cells: tuple[int, int]) -> torch.Tensor:  # [N, 1, H, W] -> [N, 1, h, w] in -1..1
    """As the depth-guided model was trained: made small first, then each map spread over the whole range."""
    small = F.interpolate(depth.float(), size=cells, mode="bicubic", align_corners=False)
    low, high = small.amin(dim=(1, 2, 3), keepdim=True), small.amax(dim=(1, 2, 3), keepdim=True)
    # A plain map has no near and far.
    spread = torch.where(high > low, high - low, torch.ones_like(high))
    return torch.where(high > low, 2 * (small - low) / spread - 1, torch.zeros_like(small))


def _fitted(current: Pass, picture: Image.Image, frame: InpaintFrame | None) -> Image.Image:
    """The depth map brought to the size of the pass in the way in which the source was."""
    run, size = current.batch.run, (current.width, current.height)
    picture = flatten(picture, "#000000")
    if frame is not None and frame.box is not None and frame.overlay is not None:
        return resize(resize(picture, *frame.overlay.size).crop(frame.box), *size, FILL)
    mode = run.request.source.resize_mode if frame is not None else 0
    return resize(picture, *size, 0 if mode == LATENT else mode)


def _grey(picture: Image.Image, device: torch.device) -> torch.Tensor:  # [1, 1, H, W] in -1..1
    return pixels_of([picture.convert("L")], device)[:, :1]
