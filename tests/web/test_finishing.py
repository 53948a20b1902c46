"""Steps for finished pictures on the page: their controls stand where settings ask for them, and reach the job."""

from __future__ import annotations

import json

import pytest

from atelier.plugins.manager import Plugins
from atelier.web.hooks import WebHooks
from atelier.web.page import build_page
from tests.apps import make_app
from tests.web.page_fixtures import Pressed


@pytest.fixture
def page(tmp_path):
    plugins = Plugins()
    plugins.add_hookspecs(WebHooks)
    app = make_app(tmp_path, plugins)
    app.settings.update({"postprocessing_enable_in_main_ui": ["Upscale", "CodeFormer", "Caption"]}, save=False)
    app.start()
    assert app.executor.wait_ready(20)
    yield Pressed(app, build_page(app))
    app.arguments["gate"].set()
    app.close()


def test_steps_that_are_named_have_their_controls_in_both_tabs(page):
    for tab in ("txt2img", "img2img"):
        assert page.component(f"script_{tab}_upscale-checkbox").value is False
        assert page.component(f"script_{tab}_codeformer_weight").label.startswith("Weight")
        assert not [name for name in page.ids() if name.startswith((f"script_{tab}_gfpgan", f"script_{tab}_caption"))]


def test_what_is_switched_on_reaches_the_job_and_comes_back_after_a_reload(page):
    shown = {"script_txt2img_upscale-checkbox": True, "script_txt2img_upscale_upscaler_1": "Lanczos"}
    ticket = json.loads(page.press("txt2img_generate", {"id": "a"}, txt2img_prompt="a cat", **shown))
    told = page.app.records.get(ticket["id"]).payload["extras"]["postprocessing"]
    assert told["upscale"]["upscaler_1"] == "Lanczos" and told.keys() == {"upscale"}
    assert page.app.sessions.load("tester", "txt2img")["upscale.enabled"] is True
    ticket = json.loads(page.press("txt2img_generate", {"id": "b"}, txt2img_prompt="a cat"))
    assert "postprocessing" not in page.app.records.get(ticket["id"]).payload["extras"]


def test_pasted_parameters_leave_the_steps_as_they_are(page):
    text = "a lake\nSteps: 12, Sampler: Euler, CFG scale: 5.5, Seed: 77, Size: 64x64"
    found = page.outputs("txt2img_paste_apply", page.press("txt2img_paste_apply", {"text": text}))
    assert found["txt2img_steps"] == 12 and not [name for name in found if name.startswith("script_txt2img_upscale")]
