"""X/Y/Z plot on a tiny model."""

from __future__ import annotations

from atelier.params.infotext import parse_infotext
from tests.pipeline.test_run import same


def test_a_grid_holds_the_pictures_of_its_cells(ask, services):
    result = ask("X/Y/Z plot", {
        "x_type": "Seed", "x_values": "7-9", "y_type": "Steps", "y_values": "1,2", "draw_legend": False,
        "include_lone_images": True,
    })  # fmt: skip
    grid, *cells = result.images
    assert grid.size == (192, 128) and len(cells) == 6 and result.info["index_of_first_image"] == 1
    for place, cell in enumerate(cells):
        left, top = place % 3 * 64, place // 3 * 64
        assert same(grid.crop((left, top, left + 64, top + 64)), cell)
    assert [p.seed for p in result.pictures[1:]] == [7, 8, 9, 7, 8, 9]
    told = parse_infotext(result.pictures[0].infotext)
    assert told["Script"] == "X/Y/Z plot" and told["X Type"] == "Seed" and told["X Values"] == "7-9"
    assert told["Y Type"] == "Steps" and told["Y Values"] == "1,2" and "Z Type" not in told
    assert result.pictures[0].infotext.rstrip().endswith("Version: test")
