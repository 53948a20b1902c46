"""The recipe of the Extras tab: pictures go through the steps that were asked for, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from atelier.base.cancel import CancelToken
from atelier.base.errors import AtelierError, BadRequest, Interrupted
from atelier.base.events import Event
from atelier.imaging.decode import open_image
from atelier.imaging.folder import pictures_in
from atelier.params.extras import ExtrasRequest
from atelier.params.settings import SettingsSnapshot
from atelier.pipeline.extras_save import html_info, save_result
from atelier.pipeline.extras_state import ExtrasRun, PostPicture
from atelier.pipeline.extras_steps import STEPS, PostStep, in_order
from atelier.pipeline.services import Services
from atelier.pipeline.state import Result


def postprocess(
    request: ExtrasRequest,
    services: Services,
    *,
    settings: SettingsSnapshot,
    token: CancelToken | None = None,
    publish: Callable[[Event], Any] = lambda event: None,
    job: str = "",
    keep: bool = False,
) -> Result:
    """With `keep` the images stay in memory for the caller; else only in the blob store, since there may be thousands.

    Raises any `AtelierError`; a stop keeps the pictures that are done, a cancel raises `Interrupted`."""
    started = time.monotonic()
    settings = settings.overlaid(request.overrides)
    run = ExtrasRun(request, settings, services, token or CancelToken(), publish, job, keep=keep)
    steps = _steps(run)
    for step in steps:
        step.ready(run)
    sources = _sources(run)
    run.count = len(sources)
    for run.position, (name, read) in enumerate(sources):
        if run.token.ending:
            break
        run.token.clear_skip()
        image = _read(run, name, read)
        if image is None:
            continue
        try:
            _one(run, steps, name, image)
        except Interrupted as stop:
            if stop.mode == "cancel":
                raise
    if run.token.mode == "cancel":
        raise Interrupted("cancel")
    return Result(
        pictures=tuple(run.pictures), state="stopped" if run.token.mode == "stop" else "done",
        comments=tuple(run.comments), info={"html_info": html_info(run), "infotexts": list(run.infos)},
        seconds=time.monotonic() - started, images=tuple(run.images),
    )  # fmt: skip


def _steps(run: ExtrasRun) -> list[PostStep]:
    """Those that are wanted, with those of extensions, in the order of the settings, then in their own."""
    found = [*STEPS, *(step for given in run.services.hooks.provide_post_steps(run=run) for step in given or ())]
    off = set(run.settings.postprocessing_disable_in_extras)
    return [step for step in in_order(found, run.settings) if step.name not in off and step.wanted(run)]


def _sources(run: ExtrasRun) -> list[tuple[str, Callable[[], Image.Image]]]:
    """(name of the file or "", the function that reads it) of every picture. Raises `BadRequest`."""
    given = run.request.input
    if given.folder:
        return [(path.stem, _reader(run, path)) for path in pictures_in(given.folder, "input.folder")]
    if not given.images:
        raise BadRequest("input.images", "there is no picture.", remedy="Give one, or the name of a folder.")
    blobs = run.services.blobs
    names = [Path(name.replace("\\", "/")).stem for name in given.names]
    names += [""] * (len(given.images) - len(names))
    return [
        (names[index], lambda ref=ref, index=index: blobs.image(ref, f"input.images.{index}"))
        for index, ref in enumerate(given.images)
    ]


def _reader(run: ExtrasRun, path: Path) -> Callable[[], Image.Image]:
    return lambda: open_image(path.read_bytes(), f"input.folder.{path.name}", limit_mp=run.settings.img_max_size_mp)


def _read(run: ExtrasRun, name: str, read: Callable[[], Image.Image]) -> Image.Image | None:
    """None for a file of a folder that is no picture: it is told, and the others go on. Raises for a picture given."""
    try:
        return read()
    except AtelierError as error:
        if not run.request.input.folder:
            raise
        run.comment(f"{name} was left out: {error}")
        return None


def _one(run: ExtrasRun, steps: list[PostStep], name: str, image: Image.Image) -> None:
    """One source: it may become several pictures on the way."""
    source = dict(image.info)
    image.info = {}
    pictures = [PostPicture(image)]
    for step in steps:
        step.first(run, pictures[0])
    for index, step in enumerate(steps):
        run.stage(step.stage or step.name)
        with run.part(index, len(steps)):
            pictures = [made for picture in pictures for made in _through(run, step, picture)]
    suffixes: dict[str, Any] = {}
    for picture in pictures:
        save_result(run, picture, source, name, picture.get_suffix(suffixes))
    run.progress(1, 1)


def _through(run: ExtrasRun, step: PostStep, picture: PostPicture) -> list[PostPicture]:
    """The picture, and those that the step made of it."""
    run.token.check()
    if picture.disable_processing:
        return [picture]
    step.work(run, picture)
    made = [e if isinstance(e, PostPicture) else picture.create_copy(e) for e in picture.extra_images]
    picture.extra_images = []
    return [picture, *made]
