"""Tests of img2img over many pictures: names, masks, parameters, what is left out, and what is taken up again."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from atelier.base.cancel import CancelToken
from atelier.base.errors import AtelierError
from atelier.base.events import PictureReady, StepDone
from atelier.imaging.writer import encode
from atelier.params.infotext import parse_infotext
from atelier.params.picture_batch import EXTRA
from atelier.params.request import GenerationRequest
from atelier.pipeline.run import generate
from tests.scripts.conftest import SMALL


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    told = "a dog\nSteps: 1, Sampler: Euler, Seed: 11"
    for name, colour, text in (("a", "red", ""), ("b [1]", "green", told), ("c", "blue", "")):
        (folder / f"{name}.png").write_bytes(encode(Image.new("RGB", (64, 64), colour), "png", text))
    return folder


@pytest.fixture
def batch(services, settings, pictures):
    """`batch(use_png_info=True)` runs over the folder; values with a dot belong to the request."""

    def run(events=None, token=None, job="test", **values):
        paths = {name: values.pop(name) for name in [*values] if "." in name}
        ref = services.blobs.put_image(Image.new("RGB", (64, 64), "red"))
        request = GenerationRequest().with_values(
            **{**SMALL, "sampling.steps": 4, "source.images": (ref,), **paths},
            extras={EXTRA: {"folder": str(pictures), **values}},
        )
        publish = events.append if events is not None else (lambda event: None)
        return generate(request, services, settings=settings.snapshot(), token=token, publish=publish, job=job)

    return run


def test_every_picture_of_a_folder_is_a_source(batch, services, tmp_path):
    events = []
    result = batch(events, output_folder=str(tmp_path / "out"))
    assert [Path(p.path).name for p in result.pictures] == ["a.png", "b (1).png", "c.png"]
    assert len({services.blobs.path(p.ref).name for p in result.pictures}) == 3
    steps = [event for event in events if isinstance(event, StepDone)]
    assert steps[-1].step == steps[-1].steps and {event.passes for event in steps} == {3}
    assert [event.index for event in events if isinstance(event, PictureReady)] == [0, 1, 2]


def test_nothing_that_is_there_is_replaced(batch, tmp_path, pictures):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"kept")
    result = batch(output_folder=str(tmp_path / "out"))
    assert (tmp_path / "out" / "a.png").read_bytes() == b"kept" and Path(result.pictures[0].path).name == "a-1.png"
    with pytest.raises(AtelierError, match="replace"):
        batch(output_folder=str(pictures))


def test_several_of_one_source_are_numbered(batch, tmp_path):
    result = batch(output_folder=str(tmp_path / "out"), **{"batch.count": 2})
    assert [Path(p.path).name for p in result.pictures][:3] == ["a-1.png", "a-2.png", "b (1)-1.png"]


def test_parameters_are_taken_from_the_pictures(batch):
    result = batch(use_png_info=True, png_info_fields=["Prompt", "Seed"])
    told = [parse_infotext(p.infotext) for p in result.pictures]
    assert [t["Prompt"] for t in told] == ["a cat", "a cat a dog", "a cat"]
    assert [t["Seed"] for t in told] == ["7", "11", "7"] and told[1]["Steps"] == "4"


def test_parameters_and_masks_are_taken_from_files_of_the_same_name(batch, tmp_path):
    for name in ("masks", "told"):
        (tmp_path / name).mkdir()
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    for name in ("a", "c"):
        mask.save(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "told" / "a.png").write_bytes(encode(mask, "png", "x\nSteps: 2, Sampler: Heun, Seed: 5"))
    result = batch(
        mask_folder=str(tmp_path / "masks"), use_png_info=True, png_info_folder=str(tmp_path / "told"),
        png_info_fields=["Sampler", "Steps"], **{"mask.blur_x": 0, "mask.blur_y": 0},
    )  # fmt: skip
    told = [parse_infotext(p.infotext) for p in result.pictures]
    assert [t["Sampler"] for t in told] == ["Heun", "Euler"] and told[0]["Steps"] == "2"
    assert result.images[0].getpixel((60, 30)) == (255, 0, 0)
    assert any("b [1].png was left out" in text for text in result.comments)


def test_a_damaged_picture_does_not_end_the_batch(batch, pictures):
    (pictures / "b [1].png").write_bytes(b"no picture")
    result = batch()
    assert len(result.pictures) == 2 and any("b [1].png" in text for text in result.comments)


def test_only_some_are_shown(batch, settings):
    settings.update({"img2img_batch_show_results_limit": 2}, save=False)
    result = batch()
    assert len(result.pictures) == 2 and any("3 pictures" in text for text in result.comments)


def test_a_stopped_batch_goes_on_where_it_was(batch):
    token = CancelToken()
    events = []

    class Stopper(list):
        def append(self, event):
            if isinstance(event, PictureReady):
                token.request("stop")
            super().append(event)

    first = batch(Stopper(), token=token)
    assert first.state == "stopped" and len(first.pictures) == 1
    again = batch(events, resume="test", job="again")
    assert len(again.pictures) == 3 and again.pictures[0].ref == first.pictures[0].ref
    assert len([event for event in events if isinstance(event, StepDone)]) < 3 * 4


@pytest.mark.parametrize(("values", "field"), [
    ({"folder": ""}, "picture_batch.images"), ({"folder": "/does/not/exist"}, "picture_batch.folder"),
    ({"moon": 1}, "moon"), ({"png_info_fields": ["Moon"]}, "picture_batch.png_info_fields"),
    ({"images": "x"}, "picture_batch.images"),
])  # fmt: skip
def test_bad_values_are_named(batch, values, field):
    with pytest.raises(AtelierError) as caught:
        batch(**values)
    assert caught.value.to_json()["fields"]["field"] == field
