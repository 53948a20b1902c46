"""SD upscale: a picture is enlarged, then drawn anew in overlapping tiles of the size that the model works at."""

from __future__ import annotations

from PIL import Image

from atelier.base.errors import BadRequest
from atelier.base.events import StageChanged
from atelier.imaging.decode import flatten
from atelier.imaging.tiles import join_tiles, tile_corners
from atelier.params.request import GenerationRequest
from atelier.params.scripts import AskedScript, script_fields
from atelier.pipeline.state import Result, Run
from atelier.scripts.canvas import padded, whole_cells
from atelier.scripts.session import Session, with_text
from atelier.scripts.text import with_size
from atelier.tools.upscale import Upscaler


def run_upscale(run: Run, asked: AskedScript) -> Result:
    session, values = Session(run, asked, parts=True), asked.values
    upscaler = upscaler_of(run, values.upscaler_index)
    large = _enlarged(session, upscaler)
    tile = _tile_size(session.request, large)
    if values.overlap >= min(tile):
        raise BadRequest(
            "sd_upscale.overlap", f"tiles of {tile[0]}x{tile[1]} cannot overlap by {values.overlap} pixels.",
            remedy="Choose a smaller overlap, or a larger width and height.",
        )  # fmt: skip
    canvas = padded(large, (max(large.width, tile[0]), max(large.height, tile[1])))
    corners = tile_corners(canvas.size, tile, values.overlap)
    base = with_text(session.request, {**script_fields(asked), "SD upscale upscaler": upscaler.name})
    pieces = [canvas.crop((left, top, left + tile[0], top + tile[1])) for left, top in corners]
    requests = [_tile_request(run, base, piece) for piece in pieces]
    count = base.batch.count * base.batch.size
    session.expect(requests * count)
    pictures, images = [], []
    for place in range(count):
        made = []
        for request in requests:
            if session.ending:
                break
            made.append(session.make(request.with_values(**{"seed.seed": base.seed.seed + place})))
        done = [one for one in made if one.images]
        if not done:
            break
        # Tiles that were not reached stay as the upscaler made them.
        drawn = [one.images[0] for one in done] + pieces[len(done) :]
        whole = join_tiles(canvas.size, list(zip(corners, drawn)), values.overlap).crop((0, 0, *large.size))
        text = with_size(done[0].first.infotext, base.size.width, base.size.height)
        pictures.append(session.keep(whole, text, like=done[0].first))
        images.append(whole)
    return session.result(pictures, images, pictures)


def upscaler_of(run: Run, name: str) -> Upscaler:
    """By name, or by its number in the list. Raises `BadRequest`."""
    known = run.services.upscalers
    names = known.names()
    if name.isdecimal() and int(name) < len(names):
        name = names[int(name)]
    return known.get(name, "sd_upscale.upscaler_index")


def _enlarged(session: Session, upscaler: Upscaler) -> Image.Image:
    run, factor = session.run, session.values.scale_factor
    source = run.services.blobs.image(session.request.source.images[0], "source.images[0]")
    source = flatten(source, session.settings.img2img_background_color)
    width, height = round(source.width * factor), round(source.height * factor)
    limit = session.settings.img_max_size_mp
    if width * height > limit * 1e6:
        raise BadRequest(
            "sd_upscale.scale_factor", f"a picture of {width}x{height} is larger than {limit} megapixels.",
            remedy="Choose a smaller factor, or raise the setting img_max_size_mp.",
        )  # fmt: skip
    run.publish(StageChanged(job=run.job, stage="enlarging"))
    return upscaler.enlarge(source, width, height)


def _tile_size(request: GenerationRequest, large: Image.Image) -> tuple[int, int]:
    """The size that was asked for; never more than the picture needs."""
    width, height = (max(8, side // 8 * 8) for side in (request.size.width, request.size.height))
    return min(width, whole_cells(large.width)), min(height, whole_cells(large.height))


def _tile_request(run: Run, base: GenerationRequest, piece: Image.Image) -> GenerationRequest:
    return base.with_values(**{
        "source.images": (run.services.blobs.put_image(piece),), "source.resize_mode": 0, "mask.image": None,
        "size.width": piece.width, "size.height": piece.height, "batch.count": 1, "batch.size": 1,
        "output.save_images": False,
    })  # fmt: skip
