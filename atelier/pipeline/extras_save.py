"""Saving what an Extras run made: texts of the source are kept, those of the steps are added."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from atelier.base.errors import SaveFailed
from atelier.base.events import PictureReady
from atelier.base.files import write_bytes, write_text
from atelier.imaging.metadata import KEY, read_metadata
from atelier.imaging.writer import MEDIA, encode
from atelier.params.infotext import quote
from atelier.pipeline.extras_state import ExtrasRun, PostPicture
from atelier.pipeline.state import Picture

#: names of texts in a PNG: what the API's clients read, and what A1111's tab writes beside it
POSTPROCESSING, EXTRAS = "postprocessing", "extras"


def save_result(run: ExtrasRun, picture: PostPicture, source: Mapping[str, Any], name: str, suffix: str) -> None:
    """Writes one picture, keeps its bytes and tells everybody. `source` is the `info` of the picture it came from."""
    line = describe(picture.info)
    told = _told(picture.image.size, source)
    parameters = told.pop(KEY, "")
    texts = {**told, **({KEY: parameters} if parameters else {}), POSTPROCESSING: line}
    format = run.settings.samples_format
    path = ""
    if run.request.output.save:
        texts[EXTRAS] = line
        data, format = _encoded(run, picture.image, format, texts)
        path = _write(run, data, format, name, suffix)
        _write_texts(run, path, parameters or line, picture.caption)
    else:
        data, format = _encoded(run, picture.image, format, texts)
    text = f"{parameters}, {line}" if parameters and line else parameters or line
    ref = run.services.blobs.put_encoded(data, picture.image.size, MEDIA[format])
    made = Picture(index=len(run.pictures), ref=ref, infotext=text, seed=-1, path=path)
    run.infos.append(line)
    if run.request.output.show or not run.request.input.folder:
        run.pictures.append(made)
        if run.keep:
            run.images.append(picture.image)
        run.publish(PictureReady(
            job=run.job, index=made.index, sha256=ref.sha256, path=path, infotext=text, width=ref.width,
            height=ref.height,
        ))  # fmt: skip
    if path:
        run.services.picture_saved(run, made)


def describe(info: Mapping[str, Any]) -> str:
    """`Postprocess upscale by: 2, Postprocess upscaler: Lanczos`; a value that is its own key stands alone."""
    return ", ".join(k if k == v else f"{k}: {quote(v)}" for k, v in info.items() if v is not None)


def html_info(run: ExtrasRun) -> str:
    """The last picture's text in paragraphs, as A1111's API gives it."""
    lines = [*run.infos[-1:], *run.comments]
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines if line)


def _told(size: tuple[int, int], source: Mapping[str, Any]) -> dict[str, str]:
    """The texts of the source, those of earlier runs included."""
    carrier = Image.new("RGB", (1, 1))
    carrier.info = dict(source)
    found = read_metadata(carrier)
    return {**found.items, **({KEY: found.infotext} if found.infotext else {})}


def _encoded(run: ExtrasRun, image: Image.Image, format: str, texts: Mapping[str, str]) -> tuple[bytes, str]:
    """Transparent pictures, and those that do not fit into the format, become PNG."""
    settings = run.settings
    written = dict(texts) if settings.enable_pnginfo else {}
    how = {"quality": settings.jpeg_quality, "lossless": settings.webp_lossless}
    if "A" in image.getbands() and image.getchannel("A").getextrema()[0] < 255:
        format = "png"
    if format != "png":
        # Other formats have room for one text.
        written = {KEY: written.get(KEY) or written.get(POSTPROCESSING, "")}
    try:
        return encode(image, format, written, **how), format
    except SaveFailed as error:
        run.comment(f"{error} It was saved as PNG.")
        return encode(image, "png", written), "png"


def _write(run: ExtrasRun, data: bytes, format: str, name: str, suffix: str) -> str:
    """The path, or empty when the disk refused: the picture can then still be taken from the page."""
    settings, request = run.settings, run.request
    folder = run.services.paths.data / settings.outdir_extras_samples
    if request.output.folder:
        folder = Path(request.output.folder).expanduser()
    if settings.use_upscaler_name_as_suffix and request.upscale.enabled and request.upscale.upscaler_1 != "None":
        suffix = f"-{_clean(request.upscale.upscaler_1)}{suffix}"
    try:
        named = bool(name) and (bool(request.input.folder) or len(request.input.images) > 1)
        if named and settings.use_original_name_batch:
            stem = _clean(name) + suffix
        else:
            stem = f"{run.services.numbering.take(folder):05d}{suffix}"
        path = _free(folder / f"{stem}.{format}", replace=bool(request.output.folder))
        write_bytes(path, data)
        return str(path)
    except SaveFailed as error:
        run.comment(f"{error} The picture can still be downloaded from the page.")
        return ""


def _clean(name: str) -> str:
    """A name that is no path."""
    kept = "".join(c if c.isalnum() or c in " ._-()[]+" else "_" for c in name).strip(". ")
    return kept[:150] or "picture"


def _free(path: Path, replace: bool) -> Path:
    """Another name where one is taken: the usual folder holds the work of many runs."""
    if replace or not path.exists():
        return path
    for number in range(1, 100_000):
        other = path.with_name(f"{path.stem}-{number}{path.suffix}")
        if not other.exists():
            return other
    return path


def _write_texts(run: ExtrasRun, path: str, parameters: str, caption: str | None) -> None:
    """The caption in a file beside the picture, or its parameters where settings ask for them."""
    if not path:
        return
    side = Path(path).with_suffix(".txt")
    text = parameters if run.settings.save_txt else ""
    if caption is not None:
        text = _joined(side, caption.strip(), run.settings.postprocessing_existing_caption_action)
    if text:
        try:
            write_text(side, text)
        except SaveFailed as error:
            run.comment(str(error))


def _joined(side: Path, caption: str, action: str) -> str:
    """The caption with one that is there already, by A1111's four words."""
    try:
        old = side.read_text("utf-8").strip() if action != "Ignore" and side.is_file() else ""
    except (OSError, UnicodeDecodeError):
        old = ""
    if not old:
        return caption
    if action == "Keep":
        return old
    return f"{caption} {old}" if action == "Prepend" else f"{old} {caption}"
