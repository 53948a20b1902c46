"""The check of a batch of pictures: its folders as this machine knows them, before it is queued. Needs no page."""

from __future__ import annotations

from atelier.app import App
from atelier.base.errors import BadRequest
from atelier.params.part_json import part_to_json
from atelier.params.picture_batch import EXTRA, FOLDERS, AskedBatch, asked_batch
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
