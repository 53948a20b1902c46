"""Routes of the cards: the lists, previews, what a file tells, notes and previews changed, and A1111's two doors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from atelier.app import App
from atelier.base.errors import AtelierError, NotFound
from atelier.base.log import fields, logger
from atelier.base.notes import VERSIONS, read_notes, save_notes
from atelier.params.capabilities import Capabilities
from atelier.web.api.common import lists
from atelier.web.cards import PREFIX, Card, Cards, card_of, cards_of, metadata_of, tags_of
from atelier.web.network_pages import PAGES, NetworkPage, item_of, page_of
from atelier.web.previews import EXTENSIONS, Folders, Thumbnails, preview_of, replace_preview

log = logger(__name__)

_LONGEST = 100_000
File = Annotated[str, Query(max_length=4096, description="The card's file.")]


class CardFacts(BaseModel):
    card: Card = Field(description="The card as it is now.")
    metadata: dict[str, Any] = Field(description="What the trainer left in the file.")
    tags: dict[str, int] = Field(description="How often the trainer saw each tag, the most frequent first.")


class CardNotes(BaseModel):
    """What is left out stays as it is."""

    file: str = Field(max_length=4096, description="The card's file.")
    description: str | None = Field(None, max_length=_LONGEST, description="What the card shows.")
    notes: str | None = Field(None, max_length=_LONGEST, description="Anything else.")
    version: str | None = Field(None, description="Kind of models, one of SD1, SD2, SDXL, SD3, Flux; empty: as found.")
    activation: str | None = Field(None, max_length=_LONGEST, description="Words that go into the prompt with it.")
    weight: float | None = Field(None, ge=0, le=2, description="Preferred weight; 0 is the setting's.")
    negative: str | None = Field(None, max_length=_LONGEST, description="Words for the negative prompt.")

    def changes(self) -> dict[str, Any]:
        """Under A1111's keys."""
        told = {
            "description": self.description, "notes": self.notes, "activation text": self.activation,
            "preferred weight": self.weight, "negative text": self.negative,
        }  # fmt: skip
        return {key: value for key, value in told.items() if value is not None}


class NewPreview(BaseModel):
    file: str = Field(max_length=4096, description="The card's file.")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="A picture that the server keeps.")


class Changed(BaseModel):
    card: Card = Field(description="The card as it is now.")
    job: str = Field("", description="The job in which the engine takes notice, where it has to.")


def add_card_routes(server: FastAPI, app: App) -> None:
    thumbnails = Thumbnails(app.paths.cache / "previews")

    @server.get(f"{PREFIX}/{{page}}", response_model=Cards, tags=["Page"])
    async def cards(page: str) -> Response:
        """The cards of a page: textual_inversion, hypernetworks, checkpoints or lora."""
        found = await run_in_threadpool(cards_of, app, page_of(page), await lists(app))
        # Written at once: a thousand cards need not be checked against their own declaration.
        return Response(await run_in_threadpool(found.model_dump_json), media_type="application/json")

    @server.get(f"{PREFIX}/{{page}}/card", response_model=CardFacts, tags=["Page"])
    async def card(page: str, file: File) -> CardFacts:
        """One card, with what its trainer left in the file."""
        return await run_in_threadpool(facts_of, app, page_of(page), await lists(app), file)

    @server.get(f"{PREFIX}/{{page}}/preview", response_class=Response, tags=["Page"])
    async def preview(
        page: str, file: File, changed: Annotated[int, Query(description="Makes another address of it.")] = 0
    ) -> Response:
        """The picture beside a listed file, made small."""
        item = item_of(page_of(page), await lists(app), file)
        return await run_in_threadpool(picture_answer, thumbnails, item.path)

    @server.post(f"{PREFIX}/{{page}}/notes", response_model=Changed, tags=["Page"])
    async def notes(page: str, body: CardNotes) -> Changed:
        """Writes what a user says of a file into the JSON beside it; keys of other programs stay."""
        return await run_in_threadpool(change_notes, app, page_of(page), await lists(app), body)

    @server.post(f"{PREFIX}/{{page}}/preview", response_model=Changed, tags=["Page"])
    async def new_preview(page: str, body: NewPreview) -> Changed:
        """Puts a picture beside the file, as its preview."""
        return await run_in_threadpool(change_preview, app, page_of(page), await lists(app), body)

    _add_doors(server, app, thumbnails)


