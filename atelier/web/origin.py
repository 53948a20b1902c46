"""Origin: the job that a saved picture came from, as far as its record tells."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atelier.app import App
from atelier.base.errors import AtelierError
from atelier.base.log import fields, logger
from atelier.params.request import GenerationRequest
from atelier.params.schema import request_from_json

log = logger(__name__)

GRID = "grid"


@dataclass(frozen=True)
class Origin:
    """`role` is the picture's in its job; `pictures` are all that the job gave, in order."""

    job: str
    request: GenerationRequest
    role: str
    place: int | None
    pictures: tuple[dict[str, Any], ...]
    #: what the job told A1111 clients beside its pictures
    info: Mapping[str, Any]

    def with_drawn_seeds(self) -> GenerationRequest:
        """The request with the seeds that were drawn for it in the place of -1."""
        changes = {}
        for name in ("seed", "subseed"):
            drawn = self.info.get(name)
            if self.request.get(f"seed.{name}") == -1 and isinstance(drawn, int) and drawn >= 0:
                changes[f"seed.{name}"] = drawn
        return self.request.with_values(**changes)

    @property
    def whole(self) -> dict[str, Any]:
        """What a replay of the whole job has to know: which picture is meant, as the n-th of its role, and all others
        by their hashes."""
        before = self.pictures[: self.place] if self.place is not None else ()
        nth = sum(1 for picture in before if picture["role"] == self.role)
        pictures = [{"sha256": picture["sha256"], "role": picture["role"]} for picture in self.pictures]
        return {"role": self.role, "nth": nth, "pictures": pictures}


def origin_of(app: App, data: bytes) -> Origin | None:
    """None for a picture that is not in the index, and for one whose job is forgotten or was no run."""
    digest = hashlib.sha256(data).hexdigest()
    row = app.pictures.by_hash(digest)
    job = app.records.find(row.job) if row is not None and row.job else None
    if row is None or job is None or job.kind not in ("txt2img", "img2img"):
        return None
    try:
        request = request_from_json(job.payload)
    except AtelierError as error:
        log.warning("record of a job cannot be used: %s", fields(job=job.id, reason=str(error)))
        return None
    result = job.result or {}
    pictures = tuple(result.get("pictures") or ())
    place = next((index for index, picture in enumerate(pictures) if picture["sha256"] == digest), None)
    return Origin(job.id, request, row.role, place, pictures, result.get("info") or {})
