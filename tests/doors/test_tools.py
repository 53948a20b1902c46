"""The doors of upscalers, face restorers and describers reach the engine's tools."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

PICTURE = np.full((16, 24, 3), 50, dtype=np.uint8)


@pytest.fixture
def tools(host, monkeypatch):
    asked = []

    def restore(name, image, weight, watch):
        asked.append((name, weight))
        return Image.new("RGB", image.size, "white")

    def describe(image, model, rules, watch):
        asked.append((model, rules.tags.threshold))
        return f"by {model}"

    found = SimpleNamespace(
        restore_faces=restore, describe=describe, asked=asked,
        missing_restorer=lambda name: None if name == "GFPGAN" else "no file",
    )  # fmt: skip
    monkeypatch.setattr(host, "services", SimpleNamespace(tools=found))
    lease = SimpleNamespace(__enter__=lambda self: None, __exit__=lambda *a: None)
    monkeypatch.setattr(host, "lease", lambda: __import__("contextlib").nullcontext(lease))
    return found


def test_faces(host, tools):
    from modules import codeformer_model, face_restoration, gfpgan_model, shared

    assert [restorer.name() for restorer in shared.face_restorers] == ["CodeFormer", "GFPGAN"]
    assert gfpgan_model.gfpgan_fix_faces(PICTURE).shape == (16, 24, 3)
    assert codeformer_model.codeformer.restore(PICTURE, w=0.25).min() == 255
    assert tools.asked == [("GFPGAN", 0.5), ("CodeFormer", 0.25)]
    same = face_restoration.restore_faces(PICTURE)
    assert np.array_equal(same, PICTURE), "CodeFormer is chosen, and its file is not there"
    host.settings.update({"face_restoration_model": "GFPGAN"}, save=False)
    try:
        assert face_restoration.restore_faces(PICTURE).min() == 255
    finally:
        host.settings.update({"face_restoration_model": "CodeFormer"}, save=False)


def test_words(host, tools):
    from modules import deepbooru, shared

    image = Image.fromarray(PICTURE)
    assert shared.interrogator.interrogate(image) == "by clip"
    assert shared.interrogator.generate_caption(image) == "by blip"
    assert deepbooru.model.tag(image) == "by deepdanbooru"
    assert deepbooru.re_special.sub(r"\\\1", "a (b)") == r"a \(b\)"


def test_an_upscaler_of_an_extension(host):
    from modules.upscaler import Upscaler, UpscalerData

    class Doubling(Upscaler):
        name = "Doubling"

        def do_upscale(self, img, selected_model):
            return img.resize((img.width * 2, img.height * 2))

    scaler = Doubling()
    assert scaler.upscale(Image.new("RGB", (10, 20)), 3).size == (24, 56)
    assert scaler.scalers == [] and UpscalerData("x", None, scaler).scaler is scaler