def _add_doors(server: FastAPI, app: App, thumbnails: Thumbnails) -> None:
    @server.get("/sd_extra_networks/thumb", response_class=Response, tags=["A1111: lists"])
    async def thumb(filename: Annotated[str, Query(max_length=4096, description="The preview's file.")]) -> Response:
        """A preview by its own path; no other picture is given away."""
        return await run_in_threadpool(door_answer, thumbnails, await lists(app), filename)

    @server.get("/sd_extra_networks/metadata", tags=["A1111: lists"])
    async def metadata(
        page: Annotated[str, Query(description="Name of the page.")],
        item: Annotated[str, Query(description="Name of the card.")],
    ) -> dict[str, str]:
        """What the trainer left in the file, as a text; an empty object for a name that is not there."""
        found = next((i for i in page_of(page).items(await lists(app)) if i.name == item), None)
        told = await run_in_threadpool(metadata_of, found) if found is not None else {}
        return {"metadata": json.dumps(told, indent=4, ensure_ascii=False)} if told else {}


def facts_of(app: App, page: NetworkPage, known: Capabilities, file: str) -> CardFacts:
    """Raises `NotFound` for a file that is not listed."""
    item = item_of(page, known, file)
    metadata = metadata_of(item)
    return CardFacts(card=card_of(app, page, known, item), metadata=metadata, tags=tags_of(metadata))


def picture_answer(thumbnails: Thumbnails, path: Path) -> Response:
    """Raises `NotFound`, and `BadImage` for a preview that is no picture."""
    found = preview_of(path, Folders())
    if found is None:
        raise NotFound("This file has no preview.")
    return _picture(thumbnails.of(found))


def door_answer(thumbnails: Thumbnails, known: Capabilities, filename: str) -> Response:
    """Raises `NotFound`, and `BadImage` for a preview that is no picture."""
    if filename.lower().endswith(EXTENSIONS):
        folders = Folders()
        for item in (item for page in PAGES for item in page.items(known)):
            # Asked of the files beside it alone: the lists may be long and lie in many folders.
            if filename.startswith(str(item.path.parent)):
                found = preview_of(item.path, folders)
                if found is not None and str(found) == filename:
                    return _picture(thumbnails.of(found))
    raise NotFound(f"{filename[-200:]!r} is not the preview of a listed file.")


def _picture(data: bytes) -> Response:
    headers = {"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff"}
    return Response(data, media_type="image/webp", headers=headers)


def change_notes(app: App, page: NetworkPage, known: Capabilities, body: CardNotes) -> Changed:
    """Raises `NotFound`, `Conflict` for notes that cannot be read, `SaveFailed`."""
    item = item_of(page, known, body.file)
    changes = body.changes()
    before = read_notes(item.path).get("sd version")
    if body.version is not None:
        # A word for "unknown" would hide from A1111 what the file itself tells.
        changes["sd version"] = body.version if body.version in VERSIONS else None
    after = save_notes(item.path, changes).get("sd version")
    job = _take_notice(app) if before != after else ""
    return Changed(card=card_of(app, page, known, item), job=job)


def _take_notice(app: App) -> str:
    """The engine refuses networks of another kind, so it has to know what was said about a file."""
    try:
        return app.submit_job("refresh", {"what": "loras"}).id
    except AtelierError as error:
        log.warning("engine not told of notes: %s", fields(reason=str(error)))
        return ""


def change_preview(app: App, page: NetworkPage, known: Capabilities, body: NewPreview) -> Changed:
    """Raises `NotFound`, `BadImage`, `SaveFailed`."""
    item = item_of(page, known, body.file)
    replace_preview(item.path, bytes(app.blobs.bytes(body.sha256)))
    return Changed(card=card_of(app, page, known, item))
