"""Progress from events: fractions, time left, previews, and who counts as watching."""

from __future__ import annotations

from atelier.base.events import (
    EventBus,
    JobFailed,
    JobFinished,
    JobQueued,
    JobStarted,
    PictureReady,
    PreviewReady,
    StageChanged,
    StepDone,
)
from atelier.jobs.progress import ALMOST, ProgressBook


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def heard(book: ProgressBook, event, time: float) -> None:
    book.heard(type(event)(**{**{n: getattr(event, n) for n in event.__dataclass_fields__}, "time": time}))


def test_a_job_from_queue_to_end():
    clock = Clock()
    book = ProgressBook(clock)
    heard(book, JobQueued(job="a"), 1000)
    assert book.get("a").state == "queued" and book.running() is None
    heard(book, JobStarted(job="a"), 1001)
    heard(book, StageChanged(job="a", stage="sampling"), 1001)
    for step in range(1, 6):
        heard(book, StepDone(job="a", step=step, steps=10), 1010 + step * 2)
    clock.now = 1020.0
    p = book.running()
    assert (p.job, p.state, p.stage, p.fraction, p.elapsed) == ("a", "running", "sampling", 0.5, 19.0)
    assert p.seconds_left == 10.0
    clock.now = 1021.0
    assert book.running().seconds_left == 9.0
    heard(book, PreviewReady(job="a", data="QQ=="), 1021)
    assert (book.get("a").preview, book.get("a").preview_id) == ("QQ==", 1)
    heard(book, StepDone(job="a", step=10, steps=10), 1030)
    assert book.get("a").fraction == ALMOST
    heard(book, PictureReady(job="a"), 1031)
    heard(book, JobFinished(job="a"), 1032)
    p = book.get("a")
    assert (p.state, p.fraction, p.pictures, p.elapsed, p.preview) == ("done", 1.0, 1, 31.0, "")
    assert p.final and book.running() is None and book.ended() == ["a"]


def test_a_failure_and_an_unknown_job():
    book = ProgressBook(Clock())
    heard(book, JobStarted(job="a"), 1000)
    heard(book, JobFailed(job="a", error={"message": "no room"}), 1001)
    assert book.get("a").state == "failed" and book.get("a").error == "no room"
    assert book.get("b") is None


def test_a_longer_second_pass_never_moves_the_bar_back():
    book = ProgressBook(Clock())
    heard(book, JobStarted(job="a"), 1000)
    heard(book, StepDone(job="a", step=5, steps=10), 1001)
    heard(book, StepDone(job="a", step=6, steps=20), 1002)
    assert book.get("a").fraction == 0.5


def test_asking_counts_as_watching_for_a_while():
    clock = Clock()
    book = ProgressBook(clock)
    bus = EventBus()
    bus.listen(book.heard)
    bus.publish(JobStarted(job="a"))
    book.get("a")
    assert not bus.watched("a") and not book.asked("a")
    book.get("a", watching=True)
    assert book.asked("a")
    clock.now += 60
    assert not book.asked("a")


def test_only_the_last_jobs_are_remembered():
    book = ProgressBook(Clock())
    for n in range(100):
        heard(book, JobQueued(job=f"job{n}"), 1000 + n)
    assert book.get("job0") is None and book.get("job99") is not None
