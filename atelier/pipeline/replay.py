"""Replay as a job: a picture is made again from what it records, and both are compared pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atelier.base.errors import BadImage, BadRequest, Interrupted, NotFound
from atelier.base.refs import ImageRef
from atelier.imaging.difference import pixel_difference
from atelier.params.replay import compare
from atelier.params.request import GenerationRequest
from atelier.params.schema import request_from_json
from atelier.params.value_json import image_from
from atelier.pipeline.run import generate
from atelier.pipeline.save import sheet_of
from atelier.pipeline.state import Result
from atelier.pipeline.work import Work


@dataclass(frozen=True)
class _Made:
    """The picture that stands against the original."""

    ref: ImageRef
    infotext: str


def replay(work: Work) -> dict[str, Any]:
    """The result of the run, and under `replay` the report. Nothing is written to the output folders.

    With `whole` in the payload all pictures of a job were made again: the report has the compared one, and under
    `cells` the difference of every other. Raises what a run raises; a run that was stopped is no replay and raises
    `Interrupted`.
    """
    asked = work.payload
    request, whole = request_from_json(asked.get("request", {})), asked.get("whole") or {}
    original = image_from(asked.get("original"), "original")
    before = work.services.blobs.image(original, "original")
    result = generate(
        request, work.services, settings=work.settings, token=work.token, publish=work.publish, job=work.job,
        nested=True,
    )  # fmt: skip
    made = _counterpart(work, request, result, whole) if result.state == "done" else None
    if made is None:
        raise Interrupted("stop") if work.token.mode else BadRequest("picture", "the run made no picture.")
    found = pixel_difference(before, work.services.blobs.image(made.ref, "picture"))
    infotext = str(asked.get("infotext", ""))
    report: dict[str, Any] = {
        "original": original.sha256, "made": made.ref.sha256,
        "sizes": [list(before.size), [made.ref.width, made.ref.height]],
        "notes": [*asked.get("notes", ()), *result.comments],
        "conditions": [
            {"name": d.name, "recorded": d.recorded, "now": d.now} for d in compare(infotext, made.infotext)
        ],
        "cells": _cells(work, whole.get("pictures", ()), result),
    }  # fmt: skip
    if found is not None:
        shown = work.services.blobs.put_image(found.image)
        report |= {"largest": found.largest, "mean": round(found.mean, 6), "share": round(found.share, 6),
                   "difference": shown.sha256}  # fmt: skip
    return {**result.to_json(), "replay": report}


def _counterpart(work: Work, request: GenerationRequest, result: Result, whole: Mapping[str, Any]) -> _Made | None:
    """The n-th picture of the asked role; the sheet of an ordinary run is laid out here, for a run that saves nothing
    makes none."""
    role, nth = whole.get("role", "picture"), whole.get("nth", 0)
    found = [picture for picture in result.pictures if picture.role == role]
    if nth < len(found):
        return _Made(found[nth].ref, found[nth].infotext)
    if role != "grid" or not result.images:
        return None
    sheet = sheet_of(request, work.settings.overlaid(request.overrides), result.images)
    return _Made(work.services.blobs.put_image(sheet), result.pictures[0].infotext)


def _cells(work: Work, originals: Sequence[Mapping[str, Any]], result: Result) -> list[dict[str, Any]]:
    """The largest difference of each picture of the job to the one of its role and turn; None where the sizes differ,
    `kept` is False where the picture of then is no longer there."""
    made = {role: [p for p in result.pictures if p.role == role] for role in {str(o["role"]) for o in originals}}
    cells = []
    for place, item in enumerate(originals):
        turn = made[str(item["role"])]
        if not turn:
            continue
        cell: dict[str, Any] = {"place": place, "role": item["role"], "kept": True}
        now = work.services.blobs.image(turn.pop(0).ref, "picture")
        try:
            found = pixel_difference(work.services.blobs.image(str(item["sha256"]), "original"), now)
            cell["largest"] = None if found is None else found.largest
        except (NotFound, BadImage):
            # Pictures of older jobs are cleaned away; the others can still be compared.
            cell["kept"] = False
        cells.append(cell)
    return cells
