"""Routes that only the page uses: counting tokens, parameters of a picture, saved ones and their folder, extensions."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from PIL import Image
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from atelier.app import App
from atelier.base.errors import AtelierError, BadRequest, NotFound
from atelier.imaging.decode import decode, open_image
from atelier.store.pictures import PictureRow
from atelier.web.api.common import json_body
from atelier.web.api.jobs import pictures_of
from atelier.web.desk import show_folder
from atelier.web.pasting import read_infotext
from atelier.web.reading import read_picture
from atelier.web.tokens import TokenCounter

PREFIX = "/atelier/v1/page"
_THUMB = 320
_LONGEST = 100_000


class TokenQuestion(BaseModel):
    text: str = Field(max_length=_LONGEST, description="A prompt.")
    steps: int = Field(20, ge=1, le=1000, description="Steps, for prompts that change on the way.")


class TokenAnswer(BaseModel):
    count: int = Field(description="Tokens of the longest text that the prompt becomes.")
    room: int = Field(description="The room of its chunks, a multiple of 75.")


class Parameters(BaseModel):
    info: str = Field(description="The parameters as text; empty when there are none.")
    values: dict[str, str] = Field(description="The same by label.")
    width: int = Field(description="Width in pixels.")
    height: int = Field(description="Height in pixels.")
    program: str = Field("", description="The program that wrote them, where it is known by its own form.")
    original: str = Field("", description="What that program wrote, as it stands in the file.")
    watermark: str = Field("", description="The word that is hidden in the pixels; empty when there is none.")


class SavedPicture(BaseModel):
    id: int = Field(description="Number in the index.")
    name: str = Field(description="Name of the file.")
    sha256: str = Field(description="Name of its bytes.")
    infotext: str = Field(description="Its parameters as text.")
    seed: int = Field(description="Its seed.")
    role: str = Field(description="picture, grid or another word.")
    width: int = Field(description="Width in pixels.")
    height: int = Field(description="Height in pixels.")
    favourite: bool = Field(description="Whether it is marked.")
    created: float = Field(description="Seconds since 1970.")


class SavedPictures(BaseModel):
    pictures: list[SavedPicture] = Field(description="The newest first.")
    total: int = Field(description="How many there are without the limit.")


class Mark(BaseModel):
    favourite: bool = Field(description="Whether it is marked.")


class SettingsChanged(BaseModel):
    changed: list[str] = Field(description="Settings that have a new value.")
    restart: list[str] = Field(description="Those of them that take effect at the next start.")
    job: str | None = Field(None, description="The job that loads a model.")


class Folder(BaseModel):
    folder: str = Field(description="The folder that was opened.")


class FolderQuestion(BaseModel):
    tab: Literal["txt2img", "img2img", "extras"] = Field(description="Whose pictures.")
    job: str = Field("", max_length=200, description="Where this job's pictures are, if they were saved.")


class ExtensionView(BaseModel):
    name: str = Field(description="Name of the folder.")
    builtin: bool = Field(description="Whether it comes with the program.")
    enabled: bool = Field(description="Whether it runs now.")
    wanted: bool = Field(description="Whether it will run after the next start.")
    reason: str = Field(description="Why it is off, or what it misses.")
    seconds: float = Field(description="How long loading took.")
    traces: list[str] = Field(description="What was raised, when it is broken.")
    failures: list[str] = Field(description="What went wrong since the start.")


def add_routes(server: FastAPI, app: App) -> None:
    counter = TokenCounter(app.paths.program)

    @server.post(f"{PREFIX}/tokens", response_model=TokenAnswer, tags=["Page"])
    def tokens(question: TokenQuestion) -> TokenAnswer:
        """How many tokens a prompt has."""
        backtrack = app.settings.get("comma_padding_backtrack")
        count, room = counter.count(question.text, question.steps, backtrack)
        return TokenAnswer(count=count, room=room)

    @server.post(f"{PREFIX}/parameters", response_model=Parameters, tags=["Page"])
    async def parameters(request: Request) -> Parameters:
        """The parameters inside a picture; the body is the bytes of its file."""
        return await run_in_threadpool(partial(read_parameters, app, await request.body()))

    _add_pictures(server, app)

    @server.post(f"{PREFIX}/settings", response_model=SettingsChanged, tags=["Page"])
    async def change_settings(request: Request) -> SettingsChanged:
        """Changes settings as a person does: those that programs may not change too."""
        change = await run_in_threadpool(app.set_options, await json_body(request))
        restart = [key for key in change.changed if app.settings.declarations[key].param.restart]
        job = change.ticket.id if change.ticket is not None else None
        return SettingsChanged(changed=list(change.changed), restart=restart, job=job)

    @server.post(f"{PREFIX}/folder", response_model=Folder, tags=["Page"])
    def open_folder(question: FolderQuestion) -> Folder:
        """Opens the folder of the pictures on the screen of the machine on which the program runs."""
        folder = _folder_of(app, question)
        show_folder(folder, app.arguments)
        return Folder(folder=str(folder))

    @server.get(f"{PREFIX}/extensions", response_model=list[ExtensionView], tags=["Page"])
    def extensions() -> list[ExtensionView]:
        """Every extension that was found, with what went wrong in it."""
        return [view_of(app, extension) for extension in app.extensions]


def _folder_of(app: App, question: FolderQuestion) -> Path:
    """Where the job's last picture lies, else where those of the tab are saved."""
    row = app.records.find(question.job) if question.job else None
    paths = [Path(p.path) for p in pictures_of(app, row)] if row is not None else []
    saved_there = [path.parent for path in paths if path.is_file()]
    folder = app.settings.get("outdir_samples") or app.settings.get(f"outdir_{question.tab}_samples")
    return saved_there[-1] if saved_there else app.paths.data / folder


