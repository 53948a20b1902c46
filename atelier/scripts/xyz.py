"""X/Y/Z plot: one picture for each combination of the values of up to three axes, on one sheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from PIL import Image

from atelier.base.errors import BadRequest
from atelier.base.log import fields, logger
from atelier.imaging.legend import Label, LegendStyle, sheet
from atelier.params.axes import NOTHING, GridAxis, axis_named, grid_axes
from atelier.params.request import GenerationRequest
from atelier.params.scripts import AskedScript
from atelier.pipeline.plan import hires_target
from atelier.pipeline.state import Picture, Result, Run
from atelier.scripts.names import check_name
from atelier.scripts.session import Made, Session
from atelier.scripts.text import with_fields

log = logger(__name__)

#: a grid of more is a slip of the keyboard
MOST_CELLS = 10_000
DIMENSIONS = "xyz"

Place = tuple[int, int, int]


@dataclass(frozen=True)
class ChosenAxis:
    """An axis with its values. `given` is what stood in the field, `fixed` the values with seeds drawn, if any were."""

    axis: GridAxis
    values: tuple[Any, ...]
    given: str
    fixed: str = ""

    def __len__(self) -> int:
        return len(self.values)

    def labels(self) -> list[str]:
        return ["" if self.axis.label == NOTHING else self.axis.show(value) for value in self.values]


def run_xyz(run: Run, asked: AskedScript) -> Result:
    session = Session(run, asked, fixed_seeds=not asked.values.no_fixed_seeds)
    chosen = choose_axes(session)
    cells = cells_of(session, chosen)
    check_size(session, cells.values(), [len(axis) for axis in chosen])
    session.expect(cells.values())
    log.info("grid begins: %s", fields(job=run.job, x=len(chosen[0]), y=len(chosen[1]), z=len(chosen[2])))
    done: dict[Place, Made] = {}
    for place in in_order(chosen):
        if session.ending:
            break
        made = session.make(cells[place])
        if made.pictures:
            done[place] = made
    return laid_out(session, chosen, done)


# -- axes --------------------------------------------------------------------------------------------------------


def choose_axes(session: Session) -> tuple[ChosenAxis, ChosenAxis, ChosenAxis]:
    """Raises `BadRequest` that names the axis and the value."""
    run = session.run
    kind, hooks = session.request.kind, run.services.hooks
    # pluggy gives the answer of the plugin that came last first.
    parts = [part for answer in reversed(hooks.provide_request_parts()) for part in answer or ()]
    more = [axis for answer in reversed(hooks.provide_axes(kind=kind)) for axis in answer or ()]
    known = grid_axes(kind, tuple(run.services.declarations.values()), parts, more)
    return tuple(_choose(session, known, dimension) for dimension in DIMENSIONS)


def _choose(session: Session, known: Sequence[GridAxis], dimension: str) -> ChosenAxis:
    values = session.values
    try:
        axis = axis_named(getattr(values, f"{dimension}_type"), known)
        text = _text_of(axis, values, dimension)
        read = axis.read(text)
    except BadRequest as error:
        message = error.message.removeprefix(f"{error.field}: ")
        raise BadRequest(f"{dimension}_values", message, remedy=error.remedy) from error
    for value in read:
        check_name(session.run.services, axis, value)
    if not axis.draws or values.no_fixed_seeds:
        return ChosenAxis(axis, read, text)
    drawn = tuple(session.drawn(f"{dimension} {place}") if value == -1 else value for place, value in enumerate(read))
    return ChosenAxis(axis, drawn, text, fixed=", ".join(map(str, drawn)) if drawn != read else "")


def _text_of(axis: GridAxis, values: Any, dimension: str) -> str:
    """What stands in the field: for an axis with choices those that were picked, unless text is wanted."""
    picked = getattr(values, f"{dimension}_values_dropdown")
    if axis.choices is None or values.csv_mode or not picked:
        return getattr(values, f"{dimension}_values")
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(picked)
    return line.getvalue()


def in_order(chosen: Sequence[ChosenAxis]) -> list[Place]:
    """Every place of the grid, so that what is dear to change changes least often; else x runs fastest, z slowest."""
    outer = sorted((2, 1, 0), key=lambda which: -chosen[which].axis.cost)
    places = []
    for indexes in product(*(range(len(chosen[which])) for which in outer)):
        at = dict(zip(outer, indexes))
        places.append((at[0], at[1], at[2]))
    return places


# -- cells -------------------------------------------------------------------------------------------------------


def cells_of(session: Session, chosen: Sequence[ChosenAxis]) -> dict[Place, GenerationRequest]:
    """The request of every cell. Raises `BadRequest` for a value that does not fit, and for far too many cells."""
    counts = [len(axis) for axis in chosen]
    total = counts[0] * counts[1] * counts[2]
    if total > MOST_CELLS:
        raise BadRequest(
            "script", f"the grid would have {total} pictures ({counts[0]} x {counts[1]} x {counts[2]}).",
            remedy=f"The limit is {MOST_CELLS}.", cells=total,
        )  # fmt: skip
    cells = {}
    for place in product(*(range(count) for count in counts)):
        request = session.request
        for axis, at in zip(chosen, place):
            request = axis.axis.put(request, axis.values[at], axis.values)
        cells[place] = _own_seed(request, session.values, place, counts)
    return cells


def _own_seed(request: GenerationRequest, values: Any, place: Place, counts: Sequence[int]) -> GenerationRequest:
    """Varied seeds count up along the dimensions that ask for it, each place its own."""
    offset, width = 0, 1
    for dimension, at, count in zip(DIMENSIONS, place, counts):
        if getattr(values, f"vary_seeds_{dimension}"):
            offset += at * width
            width *= count
    if not offset or request.seed.seed == -1:
        return request
    return request.with_values(**{"seed.seed": request.seed.seed + offset})


def check_size(session: Session, cells: Any, counts: Sequence[int]) -> None:
    """Raises `BadRequest` with the number when the sheet would be larger than settings allow."""
    width = height = 0
    for request in cells:
        own = pixels_of(request)
        width, height = max(width, own[0]), max(height, own[1])
    pictures = counts[0] * counts[1] * counts[2]
    megapixels = width * height * pictures / 1e6
    limit = session.settings.img_max_size_mp
    if megapixels > limit:
        raise BadRequest(
            "script",
            f"the grid of {pictures} pictures of {width}x{height} would have {megapixels:.0f} megapixels, "
            f"{limit} are allowed.",
            remedy="Give fewer values or a smaller size, or raise the setting img_max_size_mp.",
            megapixels=round(megapixels), limit=limit, cells=pictures,
        )  # fmt: skip


def pixels_of(request: GenerationRequest) -> tuple[int, int]:
    """How large a cell will be: the picture, or the sheet of its batch."""
    width, height = request.size.width, request.size.height
    hires = request.hires
    if hires.enabled and request.kind == "txt2img":
        (width, height), _ = hires_target(width, height, hires.scale, hires.resize_x, hires.resize_y)
    count = request.batch.count * request.batch.size
    rows = max(1, round(count**0.5))
    return width * -(-count // rows), height * rows


# -- the sheet ---------------------------------------------------------------------------------------------------


def laid_out(session: Session, chosen: Sequence[ChosenAxis], done: dict[Place, Made]) -> Result:
    """The grid, what else was asked for, and the result; places that were not reached stay empty."""
    values, settings = session.values, session.settings
    if not done:
        return session.result([], [])
    x, y, z = chosen
    images = {place: made.sheet(settings.img_max_size_mp) for place, made in done.items()}
    grids = [
        _sub_grid(session, x, y, {place: image for place, image in images.items() if place[2] == at})
        for at in range(len(z))
    ]
    text = _grid_text(done, chosen)
    shown: list[tuple[Picture, Image.Image]] = []
    if len(grids) > 1:
        whole = sheet(
            grids, [[Label(label)] for label in _labels(session, z)], [[]], _style(session, values.margin_size)
        )
        shown.append((session.keep(whole, text, role="grid"), whole))
    if len(grids) == 1 or values.include_sub_grids:
        shown += [(session.keep(grid, text, role="grid"), grid) for grid in grids if grid is not None]
    if values.include_lone_images:
        for place in sorted(done, key=lambda place: place[::-1]):
            shown += list(zip(done[place].pictures, done[place].images))
    told = [done[place].first for place in sorted(done, key=lambda place: place[::-1])]
    return session.result([picture for picture, _ in shown], [image for _, image in shown], told)


def _sub_grid(session: Session, x: ChosenAxis, y: ChosenAxis, images: dict[Place, Image.Image]) -> Image.Image | None:
    if not images:
        return None
    by_place = {(place[0], place[1]): image for place, image in images.items()}
    cells = [by_place.get((column, row)) for row in range(len(y)) for column in range(len(x))]
    columns = [[Label(label)] for label in _labels(session, x)]
    rows = [[Label(label)] for label in _labels(session, y)]
    return sheet(cells, columns, rows, _style(session, session.values.margin_size))


def _labels(session: Session, axis: ChosenAxis) -> list[str]:
    return axis.labels() if session.values.draw_legend else [""] * len(axis)


def _style(session: Session, margin: int) -> LegendStyle:
    # The size was checked before anything was made; words and margins must not take a finished grid away.
    return legend_style(session, margin, limit_mp=float("inf"))


def legend_style(session: Session, margin: int, limit_mp: float) -> LegendStyle:
    """Colours and font as settings have them."""
    own = session.settings
    return LegendStyle(
        own.grid_text_active_color, own.grid_text_inactive_color, own.grid_background_color, own.font, margin, limit_mp
    )


def _grid_text(done: dict[Place, Made], chosen: Sequence[ChosenAxis]) -> str:
    """The parameters of the first cell, with what the grid varies."""
    extra: dict[str, Any] = {"Script": "X/Y/Z plot"}
    for dimension, axis in zip("XYZ", chosen):
        if axis.axis.label == NOTHING:
            continue
        extra |= {f"{dimension} Type": axis.axis.label, f"{dimension} Values": axis.given}
        if axis.fixed:
            extra[f"Fixed {dimension} Values"] = axis.fixed
    return with_fields(done[min(done, key=lambda place: place[::-1])].first.infotext, extra)
