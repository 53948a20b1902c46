from __future__ import annotations

import io
import os
import sys
import time
from pathlib import Path

import pytest

from atelier.launch.console import Console
from atelier.launch.process import Runner


def runner() -> tuple[Runner, io.StringIO]:
    stream = io.StringIO()
    return Runner(Console(stream)), stream


def test_telling_lines_are_shown_and_all_are_logged(tmp_path: Path) -> None:
    run, stream = runner()
    script = "import sys; print('Collecting gradio'); print('Requirement already satisfied: x'); sys.exit(3)"
    ended = run.stream([sys.executable, "-c", script], os.environ, log=tmp_path / "log")
    assert ended.status == 3 and "Requirement already satisfied" in ended.tail
    assert "Collecting gradio" in stream.getvalue() and "already satisfied" not in stream.getvalue()
    assert "already satisfied" in (tmp_path / "log").read_text()


def test_a_program_that_is_not_there_is_an_end_not_an_error() -> None:
    run, _ = runner()
    assert run.stream(["/no/such/program"], os.environ).status == 127
    assert run.capture(["/no/such/program"], os.environ).status == 127


def test_capture_keeps_errors_only_when_it_failed() -> None:
    run, stream = runner()
    script = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(int(sys.argv[1]))"
    assert run.capture([sys.executable, "-c", script, "0"], os.environ).tail == "out\n"
    assert "err" in run.capture([sys.executable, "-c", script, "1"], os.environ).tail
    assert stream.getvalue() == ""


def test_a_step_is_framed_and_a_failed_one_is_not_called_done() -> None:
    stream = io.StringIO()
    console = Console(stream, heartbeat=0.01)
    with console.step(1, 2, "torch: installing"):
        time.sleep(0.1)
    assert stream.getvalue().startswith("[1/2] torch: installing\n")
    assert "still working" in stream.getvalue() and "done in" in stream.getvalue()
    stream.truncate(0)
    with pytest.raises(ValueError), console.step(2, 2, "x"):
        raise ValueError
    assert "done in" not in stream.getvalue()
