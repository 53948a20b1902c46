"""Built-in scripts among A1111's: the list of scripts, values of the page, axes of extensions, pasting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from atelier.base.errors import BadRequest, ExtensionError
from atelier.base.events import PictureReady
from atelier.params.infotext import parse_infotext
from atelier.params.request import GenerationRequest
from atelier.params.scripts import scripts_for
from atelier.pipeline.run import generate
from atelier.scripts.hooks import ScriptHooks
from tests.extensions.conftest import SAMPLES, SMALL, Bench, bench_with


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = bench_with(tmp_path_factory.mktemp("data"), SAMPLES / "axes", SAMPLES / "selectable")
    made.app.plugins.register(ScriptHooks(), ScriptHooks.NAME, guarded=False)
    yield made
    made.close()


def grid(bench: Bench, values: dict, **paths):
    bench.events.clear()
    extras = {"script": {"name": "X/Y/Z plot", "values": {"draw_legend": False, **values}}}
    request = GenerationRequest().with_values(**{**SMALL, "sampling.steps": 1, **paths}, extras=extras)
    return generate(
        request, bench.services, settings=bench.app.settings.snapshot(), publish=bench.events.append, job="test"
    )


def test_the_list_of_scripts(bench):
    for runner, kind in ((bench.host.txt2img, "txt2img"), (bench.host.img2img, "img2img")):
        titles = [script.title for script in scripts_for(kind)]
        assert sorted(runner.titles) == sorted([*titles, "Sample loop"])
        plot = runner.script("x/y/z plot")
        assert plot.args_to - plot.args_from == 18 and plot.controls[0].elem_id == f"script_{kind}_xyz_plot_x_type"
    upscale = bench.host.img2img.script("SD upscale")
    assert [c.elem_id for c in upscale.controls][1:3] == [
        "script_sd_upscale_overlap",
        "script_sd_upscale_upscaler_index",
    ]


def test_values_of_the_page_become_a_script_by_name(bench):
    area, runner = bench.areas["txt2img"], bench.host.txt2img
    values = runner.default_args()
    values[0] = runner.titles.index("X/Y/Z plot") + 1
    plot = runner.script("X/Y/Z plot")
    values[plot.args_from : plot.args_from + 2] = ["Steps", "1-2"]
    packed = area.pack(values)
    assert packed["a1111"]["args"][0] == 0
    assert packed["script"]["name"] == "X/Y/Z plot" and packed["script"]["values"]["x_values"] == "1-2"
    values[plot.args_from + 16] = -4
    with pytest.raises(BadRequest, match="margin_size"):
        area.pack(values)


def test_axes_of_an_extension(bench):
    seen = bench.script("axes.py").SEEN
    seen.clear()
    result = grid(bench, {
        "x_type": "[Axes] Word", "x_values_dropdown": ["moon", "sun"], "y_type": "[Axes] Power",
        "y_values": "1-2 [2]", "include_lone_images": True,
    })  # fmt: skip
    assert seen == [(w, (p, [1.0, 2.0])) for p in (1.0, 2.0) for w in ("moon", "sun")]
    assert [parse_infotext(p.infotext)["Axes word"] for p in result.pictures[1:]] == ["moon", "sun"] * 2
    assert [e.index for e in bench.events if isinstance(e, PictureReady)] == list(range(5))
    assert bench.host.tickets.run is None or bench.host.tickets.run.job == "test"
    told = parse_infotext(result.pictures[0].infotext)
    assert told["X Type"] == "[Axes] Word" and told["Y Values"] == "1-2 [2]"


def test_overrides_kinds_limits_and_failures(bench):
    result = grid(bench, {"x_type": "[Axes] Skip", "x_values": "1,2", "include_lone_images": True})
    assert ["Clip skip" in parse_infotext(p.infotext) for p in result.pictures[1:]] != [False, False]
    with pytest.raises(BadRequest, match="no axis"):
        grid(bench, {"x_type": "[Axes] Only img2img", "x_values": "1"})
    with pytest.raises(BadRequest, match="limits"):
        grid(bench, {"x_type": "[Axes] Power", "x_values": "11"})
    with pytest.raises(ExtensionError, match="this axis is broken"):
        grid(bench, {"x_type": "[Axes] Broken", "x_values": "1"})


def test_a_number_names_an_axis_of_an_extension(bench):
    """As A1111's clients do, who take the place in the list that script-info tells."""
    plot = bench.host.txt2img.script("X/Y/Z plot")
    choices = plot.api_info[0]["choices"]
    assert choices[4] == "Steps" and "[Axes] Word" in choices
    result = grid(bench, {"x_type": str(choices.index("[Axes] Word")), "x_values": "sun"})
    assert parse_infotext(result.pictures[0].infotext)["X Type"] == "[Axes] Word"


def test_pasting_brings_script_and_values_back(bench):
    area = bench.areas["txt2img"]
    told = parse_infotext(grid(bench, {"x_type": "Steps", "x_values": "1,2", "margin_size": 4}).pictures[0].infotext)
    by_id = {component.elem_id: key for component, key in area.paste_fields}
    value = lambda name: by_id[name](told)  # noqa: E731
    assert value("script_list")["value"] == "X/Y/Z plot"
    assert value("script_txt2img_xyz_plot_x_type") == "Steps" and value("script_txt2img_xyz_plot_x_values") == "1,2"
    assert value("script_txt2img_prompt_matrix_put_at_start") is None
    assert by_id["script_list"]({"Steps": "3"}) is None
    chosen = by_id["script_txt2img_xyz_plot_x_values_dropdown"]
    told |= {"X Type": "RNG source", "X Values": "CPU, Moon, NV"}
    assert chosen(told)["value"] == ["CPU", "NV"] and chosen({**told, "X Type": "Steps"}) is None
