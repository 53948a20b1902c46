"""Work: a job that is no run of the recipe: what it is asked, and how it tells of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from atelier.base.cancel import CancelToken
from atelier.base.events import Event, Notice, StageChanged, StepDone
from atelier.params.settings import SettingsSnapshot
from atelier.pipeline.services import Services

#: progress is told in so many steps
STEPS = 1000


@dataclass(frozen=True)
class Work:
    """One job. `payload` is plain JSON."""

    payload: Mapping[str, Any]
    services: Services
    settings: SettingsSnapshot
    token: CancelToken
    publish: Callable[[Event], Any]
    job: str = ""

    def stage(self, text: str) -> None:
        """What is done now, in words."""
        self.publish(StageChanged(job=self.job, stage=text))

    def done(self, part: int, whole: int) -> None:
        """Tells how far the work is. Raises `Interrupted` when a person asked for its end."""
        self.token.check()
        self.publish(StepDone(job=self.job, step=part * STEPS // max(whole, 1), steps=STEPS))

    def notice(self, message: str) -> None:
        self.publish(Notice(job=self.job, message=message))
