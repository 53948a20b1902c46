"""An extension's script of the Extras tab gets its controls there, and runs in its place among the steps."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from atelier.params.extras import ExtrasRequest
from atelier.params.extras_schema import extras_from_json, extras_to_json
from atelier.pipeline.extras import postprocess
from modules._host.attach import detach
from modules._host.postprocessing import EXTRAS
from tests.extensions.conftest import SAMPLES, Bench
from tests.pipeline.conftest import make_services


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    data = tmp_path_factory.mktemp("post")
    (data / "extensions").mkdir()
    (data / "extensions" / "postprocess").symlink_to(SAMPLES / "postprocess")
    made = Bench.__new__(Bench)
    Bench.__init__(made, data)
    with gr.Blocks() as made.page:
        made.hooks.page_starting(app=made.app)
        for tab in ("extras", "txt2img", "img2img"):
            with gr.Column():
                (made.areas[tab],) = (a for a in made.hooks.script_controls(app=made.app, tab=tab) if a)
    yield made
    made.close()


def run(bench, *values, **paths):
    picture = Image.new("RGB", (16, 8), "blue")
    ref = bench.services.blobs.put_image(picture)
    extras = bench.areas["extras"].pack(list(values)) if values else {}
    request = ExtrasRequest().with_values(**{"input.images": (ref,), "extras": extras, **paths})
    request = extras_from_json(extras_to_json(request))
    settings = bench.app.settings.snapshot()
    return postprocess(request, bench.services, settings=settings, publish=bench.events.append, job="test", keep=True)


def test_controls_stand_in_the_tab(bench):
    ids = [b.elem_id for b in bench.page.blocks.values() if getattr(b, "elem_id", None)]
    assert "script_extras_tint" in ids and "script_extras_tint_n" in ids
    assert len(bench.areas["extras"].inputs) == 2
    assert bench.areas["extras"].pack([True, 0.3]) == {EXTRAS: {"Tint": {"enable": True, "amount": 0.3}, "Broken": {}}}


def test_it_runs_between_the_programs_own_steps(bench):
    result = run(bench, True, 0.3, **{"upscale.upscaler_1": "Nearest", "upscale.scale": 2, "flip.enabled": True})
    tinted, flipped, turned = result.images
    assert tinted.size == turned.size == (32, 16), "after the upscaler, whose order is lower"
    assert np.asarray(tinted)[0, 0].tolist() == np.asarray(flipped)[0, 0].tolist() == [76, 0, 178]
    assert np.asarray(turned)[0, 0].tolist() == [0, 0, 255], "a copy that is not to be worked on"
    text = result.pictures[0].infotext
    assert "seen first: (16, 8)" in text.replace('"', "") and "Tint: 0.3" in text
    assert Path(result.pictures[2].path).stem.endswith("-turned")


def test_defaults_where_nothing_was_given(bench):
    (image,) = run(bench).images
    assert np.asarray(image)[0, 0].tolist() == [0, 0, 255]


def test_its_failure_stays_its_own(bench):
    run(bench)
    failure = bench.app.plugins.guard.failures[-1]
    assert failure.extension == "postprocess" and "this one fails" in failure.sentence


def test_settings_order_it_and_switch_it_off(bench):
    bench.app.settings.update({"postprocessing_disable_in_extras": ["Tint", "Broken"]}, save=False)
    try:
        assert len(run(bench, True, 0.3).images) == 1
    finally:
        bench.app.settings.update({"postprocessing_disable_in_extras": []}, save=False)


def test_a_server_without_a_page_knows_the_arguments(tmp_path):
    (tmp_path / "extensions").mkdir()
    (tmp_path / "extensions" / "postprocess").symlink_to(SAMPLES / "postprocess")
    detach()
    bench = Bench(tmp_path)
    try:
        bench.host.app.plugins.get("a1111-page").prepare()
        bench.services = make_services(tmp_path, hooks=bench.hooks)
        bench.areas["extras"] = None
        ref = bench.services.blobs.put_image(Image.new("RGB", (8, 8), "blue"))
        values = {EXTRAS: {"Tint": {"enable": True}}}
        request = ExtrasRequest().with_values(**{"input.images": (ref,), "extras": values})
        result = postprocess(request, bench.services, settings=bench.app.settings.snapshot(), keep=True)
        assert np.asarray(result.images[0])[0, 0].tolist() == [127, 0, 127]
    finally:
        bench.close()
