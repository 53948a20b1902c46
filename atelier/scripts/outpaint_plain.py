"""Poor man's outpainting: a picture grows on all chosen sides at once, and the new ground is inpainted in tiles."""

from __future__ import annotations

from PIL import Image, ImageChops

from atelier.imaging.masks import gaussian_blur
from atelier.imaging.tiles import tile_corners
from atelier.params.request import GenerationRequest
from atelier.params.scripts import AskedScript, script_fields
from atelier.pipeline.state import Result, Run
from atelier.scripts.canvas import grown, whole_cells
from atelier.scripts.outpaint import inner_request, sides_of, source_picture
from atelier.scripts.session import Made, Session, with_text
from atelier.scripts.text import with_size

Box = tuple[int, int, int, int]


def run_plain_outpainting(run: Run, asked: AskedScript) -> Result:
    session, values = Session(run, asked, parts=True), asked.values
    sides = sides_of(values.direction, "poor_man_s_outpainting.direction")
    source = source_picture(session)
    amounts = {side: values.pixels if side in sides else 0 for side in ("left", "up", "right", "down")}
    canvas = grown(source, **amounts)
    mask = _mask(source.size, canvas.size, amounts, values.mask_blur)
    request = session.request
    tile = tuple(
        min(whole, max(8, asked_side // 8 * 8))
        for whole, asked_side in zip(map(whole_cells, canvas.size), (request.size.width, request.size.height))
    )
    roomy = grown(canvas, right=max(0, tile[0] - canvas.width), down=max(0, tile[1] - canvas.height))
    overlap = min(values.pixels, min(tile) // 2)
    boxes = [(left, top, left + tile[0], top + tile[1]) for left, top in tile_corners(roomy.size, tile, overlap)]
    full = Image.new("L", roomy.size, 0)
    full.paste(mask, (0, 0))
    boxes = [box for box in boxes if full.crop(box).getbbox()]
    count = request.batch.count * request.batch.size
    base = with_text(request, script_fields(asked))
    session.expect([inner_request(base, *tile)] * (count * len(boxes)))
    pictures, images = [], []
    for place in range(count):
        seeded = base.with_values(**{"seed.seed": base.seed.seed + place})
        painted, made = _paint(session, seeded, roomy, full, boxes)
        if made is None:
            break
        picture = painted.crop((0, 0, *canvas.size))
        text = with_size(made.first.infotext, request.size.width, request.size.height)
        pictures.append(session.keep(picture, text, like=made.first))
        images.append(picture)
    return session.result(pictures, images, pictures)


def _mask(inner: tuple[int, int], outer: tuple[int, int], amounts: dict[str, int], blur: int) -> Image.Image:
    """White outside of the picture, and so far into it as the blur reaches on the sides that grow."""
    reach = 2 * blur
    left = amounts["left"] + (reach if amounts["left"] else 0)
    top = amounts["up"] + (reach if amounts["up"] else 0)
    right = amounts["left"] + inner[0] - (reach if amounts["right"] else 0)
    bottom = amounts["up"] + inner[1] - (reach if amounts["down"] else 0)
    mask = Image.new("L", outer, 255)
    if right > left and bottom > top:
        mask.paste(0, (left, top, right, bottom))
    return mask


def _paint(
    session: Session, base: GenerationRequest, canvas: Image.Image, mask: Image.Image, boxes: list[Box]
) -> tuple[Image.Image, Made | None]:
    """Tile by tile, each going on from what the tiles before it have painted."""
    blobs, blur = session.run.services.blobs, session.values.mask_blur
    canvas, left_to_do, last = canvas.copy(), mask.copy(), None
    for box in boxes:
        here = left_to_do.crop(box)
        if session.ending or not here.getbbox():
            continue
        part = canvas.crop(box)
        request = inner_request(base, part.width, part.height, **{
            "source.images": (blobs.put_image(part),), "mask.image": blobs.put_image(here),
            "mask.fill": session.values.inpainting_fill, "mask.blur_x": blur, "mask.blur_y": blur,
        })  # fmt: skip
        made = session.make(request)
        if not made.images:
            continue
        soft = ImageChops.lighter(gaussian_blur(here, blur, blur), Image.new("L", here.size, 0))
        canvas.paste(made.images[0].convert("RGB").resize(part.size, Image.Resampling.LANCZOS), box[:2], soft)
        left_to_do.paste(0, box)
        last = made
    return canvas, last
