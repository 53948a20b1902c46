"""Prompt matrix: `a cat|in the snow|at night` gives a picture for every choice of the parts after the first."""

from __future__ import annotations

from atelier.base.errors import BadRequest
from atelier.imaging.legend import Label, sheet
from atelier.params.request import GenerationRequest
from atelier.params.scripts import AskedScript, script_fields
from atelier.pipeline.state import Result, Run
from atelier.scripts.session import Made, Session
from atelier.scripts.text import with_fields, with_prompts
from atelier.scripts.xyz import check_size, legend_style

#: sixteen parts are 65,536 pictures
MOST_PARTS = 13
JOINERS = {"comma": ", ", "space": " "}.items()


def run_matrix(run: Run, asked: AskedScript) -> Result:
    session = Session(run, asked)
    parts = parts_of(session)
    cells = cells_of(session, parts)
    columns = 2 ** ((len(parts) + 1) // 2)
    check_size(session, cells, [columns, len(cells) // columns, 1])
    session.expect(cells)
    made: list[Made] = []
    for request in cells:
        if session.ending:
            break
        made.append(session.make(request))
    made = [one for one in made if one.pictures]
    return _laid_out(session, parts, made, columns)


def parts_of(session: Session) -> list[str]:
    """The parts that vary. Raises `BadRequest` for too many."""
    field = "positive" if session.values.prompt_type == "positive" else "negative"
    text = getattr(session.request.prompt, field)
    parts = [part.strip() for part in text.split("|")][1:]
    if len(parts) > MOST_PARTS:
        raise BadRequest(
            f"prompt.{field}", f"{len(parts)} parts make {2 ** len(parts)} pictures.",
            remedy=f"Use at most {MOST_PARTS} parts.", cells=2 ** len(parts),
        )  # fmt: skip
    return parts


def cells_of(session: Session, parts: list[str]) -> list[GenerationRequest]:
    """A request for every choice; bit k of its place says whether part k is in."""
    values, base = session.values, session.request
    field = f"prompt.{values.prompt_type}"
    main = base.get(field).split("|")[0].strip()
    joiner = dict(JOINERS)[values.variations_delimiter]
    found = []
    for place in range(2 ** len(parts)):
        chosen = [part for k, part in enumerate(parts) if place >> k & 1]
        words = [*chosen, main] if values.put_at_start else [main, *chosen]
        seed = base.seed.seed + (place if values.different_seeds else 0)
        found.append(
            base.with_values(
                **{field: joiner.join(words), "seed.seed": seed, "batch.count": 1, "batch.size": 1}
            )
        )  # fmt: skip
    return found


def _laid_out(session: Session, parts: list[str], made: list[Made], columns: int) -> Result:
    if not made:
        return session.result([], [])
    cells = [one.images[0] for one in made]
    rows = 2 ** len(parts) // columns
    across = (len(parts) + 1) // 2
    picture = sheet(
        [*cells, *[None] * (rows * columns - len(cells))],
        _labels(parts[:across], columns), _labels(parts[across:], rows),
        legend_style(session, session.values.margin_size, float("inf")),
    )  # fmt: skip
    prompt = session.request.prompt
    positive, negative = session.run.services.styles.apply(prompt.positive, prompt.negative, prompt.styles)
    text = with_fields(with_prompts(made[0].first.infotext, positive, negative), script_fields(session.asked))
    grid = session.keep(picture, text, role="grid")
    return session.result([grid, *(one.first for one in made)], [picture, *cells])


def _labels(parts: list[str], count: int) -> list[list[Label]]:
    """For each column or row all its parts, those that are not in struck through."""
    return [[Label(part, bool(place >> k & 1)) for k, part in enumerate(parts)] for place in range(count)]
