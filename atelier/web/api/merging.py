"""Work on weights under /atelier/v1, all as jobs: checkpoints merged; LoRAs merged, extracted, resized, baked in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from atelier.params.merging import REQUESTS
from atelier.params.part_json import part_from_json, part_schema, part_to_json
from atelier.web.api.common import FAILURES, OwnedApp, json_body, json_schema_body, until_ended
from atelier.web.api.jobs import TicketAnswer
from atelier.web.auth import client_of

router = APIRouter(prefix="/atelier/v1", tags=["Merging"], responses=dict(FAILURES))

#: by kind of job: merge, loras/merge, loras/extract and so on
PATHS: Mapping[str, str] = MappingProxyType({kind: kind.replace("lora_", "loras/") for kind in REQUESTS})


def _add(kind: str, request_class: Any) -> None:
    @router.post(
        f"/{PATHS[kind]}", status_code=202, response_model=TicketAnswer, name=kind,
        openapi_extra=json_schema_body(part_schema(request_class)),
        description=f"{request_class.part_title}, as a job: its result names the file that was made.",
    )  # fmt: skip
    async def submit(request: Request, response: Response, app: OwnedApp) -> TicketAnswer:
        asked = part_from_json(request_class, await json_body(request))
        run = partial(app.submit_job, kind, part_to_json(asked), client=client_of(request), priority=0)
        ticket = await run_in_threadpool(run)
        response.headers["Location"] = f"/atelier/v1/jobs/{ticket.id}"
        return TicketAnswer(id=ticket.id, position=ticket.position)


@router.get("/merge/metadata", response_model=dict[str, Any])
async def metadata(
    app: OwnedApp, model: Annotated[list[str], Query(description="Checkpoints, A first.", max_length=3)],
) -> dict[str, Any]:  # fmt: skip
    """The metadata that a merge of these checkpoints would take from them."""
    ticket = await run_in_threadpool(app.submit_job, "merge_metadata", {"models": model})
    row = await until_ended(app, ticket.id)
    return (row.result or {}).get("metadata") or {}


for _kind, _class in REQUESTS.items():
    _add(_kind, _class)
