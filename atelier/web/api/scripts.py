"""Built-in scripts under /atelier/v1: which there are, what they take, what a grid can vary; a job begun anew."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from atelier.base.errors import BadRequest
from atelier.params.axes import grid_axes
from atelier.params.request import KINDS
from atelier.params.scripts import scripts_for
from atelier.params.value_json import value_schema
from atelier.web.api.common import FAILURES, OwnedApp
from atelier.web.api.jobs import TicketAnswer
from atelier.web.auth import client_of

router = APIRouter(prefix="/atelier/v1", tags=["Scripts"], responses=dict(FAILURES))


class AxisView(BaseModel):
    number: int = Field(description="What x_type takes as a number, as clients of A1111 send it.")
    label: str = Field(description="What x_type takes as a text.")
    target: str = Field(description="The value of a request that it varies; empty for axes that are no single value.")
    choices: list[str] | str | None = Field(
        None, description="Names to choose from, or the list of /atelier/v1/capabilities that holds them."
    )


class ScriptView(BaseModel):
    name: str = Field(description="Short name.")
    title: str = Field(description='What extras.script.name takes, as in {"name": "X/Y/Z plot", "values": {}}.')
    values: dict[str, Any] = Field(description="JSON schema of extras.script.values.")
    args: list[str] = Field(description="The order of script_args under /sdapi/v1; an empty name is a text, ignored.")


class ScriptsView(BaseModel):
    scripts: list[ScriptView] = Field(description="Those for this kind of job.")
    axes: list[AxisView] = Field(description="What the X/Y/Z plot can vary.")


@router.get("/scripts", response_model=ScriptsView)
def scripts(
    app: OwnedApp, kind: Annotated[str, Query(description="txt2img or img2img.")] = KINDS[0]
) -> ScriptsView:
    if kind not in KINDS:
        raise BadRequest("kind", f"{kind!r} is not a kind of picture job.", remedy=f"Use {' or '.join(KINDS)}.")
    parts = app.plugins.provided("provide_request_parts")
    more = app.plugins.provided("provide_axes", kind=kind)
    axes = grid_axes(kind, tuple(app.settings.declarations.values()), parts, more)
    return ScriptsView(
        scripts=[
            ScriptView(
                name=script.name, title=script.title, args=[*("" for _ in script.notes), *names],
                values={"type": "object", "properties": {d.name: value_schema(d) for d in script.declarations}},
            )
            for script in scripts_for(kind)
            for names in [[d.name for d in script.declarations]]
        ],
        axes=[
            AxisView(
                number=number, label=axis.label, target=axis.target,
                choices=list(axis.choices()) if callable(axis.choices) else axis.choices,
            )
            for number, axis in enumerate(axes)
        ],
    )  # fmt: skip


@router.post("/jobs/{id}/resume", status_code=202, response_model=TicketAnswer)
async def resume(id: str, request: Request, response: Response, app: OwnedApp) -> TicketAnswer:
    """Queues a job that has ended once more, under a new id. A script goes on after the pictures that it has made."""
    ticket = await run_in_threadpool(app.resume, id, client_of(request))
    response.headers["Location"] = f"/atelier/v1/jobs/{ticket.id}"
    return TicketAnswer(id=ticket.id, position=ticket.position)
