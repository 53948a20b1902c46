"""NetworkPage: a kind of network or model that has cards, and the files of that kind as the engine lists them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from atelier.base.errors import NotFound
from atelier.base.notes import FORBIDDEN, stem_of
from atelier.params.capabilities import Capabilities

_FAMILIES = MappingProxyType({"sd1": "SD 1", "sd2": "SD 2", "sdxl": "SDXL", "sd3": "SD 3", "flux": "Flux"})


@dataclass(frozen=True)
class Item:
    """One file. `unfit` says why the loaded model cannot use it; `written` are the names that a prompt may have."""

    name: str
    path: Path
    title: str = ""
    alias: str = ""
    family: str = ""
    trigger: str = ""
    hash: str = ""
    unfit: str = ""
    loaded: bool = False
    written: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class NetworkPage:
    """`name` is A1111's, `folders` the kind of `Paths.folders`, `tag` what its files are called by in a prompt."""

    name: str
    title: str
    folders: str
    items: Callable[[Capabilities], tuple[Item, ...]]
    tag: str = ""


def _embeddings(known: Capabilities) -> tuple[Item, ...]:
    return tuple(
        Item(e.name, Path(e.filename), hash=e.hash, unfit=e.reason, written=(e.name,))
        for e in known.embeddings
        if e.filename
    )


def _hypernetworks(known: Capabilities) -> tuple[Item, ...]:
    return _spelled([Item(h.name, Path(h.filename)) for h in known.hypernetworks])


def _checkpoints(known: Capabilities) -> tuple[Item, ...]:
    return tuple(
        Item(stem_of(Path(m.filename)), Path(m.filename), m.title, hash=m.hash, loaded=m.title == known.model)
        for m in known.models
    )


def _loras(known: Capabilities) -> tuple[Item, ...]:
    return _spelled([
        Item(
            n.name, Path(n.filename), alias=n.alias, family=n.family, trigger=n.trigger, metadata=n.metadata,
            hash=str(n.metadata.get("sshs_model_hash") or "")[:12],
        )
        for n in known.loras
    ])  # fmt: skip


#: in the order of A1111's tabs
PAGES = (
    NetworkPage("textual_inversion", "Textual Inversion", "embedding", _embeddings),
    NetworkPage("hypernetworks", "Hypernetworks", "hypernetwork", _hypernetworks, "hypernet"),
    NetworkPage("checkpoints", "Checkpoints", "checkpoint", _checkpoints),
    NetworkPage("lora", "Lora", "lora", _loras, "lora"),
)


def page_of(name: str) -> NetworkPage:
    """By A1111's name, in which spaces and underscores mean the same. Raises `NotFound`."""
    wanted = name.strip().lower().replace(" ", "_")
    found = next((page for page in PAGES if page.name == wanted), None)
    if found is None:
        raise NotFound(f"There is no page {name[:100]!r}.", remedy=f"Use {', '.join(page.name for page in PAGES)}.")
    return found


def pages_in_order(told: str) -> tuple[NetworkPage, ...]:
    """Those that a person named first, separated by commas; the others after them."""
    wanted = [name.strip().lower().replace(" ", "_") for name in told.split(",")]
    return tuple(sorted(PAGES, key=lambda page: wanted.index(page.name) if page.name in wanted else len(wanted)))


def item_of(page: NetworkPage, known: Capabilities, file: str) -> Item:
    """The listed file of this path; no other file is ever touched. Raises `NotFound`."""
    found = next((item for item in page.items(known) if str(item.path) == file), None)
    if found is None:
        raise NotFound(f"{file[-200:]!r} is not on the page {page.title}.", remedy="Look through the folders again.")
    return found


def family_title(family: str) -> str:
    return _FAMILIES.get(family, family)


def unfit(family: str, model: str) -> str:
    """Why a file of one family cannot be used with a model of another; variants of a family begin with its name."""
    if not family or not model or family.startswith(model) or model.startswith(family):
        return ""
    return f"Made for {family_title(family)}; the loaded model is {family_title(model)}."


def _spelled(items: Sequence[Item]) -> tuple[Item, ...]:
    """The items with the names that a prompt may give them: file name or end of the path, then the alias."""
    same: dict[str, list[Item]] = {}
    for item in items:
        same.setdefault(item.name, []).append(item)
    aliases = Counter(item.alias for item in items)

    def written(item: Item) -> tuple[str, ...]:
        own = _shortest(item, same[item.name])
        alone = aliases[item.alias] == 1 and item.alias not in same and item.alias.lower() not in FORBIDDEN
        return (own, item.alias) if item.alias and alone else (own,)

    return tuple(replace(item, written=written(item)) for item in items)


def _shortest(item: Item, same: Sequence[Item]) -> str:
    """A plain name means the first file of that name; the others are told by the end of their path."""
    if same[0] is item:
        return item.name
    parts = item.path.with_suffix("").parts
    for count in range(2, len(parts) + 1):
        end = "/".join(parts[-count:])
        if next(s for s in same if f"/{s.path.with_suffix('').as_posix()}".endswith(f"/{end}")) is item:
            return end
    return item.path.as_posix()