def _add_pictures(server: FastAPI, app: App) -> None:
    @server.get(f"{PREFIX}/pictures", response_model=SavedPictures, tags=["Page"])
    def pictures(
        query: Annotated[str, Query(max_length=1000, description="Words that must occur in parameters or path.")] = "",
        favourite: Annotated[bool | None, Query(description="Only marked ones.")] = None,
        before: Annotated[int | None, Query(description="Go on below this number.")] = None,
        limit: Annotated[int, Query(ge=1, le=500, description="How many at most.")] = 60,
    ) -> SavedPictures:
        """Saved pictures."""
        rows = app.pictures.list(query, favourite=favourite, before=before, limit=limit)
        return SavedPictures(
            pictures=[saved(row) for row in rows], total=app.pictures.count(query, favourite=favourite)
        )

    @server.get(f"{PREFIX}/pictures/{{id}}/file", response_class=FileResponse, tags=["Page"])
    def file(id: int) -> FileResponse:
        """The file itself."""
        return FileResponse(path_of(app, id), headers={"Cache-Control": "private, max-age=3600"})

    @server.get(f"{PREFIX}/pictures/{{id}}/thumbnail", response_class=Response, tags=["Page"])
    def thumbnail(id: int) -> Response:
        """A small version."""
        data = thumbnail_of(path_of(app, id))
        return Response(data, media_type="image/webp", headers={"Cache-Control": "private, max-age=86400"})

    @server.post(f"{PREFIX}/pictures/{{id}}", response_model=SavedPicture, tags=["Page"])
    def mark(id: int, body: Mark) -> SavedPicture:
        """Marks a picture, or takes the mark away."""
        return saved(app.pictures.set_favourite(id, body.favourite))


def saved(row: PictureRow) -> SavedPicture:
    names = [name for name in SavedPicture.model_fields if name != "name"]
    return SavedPicture(name=Path(row.path).name, **{name: getattr(row, name) for name in names})


def path_of(app: App, id: int) -> Path:
    """The file of a picture in the index. Raises `NotFound`, also when it is no longer there."""
    path = Path(app.pictures.get(id).path)
    if not path.is_file():
        raise NotFound(f"The file {path.name} is no longer there.", remedy="It was moved or deleted.", picture=id)
    return path


def thumbnail_of(path: Path) -> bytes:
    """WebP, at most 320 pixels on its longer side."""
    image = open_image(path.read_bytes(), "picture").convert("RGB")
    image.thumbnail((_THUMB, _THUMB), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=82)
    return buffer.getvalue()


def read_parameters(app: App, data: bytes) -> Parameters:
    """Raises `BadImage` when the bytes are no picture."""
    if not data:
        raise BadRequest("body", "the file is empty.", remedy="Choose a picture.")
    decoded = decode(data, "picture", limit_mp=app.blobs.limit_mp)
    _, told, word = read_picture(data)
    info = told.infotext
    width, height = decoded.image.size
    try:
        values = read_infotext(app, info) if info else {}
    except AtelierError:
        values = {}
    return Parameters(
        info=info, values={k: str(v) for k, v in values.items()}, width=width, height=height, program=told.program,
        original=told.original, watermark=word,
    )  # fmt: skip


def view_of(app: App, extension: Any) -> ExtensionView:
    disabled = {name.lower() for name in app.settings.get("disabled_extensions")}
    told = [f.sentence for f in app.plugins.guard.failures if f.extension in (extension.name, extension.canonical)]
    return ExtensionView(
        name=extension.name, builtin=extension.builtin, enabled=extension.enabled, reason=extension.reason,
        wanted=extension.name.lower() not in disabled, seconds=extension.seconds, traces=list(extension.traces),
        failures=told,
    )  # fmt: skip
