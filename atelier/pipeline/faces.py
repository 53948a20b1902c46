"""Faces of a run's pictures: repaired where request or settings ask for it, and told in the infotext."""

from __future__ import annotations

from atelier.pipeline.save import save_before
from atelier.pipeline.state import Batch, Frame
from atelier.pipeline.watching import watch_of

KEY = "Face restoration"


def wants_faces(batch: Batch) -> bool:
    """Whether faces are to be repaired, and can be. A restorer without its file is told of once, and left out."""
    run = batch.run
    asked = run.request.output.restore_faces
    wanted = run.settings.face_restoration if asked is None else asked
    name = run.settings.face_restoration_model
    if not wanted or name == "None":
        return False
    missing = run.services.tools.missing_restorer(name)
    if missing is not None and KEY not in run.notes:
        run.comment(f"Faces were not restored. {missing}")
    run.notes[KEY] = missing is None
    return missing is None


def restore_faces(frame: Frame) -> None:
    """Raises `Interrupted`, `OutOfMemory`, and what a file that cannot be read raises."""
    batch, run = frame.batch, frame.batch.run
    if run.settings.save_images_before_face_restoration:
        save_before(batch, [frame.image], "before-face-restoration", first=frame.position)
    name = run.settings.face_restoration_model
    frame.image = run.services.tools.restore_faces(name, frame.image, run.settings.code_former_weight, watch_of(run))
    frame.infotext[KEY] = name
