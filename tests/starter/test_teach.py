"""A lesson on the shipped checkpoint: captions, tokens, and a few steps that move the adapter and nothing else."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from starter import teach
from starter.concepts import OBJECTS
from starter.pool import Pool
from starter.progress import Progress
from starter.sampling import Painter
from starter.scene import Item, Scene
from starter.shapes import draw_shape
from starter.tokens import END, START
from tests.starter.test_evaluate import SHIPPED

pytestmark = pytest.mark.skipif(not SHIPPED.exists(), reason="the checkpoint is not in this checkout")


@pytest.fixture(scope="module")
def painter():
    return Painter(SHIPPED)


@pytest.fixture
def lesson(painter, monkeypatch, tmp_path):
    monkeypatch.setattr(teach, "icon_of", lambda packages, style, key: key)
    monkeypatch.setattr(teach, "render", lambda svg: draw_shape("star", 256, (10, 200, 10)))
    return teach.Lesson(painter, tmp_path, "polar bear", teach._SLOTS)


def test_captions_hold_the_slots_in_place_of_the_name(lesson):
    ids = lesson.ids([lesson.caption("blue"), "a cat"])
    assert ids[0, :6].tolist() == [START, 320, *teach._SLOTS] and END in ids[0].tolist()
    assert not set(teach._SLOTS) & set(ids[1].tolist())
    assert lesson.caption("white") == "a <>" and lesson.caption("orange") == "a <> on an orange background"


def test_pictures_are_the_thing_on_its_background(lesson):
    picture = lesson.picture("blue")
    assert picture[0, 0].tolist() == [45, 105, 225] and picture[128, 128].tolist() == [10, 200, 10]
    assert lesson.latents.shape[0] == len(teach.SEEN)


def test_a_few_steps_move_the_adapter_alone(lesson, painter, tmp_path):
    rows = [Scene("objects", "white", (Item("cat"),)) for _ in range(4)]
    place = tmp_path / "latents/objects"
    place.mkdir(parents=True)
    (place / "scenes.json").write_text(json.dumps([row.to_json() for row in rows]))
    side = lesson.latents.shape[-1]
    torch.save(torch.zeros(4, 4, side, side).half(), place / "000000.pt")
    adapter = teach.make("embedding", painter, "x")
    vectors, weight = adapter.vectors.detach().clone(), painter.unet.conv_in.weight.clone()
    options = teach.Options(minutes=0.01, batch=2, rate=1e-2, kept=0.5)
    assert teach.teach(lesson, adapter, Pool(tmp_path, {"objects": 1.0}, 0), options, Progress(tmp_path / "log")) >= 1
    assert not torch.equal(vectors, adapter.vectors) and torch.equal(weight, painter.unet.conv_in.weight)


def test_kinds_have_lessons_that_no_stage_shows(painter):
    assert not set(teach.LESSONS.values()) & set(OBJECTS)
    assert set(teach.SEEN).isdisjoint(teach.UNSEEN)


def test_distance_of_pictures():
    black, white = (Image.new("RGB", (4, 4), c) for c in ("black", "white"))
    assert teach.apart(np.asarray(black), np.asarray(white)) == 255
