"""Figures, their verdicts, the table and the file."""

from __future__ import annotations

import json

import pytest

from bench.report import Figure, figure, number, over, table, write_report
from bench.timing import Spread


@pytest.mark.parametrize(("value", "limit", "verdict"), [
    (1.0, 3.0, "met"), (3.0, 3.0, "met"), (3.1, 3.0, "missed"), (-2.0, 3.0, "met"), (1.0, None, ""), (None, 3.0, ""),
])  # fmt: skip
def test_a_verdict_needs_a_value_and_a_target(value, limit, verdict):
    assert Figure("a", "a", "%", value, limit=limit).verdict == verdict


def test_a_ratio_becomes_percent_above_one():
    found = over("a", "a", Spread(1.03, 1.02, 1.05, 7), limit=3.5)
    assert (found.value, found.low, found.high) == (pytest.approx(3), pytest.approx(2), pytest.approx(5))
    assert found.unit == "%" and found.rounds == 7 and found.verdict == "met"


def test_values_come_to_their_unit():
    found = figure("a", "a", "ms", Spread(0.002, -0.001, 0.004, 3), scale=1000)
    assert (found.value, found.low, found.high) == (pytest.approx(2), pytest.approx(-1), pytest.approx(4))


def test_a_table_shows_value_target_and_verdict():
    lines = table([
        Figure("a", "first", "ms", 7.123, 7.0, 7.5, 5, 8.0), Figure("b", "second", "s", note="not measured: no server"),
    ]).splitlines()  # fmt: skip
    assert len(lines) == 5 and lines[0].startswith("figure") and set(lines[1]) <= {"-", " "}
    assert "7.12 ms" in lines[2] and "7 to 7.5" in lines[2] and "<= 8 ms" in lines[2] and lines[2].endswith("met")
    assert "not measured" in lines[4]


@pytest.mark.parametrize(("value", "text"), [
    (0, "0"), (1234.5, "1234"), (12.345, "12.3"), (0.01234, "0.0123"), (-3.456, "-3.46"), (0.00001, "0.000010"),
])  # fmt: skip
def test_numbers_have_three_digits_that_count(value, text):
    assert number(value) == text


def test_the_file_holds_the_machine_and_every_figure(tmp_path):
    path = tmp_path / "results" / "a.json"
    write_report(path, {"cores": 2}, [Figure("a", "first", "%", 1.0, limit=3.0)])
    report = json.loads(path.read_text("utf-8"))
    assert report["machine"] == {"cores": 2}
    assert report["figures"][0] | {"name": "a", "value": 1.0, "verdict": "met"} == report["figures"][0]
