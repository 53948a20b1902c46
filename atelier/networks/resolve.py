"""Resolved: the tags of a prompt as files that exist and belong to the model's family."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from atelier.base.errors import AtelierError, NotFound
from atelier.checkpoints.network_files import NetworkFile, NetworkFiles
from atelier.networks.asked import Ask, ask_of
from atelier.prompts.tags import LORA_KINDS, NetworkTag

HYPERNET = "hypernet"
KINDS = (*LORA_KINDS, HYPERNET)


@dataclass(frozen=True)
class Wanted:
    """One network that is asked for. `stamp` changes with its file."""

    ask: Ask
    file: NetworkFile
    stamp: Hashable


@dataclass(frozen=True)
class Resolved:
    loras: tuple[Wanted, ...] = ()
    hypernetworks: tuple[Wanted, ...] = ()
    comments: tuple[str, ...] = ()

    @property
    def key(self) -> Hashable:
        """Equal for the same files, unchanged, asked for in the same way."""
        return tuple((wanted.ask, wanted.stamp) for wanted in (*self.loras, *self.hypernetworks))


def resolve(tags: Sequence[NetworkTag], hires: bool, files: NetworkFiles, family: str) -> Resolved:
    """Never raises: what cannot be used is told in a comment. Tags of other kinds are passed over.

    A tag with a weight that is no number takes all of its kind with it, as in A1111.
    """
    found: dict[str, list[Wanted]] = {"lora": [], HYPERNET: []}
    comments: list[str] = []
    for kind, kinds in (("lora", LORA_KINDS), (HYPERNET, (HYPERNET,))):
        try:
            asks = [ask_of(tag, hires) for tag in tags if tag.kind in kinds]
        except AtelierError as error:
            comments.append(f"No {kind} was used: {error}")
            continue
        for ask in asks:
            try:
                found[kind].append(_wanted(ask, files, family))
            except AtelierError as error:
                comments.append(f"<{kind}:{ask.name}> was left out: {error}")
    return Resolved(tuple(found["lora"]), tuple(found[HYPERNET]), tuple(comments))


def _wanted(ask: Ask, files: NetworkFiles, family: str) -> Wanted:
    file = files.find_hypernetwork(ask.name) if ask.kind == HYPERNET else files.find_lora(ask.name)
    if file.family and not _related(file.family, family):
        raise NotFound(
            f"it was made for models of the family {file.family}, and the model is of {family}.",
            remedy="Choose another checkpoint, or correct its version in the notes of the file.",
        )
    try:
        return Wanted(ask, file, file.stamp)
    except OSError as error:
        raise NotFound(f"its file is gone ({error.strerror}).") from error


def _related(one: str, other: str) -> bool:
    """Variants of a family begin with its name."""
    return one.startswith(other) or other.startswith(one)
