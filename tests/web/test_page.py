"""The page as it is built: every value has its place, and elements carry the ids that A1111's scripts know."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from atelier.params.field import param, part
from atelier.params.request import DECLARATIONS
from atelier.plugins.hooks import hookimpl
from atelier.plugins.manager import Plugins
from atelier.web.forms import UNPLACED
from atelier.web.hooks import Tab, WebHooks
from atelier.web.page import build_page
from tests.apps import make_app
from tests.web.page_fixtures import Pressed

A1111_IDS = """
quicksettings setting_sd_model_checkpoint refresh_sd_model_checkpoint tabs tab_txt2img tab_img2img tab_pnginfo
tab_settings tab_extensions footer paste txtimg_hr_finalres hr_checkpoint hr_sampler hr_scheduler hires_prompt
hires_neg_prompt mode_img2img img2img_image img2img_sketch img2maskimg inpaint_sketch img_inpaint_base
img_inpaint_mask img2img_batch_tab img2img_batch_upload img2img_batch_input_dir img2img_batch_output_dir
img2img_batch_inpaint_mask_dir img2img_batch_use_png_info img2img_batch_png_info_dir resize_mode
img2img_mask_blur img2img_mask_alpha img2img_mask_mode img2img_inpainting_fill
img2img_inpaint_full_res img2img_inpaint_full_res_padding img2img_tabs_resize img2img_tab_resize_to
img2img_tab_resize_by img2img_scale img2img_denoising_strength img2img_img2img_tab img2img_img2img_sketch_tab
img2img_inpaint_tab img2img_inpaint_sketch_tab img2img_inpaint_upload_tab pnginfo_image
pnginfo_generation_info settings txt2img_hr txt2img_hr-checkbox txt2img_hires_steps txt2img_hr_upscaler
txt2img_hr_scale txt2img_hr_resize_x txt2img_hr_resize_y txt2img_denoising_strength
img2img_detect_image_size_btn img2img_copy_to_inpaint img2img_scale_resolution_preview settings_json
""".split()
BOTH_TABS = """
{tab}_prompt {tab}_neg_prompt {tab}_token_counter {tab}_negative_token_counter {tab}_generate {tab}_interrupt
{tab}_skip {tab}_interrupting {tab}_toprow {tab}_prompt_container {tab}_prompt_row {tab}_neg_prompt_row
{tab}_actions_column {tab}_generate_box {tab}_tools {tab}_clear_prompt {tab}_style_apply {tab}_styles
{tab}_styles_row {tab}_styles_edit_button {tab}_settings {tab}_results {tab}_results_panel
{tab}_sampling {tab}_scheduler {tab}_steps {tab}_width {tab}_height {tab}_res_switch_btn
{tab}_batch_count {tab}_batch_size {tab}_cfg_scale {tab}_seed
{tab}_random_seed {tab}_reuse_seed {tab}_subseed_show {tab}_subseed {tab}_random_subseed {tab}_reuse_subseed
{tab}_subseed_strength {tab}_seed_resize_from_w {tab}_seed_resize_from_h {tab}_override_settings
{tab}_script_container {tab}_gallery {tab}_gallery_container image_buttons_{tab} save_{tab}
{tab}_send_to_img2img {tab}_send_to_inpaint html_info_{tab} html_log_{tab} generation_info_{tab}
{tab}_dimensions_row {tab}_column_size {tab}_column_batch
""".split()
LABELS = {
    "txt2img_sampling": "Sampling method", "txt2img_scheduler": "Schedule type", "txt2img_steps": "Sampling steps",
    "txt2img_width": "Width", "txt2img_batch_count": "Batch count", "txt2img_cfg_scale": "CFG Scale",
    "txt2img_seed": "Seed", "txt2img_hr_scale": "Upscale by", "img2img_mask_mode": "Mask mode",
    "img2img_inpainting_fill": "Masked content", "img2img_inpaint_full_res": "Inpaint area",
    "setting_sd_model_checkpoint": "Stable Diffusion checkpoint",
}  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pressed]:
    app = make_app(tmp_path_factory.mktemp("data"))
    yield Pressed(app, build_page(app))
    app.close()


def test_ids_are_those_of_a1111(page):
    wanted = [*A1111_IDS, *(name.format(tab=tab) for tab in ("txt2img", "img2img") for name in BOTH_TABS)]
    there = page.ids()
    assert [name for name in wanted if name not in there] == []
    twice = {name for name in there if there.count(name) > 1}
    # A1111 has one such button in each tab as well.
    assert twice == {"paste"}


@pytest.mark.parametrize("elem_id", LABELS)
def test_labels_are_those_of_a1111(page, elem_id):
    assert page.component(elem_id).label == LABELS[elem_id]


def test_every_declared_value_has_a_place_or_a_reason(page):
    inputs = {c._id for tab in ("txt2img", "img2img") for c in page.event(f"{tab}_generate").inputs}
    placed = set()
    for tab in ("txt2img", "img2img"):
        submit = page.event(f"{tab}_generate").fn
        form = next(c.cell_contents for c in submit.__closure__ if hasattr(c.cell_contents, "form")).form
        placed |= set(form.controls)
        # What is shown is also sent.
        assert {c.component._id for c in form.controls.values()} <= inputs
    declared = {d.path for d in DECLARATIONS}
    assert declared - placed == UNPLACED
    assert not placed & UNPLACED


def test_defaults_and_limits_are_those_of_the_declarations(page):
    steps, width = page.component("txt2img_steps"), page.component("txt2img_width")
    assert (steps.minimum, steps.maximum, steps.step, steps.value) == (1, 150, 1, 20)
    assert (width.minimum, width.maximum, width.step, width.value) == (64, 2048, 8, 512)
    assert page.component("img2img_denoising_strength").value == 0.75
    image = page.component("img2img_image_cfg_scale")
    assert (image.minimum, image.maximum, image.step, image.value) == (0, 3, 0.05, 1.5)
    assert page.component("img2img_mask_mode").value == "Inpaint masked"
    assert page.component("img2img_inpainting_fill").value == "original"
    assert page.component("resize_mode").choices[3][1] == "Just resize (latent upscale)"


def test_events_are_not_offered_to_programs(page):
    offered = [f.api_name for f in page.demo.fns.values() if f.api_visibility == "public"]
    assert offered == []


def test_buttons_with_signs_say_what_they_mean(page):
    told = json.loads(page.component("button_titles").value.partition(">")[2].rpartition("<")[0].replace("&quot;", '"'))
    assert told["txt2img_random_seed"]["icon"] == "dice" and "seed" in told["txt2img_random_seed"]["title"]
    assert all(item["title"] for item in told.values())
    drawn = (Path(__file__).parents[2] / "javascript" / "icons.js").read_text("utf-8")
    assert [i["icon"] for i in told.values() if f"        {i['icon']}: " not in drawn] == []


def test_building_a_page_loads_no_torch():
    code = (
        "import sys, tempfile; from pathlib import Path; from tests.apps import make_app;"
        "from atelier.web.page import build_page; import atelier.web.mount;"
        "app = make_app(Path(tempfile.mkdtemp())); build_page(app); app.close();"
        "print([m for m in ('torch', 'transformers', 'diffusers') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert out.stdout.strip() == "[]", out.stdout + out.stderr


@part("tester", "Tester", "Extensions")
class OwnSettings:
    tester_word: str = param("<b>", label="A <word>", help='Where "quotes" stand.')


class OwnPlugin:
    """Adds a tab and controls for scripts."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @hookimpl
    def provide_settings(self):
        return [OwnSettings]

    @hookimpl
    def page_starting(self, app):
        self.asked.append("starting")

    @hookimpl
    def script_controls(self, app, tab):
        self.asked.append(tab)
        return OwnArea(gr.Slider(0, 10, value=3, elem_id=f"{tab}_own")) if tab == "txt2img" else None

    @hookimpl
    def provide_tabs(self, app):
        return [Tab("Own", "own", lambda: gr.Markdown("hello", elem_id="own_text"))]


