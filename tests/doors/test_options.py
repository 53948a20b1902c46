"""`shared.opts` behaves like A1111's object over the typed settings."""

import json

import gradio as gr
import pytest

from modules import shared
from modules._host.legacy_options import DEFAULTS


@pytest.fixture
def opts(host):
    return host.options


def test_reading_known_legacy_and_unknown(opts):
    assert opts.samples_format == "png" and opts.quicksettings_list == ["sd_model_checkpoint"]
    assert opts.face_restoration_model == "CodeFormer" and opts.hide_samplers == []
    with pytest.raises(AttributeError):
        print(opts.never_declared)
    assert getattr(opts, "never_declared", 5) == 5 and opts.data.get("never_declared", 6) == 6
    assert opts.get_default("jpeg_quality") == 80 and opts.get_default("code_former_weight") == 0.5


def test_data_reads_and_writes_the_settings(host, opts):
    opts.data["jpeg_quality"] = 70
    assert host.settings.get("jpeg_quality") == 70 and opts.jpeg_quality == 70
    opts.data.update({"mine": [1, 2]})
    assert opts.mine == [1, 2] and "mine" in opts.data and dict(opts.data)["mine"] == [1, 2]
    assert json.loads(json.dumps(opts.data, default=str))["jpeg_quality"] == 70
    assert opts.data.pop("mine") == [1, 2] and "mine" not in opts.data
    opts.jpeg_quality = "nonsense"
    assert opts.jpeg_quality == 70, "what does not fit is left out, as the caller does not expect a failure"
    opts.jpeg_quality = 80
    assert not host.settings.path.exists() or json.loads(host.settings.path.read_text())["jpeg_quality"] == 80


def test_set_tells_whether_something_changed(opts):
    called = []
    opts.onchange("jpeg_quality", lambda: called.append(1), call=False)
    assert opts.set("jpeg_quality", 75) and not opts.set("jpeg_quality", 75)
    assert called == [1]
    opts.set("jpeg_quality", 80)


def test_declared_options_keep_their_value_and_form(host, opts):
    host.settings.unknown["a_number"] = 3
    opts.add_option("a_number", shared.OptionInfo(1, "A number", gr.Number, section=("mine", "My page")))
    opts.add_option("a_slider", shared.OptionInfo(0.5, "Slider", gr.Slider, {"minimum": 0, "maximum": 1, "step": 0.1}))
    opts.add_option("a_choice", shared.OptionInfo("b", "Choice", gr.Dropdown, lambda: {"choices": ["a", "b"]}))
    opts.add_option("a_list", shared.OptionInfo([], "List", gr.CheckboxGroup, {"choices": ["x"]}))
    opts.add_option("a_hint", shared.OptionHTML("<b>hint</b>"))
    assert opts.a_number == 3 and opts.a_slider == 0.5 and opts.a_choice == "b" and opts.a_list == []
    host.settings.update({"a_number": 2.5, "a_choice": "made later", "a_list": ["x"]}, save=False)
    assert opts.a_number == 2.5 and opts.a_choice == "made later" and opts.a_list == ["x"]
    opts.add_option("a_number", shared.OptionInfo(1, "A number", gr.Number, section=("mine", "My page")))
    assert opts.a_number == 2.5, "declaring again, as a reload of scripts does, keeps the value"
    opts.publish_groups()
    opts.publish_groups()
    titles = [group.part_title for group in host.settings.groups]
    assert titles.count("My page") == 1
    group = next(g for g in host.settings.groups if g.part_title == "My page")
    assert [d.name for d in group.part_declarations] == ["a_number"]


def test_the_programs_own_settings_keep_their_declaration(host, opts):
    before = host.settings.declarations["jpeg_quality"]
    opts.add_option("jpeg_quality", shared.OptionInfo("text", "Mine"))
    assert host.settings.declarations["jpeg_quality"] is before


def test_option_info_chains_and_sections():
    info = (
        shared.OptionInfo(True, "On").info("note").html("<i>x</i>").link("help", "page").js("do", "run").needs_restart()
    )
    assert info.restart and "note" in info.comment_after and "help" in info.comment_before
    stamped = shared.options_section(("id", "Label", "system"), {"a": info})
    assert stamped["a"].section == ("id", "Label") and stamped["a"].category_id == "system"


def test_templates_are_declared_at_once(opts):
    shared.options_templates.update(shared.options_section(("t", "T"), {"from_template": shared.OptionInfo(4, "x")}))
    assert opts.from_template == 4


def test_the_model_cannot_be_hidden_by_an_assignment():
    shared.sd_model = None
    assert "sd_model" not in vars(shared) and not shared.sd_model
    shared.free_name = 1
    assert shared.free_name == 1


def test_what_the_program_declares_has_no_second_default(host):
    assert not DEFAULTS.keys() & host.settings.declarations.keys()
