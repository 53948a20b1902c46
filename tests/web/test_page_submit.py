"""Generate and pasting: what the page sends becomes a job, and parameters become values of its controls."""

from __future__ import annotations

import json
from collections.abc import Iterator

import gradio as gr
import pytest
from PIL import Image

from atelier.plugins.hooks import hookimpl
from atelier.plugins.manager import Plugins
from atelier.prompts.styles import Style
from atelier.web.hooks import WebHooks
from atelier.web.page import build_page
from atelier.web.submit import read_overrides, write_overrides
from tests.apps import make_app
from tests.web.page_fixtures import Pressed

TEXT = (
    "a lake\nNegative prompt: fog\nSteps: 12, Sampler: Euler a, Schedule type: Karras, CFG scale: 5.5, Seed: 77, "
    "Size: 640x384, Clip skip: 2"
)


class Amender:
    @hookimpl
    def amend_pasted(self, app, infotext, values):
        if "lake" in infotext:
            values["Steps"] = "13"


@pytest.fixture
def page(tmp_path) -> Iterator[Pressed]:
    plugins = Plugins()
    plugins.add_hookspecs(WebHooks)
    app = make_app(tmp_path, plugins)
    app.start()
    assert app.executor.wait_ready(20)
    yield Pressed(app, build_page(app))
    app.arguments["gate"].set()
    app.close()


def request_of(page: Pressed, id: str) -> dict:
    return page.app.records.get(id).payload


def test_generate_queues_a_job_under_the_pages_own_id(page):
    ticket = json.loads(page.press("txt2img_generate", {"id": "t-1"}, txt2img_prompt="a cat", txt2img_steps=3))
    assert ticket == {"id": "t-1", "position": 0}
    assert page.app.result("t-1", 20).state == "done"
    asked = request_of(page, "t-1")
    assert asked["prompt"]["positive"] == "a cat" and asked["sampling"]["steps"] == 3
    assert page.app.records.get("t-1").client == "tester"
    assert page.app.sessions.load("tester", "txt2img")["prompt.positive"] == "a cat"


def test_failures_come_back_as_words_not_as_exceptions(page):
    told = json.loads(page.press("txt2img_generate", {"id": "t-2"}, txt2img_width=100_000))
    assert told["error"]["fields"]["field"] == "size.width" and told["error"]["remedy"]
    told = json.loads(page.press("txt2img_generate", {"id": "t-3"}, txt2img_sampling="Oiler"))
    assert told["error"]["fields"]["field"] == "sampling.sampler" and "Euler" in told["error"]["remedy"]
    event = page.event("txt2img_generate")
    broken = json.loads(event.fn("not json", *[c.value for c in event.inputs[1:]]))
    assert "Reload" in broken["error"]["remedy"]


def test_a_page_that_could_not_send_its_picture_starts_nothing(page):
    assert page.press("img2img_generate", {"id": "i-0", "cancelled": True}) == ""
    assert page.app.records.find("i-0") is None


def test_pictures_travel_as_hashes(page):
    image = page.app.blobs.put_image(Image.new("RGB", (96, 64), "red"))
    mask = page.app.blobs.put_image(Image.new("L", (96, 64), 255))
    wire = {"id": "i-1", "image": {"sha256": image.sha256, "width": 96, "height": 64}, "mask": {"sha256": mask.sha256}}
    wire["depth"] = {"sha256": image.sha256}
    page.press("img2img_generate", wire, img2img_inpaint_full_res="Only masked", img2img_mask_blur=2)
    asked = request_of(page, "i-1")
    assert asked["source"]["images"][0]["sha256"] == image.sha256
    assert asked["mask"]["image"]["sha256"] == mask.sha256 and asked["source"]["depth"]["sha256"] == image.sha256
    assert (asked["mask"]["only_masked"], asked["mask"]["blur_x"], asked["mask"]["blur_y"]) == (True, 2, 2)


def sketch_wire(page, name: str, side: int = 64, **told) -> dict:
    original, painted = Image.new("RGB", (side, 64), "blue"), Image.new("RGB", (64, 64), "red")
    strokes = Image.new("L", (64, 64), 0)
    strokes.paste(255, (0, 0, 32, 64))
    refs = [page.app.blobs.put_image(image) for image in (original, painted, strokes)]
    named = [{"sha256": ref.sha256, "width": ref.width, "height": ref.height} for ref in refs]
    return {"id": name, "original": named[0], "image": named[1], "mask": named[2], **told}


