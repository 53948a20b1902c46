"""The clock of previews and the growth over swaps: the arithmetic, never a time."""

from __future__ import annotations

import pytest

from atelier.base.events import PreviewReady, StepDone
from bench import previews
from bench.previews import PreviewClock
from bench.swaps import growth


def test_previews_are_told_from_steps(monkeypatch):
    # A step's mark, a preview of two seconds, a mark, no preview, a mark, and a preview that belongs to no step.
    moments = iter([0.0, 10.0, 12.0, 13.0, 24.0, 30.0, 31.0])
    monkeypatch.setattr(previews.time, "perf_counter", lambda: next(moments))
    processor = iter([0.0, 5.0, 6.0, 6.0, 11.0, 12.0, 13.0])
    monkeypatch.setattr(previews.time, "process_time", lambda: next(processor))
    clock = PreviewClock()
    clock.hear(StepDone())
    assert clock.watched("bench")
    clock.hear(PreviewReady())
    clock.hear(StepDone())
    clock.hear(StepDone())
    clock.watched("bench")
    clock.hear(PreviewReady())
    assert clock.figures() == {
        "step": 11.0, "step_cpu": 5.0, "preview": 1.0, "preview_cpu": 0.5, "share": 1 / 11, "share_cpu": 0.1,
        "count": 2,
    }  # fmt: skip


def test_one_step_tells_nothing_of_previews():
    clock = PreviewClock()
    clock.hear(StepDone())
    with pytest.raises(ValueError):
        clock.figures()


def test_growth_is_counted_from_the_second_swap():
    ratio, left = growth([500, 1000, 700, 1010, 720, 1040])
    assert ratio == pytest.approx(1.04) and left == 10


@pytest.mark.parametrize("after", [[1000, 1000], [1000, 1000, 1000]])
def test_growth_compares_memory_with_the_same_checkpoint_open(after):
    with pytest.raises(ValueError):
        growth(after)
