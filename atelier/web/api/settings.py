"""Settings through the API: A1111's options and flags, and the same with descriptions under /atelier/v1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from atelier.app import App, OptionsChange
from atelier.base.errors import BadRequest
from atelier.params.field import declarations_of
from atelier.params.settings import Settings
from atelier.params.value_json import plain, value_schema
from atelier.web.api.common import FAILURES, OwnedApp, json_body, json_schema_body, lists, until_ended

router = APIRouter(tags=["Settings"], responses=dict(FAILURES))

_SECRET = ("api_auth", "gradio_auth", "gradio_auth_path", "ngrok", "ngrok_options", "proxy")
_OPTIONS_BODY = json_schema_body({"$ref": "#/components/schemas/Options"})


class SettingsChangeAnswer(BaseModel):
    changed: list[str] = Field(description="Settings that have a new value.")
    skipped: list[str] = Field(description="Settings that may not be changed through the API.")
    job: str | None = Field(None, description="The job that loaded the model.")


class SettingsGroup(BaseModel):
    name: str = Field(description="Short name of the group.")
    title: str = Field(description="Title of the group.")
    category: str = Field(description="Where the group belongs.")
    settings: list[dict[str, Any]] = Field(description="Name, type, limits, default and help of each setting.")


class SettingsAnswer(BaseModel):
    values: dict[str, Any] = Field(description="The present values by name.")
    unknown: list[str] = Field(description="Names in the settings file that nothing declares; they are kept.")
    rejected: dict[str, str] = Field(
        description="Values in the file that do not fit, with the reason; defaults are used."
    )
    groups: list[SettingsGroup] = Field(description="What each setting means.")


def options_schema(settings: Settings) -> dict[str, Any]:
    """The JSON schema of all settings, those of extensions included."""
    properties = {name: value_schema(d) for name, d in settings.declarations.items()}
    for name, schema in properties.items():
        schema["description"] = schema["description"] or schema["title"] or name
    return {"type": "object", "title": "Options", "properties": properties}


def _values(app: App) -> dict[str, Any]:
    return {key: plain(value) for key, value in app.settings.snapshot().items()}


@router.get("/sdapi/v1/options", response_model=dict[str, Any])
def get_options(app: OwnedApp) -> dict[str, Any]:
    """Every setting by name."""
    found = _values(app)
    known = app.capabilities()
    title = known.model if known is not None else ""
    sha256 = next((m.sha256 for m in known.models if m.title == title), "") if known is not None else ""
    # Until a checkpoint is chosen the setting is empty; clients look there for the one that is loaded.
    return {**found, "sd_model_checkpoint": found["sd_model_checkpoint"] or title, "sd_checkpoint_hash": sha256}


@router.post("/sdapi/v1/options", openapi_extra=_OPTIONS_BODY)
async def set_options(request: Request, response: Response, app: OwnedApp) -> None:
    """Changes settings. All are checked before the first is changed; a new checkpoint is loaded before this returns.

    Settings that are not for the API are skipped and named in the header `X-Atelier-Skipped`.
    """
    values = await json_body(request)
    values.pop("sd_checkpoint_hash", None)  # clients send back what they were given
    change = await _change(app, values)
    if change.skipped:
        response.headers["X-Atelier-Skipped"] = ",".join(change.skipped)


@router.get("/atelier/v1/settings", response_model=SettingsAnswer)
def get_settings(app: OwnedApp) -> SettingsAnswer:
    """Every setting with its description."""
    groups = [
        SettingsGroup(
            name=g.part_name, title=g.part_title, category=g.part_category,
            settings=[{"name": d.name, **value_schema(d), "restart": d.param.restart} for d in declarations_of(g)],
        )
        for g in app.settings.groups
    ]  # fmt: skip
    return SettingsAnswer(
        values=_values(app), unknown=sorted(app.settings.unknown), rejected=dict(app.settings.rejected), groups=groups
    )


@router.post("/atelier/v1/settings", response_model=SettingsChangeAnswer, openapi_extra=_OPTIONS_BODY)
async def set_settings(request: Request, app: OwnedApp) -> SettingsChangeAnswer:
    """Changes settings; tells which have changed."""
    change = await _change(app, await json_body(request))
    ticket = change.ticket
    return SettingsChangeAnswer(
        changed=list(change.changed), skipped=list(change.skipped), job=ticket.id if ticket is not None else None
    )


async def _change(app: App, values: dict[str, Any]) -> OptionsChange:
    if values.get("sd_model_checkpoint") or values.get("sd_vae"):
        await lists(app)
    try:
        change = await run_in_threadpool(app.set_options, values, api=True)
        if change.ticket is not None:
            await until_ended(app, change.ticket.id)
    except BadRequest as error:
        raise _by_name(error, values) from error
    return change


def _by_name(error: BadRequest, values: dict[str, Any]) -> BadRequest:
    """An error of a setting names it as the caller did, without its group."""
    name = error.field.rpartition(".")[2]
    if name not in values or name == error.field:
        return error
    fields = {key: value for key, value in error.fields.items() if key != "field"}
    return BadRequest(name, error.message.removeprefix(f"{error.field}: "), remedy=error.remedy, **fields)


@router.get("/sdapi/v1/cmd-flags", response_model=dict[str, Any])
def cmd_flags(app: OwnedApp) -> dict[str, Any]:
    """The command line by name; passwords are left out."""
    found: dict[str, Any] = {}
    for key, value in app.arguments.items():
        if key in _SECRET:
            found[key] = None
        elif isinstance(value, (str, int, float, bool, type(None))):
            found[key] = value
        elif isinstance(value, (list, tuple)):
            found[key] = [str(item) for item in value]
        elif isinstance(value, Path):
            found[key] = str(value)
    return found
