"""The queue and its worker, over a real database and an engine without a device."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from atelier.base.errors import BadRequest, Conflict, NotFound, NotReady, SaveFailed
from atelier.base.events import FINAL, PictureReady
from atelier.jobs.executor import URGENT
from atelier.jobs.job import Job
from tests.jobs.conftest import Bench


def job(prompt: str = "a cat", id: str = "", count: int = 1, steps: int = 3, **rest) -> Job:
    payload = {"prompt": {"positive": prompt}, "batch": {"count": count}, "sampling": {"steps": steps}}
    return Job("txt2img", payload, id, **rest)


def until(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "never happened"
        time.sleep(0.005)


def kinds(events) -> list[str]:
    return [event.kind for event in events]


def test_a_job_runs_and_its_record_and_events_are_kept(bench):
    b = bench()
    ticket = b.executor.submit(job(count=2))
    events = list(b.executor.watch(ticket.id))
    assert kinds(events)[0:2] == ["JobQueued", "JobStarted"] and kinds(events)[-1] == "JobFinished"
    assert kinds(events).count("PictureReady") == 2
    numbers = [event.seq for event in events]
    assert numbers == sorted(set(numbers))
    row = b.records.get(ticket.id)
    assert row.state == "done" and len(row.result["pictures"]) == 2 and row.attempts == 1
    assert b.executor.running == "" and b.executor.queued() == []


def test_jobs_run_in_order_and_urgent_ones_first(bench):
    b = bench()
    first = b.executor.submit(job("hold", "first"))
    assert b.held.wait(20)
    assert first.position == 0
    assert b.executor.submit(job(id="alice-1", client="alice")).position == 0
    assert b.executor.submit(job(id="bob-1", client="bob")).position == 1
    assert b.executor.submit(job(id="alice-2", client="alice")).position == 2
    assert b.executor.submit(Job("load_model", {"checkpoint": "x", "vae": ""}, "load", URGENT)).position == 0
    assert b.executor.queued() == ["load", "alice-1", "bob-1", "alice-2"]
    assert b.executor.reorder("alice-2", 1).position == 1
    assert b.executor.queued() == ["load", "alice-2", "alice-1", "bob-1"]
    assert b.executor.reorder("load", 99).position == 3
    assert b.executor.reorder("load", 0).position == 0
    b.gate.set()
    list(b.executor.watch("bob-1"))
    assert [j.id for j in b.seen] == ["first", "load", "alice-2", "alice-1", "bob-1"]
    with pytest.raises(Conflict):
        b.executor.reorder("first", 0)
    with pytest.raises(NotFound):
        b.executor.reorder("nobody", 0)


def test_an_id_is_taken_once(bench):
    b = bench()
    b.executor.submit(job(id="same"))
    with pytest.raises(Conflict):
        b.executor.submit(job(id="same"))


@pytest.mark.parametrize(
    ("mode", "state", "pictures"),
    [("stop", "stopped", 1), ("cancel", "cancelled", 0), ("finish", "done", 1), ("skip", "done", 2)],
)
def test_each_way_to_end_a_running_job(bench, mode, state, pictures):
    b = bench()
    ticket = b.executor.submit(job("hold", count=3))
    with b.bus.subscribe(ticket.id) as live:
        assert b.held.wait(20)
        assert b.executor.running_mode() is None
        b.executor.cancel(ticket.id, mode)
        assert b.executor.running_mode() == mode
        b.gate.set()
        heard = []
        while not heard or heard[-1].kind not in FINAL:
            heard.append(live.get(10))
    assert heard[-1].state == state
    assert sum(isinstance(event, PictureReady) for event in heard) == pictures
    assert b.records.get(ticket.id).state == state
    # the wish does not reach the next job
    after = b.executor.submit(job(count=2))
    assert list(b.executor.watch(after.id))[-1].pictures == 2


def test_a_waiting_job_is_just_cancelled(bench):
    b = bench()
    b.executor.submit(job("hold", "running"))
    assert b.held.wait(20)
    b.executor.submit(job(id="waiting"))
    b.executor.cancel("waiting", "skip")
    assert kinds(b.executor.watch("waiting")) == ["JobQueued", "JobFinished"]
    assert b.records.get("waiting").state == "cancelled"
    with pytest.raises(Conflict):
        b.executor.cancel("waiting")
    with pytest.raises(NotFound):
        b.executor.cancel("nobody")
    with pytest.raises(BadRequest):
        b.executor.cancel("running", "explode")
    b.gate.set()
    list(b.executor.watch("running"))
    assert [j.id for j in b.seen] == ["running"]


@pytest.mark.parametrize(
    ("word", "code"), [("fail", "bad_request"), ("oom", "out_of_memory"), ("bug", "internal"), ("exit", "internal")]
)  # fmt: skip
def test_a_failure_costs_one_job(bench, word, code):
    b = bench()
    failed = b.executor.submit(job(word))
    last = list(b.executor.watch(failed.id))[-1]
    assert last.kind == "JobFailed" and last.error["code"] == code and last.error["message"]
    assert b.records.get(failed.id).error["code"] == code
    after = b.executor.submit(job())
    assert list(b.executor.watch(after.id))[-1].state == "done"


def test_a_lost_device_keeps_the_queue_and_says_so(bench):
    b = bench()
    b.executor.submit(job("hold", "first"))
    assert b.held.wait(20)
    b.executor.submit(job("lost", "lost"))
    b.executor.submit(job(id="kept"))
    b.gate.set()
    assert list(b.executor.watch("lost"))[-1].kind == "JobFailed"
    assert b.executor.engine_state.name == "lost"
    with pytest.raises(NotReady):
        b.executor.submit(job())
    assert b.executor.queued() == ["kept"]


def test_an_engine_that_cannot_be_built_is_reported(bench):
    b = bench(start=False, build_fails=True)
    b.executor.start()
    assert b.executor.wait_ready(20) is False
    assert b.executor.engine_state.name == "failed" and "no device" in b.executor.engine_state.message
    assert b.executor.capabilities() is None
    with pytest.raises(NotReady):
        b.executor.submit(job())


def test_watching_again_continues_after_a_number(bench):
    b = bench()
    ticket = b.executor.submit(job(count=3))
    everything = list(b.executor.watch(ticket.id))
    pictures = [event for event in everything if isinstance(event, PictureReady)]
    again = list(b.executor.watch(ticket.id, after=pictures[0].seq))
    assert kinds(again) == ["PictureReady", "PictureReady", "JobFinished"]
    assert list(b.executor.watch(ticket.id, after=everything[-1].seq)) == []
    with pytest.raises(NotFound):
        b.executor.watch("nobody")


def test_late_and_early_watchers_hear_the_same_without_gap(bench):
    b = bench(step_seconds=0.002)
    ticket = b.executor.submit(job(count=20, steps=4))
    heard: dict[int, list] = {}

    def watch(n: int) -> None:
        time.sleep(n * 0.02)
        heard[n] = [e for e in b.executor.watch(ticket.id) if not e.droppable]

    threads = [threading.Thread(target=watch, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(heard[0]) == 20 + 4
    assert all(heard[n] == heard[0] for n in range(5))


def test_what_is_published_while_the_stored_events_are_read_is_heard(bench, monkeypatch):
    b = bench()
    b.executor.submit(job("hold", "late"))
    assert b.held.wait(20)
    read = b.records.events

    def slowly(id: str, after: int = 0):
        found = read(id, after)
        b.gate.set()
        until(lambda: b.executor.ended(id))
        return found

    monkeypatch.setattr(b.records, "events", slowly)
    assert kinds(e for e in b.executor.watch("late") if not e.droppable)[-2:] == ["PictureReady", "JobFinished"]


def test_a_lease_waits_for_the_job_and_goes_before_the_next(bench):
    b = bench()
    b.executor.submit(job("hold", "first"))
    assert b.held.wait(20)
    b.executor.submit(job(id="second"))
    with pytest.raises(NotReady):
        with b.executor.lease(timeout=0.05):
            raise AssertionError("the device was busy")
    order = []

    def use() -> None:
        with b.executor.lease(), b.executor.lease():
            order.append(("lease", [j.id for j in b.seen]))

    thread = threading.Thread(target=use)
    thread.start()
    until(lambda: b.executor._leases_waiting == 1)
    b.gate.set()
    thread.join(20)
    list(b.executor.watch("second"))
    assert order == [("lease", ["first"])]
    assert [j.id for j in b.seen] == ["first", "second"]


def test_a_pause_lets_the_queue_wait(bench):
    b = bench()
    b.executor.pause()
    b.executor.submit(job(id="one"))
    time.sleep(0.05)
    assert b.executor.paused and b.executor.running == "" and b.executor.queued() == ["one"]
    b.executor.resume()
    assert list(b.executor.watch("one"))[-1].state == "done"


def test_lists_are_asked_again_after_a_model_was_loaded(bench):
    b = bench()
    assert b.executor.capabilities().model.startswith("tiny")
    ticket = b.executor.submit(Job("load_model", {"checkpoint": "sub/other.safetensors", "vae": "Automatic"}))
    list(b.executor.watch(ticket.id))
    assert b.executor.capabilities().model == "sub/other.safetensors"


def test_stopping_keeps_the_queue_for_the_next_start(bench):
    b = bench()
    b.executor.submit(job("hold", "running", count=3))
    assert b.held.wait(20)
    b.executor.submit(job(id="waiting"))
    b.executor.submit(Job("memory", {}, "memory"))
    b.gate.set()
    b.executor.stop(20)
    assert b.records.get("running").state == "stopped"
    assert b.records.get("waiting").state == "queued"
    second = bench()
    assert list(second.executor.watch("waiting"))[-1].state == "done"
    assert second.records.get("memory").state == "cancelled"


KILLED = """
import sys
from pathlib import Path
from tests.jobs.conftest import Bench
from tests.jobs.test_local import job, until
b = Bench(Path(sys.argv[1])).start()
b.executor.pause()
b.executor.submit(job("dieafter once", "killer", count=3))
b.executor.submit(job(id="next"))
b.executor.resume()
until(lambda: False)
"""


def test_a_killed_process_comes_back_with_its_queue_and_pictures(bench, tmp_path: Path):
    """`kill -9` in the middle of a job, after its first picture."""
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, capture_output=True, timeout=60)
    assert ended.returncode in (-9, 9), ended.stderr.decode()

    b = bench(start=False)
    assert b.records.get("killer").state == "running"
    finished = [event for event in b.records.events("killer") if isinstance(event, PictureReady)]
    assert len(finished) == 1
    assert b.executor._worker.state.name == "starting"
    image = b.executor._worker._config.blobs.image(finished[0].sha256)
    assert image.size == (64, 64)

    b.executor.pause()
    b.start()
    assert b.executor.queued() == ["killer", "next"]
    b.end()

    # Begun a second time it kills the process again; after that it is taken for the cause.
    again = KILLED.replace('b.executor.submit(job("dieafter once", "killer", count=3))', "").replace(
        'b.executor.submit(job(id="next"))', ""
    )
    assert subprocess.run([sys.executable, "-c", again, str(tmp_path)], cwd=root, timeout=60).returncode in (-9, 9)
    third = Bench(tmp_path)
    third.start()
    try:
        assert third.records.get("killer").state == "failed"
        assert list(third.executor.watch("killer"))[-1].kind == "JobFailed"
        assert len([e for e in third.records.events("killer") if isinstance(e, PictureReady)]) == 2
        assert list(third.executor.watch("next"))[-1].state == "done"
    finally:
        third.end()


def test_an_end_that_cannot_be_written_still_reaches_who_waits(bench, monkeypatch):
    b = bench()
    real = b.records.set_state

    def full(id, state, **rest):
        if state == "done":
            raise SaveFailed("The disk is full.")
        return real(id, state, **rest)

    monkeypatch.setattr(b.records, "set_state", full)
    ticket = b.executor.submit(job())
    events = list(b.executor.watch(ticket.id))
    assert kinds(events)[-2:] == ["Notice", "JobFinished"]
    assert b.executor.ended(ticket.id)
    assert b.executor.row(ticket.id).state == "done" and b.executor.row(ticket.id).result["pictures"]
