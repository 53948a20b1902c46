"""A lock on a file between threads and processes."""

from __future__ import annotations

import pytest

from atelier.base.locks import FileLock


def test_only_one_holds_it(tmp_path):
    first, second = FileLock(tmp_path / "a" / "lock"), FileLock(tmp_path / "a" / "lock")
    assert first.acquire(wait=False) and first.acquire(wait=False)
    assert not second.acquire(wait=False) and not second.held
    first.release()
    first.release()
    assert second.acquire(wait=False)
    second.release()


def test_content_is_for_everyone_to_read(tmp_path):
    lock = FileLock(tmp_path / "lock")
    assert lock.read() == ""
    with lock:
        lock.write("a long line of text")
        lock.write("short")
        assert FileLock(tmp_path / "lock").read() == "short"
    with pytest.raises(RuntimeError):
        lock.write("not held")
