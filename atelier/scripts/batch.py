"""Batch: img2img over many pictures, each with its own mask and parameters, in one job that can be taken up again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from atelier.base.errors import AtelierError, BadRequest
from atelier.base.refs import ImageRef
from atelier.imaging.decode import open_image
from atelier.imaging.folder import pictures_in
from atelier.imaging.metadata import read_metadata
from atelier.params.foreign.catalogue import translate
from atelier.params.infotext import parse_infotext, paste
from atelier.params.picture_batch import ADDED, EXTRA, TAKEN, AskedBatch, PictureBatch, without_batch
from atelier.params.request import GenerationRequest
from atelier.pipeline.state import Result, Run
from atelier.scripts.session import Session

#: a schedule belongs to its sampler
_BESIDE = {"Sampler": ("Schedule type",)}.get


@dataclass(frozen=True)
class _Entry:
    """One picture to start from, by its bytes' hash or as a file that is read when its turn comes."""

    name: str
    ref: ImageRef | None = None
    path: Path | None = None

    @property
    def stem(self) -> str:
        return Path(self.name.replace("\\", "/")).stem


def run_batch(run: Run, asked: AskedBatch) -> Result:
    """What cannot be read or has no mask is left out and told; a script chosen beside is run for each picture."""
    batch = asked.values
    session = Session(run, asked, base=without_batch(run.request), fixed_seeds=False)
    entries = list(_entries(batch))
    session.expect([session.base] * len(entries))
    limit = run.settings.img2img_batch_show_results_limit
    shown = 0
    for entry in entries:
        if session.ending:
            break
        try:
            request = _request(session, batch, entry)
        except AtelierError as error:
            run.comment(f"{entry.name} was left out: {error}")
            continue
        made = session.make(request)
        shown += len(made.pictures)
        if 0 <= limit < shown:
            # Thousands of pictures do not fit into memory; they are on the disk and in the gallery.
            session.made[-1] = replace(made, pictures=(), images=())
    pictures = [picture for made in session.made for picture in made.pictures]
    if 0 <= limit < shown:
        run.comment(f"{shown} pictures were made; the first {len(pictures)} are shown.")
    return session.result(pictures, [image for made in session.made for image in made.images], pictures)


def _entries(batch: PictureBatch) -> Iterator[_Entry]:
    """Raises `BadRequest` when there is nothing."""
    if batch.folder:
        yield from (_Entry(path.name, path=path) for path in pictures_in(batch.folder, f"{EXTRA}.folder"))
        return
    names = [*batch.names, *(f"{place + 1}.png" for place in range(len(batch.names), len(batch.images)))]
    yield from (_Entry(name, ref=ref) for name, ref in zip(names, batch.images))


def _request(session: Session, batch: PictureBatch, entry: _Entry) -> GenerationRequest:
    """The request for one picture. Raises what reading does, and `BadRequest` where its mask is missing."""
    blobs = session.run.services.blobs
    ref = entry.ref or blobs.put_bytes(entry.path.read_bytes(), entry.name)
    request = session.base.with_values(**{"source.images": (ref,), **_size(batch, ref)})
    if batch.mask_folder:
        mask = _mask_of(batch, entry)
        request = request.with_values(**{"mask.image": blobs.put_bytes(mask.read_bytes(), mask.name)})
    if batch.use_png_info or batch.png_info_folder:
        request = _with_parameters(request, batch, _told(session, batch, entry, ref))
    if batch.output_folder:
        request = request.with_values(overrides={**request.overrides, **_saving(request, batch, entry)})
    return session.fixed(request, entry.name)


def _size(batch: PictureBatch, ref: ImageRef) -> dict[str, int]:
    if not batch.scale or not ref.width or not ref.height:
        return {}
    return {
        f"size.{name}": max(8, int(side * batch.scale) // 8 * 8)
        for name, side in (("width", ref.width), ("height", ref.height))
    }


def _mask_of(batch: PictureBatch, entry: _Entry) -> Path:
    masks = pictures_in(batch.mask_folder, f"{EXTRA}.mask_folder")
    own = [path for path in masks if path.stem == entry.stem]
    found = own or (masks if len(masks) == 1 else [])
    if not found:
        raise BadRequest(f"{EXTRA}.mask_folder", "it has no mask there.", remedy="A mask has the name of its picture.")
    return found[0]


def _told(session: Session, batch: PictureBatch, entry: _Entry, ref: ImageRef) -> str:
    """The text of the picture's parameters, or of those of the picture beside it."""
    if not batch.png_info_folder:
        return _read(session.run.services.blobs.bytes(ref), entry.name)
    told = pictures_in(batch.png_info_folder, f"{EXTRA}.png_info_folder")
    beside = [path for path in told if path.stem == entry.stem]
    return _read(beside[0].read_bytes(), beside[0].name) if beside else ""


def _read(data: bytes, name: str) -> str:
    """The parameters inside a picture, whichever program wrote them."""
    image = open_image(data, name)
    found = read_metadata(image)
    return translate(found.infotext, found.items, image.size).infotext


def _with_parameters(request: GenerationRequest, batch: PictureBatch, text: str) -> GenerationRequest:
    told = parse_infotext(text, defaults=False, backcompat=False)
    wanted = {key for name in batch.png_info_fields for key in (name, *(_BESIDE(name) or ()))}
    values = {key: value for key, value in told.items() if key in wanted and value}
    for key in ADDED:
        if key in values:
            values[key] = f"{request.get(TAKEN[key])} {values[key]}".strip()
    pasted = paste(values, request)
    return pasted.request.with_values(overrides={**request.overrides, **pasted.overrides})


def _saving(request: GenerationRequest, batch: PictureBatch, entry: _Entry) -> dict[str, object]:
    """Settings by which results get the names of their sources."""
    # Square brackets in a name would be read as a pattern.
    stem = entry.stem.replace("[", "(").replace("]", ")")
    several = request.batch.count * request.batch.size > 1
    return {
        "outdir_samples": batch.output_folder, "save_to_dirs": False, "save_images_add_number": False,
        "save_images_replace_action": "Add number suffix",
        "samples_filename_pattern": f"{stem}-[generation_number]" if several else stem,
    }  # fmt: skip
