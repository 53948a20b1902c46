"""Two servers on one data folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from atelier.base.errors import DataFolderBusy, SaveFailed
from atelier.store.folderlock import DataFolderLock

HOLD = (
    "import sys, time; from pathlib import Path; from atelier.store.folderlock import DataFolderLock\n"
    "lock = DataFolderLock(Path(sys.argv[1])); lock.acquire(); lock.describe(7861, 'http://127.0.0.1:7861')\n"
    "print('held', flush=True); time.sleep(60)"
)


def test_the_second_is_told_who_the_first_is(tmp_path):
    path = tmp_path / "atelier.lock"
    with DataFolderLock(path) as first:
        first.describe(7860)
        with pytest.raises(DataFolderBusy) as caught:
            DataFolderLock(path).acquire()
        assert caught.value.fields["pid"] == os.getpid() and caught.value.fields["port"] == 7860
        assert str(os.getpid()) in caught.value.message and "7860" in caught.value.message
        assert "--data-dir" in caught.value.remedy
    with DataFolderLock(path) as second:
        assert second.owner()["port"] == 0


def test_a_killed_process_leaves_no_lock(tmp_path):
    path = tmp_path / "atelier.lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().strip() == "held"
        with pytest.raises(DataFolderBusy) as caught:
            DataFolderLock(path).acquire()
        assert caught.value.fields["pid"] == process.pid
        assert caught.value.fields["address"] == "http://127.0.0.1:7861"
    finally:
        process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        process.wait(30)
    with DataFolderLock(path) as lock:
        assert lock.owner()["pid"] == os.getpid()


def test_nonsense_in_the_file_does_not_matter(tmp_path):
    path = tmp_path / "atelier.lock"
    path.write_bytes(b"\xff[1, 2")
    assert DataFolderLock(path).owner() == {}
    with DataFolderLock(path):
        pass


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(SaveFailed):
        DataFolderLock(tmp_path / "f" / "atelier.lock").acquire()
