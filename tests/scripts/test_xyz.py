"""X/Y/Z plot on a tiny model: cells, order, seeds, limits, a stop in the middle, going on in another process."""

from __future__ import annotations

import json

import pytest

from atelier.base.cancel import CancelToken
from atelier.base.errors import AtelierError, BadRequest
from atelier.base.events import PictureReady, StepDone
from atelier.params.axes import GridAxis
from atelier.params.field import param, part
from atelier.params.infotext import parse_infotext
from atelier.params.request import GenerationRequest
from atelier.params.scripts import find_script, script_from_infotext
from atelier.plugins.hooks import hookimpl
from atelier.scripts.xyz import ChosenAxis, in_order
from tests.pipeline.test_run import same
from tests.tiny import TinySizes, write_tiny_checkpoint

XYZ = "X/Y/Z plot"


def test_a_grid_holds_the_pictures_of_its_cells(ask):
    events: list = []
    result = ask(XYZ, {
        "x_type": "Seed", "x_values": "7-9", "y_type": "Steps", "y_values": "1,2", "draw_legend": False,
        "include_lone_images": True,
    }, events)  # fmt: skip
    grid, *cells = result.images
    assert grid.size == (192, 128) and len(cells) == 6 and result.info["index_of_first_image"] == 1
    for place, cell in enumerate(cells):
        left, top = place % 3 * 64, place // 3 * 64
        assert same(grid.crop((left, top, left + 64, top + 64)), cell)
    assert [p.seed for p in result.pictures[1:]] == [7, 8, 9, 7, 8, 9] == result.info["all_seeds"]
    told = parse_infotext(result.pictures[0].infotext)
    assert told["Script"] == XYZ and told["X Type"] == "Seed" and told["X Values"] == "7-9"
    assert told["Y Type"] == "Steps" and told["Y Values"] == "1,2" and "Z Type" not in told
    assert result.pictures[0].infotext.endswith("Version: test")
    again = script_from_infotext(told, "txt2img")
    assert again.values.x_values == "7-9" and again.values.y_type == "Steps"
    # Progress runs once over all cells: 3 of one step and 3 of two.
    steps = [(e.step, e.steps) for e in events if isinstance(e, StepDone)]
    assert steps == [(k, 9) for k in range(1, 10)]
    assert [e.index for e in events if isinstance(e, PictureReady)] == list(range(7))


def test_weights_of_eight_bits_are_an_axis(ask):
    values = {"x_type": "FP8 mode", "x_values": "Disable, Enable", "draw_legend": False, "include_lone_images": True}
    result = ask(XYZ, values)
    _, plain, stored = result.images
    told = [parse_infotext(p.infotext).get("FP8 weight") for p in result.pictures[1:]]
    assert told == ["Disable", "Enable"] and not same(plain, stored)


def test_legend_sub_grids_and_margins(ask):
    values = {"x_type": "Steps", "x_values": "1,2", "y_type": "CFG Scale", "y_values": "3", "z_type": "Seed",
              "z_values": "1,2", "include_sub_grids": True, "margin_size": 4}  # fmt: skip
    whole, first, second = ask(XYZ, values).images
    assert first.size == second.size and whole.width == 2 * first.width + 4 and whole.height > first.height
    # Two pictures, a margin, room for words before and above.
    assert first.width > 2 * 64 + 4 and first.height > 64
    words = first.crop((0, 0, first.width, first.height - 64)).convert("L")
    darkest, lightest = words.getextrema()
    assert darkest < 60 and lightest == 255


def test_random_seeds_are_drawn_once_and_told(ask):
    result = ask(XYZ, {"x_type": "Seed", "x_values": "-1,-1,5", "y_type": "Steps", "y_values": "1,2",
                       "include_lone_images": True}, **{"seed.seed": -1})  # fmt: skip
    seeds = [p.seed for p in result.pictures[1:]]
    assert seeds[:3] == seeds[3:] and seeds[2] == 5 and seeds[0] != seeds[1] and -1 not in seeds
    told = parse_infotext(result.pictures[0].infotext)
    assert told["X Values"] == "-1,-1,5" and told["Fixed X Values"] == ", ".join(map(str, seeds[:3]))
    kept = ask(XYZ, {"x_type": "Steps", "x_values": "1,1", "no_fixed_seeds": True, "include_lone_images": True},
               job="free", **{"seed.seed": -1})  # fmt: skip
    assert kept.pictures[1].seed != kept.pictures[2].seed