class OwnArea:
    def __init__(self, slider: gr.Slider) -> None:
        self.inputs = [slider]
        self.paste_fields = [(slider, "Own"), (slider, lambda values: None)]

    def pack(self, values):
        return {"own": {"number": values[0]}}


@pytest.fixture
def extended(tmp_path: Path) -> Iterator[tuple[Pressed, OwnPlugin]]:
    plugins, own = Plugins(), OwnPlugin()
    plugins.add_hookspecs(WebHooks)
    plugins.register(own, "own")
    app = make_app(tmp_path, plugins)
    app.start()
    yield Pressed(app, build_page(app)), own
    app.close()


def test_extensions_place_tabs_and_controls(extended):
    page, own = extended
    assert own.asked == ["starting", "txt2img", "img2img", "extras"]
    ids = page.ids()
    assert ids.index("tab_own") < ids.index("tab_settings") and "own_text" in ids
    assert page.event("txt2img_generate").inputs[-1].elem_id == "txt2img_own"
    page.app.executor.wait_ready(20)
    ticket = json.loads(page.press("txt2img_generate", {"id": "own-1"}, txt2img_own=7))
    assert ticket["id"] == "own-1"
    assert page.app.records.get("own-1").payload["extras"] == {"own": {"number": 7}}
    answer = page.press("txt2img_paste_apply", {"text": "a\nSteps: 5, Seed: 1, Size: 64x64, Own: 4"})
    assert page.outputs("txt2img_paste_apply", answer)["txt2img_own"] == "4"


