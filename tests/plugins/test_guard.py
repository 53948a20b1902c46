"""A failing extension is logged, counted and switched off; wishes and limits pass through."""

from dataclasses import dataclass, field

import pytest

from atelier.base.errors import BadRequest, Interrupted, OutOfMemory
from atelier.plugins.guard import Guard


@dataclass
class Carrier:
    prompts: list = field(default_factory=lambda: ["a", "b"])
    value: int = 1


class Run:
    def __init__(self):
        self.said = []
        self.publish = print

    def comment(self, message, source=""):
        self.said.append((message, source))


def boom(*args, **kwargs):
    raise ValueError("boom")


def test_a_failure_gives_the_default_and_is_kept():
    reported = []
    guard = Guard(lambda: 3, reported.append)
    assert guard.call("ext", "process", boom, default=7) == 7
    assert [f.extension for f in guard.failures] == ["ext"] and "boom" in reported[0].sentence
    assert "Traceback" in guard.failures[0].trace and not guard.is_off("ext")


def test_the_third_failure_switches_off_that_extension_only():
    guard = Guard(lambda: 3)
    calls = []
    for _ in range(5):
        guard.call("ext", "process", lambda: (calls.append(1), boom()))
    assert len(calls) == 3 and guard.is_off("ext") and guard.failures[-1].off
    assert guard.call("other", "process", lambda: 5) == 5
    guard.switch_on("ext")
    assert guard.call("ext", "process", lambda: 6) == 6


@pytest.mark.parametrize("error", [Interrupted("stop"), OutOfMemory("full"), BadRequest("size.width", "no")])
def test_wishes_limits_and_bad_values_pass(error):
    guard = Guard()

    def raises():
        raise error

    with pytest.raises(type(error)):
        guard.call("ext", "process", raises)
    assert guard.failures == ()


def test_the_device_out_of_memory_of_a_library_passes():
    class OutOfMemoryError(RuntimeError):
        pass

    def raises():
        raise OutOfMemoryError("CUDA")

    with pytest.raises(OutOfMemoryError):
        Guard().call("ext", "process", raises)


def test_the_carrier_is_as_it_was_after_a_failure():
    carrier = Carrier()
    kept = carrier.prompts

    def spoil(carrier):
        carrier.prompts.clear()
        carrier.value = 2
        carrier.prompts = ["z"]
        boom()

    Guard().call("ext", "amend", spoil, carrier)
    assert carrier.prompts is kept and carrier.prompts == ["a", "b"] and carrier.value == 1


def test_what_fails_while_a_person_stops_the_run_is_not_counted():
    run = Run()
    run.token = type("Token", (), {"mode": "stop"})()
    guard = Guard()
    guard.find_run = lambda: run
    assert guard.call("ext", "run", boom, default=3) == 3
    assert guard.failures == () and run.said == []


def test_a_failure_inside_a_run_is_a_comment_of_the_run():
    run, reported = Run(), []
    batch = type("Batch", (), {"run": run})()
    frame = type("Frame", (), {"batch": batch})()
    guard = Guard(report=reported.append)
    guard.call("ext", "amend_frame", boom, frame=frame)
    assert run.said and run.said[0][1] == "ext" and not reported
