"""The bus: numbers, order, full queues, listeners."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from atelier.base.events import (
    EVENTS,
    EngineChanged,
    EventBus,
    JobFailed,
    JobFinished,
    JobQueued,
    JobStarted,
    Notice,
    PictureReady,
    PreviewReady,
    SettingsChanged,
    StageChanged,
    StepDone,
    event_from_json,
)


def drain(subscription):
    found = []
    while (event := subscription.get(timeout=0)) is not None:
        found.append(event)
    return found


@pytest.mark.parametrize("cls", EVENTS.values(), ids=lambda c: c.__name__)
def test_every_event_survives_json(cls):
    event = cls(job="a", seq=3, time=1.5)
    data = json.loads(json.dumps(event.to_json()))
    assert data["kind"] == cls.__name__
    again = event_from_json(data)
    assert type(again) is cls
    assert json.dumps(again.to_json()) == json.dumps(event.to_json())


def test_only_what_is_repeated_may_be_lost():
    assert {name for name, cls in EVENTS.items() if cls.droppable} == {"StepDone", "PreviewReady"}


def test_each_job_is_numbered_from_one():
    bus = EventBus()
    numbers = [bus.publish(JobStarted(job=job)).seq for job in ("a", "b", "a", "a", "b")]
    assert numbers == [1, 1, 2, 3, 2]
    assert bus.publish(EngineChanged(state="ready")).seq == 0
    assert bus.publish(JobStarted(job="c")).time > 0


def test_numbering_ends_with_the_job_and_can_go_on_from_another_process():
    bus = EventBus()
    bus.publish(JobQueued(job="a"))
    assert bus.publish(JobFinished(job="a")).seq == 2
    assert bus.publish(JobQueued(job="a")).seq == 1
    bus.publish(JobFailed(job="a"))
    bus.resume("a", 17)
    assert bus.publish(JobStarted(job="a")).seq == 18
    bus.resume("a", 3)
    assert bus.publish(JobStarted(job="a")).seq == 19


def test_a_listener_hears_its_job_or_everything():
    bus = EventBus()
    with bus.subscribe("a") as one, bus.subscribe() as all_:
        bus.publish(JobStarted(job="a"))
        bus.publish(JobStarted(job="b"))
        bus.publish(EngineChanged(state="ready"))
        assert [e.job for e in drain(one)] == ["a"]
        assert [e.job for e in drain(all_)] == ["a", "b", ""]


def test_a_full_queue_takes_no_more_steps():
    bus = EventBus()
    with bus.subscribe("a", limit=3) as slow:
        for step in range(10):
            bus.publish(StepDone(job="a", step=step))
        assert [e.step for e in drain(slow)] == [0, 1, 2]


def test_what_must_arrive_pushes_out_steps_and_previews():
    bus = EventBus()
    with bus.subscribe("a", limit=4) as slow:
        bus.publish(JobStarted(job="a"))
        bus.publish(StepDone(job="a"))
        bus.publish(PreviewReady(job="a"))
        bus.publish(StepDone(job="a"))
        bus.publish(PictureReady(job="a"))
        assert [e.kind for e in drain(slow)] == ["JobStarted", "PictureReady"]


def test_what_must_arrive_arrives_beyond_any_limit():
    bus = EventBus()
    with bus.subscribe("a", limit=2) as slow:
        for index in range(50):
            bus.publish(PictureReady(job="a", index=index))
            bus.publish(StepDone(job="a"))
        bus.publish(JobFinished(job="a"))
        heard = drain(slow)
    assert [e.index for e in heard[:-1]] == list(range(50)) and heard[-1].kind == "JobFinished"
    # The numbers show that something was left out.
    assert heard[-1].seq == 101


def test_a_slow_listener_costs_the_others_nothing():
    bus = EventBus()
    with bus.subscribe("a", limit=1), bus.subscribe("a", limit=100) as quick:
        for step in range(20):
            bus.publish(StepDone(job="a", step=step))
        assert len(drain(quick)) == 20


def test_what_may_not_be_lost_is_recorded_before_it_is_heard():
    order = []
    bus = EventBus(record=lambda event: order.append(("recorded", event.seq)))
    bus.listen(lambda event: order.append(("heard", event.seq)))
    bus.publish(JobStarted(job="a"))
    bus.publish(StepDone(job="a"))
    assert order == [("recorded", 1), ("heard", 1), ("heard", 2)]


def test_a_failing_record_keeps_the_event_from_being_heard():
    def refuse(event):
        raise OSError("disk full")

    bus, heard = EventBus(record=refuse), []
    bus.listen(heard.append)
    with pytest.raises(OSError):
        bus.publish(JobStarted(job="a"))
    assert heard == []


def test_watched_means_that_somebody_subscribed():
    bus = EventBus()
    bus.listen(lambda event: None)
    assert not bus.watched("a")
    with bus.subscribe("a"):
        assert bus.watched("a") and not bus.watched("b")
    assert not bus.watched("a")
    with bus.subscribe():
        assert bus.watched("b")


def test_wake_is_called_after_each_event_that_was_taken():
    bus, woken = EventBus(), []
    subscription = bus.subscribe("a", limit=2, wake=lambda: woken.append(len(drain(subscription))))
    for _ in range(3):
        bus.publish(StepDone(job="a"))
    assert woken == [1, 1, 1]


def test_closing_ends_a_waiting_loop():
    bus, heard = EventBus(), []
    subscription, ready = bus.subscribe("a"), threading.Event()

    def loop():
        for event in subscription:
            heard.append(event)
            ready.set()

    thread = threading.Thread(target=loop)
    thread.start()
    bus.publish(StageChanged(job="a", stage="decoding"))
    assert ready.wait(10)
    subscription.close()
    thread.join(10)
    assert not thread.is_alive() and [e.stage for e in heard] == ["decoding"]
    bus.publish(StageChanged(job="a"))
    assert subscription.get(timeout=0) is None


def test_many_publishers_get_every_number_once():
    bus = EventBus()
    with bus.subscribe("a", limit=10_000) as heard:

        def publish():
            for _ in range(100):
                bus.publish(Notice(job="a", message="x"))

        threads = [threading.Thread(target=publish) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [e.seq for e in drain(heard)] == list(range(1, 401))


def test_publishing_leaves_the_given_event_alone():
    bus, event = EventBus(), SettingsChanged(keys=("a", "b"))
    sent = bus.publish(event)
    assert event.time == 0.0 and sent.keys == ("a", "b") and replace(sent, time=0.0) == event
