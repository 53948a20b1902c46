"""The check of a batch of pictures: its folders as this machine knows them, before it is queued. Needs no page."""

from __future__ import annotations

from atelier.app import App
from atelier.base.errors import BadRequest
from atelier.base.refs import ImageRef
from atelier.imaging.folder import pictures_in
from atelier.params.part_json import part_to_json
from atelier.params.picture_batch import EXTRA, FOLDERS, AskedBatch, PictureBatch, asked_batch
from atelier.params.request import GenerationRequest
from atelier.web.folders import checked_folder


def checked_batch(app: App, request: GenerationRequest) -> AskedBatch:
    """The batch of a request, with its folders as absolute paths. Raises `BadRequest`, `NotAllowed`."""
    asked = asked_batch(request)
    if asked is None:
        raise BadRequest(EXTRA, "there is no batch.")
    values = part_to_json(asked.values)
    for name, exists in FOLDERS:
        values[name] = checked_folder(app, values[name], f"{EXTRA}.{name}", exists=exists)
    again = asked_batch(request.with_values(extras={EXTRA: values}))
    return AskedBatch(again.values, asked.resume)


def with_checked_batch(app: App, request: GenerationRequest) -> GenerationRequest:
    """The request with its batch checked; where it has no picture of its own, the first of the batch stands for all.

    Raises `BadRequest`, `BadImage`, `NotAllowed`.
    """
    asked = checked_batch(app, request)
    images = request.source.images or (_first(app, asked.values),)
    return request.with_values(**{"source.images": images}, extras={**request.extras, EXTRA: asked.to_extra()})


def _first(app: App, batch: PictureBatch) -> ImageRef:
    if batch.images:
        return batch.images[0]
    path = pictures_in(batch.folder, f"{EXTRA}.folder")[0]
    return app.blobs.put_bytes(path.read_bytes(), f"{EXTRA}.folder")
