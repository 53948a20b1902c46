"""Answers: JSON that never fails to be written, and one form for every failure.

A failure has A1111's four keys (`error` is a class name, `detail` and `errors` say what happened, `body` is empty) and
ours: `code` for programs, `message` and `remedy` for people, `fields` with the names and numbers, among them `field`.
For a bad value of a body `detail` is a list of `{loc, msg, type}`, as FastAPI writes it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Scope

from atelier.base.errors import AtelierError, BadRequest


class Json(JSONResponse):
    """Written as ASCII, since texts of users may hold halves of surrogate pairs; NaN, which is not JSON, is null."""

    def render(self, content: Any) -> bytes:
        try:
            text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        except ValueError:
            text = json.dumps(_finite(content), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        return text.encode("ascii")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def path_of(scope: Scope) -> str:
    """The path below the one under which a reverse proxy shows the server."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(root + "/") else path


class Failure(BaseModel):
    """What every failure looks like."""

    error: str = Field(description="Name of the kind of failure, as A1111 gives it.")
    detail: Any = Field(description="What happened; for a bad value a list with its place.")
    body: str = Field(description="Always empty.")
    errors: str = Field(description="What happened and what to do, in one text.")
    code: str = Field(description="Stable name of the kind of failure, for programs.")
    message: str = Field(description="What happened, for people.")
    remedy: str = Field(description="What to do about it.")
    fields: dict[str, Any] = Field(description="Names and numbers; `field` is the value that was refused.")


def failure(error: AtelierError, headers: Mapping[str, str] | None = None) -> Json:
    detail: Any = error.message
    if isinstance(error, BadRequest) and error.status == 422:
        place = [int(part) if part.isdigit() else part for part in error.field.split(".")]
        detail = [{"loc": ["body", *place], "msg": str(error), "type": error.code}]
    body = {"error": type(error).__name__, "detail": detail, "body": "", "errors": str(error), **error.to_json()}
    return Json(body, error.status, dict(headers or {}))


def http_failure(error: HTTPException) -> Json:
    """For failures that the framework itself finds, such as an unknown path."""
    text = str(error.detail or "")
    code = {404: "not_found", 405: "not_allowed"}.get(error.status_code, "error")
    body = {"error": "HTTPException", "detail": error.detail, "body": "", "errors": text}
    ours = {
        "code": code,
        "message": text,
        "remedy": "GET /docs lists the paths." if code == "not_found" else "",
        "fields": {},
    }
    return Json({**body, **ours}, error.status_code, dict(error.headers or {}))


def validation_failure(error: RequestValidationError) -> Json:
    """For query parameters and bodies that are checked by the framework. The input is not repeated: it may be large."""
    found = [{"loc": list(e["loc"]), "msg": e["msg"], "type": e["type"]} for e in error.errors()]
    names = [".".join(str(part) for part in e["loc"][1:]) or str(e["loc"][0]) for e in found]
    message = "; ".join(f"{name}: {e['msg']}" for name, e in zip(names, found))
    body = {"error": "RequestValidationError", "detail": found, "body": "", "errors": message}
    ours = {
        "code": "bad_request",
        "message": message,
        "remedy": "See /docs.",
        "fields": {"field": names[0] if names else ""},
    }
    return Json({**body, **ours}, 422)
