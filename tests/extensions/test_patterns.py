"""Every pattern in which extensions use the host, as a small imitation that runs against the tiny model."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from atelier.base.errors import BadRequest, ExtensionError
from atelier.base.events import Notice, PictureReady
from atelier.imaging.metadata import read_metadata
from atelier.params.infotext import parse_infotext
from modules import shared


def parameters(result, index=0):
    return parse_infotext(result.pictures[index].infotext)


def test_all_samples_are_imported_and_the_broken_one_is_listed(bench):
    broken = {e.name: e for e in bench.host.extensions if e.broken}
    assert set(broken) == {"broken"}
    assert "package_that_nobody_has" in broken["broken"].traces[0]
    assert bench.host.txt2img.script("Sound neighbour") is not None
    assert bench.script("a_fine.py").base.endswith("broken"), "basedir() while importing is the extension's folder"
    assert bench.host.loader.basedir() == str(bench.app.paths.program)


def test_settings_are_declared_saved_and_shown(bench):
    opts = bench.host.options
    assert opts.sample_word == "bright" and opts.data["sample_list"] == ["a"] and opts.sample_weight == 1
    assert [g.part_title for g in bench.app.settings.groups][-1] == "Sample settings"
    bench.app.settings.update({"sample_word": "dark", "sample_weight": 0.5})
    result = bench.run()
    found = parameters(result)
    assert found["Prompt"] == "a cat, dark" and found["Sample weight"] == "0.5" and found["Sample missing"] == "none"
    bench.app.settings.update({"sample_word": "bright", "sample_weight": 1})


def test_overrides_of_the_request_are_seen_by_scripts(bench):
    result = bench.run(overrides={"sample_word": "overridden"})
    assert parameters(result)["Prompt"] == "a cat, overridden"
    assert bench.host.options.sample_word == "bright"


def test_tab_route_components_and_pasting(bench):
    page = bench.build()
    ids = [c["props"].get("elem_id") for c in page.get_config_file()["components"]]
    assert {"sample_tab_text", "tab_sample_tab"} <= set(ids)
    assert "txt2img_prompt" in bench.script("tab.py").seen
    values: dict = {}
    bench.hooks.amend_pasted(app=bench.app, infotext="text", values=values)
    assert values["Sample pasted"] == 4


def test_every_moment_comes_in_order(bench, always):
    log = bench.script("alwayson.py").log
    log.clear()
    bench.run(always("sample always", True, "shiny"), **{"batch.count": 1})
    assert log == [
        "setup", "before_process", "process", "before_process_batch", "after_extra_networks_activate", [],
        "process_batch", "process_before_every_sampling", "post_sample", "postprocess_batch",
        "postprocess_batch_list", "postprocess_image", "postprocess_maskoverlay",
        "postprocess_image_after_composite", "postprocess",
    ]  # fmt: skip


def test_hires_and_inpainting_have_moments_of_their_own(bench, always):
    log = bench.script("alwayson.py").log
    log.clear()
    bench.run(always("Sample Always", True, "x"), **{"hires.enabled": True, "hires.scale": 1.5, "hires.steps": 2})
    assert log.count("before_hr") == 1 and log.count("process_before_every_sampling") == 2
    assert log.index("before_hr") < len(log) - 1 - log[::-1].index("process_before_every_sampling")
    log.clear()
    picture = bench.app.blobs.put_image(Image.new("RGB", (64, 64), "red"))
    mask = bench.app.blobs.put_image(Image.new("L", (64, 64), 255).convert("RGB"))
    bench.run(always("Sample Always", True, "x"), **{"source.images": (picture,), "mask.image": mask})
    assert "on_mask_blend" in log and log[-1] == "postprocess"


def test_values_by_picture_and_arguments_by_index(bench, always):
    result = bench.run(always("Sample Always", True, "shiny", 2), **{"batch.count": 2, "batch.size": 2})
    pictures = [p for p in result.pictures if p.role == "picture"]
    found = [parse_infotext(p.infotext) for p in pictures]
    assert [f["Sample index"] for f in found] == ["no 0", "no 1", "no 2", "no 3"]
    assert [f["Sample seed"] for f in found] == ["7", "8", "9", "10"] and found[0]["Sample mode"] == "2"
    saved = Image.open(pictures[1].path)
    assert "Sample word: shiny" in read_metadata(saved).infotext


def test_defaults_hold_where_a_client_sends_less(bench, always):
    assert "Sample mode: 1" in bench.run(always("Sample Always", True, "x")).pictures[0].infotext
    assert "Sample mode" not in bench.run({}).pictures[0].infotext


def test_what_before_process_changes_reaches_the_request(bench, always):
    result = bench.run(always("Sample Always", True, "wider"))
    assert result.images[0].size == (128, 64) and "Size: 128x64" in result.pictures[0].infotext


def test_pictures_may_be_changed_and_added(bench, always):
    plain = bench.run(always("Sample Always", True, "same"))
    flipped = bench.run(always("Sample Always", True, "flip"))
    assert np.asarray(flipped.images[0]).shape == np.asarray(plain.images[0]).shape
    twice = bench.run(always("Sample Always", True, "twice"))
    assert len(twice.pictures) == 2 and twice.pictures[1].infotext == "a copy" and twice.pictures[1].path == ""
    assert bench.app.blobs.has(twice.pictures[1].ref)
    assert [p.index for p in twice.pictures] == [0, 1]


def test_unknown_scripts_are_refused(bench, always):
    for extras in (always("nobody"), {"script_name": "nobody"}, always("Sample loop")):
        with pytest.raises(BadRequest) as error:
            bench.run(extras)
        assert "nobody" in str(error.value) or "Sample loop" in str(error.value)


def test_a_selected_script_makes_the_result(bench):
    result = bench.run({"script_name": "sample LOOP", "script_args": [3, False]})
    assert [p.role for p in result.pictures] == ["grid", "picture", "picture", "picture"]
    prompts = [parse_infotext(p.infotext)["Prompt"] for p in result.pictures[1:]]
    assert [p.split(",")[1].strip() for p in prompts] == ["loop 0", "loop 1", "loop 2"]
    assert [p.seed for p in result.pictures[1:]] == [7, 8, 9]
    assert all(p.path for p in result.pictures[1:]) and result.pictures[0].path == ""
    assert result.info["index_of_first_image"] == 1 and result.state == "done"
    shown = [e.index for e in bench.events if isinstance(e, PictureReady)]
    assert shown == [0, 1, 2, 3], "the loops as they are ready, then the grid"
    assert bench.host.state.job == "" and bench.host.tickets.current is None


def test_a_selected_script_may_leave_the_work_to_the_usual_run(bench):
    result = bench.run({"script_name": "Sample loop", "script_args": [3, True]})
    assert len(result.pictures) == 1 and result.pictures[0].role == "picture"


def test_the_same_script_through_the_page(bench):
    area = bench.areas["txt2img"]
    runner = bench.host.txt2img
    values = [bench.host.txt2img.titles.index("Sample loop") + 1, *runner.default_args()[1:]]
    script = runner.script("Sample loop")
    values[script.args_from] = 2
    extras = area.pack(values)
    assert list(extras) == ["a1111"]
    assert len(bench.run(extras["a1111"]).pictures) == 3


def test_denoiser_callbacks_see_and_change_each_call(bench):
    script = bench.script("denoiser.py")
    for kept in (script.steps, script.shapes, script.saved):
        kept.clear()
    before = bench.run()
    assert script.steps == [(0, 3), (1, 3), (2, 3)]
    assert script.shapes[0][0] == (2, 4, 8, 8) and script.shapes[0][1][0] == 1
    script.strength["value"] = 0.5
    try:
        after = bench.run()
    finally:
        script.strength["value"] = 0.0
    assert np.abs(np.asarray(before.images[0], int) - np.asarray(after.images[0], int)).max() > 0


def test_saving_callbacks(bench):
    script = bench.script("denoiser.py")
    script.saved.clear()
    result = bench.run()
    picture = result.pictures[0]
    assert (
        picture.path.endswith("renamed.png") and "Sample saver: yes" in read_metadata(Image.open(picture.path)).infotext
    )
    assert script.saved == [(picture.path, (64, 64), "StableDiffusionProcessingTxt2Img")]


def test_a_run_inside_a_run(bench):
    script = bench.script("nested.py")
    script.depth.clear()
    result = bench.run(**{"prompt.positive": "a cat, detail", "batch.count": 2})
    assert script.depth == [("better eyes", (64, 64))] * 2
    pictures = [p for p in result.pictures if p.role == "picture"]
    assert len(pictures) == 2 and "Sample detail: done" in pictures[1].infotext
    assert len([e for e in bench.events if isinstance(e, PictureReady) and e.role == "picture"]) == 2
    assert parse_infotext(pictures[0].infotext)["Prompt"].startswith("a cat, detail")


def test_a_counting_number_is_multiplied_once_a_picture_and_call(bench):
    script = bench.script("counting.py")
    script.made.clear()
    bench.run(**{"prompt.positive": "counted"})
    assert script.made[0].count == 3
    bench.run(**{"prompt.positive": "counted AND again", "batch.size": 2})
    assert script.made[1].count == 3 * 2 * 2
    plain = bench.run(**{"prompt.positive": "counted", "sampling.cfg_scale": 7.0})
    assert "CFG scale: 7" in plain.pictures[0].infotext


def test_old_spellings_build_a_page(bench):
    page = bench.build()
    config = {c["props"].get("elem_id"): c for c in page.get_config_file()["components"]}
    own = config["script_txt2img_old_spellings_own"]
    assert own["type"] == "button" and own["props"]["value"] == "Own" and "tool" in own["props"]["elem_classes"]
    assert config["script_txt2img_old_spellings_channel"]["props"]["visible"] == "hidden"
    script = bench.host.txt2img.script("Old spellings")
    assert len(script.controls) == 7
    updates = bench.script("oldgradio.py").handlers["show"](True)
    assert updates[0] == {"visible": True, "__type__": "update"} and updates[2]["choices"] == ["x"]
    assert not [f for f in bench.host.guard.failures if f.extension == "oldgradio"]


def test_objects_that_are_no_data_travel_with_a_request(bench):
    runner = bench.host.txt2img
    script = runner.script("Old spellings")
    values = runner.default_args()
    picture = Image.new("RGB", (8, 8), "blue")
    kept = {"kept": object()}
    values[script.args_from + 3], values[script.args_to - 1] = picture, kept
    packed = bench.areas["txt2img"].pack(values)["a1111"]["args"]
    back = bench.host.packer.unpack(packed)
    assert (
        back[script.args_from + 3].tobytes() == picture.tobytes() and back[script.args_to - 1]["kept"] is kept["kept"]
    )


def test_a_failing_script_is_said_and_the_run_goes_on(bench):
    bench.host.guard.switch_on("raising")
    result = bench.run(**{"prompt.positive": "boom"})
    assert len(result.pictures) == 1
    assert any("raising failed at process" in comment for comment in result.comments)
    assert any(isinstance(e, Notice) and e.source == "raising" for e in bench.events)
    for _ in range(2):
        bench.run(**{"prompt.positive": "boom"})
    calls = bench.script("raising.py").calls
    calls.clear()
    assert bench.run(**{"prompt.positive": "boom"}).comments == () and calls == [], "off after three failures"
    bench.host.guard.switch_on("raising")


def test_a_failing_run_of_a_script_is_the_jobs_failure(bench):
    bench.host.guard.switch_on("raising")
    with pytest.raises(ExtensionError) as error:
        bench.run({"script_name": "Raises in run"})
    assert "boom in run" in str(error.value)
    bench.host.guard.switch_on("raising")
    assert len(bench.run().pictures) == 1


def test_a_replaced_function_is_called_until_it_is_put_back(bench):
    script = bench.script("patching.py")
    script.calls.clear()
    script.put_in()
    try:
        result = bench.run()
    finally:
        script.take_out()
    assert script.calls == ["a cat"] and "Sample patched: yes" in result.pictures[0].infotext
    assert "Sample patched" not in bench.run().pictures[0].infotext


def test_flags_and_helpers_of_an_extension(bench):
    assert bench.script("preloaded.py").value == ("here", "helped")


def test_scripts_are_described_for_the_api(bench):
    found = {(s.name, s.is_img2img): s for s in bench.hooks.describe_scripts()[0]}
    always_on = found[("sample always", False)]
    assert always_on.is_alwayson and [a["label"] for a in always_on.args] == ["Enabled", "Word", "Mode"]
    assert always_on.args[2]["choices"] == ["one", "two", "three"]
    assert not found[("sample loop", True)].is_alwayson


def test_the_model_has_its_old_names(bench):
    bench.run()

    model = shared.sd_model
    assert model and model.is_sd1 and not model.is_sdxl and model.parameterization == "eps"
    assert model.get_learned_conditioning(["a", "b"]).shape[:2] == (2, 77)
    latents = model.encode_first_stage(model.cond_stage_model_empty_prompt.new_zeros(1, 3, 64, 64))
    assert model.decode_first_stage(latents).shape == (1, 3, 64, 64)
    assert model.cond_stage_model.tokenize(["a cat"])[0] and model.sd_checkpoint_info.model_name == "tiny"
    assert shared.opts.sd_vae == "Automatic" and hasattr(model, "sd_model_hash") and not hasattr(model, "forge_objects")
