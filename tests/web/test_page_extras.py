"""The Extras tab: A1111's ids, labels and defaults, and what its Generate queues."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from PIL import Image

from atelier.params.extras_schema import extras_from_json
from atelier.plugins.manager import Plugins
from atelier.web.hooks import WebHooks
from atelier.web.page import build_page
from tests.apps import make_app
from tests.web.page_fixtures import Pressed

#: id: (label, default), from the contract
CONTROLS = {
    "extras_upscaler_1": ("Upscaler 1", "None"), "extras_upscaler_2": ("Upscaler 2", "None"),
    "extras_upscaler_2_visibility": ("Upscaler 2 visibility", 0), "extras_upscaling_resize": ("Resize", 4),
    "extras_upscale_max_side_length": ("Max side length", 0), "extras_upscaling_resize_w": ("Width", 512),
    "extras_upscaling_resize_h": ("Height", 512), "extras_upscaling_crop": ("Crop to fit", True),
    "extras_gfpgan_visibility": ("Visibility", 1), "extras_codeformer_visibility": ("Visibility", 1),
    "extras_codeformer_weight": ("Weight (0 = maximum effect, 1 = minimum effect)", 0),
    "extras_show_extras_results": ("Show result images", True),
}  # fmt: skip
OTHERS = (
    "tab_extras", "mode_extras", "extras_single_tab", "extras_batch_process_tab", "extras_batch_directory_tab",
    "extras_image", "extras_image_batch", "extras_batch_input_dir", "extras_batch_output_dir", "extras_generate",
    "extras_gallery", "html_info_extras", "image_buttons_extras", "extras_upscale", "txt2img_send_to_extras",
    "img2img_send_to_extras", "pnginfo_send_to_extras",
)  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[Pressed]:
    plugins = Plugins()
    plugins.add_hookspecs(WebHooks)
    app = make_app(tmp_path_factory.mktemp("data"), plugins)
    app.start()
    assert app.executor.wait_ready(20)
    yield Pressed(app, build_page(app))
    app.arguments["gate"].set()
    app.close()


def stored(page: Pressed, name: str = "a.png") -> dict:
    ref = page.app.blobs.put_image(Image.new("RGB", (16, 16), "green"))
    return {"sha256": ref.sha256, "width": 16, "height": 16, "name": name}


def asked(page: Pressed, answer: str):
    told = json.loads(answer)
    assert "id" in told, told
    return extras_from_json(page.app.records.get(told["id"]).payload)


def test_ids_labels_and_defaults_are_a1111s(page):
    for elem_id, (label, value) in CONTROLS.items():
        component = page.component(elem_id)
        assert (component.label, component.value) == (label, value), elem_id
    assert set(OTHERS) <= set(page.ids())


def test_generate_queues_what_the_controls_say(page):
    answer = page.press(
        "extras_generate", {"mode": "single", "images": [stored(page)], "scale_to": True},
        extras_upscaler_1="lanczos", upscaling_resize_w=640,
    )  # fmt: skip
    request = asked(page, answer)
    assert (request.upscale.upscaler_1, request.upscale.mode, request.upscale.width) == ("Lanczos", 1, 640)
    assert len(request.input.images) == 1 and request.output.save and request.upscale.enabled


def test_a_batch_keeps_its_names(page):
    answer = page.press("extras_generate", {"mode": "batch", "images": [stored(page, "x.png"), stored(page, "y.jpg")]})
    assert asked(page, answer).input.names == ("x.png", "y.jpg")


def test_a_folder(page, tmp_path):
    answer = page.press("extras_generate", {"mode": "folder"}, batch_input_dir=str(tmp_path), show_extras_results=False)
    request = asked(page, answer)
    assert request.input.folder == str(tmp_path) and not request.output.show and request.input.images == ()


@pytest.mark.parametrize(("wire", "values", "field"), [
    ({"mode": "single"}, {}, "input.images"), ({"mode": "folder"}, {}, "input.folder"),
    ({"mode": "folder"}, {"batch_input_dir": "/no/such/folder"}, "input.folder"),
    ({"mode": "single", "images": [{"sha256": "x"}]}, {}, "input.images.0.sha256"),
])  # fmt: skip
def test_what_is_missing_is_named(page, wire, values, field):
    error = json.loads(page.press("extras_generate", wire, **values))["error"]
    assert error["fields"]["field"] == field and error["remedy"]