def test_varied_seeds_count_on(ask):
    result = ask(XYZ, {"x_type": "Steps", "x_values": "1,2", "y_type": "CFG Scale", "y_values": "2,3",
                       "vary_seeds_x": True, "vary_seeds_y": True, "include_lone_images": True})  # fmt: skip
    assert [p.seed for p in result.pictures[1:]] == [7, 8, 9, 10]


def test_every_kind_of_axis_finds_its_value(ask):
    result = ask(XYZ, {
        "x_type": "Prompt S/R", "x_values": 'cat, "dog, small"', "y_type": "Sampler",
        "y_values_dropdown": ["Euler", "Heun"], "include_lone_images": True,
    })  # fmt: skip
    assert [p.prompt for p in result.pictures[1:3]] == ["a cat", "a dog, small"]
    samplers = [parse_infotext(p.infotext)["Sampler"] for p in result.pictures[1:]]
    assert samplers == ["Euler", "Euler", "Heun", "Heun"]
    # By the numbers that clients of A1111 send.
    numbered = ask(XYZ, {"x_type": "4", "x_values": "1,2", "y_type": "0"}, job="numbered")
    assert parse_infotext(numbered.pictures[0].infotext)["X Type"] == "Steps"
    assert "Y Type" not in parse_infotext(numbered.pictures[0].infotext)


def test_sizes_differ_and_settings_are_put_back(ask, services):
    result = ask(XYZ, {"x_type": "Size", "x_values": "64x64,128x64", "y_type": "Clip skip", "y_values": "1,2",
                       "draw_legend": False, "include_lone_images": True})  # fmt: skip
    assert [i.size for i in result.images] == [(256, 128), (64, 64), (128, 64), (64, 64), (128, 64)]
    assert not same(result.images[1], result.images[3])


@pytest.mark.parametrize(("values", "word"), [
    ({"x_type": "Steps", "x_values": ""}, "no value"),
    ({"x_type": "Steps", "x_values": "0"}, "outside"),
    ({"x_type": "Nonsense", "x_values": "1"}, "no axis"),
    ({"x_type": "Sampler", "x_values": "Nonsense"}, "no sampler"),
    ({"x_type": "Checkpoint name", "x_values": "nonsense.safetensors"}, "nonsense"),
    ({"x_type": "Prompt S/R", "x_values": "dog, cat"}, "neither prompt"),
    ({"x_type": "Seed", "x_values": "1-900", "y_type": "Steps", "y_values": "1-150"}, "135000 pictures"),
    ({"x_type": "Size", "x_values": "2048x2048,2000x2048", "y_type": "Steps", "y_values": "1-50"}, "419 megapixels"),
    ({"x_type": "Seed", "x_values": "1", "margin_size": 501}, "outside"),
    ({"x_types": "Seed"}, "no such value"),
])  # fmt: skip
def test_what_is_refused_before_the_first_picture(ask, values, word):
    events: list = []
    with pytest.raises(AtelierError, match=word):
        ask(XYZ, values, events)
    assert not any(isinstance(e, (StepDone, PictureReady)) for e in events)


class StopAfter(list):
    """Events; asks for the end after so many pictures."""

    def __init__(self, token: CancelToken, pictures: int) -> None:
        self.token, self.left = token, pictures

    def append(self, event) -> None:
        super().append(event)
        if isinstance(event, PictureReady) and event.role == "picture":
            self.left -= 1
            if self.left == 0:
                self.token.request("stop")


GRID = {"x_type": "Seed", "x_values": "1-3", "y_type": "Steps", "y_values": "1,2", "draw_legend": False,
        "include_lone_images": True}  # fmt: skip


def test_a_stopped_grid_is_shown_with_empty_cells_and_goes_on_elsewhere(ask, services):
    whole = ask(XYZ, GRID, job="whole")
    token = CancelToken()
    part_done = ask(XYZ, GRID, StopAfter(token, 4), token, job="stopped")
    assert part_done.state == "stopped" and len(part_done.images) == 5
    grid = part_done.images[0]
    assert grid.size == (192, 128) and part_done.pictures[0].path
    assert same(grid.crop((0, 0, 192, 64)), whole.images[0].crop((0, 0, 192, 64)))
    empty = grid.crop((64, 64, 192, 128))
    assert empty.getextrema() == ((228, 228),) * 3
    events: list = []
    rest = ask(XYZ, GRID, events, job="resumed", resume="stopped")
    # The four are taken over; only the fifth and sixth are calculated, of two steps each.
    assert [e.step for e in events if isinstance(e, StepDone)] == [6, 7, 8, 9]
    assert rest.state == "done" and all(same(a, b) for a, b in zip(rest.images, whole.images))
    assert [p.path for p in rest.pictures[1:5]] == [p.path for p in part_done.pictures[1:5]]


