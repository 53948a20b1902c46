"""The Batch tab of img2img: what the page tells becomes part of the request, and which folders it may name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from atelier.params.picture_batch import EXTRA
from tests.web.test_page_submit import page, request_of

__all__ = ["page"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    for name, colour in (("b", "red"), ("a", "blue")):
        Image.new("RGB", (48, 32), colour).save(made / f"{name}.png")
    (made / "notes.txt").write_text("no picture")
    return made


def refused(page, wire: dict) -> dict:
    return json.loads(page.press("img2img_generate", {"id": "b-0", "batch": wire}))["error"]


def test_given_pictures_travel_as_hashes_with_their_names(page):
    refs = [page.app.blobs.put_image(Image.new("RGB", (32, 32), colour)) for colour in ("red", "blue")]
    images = [{"sha256": ref.sha256, "width": 32, "height": 32} for ref in refs]
    page.press("img2img_generate", {"id": "b-1", "batch": {"images": images, "names": ["x.png", "y.png"]}})
    asked = request_of(page, "b-1")
    assert [image["sha256"] for image in asked["extras"][EXTRA]["images"]] == [ref.sha256 for ref in refs]
    assert asked["source"]["images"][0]["sha256"] == refs[0].sha256
    assert asked["extras"][EXTRA]["names"] == ["x.png", "y.png"]


def test_a_folder_stands_for_its_pictures(page, folder):
    page.press("img2img_generate", {"id": "b-2", "batch": {"folder": str(folder), "scale": 2}})
    asked = request_of(page, "b-2")
    assert asked["extras"][EXTRA]["folder"] == str(folder) and asked["extras"][EXTRA]["scale"] == 2
    first = page.app.blobs.image(asked["source"]["images"][0]["sha256"])
    assert first.getpixel((0, 0)) == (0, 0, 255)


def test_what_cannot_be_used_is_refused_by_name(page, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    assert refused(page, {"folder": str(tmp_path / "empty")})["fields"]["field"] == f"{EXTRA}.folder"
    assert refused(page, {"folder": str(folder / "none")})["fields"]["field"] == f"{EXTRA}.folder"
    assert refused(page, {"folder": str(folder), "mask_folder": "/none"})["fields"]["field"] == f"{EXTRA}.mask_folder"
    assert refused(page, {"folder": str(folder), "output_folder": str(folder)})["remedy"]
    assert refused(page, {"folder": str(folder), "moon": 1})["fields"]["field"] == "moon"
    assert refused(page, {})["fields"]["field"] == f"{EXTRA}.images"


@pytest.mark.parametrize("name", ["folder", "mask_folder", "png_info_folder", "output_folder"])
def test_a_server_that_others_reach_keeps_to_its_own_folders(page, folder, tmp_path, name):
    inside = tmp_path / "outputs" / "img2img-images" / "mine"
    inside.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(inside / "a.png")
    page.app.arguments["listen"] = True
    outside = refused(page, {"folder": str(inside), name: str(folder)})
    assert "lies outside" in outside["message"] and outside["fields"]["field"] == f"{EXTRA}.{name}"
    # A way out through the folder above is the same place.
    assert "lies outside" in refused(page, {"folder": str(inside), name: f"{inside}/../../../pictures"})["message"]
    told = json.loads(page.press("img2img_generate", {"id": f"b-{name}", "batch": {"folder": str(inside)}}))
    assert told["id"] == f"b-{name}"
