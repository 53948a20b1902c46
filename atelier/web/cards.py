"""Card: what the page shows of one network or model: its texts for prompts, what its user wrote, its preview."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, Field

from atelier.app import App
from atelier.base.errors import Conflict
from atelier.base.log import fields, logger
from atelier.base.notes import VERSIONS, read_notes, stem_of
from atelier.params.capabilities import Capabilities
from atelier.web.network_pages import Item, NetworkPage, family_title, unfit
from atelier.web.previews import Folders, preview_of

log = logger(__name__)

PREFIX = "/atelier/v1/page/networks"
_PICKLES = (".ckpt", ".pt", ".pth", ".bin")
_PICKLED = 'A pickle file; Settings have to say "Load .ckpt and other pickle files" before it is read.'
#: bytes of a text beside a file that are read as its description
_LONGEST = 20_000
#: a header longer than this is damage
_LARGEST_HEADER = 100_000_000


class Card(BaseModel):
    name: str = Field(description="Name of the file, without extension.")
    file: str = Field(description="The file; what other routes know the card by.")
    folder: str = Field(description="Its folder below the folder of its kind; empty at the top.")
    title: str = Field("", description="Title of a checkpoint, as sd_model_checkpoint takes it.")
    text: str = Field("", description="What the card puts into the prompt; empty where no prompt can name the file.")
    negative: str = Field("", description="What it puts into the negative prompt beside that.")
    names: list[str] = Field([], description="Names by which a prompt may mean this file.")
    description: str = Field("", description="The user's description, or the text beside the file.")
    notes: str = Field("", description="The user's notes.")
    family: str = Field("", description="Kind of models that it was made for; empty when the file does not tell.")
    version: str = Field("", description="The user's word for that kind.")
    activation: str = Field("", description="The user's words that go into the prompt with it.")
    trigger: str = Field("", description="Words that its author or its training names.")
    weight: float = Field(0.0, description="Preferred weight; 0 is the setting's.")
    size: int = Field(0, description="Bytes; 0 for a folder, or when the file is gone.")
    created: float = Field(0.0, description="Seconds since 1970.")
    modified: float = Field(0.0, description="Seconds since 1970.")
    hash: str = Field("", description="First digits of its hash, where that is known.")
    preview: str = Field("", description="Address of its small preview, relative to the page; empty without one.")
    reason: str = Field("", description="Why the loaded model cannot use it.")
    problem: str = Field("", description="What is wrong with it or with the files beside it.")
    loaded: bool = Field(False, description="It is the checkpoint in use.")


class Cards(BaseModel):
    cards: list[Card] = Field(description="All files of the page.")
    family: str = Field("", description="Kind of the loaded model.")
    model: str = Field("", description="Title of the loaded model; empty while none is.")


def cards_of(app: App, page: NetworkPage, known: Capabilities) -> Cards:
    """Every card of a page. A file that is gone or damaged costs nothing but its own facts."""
    desk = _Desk(app, page, known)
    cards = [desk.card(item) for item in page.items(known) if _is_text(item.path)]
    return Cards(cards=cards, family=known.family, model=known.model)


def card_of(app: App, page: NetworkPage, known: Capabilities, item: Item) -> Card:
    return _Desk(app, page, known).card(item)


class _Desk:
    """What all cards of one answer share."""

    def __init__(self, app: App, page: NetworkPage, known: Capabilities) -> None:
        self.page = page
        self.known = known
        self.roots = [str(root) for root in app.paths.folders(page.folders)]
        self.multiplier = float(app.settings.get("extra_networks_default_multiplier"))
        self.by_alias = app.settings.get("lora_preferred_name") == "Alias from file"
        self.unwritable = ":>\n#" if app.settings.get("enable_prompt_comments") else ":>\n"
        self.pickles = bool(app.settings.get("allow_pickle"))
        self.folders = Folders()

    def card(self, item: Item) -> Card:
        notes, problem = self._notes(item)
        version = _text(notes, "sd version")
        family = VERSIONS.get(version, item.family)
        weight = _number(notes.get("preferred weight"))
        activation = _text(notes, "activation text")
        text, unnamed = self._text(item, weight, activation)
        stat = _stat(item.path)
        created = getattr(stat, "st_birthtime", stat.st_ctime) if stat is not None else 0.0
        return Card(
            name=item.name, file=str(item.path), folder=self._folder(item.path), title=item.title, text=text,
            negative=_text(notes, "negative text"), names=list(item.written),
            description=_text(notes, "description") or self._description(item.path), notes=_text(notes, "notes"),
            family=family_title(family), version=version, activation=activation, trigger=item.trigger, weight=weight,
            size=stat.st_size if stat is not None and not item.path.is_dir() else 0, created=created,
            modified=stat.st_mtime if stat is not None else 0.0, hash=item.hash, preview=self._preview(item.path),
            reason=item.unfit or unfit(family, self.known.family) or self._pickled(item.path),
            problem=unnamed or problem, loaded=item.loaded,
        )  # fmt: skip

    def _pickled(self, path: Path) -> str:
        return _PICKLED if not self.pickles and path.suffix.lower() in _PICKLES else ""

    def _notes(self, item: Item) -> tuple[Mapping[str, Any], str]:
        if self.folders.find(item.path.parent, f"{stem_of(item.path)}.json") is None:
            return {}, ""
        try:
            return read_notes(item.path), ""
        except Conflict as error:
            log.warning("notes not read: %s", fields(file=str(item.path), reason=error.message))
            return {}, str(error)

    def _text(self, item: Item, weight: float, activation: str) -> tuple[str, str]:
        """(what goes into the prompt, why nothing can)."""
        if not self.page.tag:
            return (item.name if self.page.name == "textual_inversion" else ""), ""
        names = item.written[::-1] if self.by_alias and len(item.written) > 1 else item.written
        name = next((name for name in names if not self._unwritable(name)), None)
        if name is None:
            return "", f"A prompt cannot name it: there is {self._unwritable(names[0])!r} in its name. Rename the file."
        tag = f"<{self.page.tag}:{name}:{weight or self.multiplier:g}>"
        return f"{tag} {activation}".strip(), ""

    def _unwritable(self, name: str) -> str:
        """The sign that would end the name in a tag, or make it an option."""
        found = next((sign for sign in self.unwritable if sign in name), "")
        return found or ("=" if name.count("=") == 1 else "")

    def _folder(self, path: Path) -> str:
        """Below the first folder of its kind that it lies in; links are not followed, as the lists do not."""
        parent = str(path.parent)
        for root in self.roots:
            if parent == root:
                return ""
            if parent.startswith(root + os.sep):
                return parent[len(root) + 1 :].replace(os.sep, "/")
        return ""

    def _description(self, path: Path) -> str:
        for name in (f"{stem_of(path)}.txt", f"{stem_of(path)}.description.txt"):
            found = self.folders.find(path.parent, name)
            if found is None or found == path:
                continue
            try:
                with open(found, "rb") as file:
                    return file.read(_LONGEST).decode("utf-8-sig", errors="replace").strip()
            except OSError as error:
                log.warning("description not read: %s", fields(file=str(found), reason=str(error)))
        return ""

    def _preview(self, path: Path) -> str:
        found = preview_of(path, self.folders)
        stat = _stat(found) if found is not None else None
        if stat is None:
            return ""
        query = urlencode({"file": str(path), "changed": stat.st_mtime_ns // 1_000_000})
        return f"{PREFIX[1:]}/{self.page.name}/preview?{query}"


def _is_text(path: Path) -> bool:
    """A name whose bytes are no text cannot be sent, nor be written in a prompt."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        log.warning("file has no card, its name is not UTF-8: %s", fields(file=ascii(str(path))))
        return False
    return True


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        # Gone since the folders were looked through: the card stays until they are looked through again.
        return None


