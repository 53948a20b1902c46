"""Job records: order, states, events, and coming back after a crash."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict

import pytest

from atelier.base.errors import BadRequest, Conflict, NotFound
from atelier.base.events import EVENTS, EventBus, JobFinished, JobQueued, Notice, PictureReady, StepDone
from atelier.store.database import Database
from atelier.store.jobs import STATES, JobRecords


@pytest.fixture
def database(tmp_path):
    return Database(tmp_path / "a.sqlite")


@pytest.fixture
def records(database):
    return JobRecords(database)


def add(records, *ids, **options):
    for id in ids:
        records.insert(id, "txt2img", {"prompt": id}, **options)


def order(records):
    return [job.id for job in records.queued()]


def test_a_row_comes_back_as_it_went_in(records):
    payload = {"prompt": "grün 猫 \ud83d", "steps": 20, "nested": {"a": [1, None, True]}}
    row = records.insert("j1", "img2img", payload, priority=3, client="tab-1")
    assert row == records.get("j1")
    assert row.payload == {**payload, "prompt": "grün 猫 ?"}
    assert (row.kind, row.priority, row.client, row.state, row.attempts) == ("img2img", 3, "tab-1", "queued", 0)
    assert abs(row.created - time.time()) < 60 and row.started is None and not row.final


def test_wrong_rows_are_refused(records):
    add(records, "a")
    with pytest.raises(Conflict):
        records.insert("a", "x", {})
    with pytest.raises(BadRequest):
        records.insert("b", "x", {"f": object()})
    with pytest.raises(BadRequest):
        records.insert("b", "x", {}, state="sleeping")
    with pytest.raises(NotFound):
        records.get("b")
    assert records.find("b") is None and records.count() == 1


def test_life_of_a_job(records):
    add(records, "a")
    running = records.set_state("a", "running", expected=("queued",))
    assert running.started and running.attempts == 1 and running.finished is None
    with pytest.raises(Conflict) as caught:
        records.set_state("a", "cancelled", expected=("queued",))
    assert caught.value.fields["state"] == "running"
    with pytest.raises(Conflict):
        records.delete("a")
    done = records.set_state("a", "done", result={"pictures": 4})
    assert done.final and done.result == {"pictures": 4} and done.started == running.started
    assert done.finished >= done.started
    records.delete("a")
    with pytest.raises(NotFound):
        records.delete("a")
    for state in STATES:
        with pytest.raises(NotFound):
            records.set_state("a", state)


def test_failure_keeps_its_reason(records):
    add(records, "a")
    error = Conflict("no", remedy="yes", x=1).to_json()
    assert records.set_state("a", "failed", error=error).error == error


def test_turns_go_by_priority_then_arrival(records):
    add(records, "a", "b")
    add(records, "c", priority=5)
    assert order(records) == ["c", "a", "b"]
    assert [records.ahead_of(i) for i in "cab"] == [0, 1, 2] and records.ahead_of("none") == 0
    assert records.claim_next().id == "c" and records.claim_next().id == "a"
    assert records.next_queued().id == "b" and records.next_queued(["train"]) is None
    records.insert("t", "train", {})
    assert records.claim_next(["train"]).id == "t"
    assert records.claim_next().id == "b" and records.claim_next() is None


def test_no_job_is_claimed_twice(records):
    add(records, *(f"j{i}" for i in range(40)))
    claimed, lock = [], threading.Lock()

    def work():
        while (job := records.claim_next()) is not None:
            with lock:
                claimed.append(job.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(f"j{i}" for i in range(40))


def test_reorder(records):
    add(records, *"abcd")
    add(records, "p", priority=2)
    assert order(records) == ["p", "a", "b", "c", "d"]
    records.reorder("d", before="b")
    assert order(records) == ["p", "a", "d", "b", "c"]
    assert records.reorder("c", to_front=True).priority == 2
    assert order(records) == ["c", "p", "a", "d", "b"]
    records.reorder("c")
    assert order(records) == ["p", "a", "d", "b", "c"]
    records.reorder("p", before="c")
    assert order(records) == ["a", "d", "b", "p", "c"]
    records.reorder("a", before="a")
    assert order(records) == ["a", "d", "b", "p", "c"]
    add(records, "e")
    assert order(records)[-1] == "e"


def test_reorder_and_change_only_what_waits(records):
    add(records, *"ab")
    records.claim_next()
    for change in (
        lambda: records.reorder("a", to_front=True), lambda: records.reorder("b", before="a"),
        lambda: records.set_payload("a", {}), lambda: records.set_priority("a", 1),
    ):  # fmt: skip
        with pytest.raises(Conflict):
            change()
    with pytest.raises(NotFound):
        records.reorder("b", before="z")
    assert records.set_payload("b", {"prompt": "new"}).payload == {"prompt": "new"}
    assert records.set_priority("b", 9).priority == 9
    assert records.reorder("b", to_front=True).id == "b"


def test_a_paused_job_waits_but_has_no_turn(records):
    add(records, *"ab")
    records.set_state("a", "paused", expected=("queued",))
    assert order(records) == ["b"]
    records.set_state("a", "queued")
    assert order(records) == ["a", "b"]


def test_list_filters_and_pages(records):
    add(records, *"abc", client="one")
    records.insert("d", "train", {}, client="two")
    records.set_state("b", "running")
    assert [j.id for j in records.list()] == ["d", "c", "b", "a"]
    assert [j.id for j in records.list(oldest_first=True)] == ["a", "b", "c", "d"]
    assert [j.id for j in records.list(states=["queued"], client="one")] == ["c", "a"]
    assert [j.id for j in records.list(kind="train")] == ["d"]
    assert [j.id for j in records.list(limit=2, offset=1)] == ["c", "b"]
    assert records.list(states=[]) == [] and records.count(states=["queued"]) == 3
    with pytest.raises(BadRequest):
        records.list(offset=2**70)


def test_events_come_back_typed_and_after_a_number(records):
    add(records, "a")
    bus = EventBus(record=records.append_event)
    bus.publish(JobQueued("a"))
    bus.publish(StepDone("a", step=1, steps=2))
    bus.publish(PictureReady("a", sha256="ab", infotext="p\nSteps: 1", seed=2**40))
    bus.publish(Notice(message="of no job"))
    bus.publish(JobFinished("a", pictures=1))
    events = records.events("a")
    assert [e.kind for e in events] == ["JobQueued", "PictureReady", "JobFinished"]
    assert [e.seq for e in events] == [1, 3, 4] and records.last_seq("a") == 4
    assert events[1].seed == 2**40 and events[1].infotext == "p\nSteps: 1"
    assert records.events("a", after=3) == events[2:]
    assert records.events("none") == [] and records.last_seq("none") == 0
    records.append_event(events[0])
    assert records.events("a") == events


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_every_kind_of_event_survives(records, kind):
    event = EVENTS[kind](job="a", seq=1, time=5.0)
    records.append_event(event)
    back = records.events("a")[0]
    assert type(back) is type(event)
    assert {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(event).items()} == asdict(back)


def test_unknown_events_are_left_out(database, records):
    database.execute("INSERT INTO events VALUES ('a', 1, 'FromTheFuture', '{\"kind\": \"FromTheFuture\"}')")
    database.execute("INSERT INTO events VALUES ('a', 2, 'Notice', '{\"kind\": \"Notice\", \"mood\": 1}')")
    database.execute("INSERT INTO events VALUES ('a', 3, 'Notice', '{\"kind\": \"Notice\"}')")
    assert len(records.events("a")) == 1


def test_recover_puts_the_running_back_in_front(database, tmp_path):
    records = JobRecords(database)
    add(records, *"abc")
    records.claim_next()
    records.claim_next()
    bus = EventBus(record=records.append_event)
    bus.publish(PictureReady("a", sha256="11"))
    again = JobRecords(Database(database.path))
    assert [j.id for j in again.recover()] == ["a", "b"]
    assert [j.id for j in again.queued()] == ["a", "b", "c"]
    assert [e.sha256 for e in again.events("a")] == ["11"]
    later = EventBus(record=again.append_event)
    later.resume("a", again.last_seq("a"))
    assert later.publish(PictureReady("a", sha256="22")).seq == 2
    assert again.recover() == []


def test_a_job_that_always_kills_the_program_is_given_up(records):
    add(records, *"ab")
    for _ in range(3):
        assert records.claim_next().id == "a"
        rows = records.recover()
    assert [r.state for r in rows] == ["failed"] and rows[0].error["code"] == "conflict"
    last = records.events("a")[-1]
    assert last.kind == "JobFailed" and last.error == rows[0].error
    assert records.claim_next().id == "b"


def test_recover_respects_reordering_and_priority(records):
    add(records, *"ab")
    add(records, "p", priority=1)
    records.set_state("b", "running")
    records.recover()
    assert order(records) == ["p", "b", "a"]


def test_delete_and_prune_take_the_events_along(database, records):
    add(records, *"abcd")
    for id in "abc":
        records.append_event(JobFinished(id, 1))
        records.set_state(id, "done")
    records.delete("a")
    assert records.prune(older_than=3600, keep=0) == 0
    assert records.prune(older_than=-1, keep=1) == 1
    assert records.prune(older_than=-1, keep=0) == 1
    assert [j.id for j in records.list()] == ["d"]
    assert database.query("SELECT * FROM events") == []


def test_long_queues_stay_quick(records, database):
    with database.transaction():
        add(records, *(f"j{i}" for i in range(2000)))
    records.reorder("j1999", to_front=True)
    assert records.next_queued().id == "j1999" and records.ahead_of("j1998") == 1999