def test_settings_of_extensions_are_shown_as_text(extended):
    page, _ = extended
    html = page.component("settings").value
    assert 'id="setting_tester_word"' in html and "A &lt;word&gt;" in html and "<word>" not in html
    assert 'data-default="&quot;&lt;b&gt;&quot;"' in html


def test_order_and_hiding_of_tabs_follow_settings(tmp_path):
    app = make_app(tmp_path)
    app.settings.update({"ui_tab_order": ["Settings", "img2img"], "hidden_tabs": ["Queue"]}, save=False)
    page = Pressed(app, build_page(app))
    tabs = [b for b in page.demo.blocks.values() if isinstance(b, gr.Tab) and str(b.elem_id).startswith("tab_")]
    assert [tab.label for tab in tabs[:3]] == ["Settings", "img2img", "txt2img"]
    labels = [tab.label for tab in tabs]
    wanted = ["Extras", "PNG Info", "Checkpoint Merger", "Gallery", "Extensions"]
    assert "Queue" not in labels and labels[3:] == wanted
    app.close()


def test_quick_settings_follow_the_setting(tmp_path):
    app = make_app(tmp_path)
    names = ("sd_model_checkpoint", "CLIP_stop_at_last_layers", "no_such_setting")
    app.settings.update({"quicksettings_list": names}, save=False)
    page = Pressed(app, build_page(app))
    assert isinstance(page.component("setting_CLIP_stop_at_last_layers"), gr.Slider)
    assert 'id="setting_CLIP_stop_at_last_layers"' not in page.component("settings").value
    page.event("setting_CLIP_stop_at_last_layers", "input").fn(2)
    assert app.settings.get("CLIP_stop_at_last_layers") == 2
    with pytest.raises(gr.Error, match="outside its limits"):
        page.event("setting_CLIP_stop_at_last_layers", "input").fn(99)
    app.close()


def test_choices_arrive_when_the_engine_is_ready(tmp_path, monkeypatch):
    app = make_app(tmp_path)
    page = Pressed(app, build_page(app))
    event = page.event("refresh_lists")

    def refreshed(**told) -> dict:
        return dict(zip([c.elem_id for c in event.outputs], event.fn(json.dumps(told))))

    before = refreshed()
    assert before["txt2img_sampling"] == gr.skip()
    app.start()
    assert app.executor.wait_ready(20)
    after = refreshed()
    assert "Euler a" in after["txt2img_sampling"]["choices"]
    assert after["hr_sampler"]["choices"][0] == "Use same sampler"
    assert after["setting_sd_model_checkpoint"]["value"] == "tiny.safetensors [0123456789]"
    known = replace(app.capabilities(), native_size=(128, 96), needs=("edit",))
    monkeypatch.setattr(app, "capabilities", lambda: known)
    after = refreshed(follow=["img2img"])
    assert (after["img2img_width"], after["img2img_height"]) == (128, 96) and after["txt2img_width"] == gr.skip()
    assert json.loads(after["page_state"]) == {"native": [128, 96], "settled": True, "needs": ["edit"]}
    app.close()


def test_first_values_follow_the_model_until_something_is_chosen(tmp_path, monkeypatch):
    app = make_app(tmp_path)
    page = Pressed(app, build_page(app))
    app.start()
    assert app.executor.wait_ready(20)
    known = replace(app.capabilities(), native_size=(128, 96), example_prompt="a red circle")
    monkeypatch.setattr(app, "capabilities", lambda: known)
    load = next(f for f in page.demo.fns.values() if f.fn is not None and f.fn.__name__ == "opened")
    request = gr.Request(username=None)

    def opened(client: str) -> dict:
        return dict(zip([c.elem_id for c in load.outputs], load.fn(json.dumps({"client": client}), request)))

    first = opened("a")
    assert (first["txt2img_width"], first["txt2img_height"]) == (128, 96)
    assert "a red circle" in first["txt2img_prompt"]["placeholder"]
    unchosen = ["size.width", "size.height"]
    page.press("txt2img_keep", {"client": "a", "unchosen": unchosen}, txt2img_width=512, txt2img_prompt="typed")
    assert opened("a")["txt2img_width"] == 128 and opened("a")["txt2img_prompt"]["value"] == "typed"
    page.press("txt2img_keep", {"client": "a"}, txt2img_width=320, txt2img_prompt="mine")
    assert opened("a")["txt2img_width"] == 320 and opened("a")["txt2img_prompt"]["value"] == "mine"
    # A second browser goes on where the first one stopped, but not where users have names.
    assert opened("b")["txt2img_width"] == 320
    request.username = "someone"
    assert opened("b")["txt2img_width"] == 128
    app.close()