def _text(notes: Mapping[str, Any], key: str) -> str:
    value = notes.get(key)
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float:
    """What other programs wrote may be a text, or no number at all."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if math.isfinite(number) else 0.0


def metadata_of(item: Item) -> dict[str, Any]:
    """What the trainer left in the file: as the engine read it, else from the header of a safetensors file."""
    if item.metadata:
        return dict(item.metadata)
    if item.path.suffix.lower() != ".safetensors" or not item.path.is_file():
        return {}
    try:
        with open(item.path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if 0 < length <= _LARGEST_HEADER else {}
    except (OSError, ValueError, RecursionError) as error:
        log.warning("metadata not read: %s", fields(file=str(item.path), reason=str(error)))
        return {}
    told = header.get("__metadata__") if isinstance(header, dict) else None
    return {str(key): _parsed(value) for key, value in told.items()} if isinstance(told, dict) else {}


def _parsed(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith("{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        # A text that merely begins with a brace.
        return value


def tags_of(metadata: Mapping[str, Any], most: int = 200) -> dict[str, int]:
    """How often the trainer saw each tag, the most frequent first."""
    folders = metadata.get("ss_tag_frequency")
    counts: dict[str, int] = {}
    for tags in folders.values() if isinstance(folders, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if isinstance(count, int) and str(tag).strip():
                counts[str(tag).strip()] = counts.get(str(tag).strip(), 0) + count
    return dict(sorted(counts.items(), key=lambda pair: -pair[1])[:most])