def test_a_sketch_melts_into_its_picture_as_transparency_says(page):
    page.press("img2img_generate", sketch_wire(page, "i-s", transparency=50), img2img_mask_blur=0)
    asked = request_of(page, "i-s")
    picture = page.app.blobs.image(asked["source"]["images"][0]["sha256"])
    assert picture.getpixel((50, 5)) == (0, 0, 255)
    assert picture.getpixel((5, 5)) in ((127, 0, 127), (127, 0, 128), (126, 0, 128))
    assert page.app.blobs.image(asked["mask"]["image"]["sha256"]).convert("L").getpixel((5, 5)) == 127


@pytest.mark.parametrize(
    ("told", "field"), [({"transparency": 101}, "mask transparency"), ({"side": 32}, "mask.image")]
)
def test_a_sketch_that_does_not_fit_is_refused(page, told, field):
    answer = json.loads(page.press("img2img_generate", sketch_wire(page, "i-t", **told)))
    assert answer["error"]["fields"]["field"] == field


@pytest.mark.parametrize(("scale", "size"), [(1.5, (144, 96)), (0.05, (8, 8)), (None, (512, 512))])
def test_resize_by_counts_from_the_picture(page, scale, size):
    image = page.app.blobs.put_image(Image.new("RGB", (96, 64), "red"))
    wire = {"id": f"i-{scale}", "image": {"sha256": image.sha256, "width": 96, "height": 64}, "scale": scale}
    page.press("img2img_generate", wire)
    asked = request_of(page, f"i-{scale}")["size"]
    assert (asked["width"], asked["height"]) == size


@pytest.mark.parametrize("image", [None, {"sha256": "x"}, {"sha256": "0" * 64, "depth": 3}, "text"])
def test_img2img_without_a_picture_is_refused(page, image):
    told = json.loads(page.press("img2img_generate", {"id": "i-9", "image": image}))
    assert told["error"]["fields"]["field"].startswith("source.images")


def test_overrides_go_there_and_back(page):
    texts = write_overrides(page.app, {"CLIP_stop_at_last_layers": 2, "emphasis": "No norm"})
    assert texts == ["Clip skip: 2", "Emphasis: No norm"]
    assert read_overrides(page.app, texts) == {"CLIP_stop_at_last_layers": 2, "emphasis": "No norm"}
    told = json.loads(page.press("txt2img_generate", {"id": "t-8"}, txt2img_override_settings=["Nothing: 1"]))
    assert told["error"]["fields"]["field"] == "overrides"


def test_parameters_fill_the_controls(page):
    page.app.plugins.register(Amender(), "amender")
    found = page.outputs("txt2img_paste_apply", page.press("txt2img_paste_apply", {"text": TEXT}))
    assert found["txt2img_prompt"] == "a lake" and found["txt2img_neg_prompt"] == "fog"
    assert (found["txt2img_sampling"], found["txt2img_scheduler"]) == ("Euler a", "Karras")
    assert (found["txt2img_width"], found["txt2img_height"], found["txt2img_cfg_scale"]) == (640, 384, 5.5)
    assert found["txt2img_seed"] == 77 and found["txt2img_steps"] == 13
    assert "Clip skip: 2" in found["txt2img_override_settings"]["value"]


def test_the_paste_button_reads_the_prompt_else_the_last_run(page):
    found = page.outputs("paste", page.press("paste", {}, txt2img_prompt=TEXT))
    assert found["txt2img_prompt"] == "a lake" and found["txt2img_seed"] == 77
    assert page.outputs("paste", page.press("paste", {})) == {}
    (page.app.paths.data / "params.txt").write_text(TEXT.replace("lake", "hill"), "utf-8")
    assert page.outputs("paste", page.press("paste", {}))["txt2img_prompt"] == "a hill"


def test_sending_leaves_seed_and_size_alone_where_settings_say_so(page):
    page.app.settings.update({"send_seed": False, "send_size": False}, save=False)
    found = page.outputs("txt2img_paste_apply", page.press("txt2img_paste_apply", {"text": TEXT, "sent": True}))
    assert (found["txt2img_seed"], found["txt2img_width"]) == (-1, 512) and found["txt2img_cfg_scale"] == 5.5
    found = page.outputs("txt2img_paste_apply", page.press("txt2img_paste_apply", {"text": TEXT}))
    assert found["txt2img_seed"] == 77


def test_pasting_nonsense_changes_only_the_prompt(page):
    found = page.outputs(
        "txt2img_paste_apply", page.press("txt2img_paste_apply", {"text": "just words"}, txt2img_steps=31)
    )
    assert found["txt2img_prompt"] == "just words" and found["txt2img_steps"] == 31


