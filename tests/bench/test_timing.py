"""Rounds, ratios and clocks: the arithmetic, never a time."""

from __future__ import annotations

import pytest
from torch import nn

from bench import timing
from bench.timing import Effort, Rounds, StepClock, alternate, differences, ratios, spread


@pytest.mark.parametrize(("values", "expected"), [
    ([3.0], (3.0, 3.0, 3.0)), ([1.0, 5.0, 2.0], (2.0, 1.0, 5.0)), ([5.0, 1.0, 2.0, 3.0, 4.0], (3.0, 2.0, 4.0)),
])  # fmt: skip
def test_the_middle_and_the_inner_half(values, expected):
    found = spread(values)
    assert (found.median, found.low, found.high) == expected and found.count == len(values)


def test_one_wild_round_hardly_moves_the_middle():
    assert spread([1.0, 1.0, 1.0, 1.0, 50.0]).relative == 0.0


def test_nothing_has_no_middle():
    with pytest.raises(ValueError):
        spread([])


def test_ratios_and_differences_go_round_by_round():
    assert ratios([2.0, 20.0], [1.0, 10.0]) == [2.0, 2.0]
    assert differences([2.0, 20.0], [1.0, 10.0]) == [1.0, 10.0]
    with pytest.raises(ValueError):
        ratios([1.0], [1.0, 2.0])


def test_a_machine_that_slows_down_changes_no_ratio():
    rounds = Rounds({"a": [{"step": 1.1 * s} for s in (1, 2, 3, 4)], "b": [{"step": 1.0 * s} for s in (1, 2, 3, 4)]})
    assert rounds.ratio("a", "b", "step").median == pytest.approx(1.1)
    assert rounds.ratio("a", "b", "step").relative == pytest.approx(0.0)
    assert rounds.difference("a", "b", "step").median == pytest.approx(0.25)
    assert rounds.share("a", "b", "step", "step").median == pytest.approx(0.1)
    assert len(rounds) == 4


class Contender:
    def __init__(self, name, order, values):
        self.name, self.order, self.values = name, order, iter(values)

    def __call__(self):
        self.order.append(self.name)
        return {"step": next(self.values)}


def test_contenders_take_turns_and_warming_up_is_not_counted():
    order = []
    contenders = {"a": Contender("a", order, [99, 1, 1, 1]), "b": Contender("b", order, [99, 2, 2, 2])}
    rounds = alternate(contenders, Effort(least=3, most=3, warmup=1))
    assert "".join(order) == "ab" + "abbaab"
    assert rounds.values("a", "step") == [1, 1, 1] and rounds.ratio("b", "a", "step").median == 2


def test_rounds_go_on_until_they_agree():
    a, b = [1.0] * 20, [1.0, 2.0, 1.5, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1] + [9.0] * 9
    rounds = alternate({"a": Contender("a", [], a), "b": Contender("b", [], b)}, Effort(3, 20, 0, 0.02))
    assert 3 < len(rounds) < 20 and rounds.ratio("b", "a", "step").relative <= 0.02


def test_rounds_that_never_agree_end():
    a, b = [1.0] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert len(alternate({"a": Contender("a", [], a), "b": Contender("b", [], b)}, Effort(2, 6, 0, 0.02))) == 6


def test_a_clock_takes_the_mean_of_the_steps_between_its_marks(monkeypatch):
    # Begun, a mark, in and out of the network, a mark, in and out, a mark, the end.
    moments = iter([0.0, 10.0, 10.5, 12.5, 13.0, 13.5, 15.0, 16.0, 20.0])
    processor = iter([0.0, 1.0, 3.0, 5.0, 6.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(moments))
    monkeypatch.setattr(timing.time, "process_time", lambda: next(processor))
    settled = []
    clock = StepClock(lambda: settled.append(1))
    network = nn.Identity()
    with clock.watching(network):
        clock.mark()
        for _ in range(2):
            network(1)
            clock.mark()
    network(1)
    assert clock.figures() == {"step": 3.0, "step_cpu": 2.0, "outside": 1.25, "total": 20.0, "total_cpu": 6.0}
    assert len(settled) == 9


def test_one_mark_is_no_step():
    clock = StepClock()
    clock.mark()
    with pytest.raises(ValueError):
        clock.figures()
