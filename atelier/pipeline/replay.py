"""Replay as a job: a picture is made again from what it records, and both are compared pixel by pixel."""

from __future__ import annotations

from typing import Any

from atelier.base.errors import BadRequest, Interrupted
from atelier.imaging.difference import pixel_difference
from atelier.params.replay import compare
from atelier.params.schema import request_from_json
from atelier.params.value_json import image_from
from atelier.pipeline.run import generate
from atelier.pipeline.work import Work


def replay(work: Work) -> dict[str, Any]:
    """The result of the run, and under `replay` the report. Nothing is written to the output folders.

    Raises what a run raises; a run that was stopped is no replay and raises `Interrupted`.
    """
    asked = work.payload
    request = request_from_json(asked.get("request", {}))
    original = image_from(asked.get("original"), "original")
    before = work.services.blobs.image(original, "original")
    result = generate(
        request, work.services, settings=work.settings, token=work.token, publish=work.publish, job=work.job,
        nested=True,
    )  # fmt: skip
    made = next((p for p in result.pictures if p.role == "picture"), None)
    if result.state != "done" or made is None:
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
    }  # fmt: skip
    if found is not None:
        shown = work.services.blobs.put_image(found.image)
        report |= {"largest": found.largest, "mean": round(found.mean, 6), "share": round(found.share, 6),
                   "difference": shown.sha256}  # fmt: skip
    return {**result.to_json(), "replay": report}
