"""Who waits for a job is told, early or late."""

from __future__ import annotations

from atelier.base.events import EngineChanged, EventBus, JobFailed, JobFinished, JobQueued, JobStarted
from atelier.jobs.endings import Endings


def test_told_once_while_waiting_and_never_after():
    bus, endings, told = EventBus(), Endings(), []
    bus.listen(endings.heard)
    with endings.telling("a", lambda: told.append("a")) as already, endings.telling("b", lambda: told.append("b")):
        assert not already
        bus.publish(JobStarted(job="a"))
        bus.publish(JobFinished(job="a"))
        assert told == ["a"]
    bus.publish(JobFailed(job="b"))
    assert told == ["a"]


def test_who_comes_late_learns_it_at_once():
    bus, endings = EventBus(), Endings()
    bus.listen(endings.heard)
    bus.publish(JobFinished(job="a"))
    with endings.telling("a", lambda: None) as already:
        assert already
    bus.publish(JobQueued(job="a"))
    with endings.telling("a", lambda: None) as already:
        assert not already


def test_an_engine_that_fails_wakes_everybody():
    bus, endings, told = EventBus(), Endings(), []
    bus.listen(endings.heard)
    with endings.telling("a", lambda: told.append("a")), endings.telling("b", lambda: told.append("b")):
        bus.publish(EngineChanged(state="ready"))
        assert not told
        bus.publish(EngineChanged(state="failed"))
    assert told == ["a", "b"]
