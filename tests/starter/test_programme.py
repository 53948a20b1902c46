"""The programme: every command is one that its script takes, in an order in which each finds what it needs."""

import importlib
import sys
from pathlib import Path

import pytest

from starter import programme
from starter.world import STAGES

PLAN = programme.Plan(Path("/data"), Path("/out"), 100.0)


def flags(command: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in command if word.startswith("--")}


@pytest.mark.parametrize("part", programme.PARTS)
def test_scripts_know_every_option(part, monkeypatch, capsys):
    for command in programme.commands(PLAN, [part]):
        monkeypatch.setattr(sys, "argv", [command[0], "--help"])
        with pytest.raises(SystemExit):
            importlib.import_module(command[0]).main()
        shown = capsys.readouterr().out
        assert all(flag in shown for flag in flags(command)), command


def test_what_is_read_was_written_before():
    rows = programme.commands(PLAN, list(programme.PARTS))
    written = {str(programme.SHIPPED)}
    for command in rows:
        for flag in ("--start", "--checkpoint", "--base"):
            if flag in command:
                assert command[command.index(flag) + 1] in written
        if command[0] == "starter.export":
            written.add(command[command.index("--out") + 1])
    assert str(PLAN.sibling("depth")) in written


def test_shares_make_a_whole_and_stages_are_encoded():
    assert sum(programme.SHARES.values()) == pytest.approx(1.0)
    assert sum(programme.WORLD.values()) == pytest.approx(1.0)
    assert set(programme.WORLD) == set(STAGES)
    assert set(programme.LESSON_FILES) == set(programme.LESSONS)
