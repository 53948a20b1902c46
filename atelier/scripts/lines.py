"""Prompts from file or textbox: one job a line, each with its own options as on a command line."""

from __future__ import annotations

from atelier.base.errors import BadRequest
from atelier.params.lines import Line, read_lines
from atelier.params.request import GenerationRequest
from atelier.params.scripts import AskedScript
from atelier.pipeline.state import Result, Run
from atelier.scripts.session import Session


def run_lines(run: Run, asked: AskedScript) -> Result:
    session = Session(run, asked, fixed_seeds=False)
    lines = read_lines(asked.values.prompt_txt, session.request.kind)
    if not lines:
        raise BadRequest("prompts_from_file.prompt_txt", "there is no line.", remedy="Write one prompt a line.")
    requests = requests_of(session, lines)
    session.expect(requests)
    for request in requests:
        if session.ending:
            break
        session.make(request)
    pictures = [picture for made in session.made for picture in made.pictures]
    return session.result(pictures, [image for made in session.made for image in made.images], pictures)


def requests_of(session: Session, lines: list[Line]) -> list[GenerationRequest]:
    """Each line's request: its own values, the page's for the rest, its seed by the two switches."""
    values, base = session.values, session.base
    seed = base.seed.seed
    if seed == -1 and (values.checkbox_iterate or values.checkbox_iterate_batch):
        seed = session.drawn("seed")
    found = []
    for line in lines:
        own = dict(line.values)
        for field in ("positive", "negative"):
            text, page = own.get(f"prompt.{field}"), base.get(f"prompt.{field}")
            if text is not None and page:
                pair = (text, page) if values.prompt_position == "start" else (page, text)
                own[f"prompt.{field}"] = " ".join(pair)
        own.setdefault("seed.seed", seed)
        overrides = {**base.overrides, **line.overrides}
        request = base.with_values(**own, overrides=overrides)
        found.append(session.fixed(request, f"line {line.number}"))
        if values.checkbox_iterate:
            seed += request.batch.count * request.batch.size
    return found
