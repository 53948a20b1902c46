"""restore_faces in txt2img: a missing file is told and the picture comes; with the file it is in the infotext."""

from __future__ import annotations

import numpy as np
from PIL import Image

from atelier.params.infotext import PasteRules, parse_infotext, paste
from atelier.params.request import GenerationRequest
from atelier.tools.watch import Watch


def test_without_the_file_the_picture_still_comes(make):
    result = make(**{"output.restore_faces": True, "batch.count": 2})
    assert len(result.images) == 3 and "Face restoration" not in result.pictures[0].infotext
    told = [comment for comment in result.comments if comment.startswith("Faces were not restored")]
    assert len(told) == 1 and "codeformer-v0.1.0.pth" in told[0]
    assert result.info["restore_faces"] is False


def test_the_restorer_and_its_weight(make, services, settings, monkeypatch):
    asked = []

    def restore(name: str, image: Image.Image, weight: float, watch: Watch) -> Image.Image:
        asked.append((name, weight, image.size))
        return Image.new("RGB", image.size, "lime")

    monkeypatch.setattr(services.tools, "missing_restorer", lambda name: None)
    monkeypatch.setattr(services.tools, "restore_faces", restore)
    settings.update({"face_restoration_model": "GFPGAN", "code_former_weight": 0.25}, save=False)
    assert make().info["restore_faces"] is False and asked == []
    result = make(**{"output.restore_faces": True})
    assert asked == [("GFPGAN", 0.25, (64, 64))]
    assert np.array_equal(np.asarray(result.images[0])[3, 3], (0, 255, 0))
    assert "Seed: 7, Face restoration: GFPGAN, Size: 64x64" in result.pictures[0].infotext
    assert (result.info["restore_faces"], result.info["face_restoration_model"]) == (True, "GFPGAN")
    settings.update({"face_restoration": True}, save=False)
    make()
    make(**{"output.restore_faces": False})
    assert len(asked) == 2


def test_a_pasted_text_asks_for_its_restorer(settings):
    text = "a\nSteps: 5, Sampler: Euler, Seed: 1, Face restoration: GFPGAN, Size: 64x64"
    pasted = paste(parse_infotext(text), GenerationRequest(), PasteRules(settings=settings.snapshot()))
    assert pasted.overrides["face_restoration"] is True and pasted.overrides["face_restoration_model"] == "GFPGAN"
    assert not pasted.problems
