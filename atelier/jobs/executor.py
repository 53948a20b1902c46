"""Executor: how the rest of the program gets work done on a device, wherever that device is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from atelier.base.cancel import CancelToken
from atelier.base.events import Event
from atelier.base.paths import Paths
from atelier.jobs.job import Job, Ticket
from atelier.store.jobs import JobRow

#: how a person may end a job; see `CancelToken`
CANCEL_MODES = ("stop", "skip", "cancel", "finish")
#: jobs that make pictures
GENERATION = ("txt2img", "img2img")
#: jobs that leave what the engine can do as it is; any other kind may change it
STEADY = (*GENERATION, "extras", "interrogate")
#: jobs that only make sense for the one who waits for them, and are forgotten when the program ends
PASSING = ("memory", "refresh", "unload_model", "interrogate", "merge_metadata")
#: of jobs that a person waits for and that are short: they run before any generation that waits
URGENT = 100


@dataclass(frozen=True)
class EngineConfig:
    """Everything an engine is built from. Only plain data and the doors through which it reports.

    `arguments` are the command line's by destination name. `watched(job)` says whether a preview would be seen;
    `picture_saved(run, picture)` is told of each picture on disk. `notes` keeps what long jobs write down.
    """

    paths: Paths
    arguments: Mapping[str, Any]
    plugins: Any
    blobs: Any
    publish: Callable[[Event], Any]
    watched: Callable[[str], bool]
    picture_saved: Callable[..., Any]
    notes: Any = None


class Engine(Protocol):
    """What a worker drives; built by a function `build(config: EngineConfig) -> Engine` that is known by name."""

    def capabilities(self) -> Any:
        """A `Capabilities`: what can be chosen now."""

    def run(self, job: Job, token: CancelToken, publish: Callable[[Event], Any], settings: Any) -> dict[str, Any]:
        """The job's result as plain JSON. Its `state` is done, stopped or cancelled. Raises `AtelierError`."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class EngineState:
    """`name` is starting, ready, failed, lost or closed; `message` says why, for people."""

    name: str = "starting"
    message: str = ""

    @property
    def dead(self) -> bool:
        return self.name in ("failed", "lost", "closed")


class Executor(Protocol):
    def start(self) -> None:
        """Takes up the queue that was saved, and begins to build the engine. Returns at once."""

    def submit(self, job: Job) -> Ticket:
        """Raises `Conflict` when the id is taken, `NotReady` when no engine will ever take the job."""

    def cancel(self, id: str, mode: str = "stop") -> None:
        """A queued job is taken out of the queue whatever the mode. Raises `NotFound`, `Conflict`, `BadRequest`."""

    def watch(self, id: str, after: int = 0) -> Iterator[Event]:
        """Stored events numbered above `after`, then live ones, without gap or duplicate; ends with the job."""

    def lease(self, timeout: float | None = None) -> AbstractContextManager[None]:
        """Exclusive use of the device for code outside of a job. May be taken again by the thread that holds it."""

    def capabilities(self) -> Any:
        """The last `Capabilities` that the engine gave, or None."""

    @property
    def engine_state(self) -> EngineState: ...

    @property
    def running(self) -> str:
        """The id of the running job, or empty."""

    def running_mode(self) -> str | None:
        """The mode in which the running job was asked to end: stop, skip, cancel, finish or None."""

    def row(self, id: str) -> JobRow:
        """The job's record, its result included. Raises `NotFound`."""

    def ended(self, id: str) -> bool:
        """True when no further event of a job will come from this process."""

    def queued(self) -> list[str]:
        """The ids of waiting jobs, next first."""

    def wait_ready(self, timeout: float | None = None) -> bool: ...

    def pause(self) -> None:
        """No further job is begun until `resume`; the running one goes on."""

    def resume(self) -> None: ...

    @property
    def paused(self) -> bool: ...

    def reorder(self, id: str, position: int) -> Ticket:
        """Moves a waiting job to a place in the queue (0 = next)."""

    def stop(self, timeout: float = 30.0) -> None:
        """Asks the running job to stop and waits for it; the queue stays saved."""