def test_a_killed_grid_goes_on_with_the_same_seeds(ask, services):
    """The notes are all that is left of a process that died; they are plain JSON."""
    values = {**GRID, "x_values": "-1,-1,3"}

    class Killed(BaseException):
        pass

    class KillAfter(StopAfter):
        def append(self, event) -> None:
            super().append(event)
            if self.left == 0:
                raise Killed

    with pytest.raises(Killed):
        ask(XYZ, values, KillAfter(CancelToken(), 3), job="killed", **{"seed.seed": -1, "seed.subseed": -1})
    services.notes._notes = {key: json.loads(json.dumps(data)) for key, data in services.notes._notes.items()}
    kept = sum(name.startswith("run ") for job, name in services.notes._notes if job == "killed")
    assert kept == 2  # the third was told of, and the process died before it was noted
    events: list = []
    again = ask(XYZ, values, events, job="killed", **{"seed.seed": -1, "seed.subseed": -1})
    assert len(again.images) == 7 and [e.step for e in events if isinstance(e, StepDone)][0] == 3
    seeds = [p.seed for p in again.pictures[1:]]
    assert seeds[:3] == seeds[3:] and seeds[2] == 3


def test_what_is_dear_changes_least_often():
    def axis(cost: float, count: int) -> ChosenAxis:
        return ChosenAxis(GridAxis("axis", tuple, lambda r, v, vs: r, cost=cost), tuple(range(count)), "")

    assert in_order([axis(0, 2), axis(0, 2), axis(0, 1)]) == [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)]
    assert in_order([axis(1, 2), axis(0, 2), axis(0, 1)]) == [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)]
    assert [place[0] for place in in_order([axis(0.7, 2), axis(1, 2), axis(0, 2)])] == [0, 0, 1, 1] * 2


@part("flavour")
class Flavour:
    strength: float = param(0.0, label="Flavour strength", minimum=0, maximum=1)


class Sweet:
    """An extension with a part of the request and an axis of its own."""

    def __init__(self) -> None:
        self.seen: list = []

    @hookimpl
    def provide_request_parts(self):
        return [Flavour]

    @hookimpl
    def provide_axes(self, kind: str):
        def put(request: GenerationRequest, value, values):
            return request.with_values(**{"prompt.positive": f"{request.prompt.positive} {value}/{len(values)}"})

        return [GridAxis("Topping", lambda text: tuple(text.split(";")), put)]

    @hookimpl
    def amend_plan(self, run, draft):
        self.seen.append((run.request.extras.get("flavour", {}).get("strength"), draft.prompts[0]))


def test_axes_of_extensions(ask, plugins):
    sweet = Sweet()
    plugins.register(sweet, "sweet")
    ask(XYZ, {"x_type": "Flavour strength", "x_values": "0-1 [2]", "y_type": "topping", "y_values": "jam;nut"})
    assert sweet.seen == [(0, "a cat jam/2"), (1, "a cat jam/2"), (0, "a cat nut/2"), (1, "a cat nut/2")]
    with pytest.raises(BadRequest, match="outside"):
        ask(XYZ, {"x_type": "Flavour strength", "x_values": "2"})


def test_arguments_by_place_and_by_name_are_the_same():
    script = find_script("x/y/z PLOT", "img2img")
    named = script.from_args([4, "1,2", [], "Seed", "5", None, 0, "", [], True, False])
    assert named["x_type"] == "4" and named["y_type"] == "Seed" and named["x_values"] == "1,2"
    values = script.read(named)
    assert values.draw_legend and not values.csv_mode and script.to_args(values)[:2] == ["4", "1,2"]
    upscale = find_script("SD upscale", "img2img")
    assert upscale.read(upscale.from_args(["", 8, "Lanczos", 2.0])).overlap == 8
    assert upscale.read(upscale.from_args(["", 8, 1])).upscaler_index == "1"
    assert find_script("SD upscale", "txt2img") is None


def test_each_checkpoint_is_loaded_once(ask, services, data):
    write_tiny_checkpoint(data / "models" / "Stable-diffusion", name="other", sizes=TinySizes(seed=5))
    services.shelf.scan()
    names = [file.stem for file in services.shelf.checkpoints()]
    opened: list[str] = []
    services.library._on_opened = lambda model: opened.append(model.file.stem)
    result = ask(XYZ, {
        "x_type": "Checkpoint name", "x_values": ",".join(names), "y_type": "Steps", "y_values": "1,2",
        "include_lone_images": True,
    })  # fmt: skip
    assert opened == names and len(names) == 2
    assert [parse_infotext(p.infotext)["Model"] for p in result.pictures[1:]] == names * 2
