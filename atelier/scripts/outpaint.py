"""Outpainting mk2: a picture grows on its sides, one after the other, from noise that is shaped like it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL import Image

from atelier.base.errors import BadRequest
from atelier.imaging.decode import flatten
from atelier.imaging.masks import gaussian_blur
from atelier.imaging.shaped_noise import shaped_noise
from atelier.params.request import GenerationRequest
from atelier.params.scripts import SIDES, AskedScript, script_fields
from atelier.pipeline.state import Result, Run
from atelier.scripts.canvas import CELL, grown, whole_cells
from atelier.scripts.session import Made, Session, with_text
from atelier.scripts.text import with_size

FILL_ORIGINAL = 1


@dataclass(frozen=True)
class Growth:
    """One side of a canvas: `window` is the part that the model works on, `strip` what is new, both as boxes of the
    canvas (left, top, right, bottom)."""

    canvas: Image.Image
    window: tuple[int, int, int, int]
    strip: tuple[int, int, int, int]


def run_outpainting(run: Run, asked: AskedScript) -> Result:
    session, values = Session(run, asked, parts=True), asked.values
    sides = sides_of(values.direction, "outpainting_mk2.direction")
    base = with_text(session.request, script_fields(asked))
    count = base.batch.count * base.batch.size
    session.expect([inner_request(base, base.size.width, base.size.height)] * (count * len(sides)))
    pictures, images = [], []
    for place in range(count):
        seed = base.seed.seed + place
        picture, made = source_picture(session), None
        for side in sides:
            if session.ending:
                break
            picture, made = _grow(session, base, picture, side, seed)
        if made is not None and made.pictures:
            text = with_size(made.first.infotext, base.size.width, base.size.height)
            pictures.append(session.keep(picture, text, like=made.first))
            images.append(picture)
    return session.result(pictures, images, pictures)


def sides_of(direction: tuple[str, ...], field: str) -> list[str]:
    """In a fixed order. Raises `BadRequest` for none, and for a side that is none."""
    unknown = [side for side in direction if side not in SIDES]
    if unknown or not direction:
        what = f"{unknown[0]!r} is not a side" if unknown else "no side is chosen"
        raise BadRequest(field, f"{what}.", remedy=f"Choose some of {', '.join(SIDES)}.")
    return [side for side in SIDES if side in direction]


def source_picture(session: Session) -> Image.Image:
    image = session.run.services.blobs.image(session.request.source.images[0], "source.images[0]")
    return flatten(image, session.settings.img2img_background_color)


def inner_request(base: GenerationRequest, width: int, height: int, **more: Any) -> GenerationRequest:
    """The inpainting of one window; nothing of it is saved by itself."""
    return base.with_values(**{
        "size.width": whole_cells(width), "size.height": whole_cells(height), "source.resize_mode": 0,
        "batch.count": 1, "batch.size": 1, "output.save_images": False, "mask.only_masked": False,
        "mask.invert": False, **more,
    })  # fmt: skip


def _grow(
    session: Session, base: GenerationRequest, picture: Image.Image, side: str, seed: int
) -> tuple[Image.Image, Made]:
    values, blobs = session.values, session.run.services.blobs
    growth = _canvas(picture, side, values, base, seed)
    part = growth.canvas.crop(growth.window)
    mask = _mask(growth, side, values.mask_blur)
    across = side in ("left", "right")
    request = inner_request(base, part.width, part.height, **{
        "seed.seed": seed, "source.images": (blobs.put_image(part),), "mask.image": blobs.put_image(mask),
        "mask.fill": FILL_ORIGINAL, "mask.blur_x": values.mask_blur if across else 0,
        "mask.blur_y": 0 if across else values.mask_blur,
    })  # fmt: skip
    made = session.make(request)
    if not made.images:
        return picture, made
    painted = made.images[0].convert("RGB").resize(part.size, Image.Resampling.LANCZOS)
    soft = gaussian_blur(mask, values.mask_blur if across else 0, 0 if across else values.mask_blur)
    result = growth.canvas.copy()
    result.paste(painted, growth.window[:2], soft)
    return result, made


def _canvas(picture: Image.Image, side: str, values: Any, base: GenerationRequest, seed: int) -> Growth:
    """The picture with a strip of noise on one side, and the window with as much of the known as fits the size."""
    pixels = values.pixels
    amounts = {"left": "left", "right": "right", "up": "up", "down": "down"}
    canvas = grown(picture, **{amounts[side]: pixels})
    width, height = canvas.size
    across = side in ("left", "right")
    length = width if across else height
    wanted = base.size.width if across else base.size.height
    # At least as much known as new ground, or the model does not know what to go on with.
    reach = min(length, max(wanted, 2 * pixels))
    reach = max(CELL, reach // CELL * CELL) if reach < length else reach
    boxes = {
        "left": ((0, 0, reach, height), (0, 0, pixels, height)),
        "right": ((width - reach, 0, width, height), (width - pixels, 0, width, height)),
        "up": ((0, 0, width, reach), (0, 0, width, pixels)),
        "down": ((0, height - reach, width, height), (0, height - pixels, width, height)),
    }  # fmt: skip
    window, strip = boxes[side]
    noise = shaped_noise(
        _near(picture, side, pixels), (strip[2] - strip[0], strip[3] - strip[1]), falloff=values.noise_q,
        color_variation=values.color_variation, seed=seed,
    )  # fmt: skip
    canvas.paste(noise, strip[:2])
    return Growth(canvas, window, strip)


def _near(picture: Image.Image, side: str, pixels: int) -> Image.Image:
    """The part of the picture beside the new strip: what the noise should be like."""
    width, height = picture.size
    depth = {"x": min(width, 2 * pixels), "y": min(height, 2 * pixels)}
    box = {
        "left": (0, 0, depth["x"], height), "right": (width - depth["x"], 0, width, height),
        "up": (0, 0, width, depth["y"]), "down": (0, height - depth["y"], width, height),
    }[side]  # fmt: skip
    return picture.crop(box)


def _mask(growth: Growth, side: str, blur: int) -> Image.Image:
    """White where it is painted, in the window: the strip, and beyond its inner edge as far as the blur reaches, so
    that the edge itself is painted in full."""
    left, top, right, bottom = growth.strip
    left, top = left - growth.window[0], top - growth.window[1]
    right, bottom = right - growth.window[0], bottom - growth.window[1]
    more = 2 * blur
    size = (growth.window[2] - growth.window[0], growth.window[3] - growth.window[1])
    box = {
        "left": (left, top, right + more, bottom), "right": (left - more, top, right, bottom),
        "up": (left, top, right, bottom + more), "down": (left, top - more, right, bottom),
    }[side]  # fmt: skip
    mask = Image.new("L", size, 0)
    mask.paste(255, (max(0, box[0]), max(0, box[1]), min(size[0], box[2]), min(size[1], box[3])))
    return mask