def test_styles_are_written_into_the_prompt(page):
    page.app.styles.put(Style("ink", "{prompt}, ink drawing", "photo"))
    answer = page.press(
        "txt2img_style_apply", None, txt2img_prompt="a cat", txt2img_neg_prompt="", txt2img_styles=["ink"]
    )
    assert answer == ("a cat, ink drawing", "photo", [])


def test_both_tabs_offer_new_styles_and_forget_deleted_ones(page):
    page.app.styles.put(Style("later", "x"))
    chosen = {"txt2img_styles": ["lost", "own", "later"], "img2img_styles": ["own"]}
    first, second = page.press("offer_styles", {"gone": ["lost", "later", 5]}, **chosen)
    assert "later" in first["choices"] and first["choices"] == second["choices"]
    # What was deleted and is there again stays chosen, and so does what nobody here has deleted.
    assert first["value"] == ["own", "later"] and "value" not in second
    assert "value" not in page.press("offer_styles", {"gone": "x"}, **chosen)[0]


def test_half_typed_values_are_not_kept(page):
    page.press("txt2img_keep", {"client": "tester"}, txt2img_prompt="kept")
    page.press("txt2img_keep", {"client": "tester"}, txt2img_prompt="lost", txt2img_steps=5000)
    assert page.app.sessions.load("tester", "txt2img")["prompt.positive"] == "kept"


def test_a_checkpoint_is_loaded_by_a_job(page):
    event = page.event("setting_sd_model_checkpoint", "input")
    job = event.fn("other")
    assert page.app.result(job, 20).kind == "load_model"
    assert page.app.settings.get("sd_model_checkpoint") == "sub/other.safetensors"
    with pytest.raises(gr.Error, match="no-such"):
        event.fn("no-such")


def test_the_hires_button_takes_the_picture_with_its_own_seeds(page):
    image = page.app.blobs.put_image(Image.new("RGB", (96, 64), "red"))
    text = "a dog\nSteps: 9, Sampler: Euler, Seed: 41, Size: 96x64, Variation seed: 5, Variation seed strength: 0.25"
    wire = {"id": "t-h", "upscale": {"image": {"sha256": image.sha256, "width": 96, "height": 64}, "infotext": text}}
    page.press("txt2img_generate", wire, txt2img_prompt="a cat", txt2img_seed=7, txt2img_hr_scale=1.5)
    asked = request_of(page, "t-h")
    assert asked["hires"]["enabled"] and asked["hires"]["image"]["sha256"] == image.sha256
    assert (asked["seed"]["seed"], asked["seed"]["subseed"], asked["seed"]["subseed_strength"]) == (41, 5, 0.25)
    # Everything else is as on the controls, and stays there.
    assert asked["prompt"]["positive"] == "a cat" and asked["hires"]["scale"] == 1.5
    kept = page.app.sessions.load("tester", "txt2img")
    assert kept["seed.seed"] == 7 and kept["hires.enabled"] is False
    for broken in ({}, "x", {"image": "base64"}):
        told = json.loads(page.press("txt2img_generate", {"id": "t-b", "upscale": broken} if broken else {
            "id": "t-b", "upscale": {"image": {}}}))  # fmt: skip
        assert told["error"]["fields"]["field"].startswith("hires.image")


def test_a_refiner_is_chosen_and_switched_on(page):
    checkpoint = page.app.capabilities().models[0].title
    page.press("txt2img_generate", {"id": "t-r"}, **{"txt2img_enable-checkbox": True, "txt2img_checkpoint": checkpoint})
    assert request_of(page, "t-r")["refiner"] == {"enabled": True, "checkpoint": checkpoint, "switch_at": 0.8}
    page.press("img2img_generate", {"id": "i-r", "image": wire_picture(page)}, img2img_checkpoint="None")
    assert request_of(page, "i-r")["refiner"]["checkpoint"] is None
    wrong = json.loads(
        page.press("txt2img_generate", {"id": "t-w"}, **{"txt2img_enable-checkbox": True, "txt2img_checkpoint": "no"})
    )
    assert wrong["error"]["fields"]["field"] == "refiner.checkpoint"


def wire_picture(page) -> dict:
    image = page.app.blobs.put_image(Image.new("RGB", (96, 64), "red"))
    return {"sha256": image.sha256, "width": 96, "height": 64}


def test_the_name_of_who_signed_in_goes_with_the_job(page):
    from gradio.context import LocalContext

    class Asking:
        username = "mia"

    token = LocalContext.request.set(Asking())
    try:
        page.press("txt2img_generate", {"id": "t-u"})
    finally:
        LocalContext.request.reset(token)
    assert request_of(page, "t-u")["extras"]["user"] == "mia"
    page.press("txt2img_generate", {"id": "t-v"})
    assert "user" not in request_of(page, "t-v")["extras"]
