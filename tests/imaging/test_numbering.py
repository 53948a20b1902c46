"""Running numbers: no number twice, whoever asks."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from atelier.base.errors import SaveFailed
from atelier.imaging.numbering import Numbering, highest_number


def test_begins_at_zero_and_goes_on(tmp_path):
    numbers = Numbering(tmp_path / "state")
    assert [numbers.take(tmp_path / "out") for _ in range(3)] == [0, 1, 2]
    assert Numbering(tmp_path / "state").take(tmp_path / "out") == 3


def test_existing_files_count(tmp_path):
    for name in ("00004-7.png", "00017-a.webp", "00005.png", "notes.txt", "99x.png", "grid-0030.png", "x-00099-1.png"):
        (tmp_path / name).touch()
    assert highest_number(tmp_path) == 17
    assert Numbering(tmp_path / "s").take(tmp_path) == 18
    assert Numbering(tmp_path / "s").take(tmp_path, "grid-") == 31


def test_files_that_came_while_the_program_was_off(tmp_path):
    assert Numbering(tmp_path / "s").take(tmp_path) == 0
    (tmp_path / "00050-1.png").touch()
    assert Numbering(tmp_path / "s").take(tmp_path) == 51


def test_threads_and_objects_never_share_a_number(tmp_path):
    givers = [Numbering(tmp_path / "s") for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda i: givers[i % 4].take(tmp_path / "out"), range(200)))
    assert sorted(taken) == list(range(200))


def test_processes_never_share_a_number(tmp_path):
    code = (
        "import sys; from pathlib import Path; from atelier.imaging.numbering import Numbering\n"
        "n = Numbering(Path(sys.argv[1]))\n"
        "print(*[n.take(Path(sys.argv[2])) for _ in range(50)])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "s"), str(tmp_path / "out")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    taken = [int(word) for process in running for word in process.communicate(timeout=60)[0].split()]
    assert sorted(taken) == list(range(150))


def test_state_that_cannot_be_written(tmp_path):
    (tmp_path / "s").write_text("")
    with pytest.raises(SaveFailed):
        Numbering(tmp_path / "s").take(tmp_path / "out")
