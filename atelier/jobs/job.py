"""Job: one piece of work for a device, as plain data."""

from __future__ import annotations

import secrets
import string
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class JobState(str, Enum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)


def new_id(kind: str) -> str:
    """A1111's form of a task id without its brackets, which do not belong into a URL: `txt2img-4F7K2QX`."""
    letters = string.ascii_uppercase + string.digits
    return f"{kind}-" + "".join(secrets.choice(letters) for _ in range(7))


@dataclass(frozen=True)
class Job:
    """`payload` is plain JSON; for txt2img and img2img it is the nested form of a `GenerationRequest`.

    A higher `priority` runs earlier. `client` says who asked, for limits and lists.
    """

    kind: str
    payload: dict[str, Any]
    id: str = ""
    priority: int = 0
    client: str = ""
    created: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", new_id(self.kind))


@dataclass(frozen=True)
class Ticket:
    """What submitting gives back: the id, and the place in the queue (0 = next)."""

    id: str
    position: int
