"""Files that are there whole or not at all, and hashes that are computed once."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import threading

import pytest

from atelier.base import files
from atelier.base.errors import SaveFailed
from atelier.base.files import HashCache, atomic_writer, sha256_of, write_bytes, write_text


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_appears_with_its_folders(tmp_path):
    write_text(tmp_path / "a" / "b" / "c.txt", "Käse")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "Käse".encode()
    assert names(tmp_path / "a" / "b") == ["c.txt"]


def test_until_it_is_whole_the_old_file_is_seen(tmp_path):
    path = tmp_path / "x.bin"
    write_bytes(path, b"old")
    with atomic_writer(path) as file:
        file.write(b"new and longer")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new and longer" and names(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("error", [RuntimeError("bug"), KeyboardInterrupt()])
def test_what_breaks_off_leaves_the_old_file_and_no_rest(tmp_path, error):
    path = tmp_path / "x.bin"
    write_bytes(path, b"old")
    with pytest.raises(type(error)):
        with atomic_writer(path) as file:
            file.write(b"half")
            raise error
    assert path.read_bytes() == b"old" and names(tmp_path) == ["x.bin"]


@pytest.mark.parametrize(("number", "remedy"), [
    (errno.ENOSPC, "Free some disk space"), (errno.EACCES, "Make the folder writable"),
    (errno.EROFS, "Make the folder writable"), (errno.EIO, "Check the folder"),
])  # fmt: skip
@pytest.mark.parametrize("moment", ["mkstemp", "fsync", "replace"])
def test_a_disk_that_refuses_is_a_typed_failure_with_a_remedy(tmp_path, monkeypatch, number, remedy, moment):
    path = tmp_path / "x.bin"
    write_bytes(path, b"old")

    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.tempfile if moment == "mkstemp" else files.os, moment, refuse)
    with pytest.raises(SaveFailed) as caught:
        write_bytes(path, b"new")
    monkeypatch.undo()
    assert remedy in caught.value.remedy and str(path) in caught.value.message
    assert caught.value.fields["path"] == str(path)
    assert path.read_bytes() == b"old" and names(tmp_path) == ["x.bin"]


def test_a_disk_that_is_full_while_the_writer_writes(tmp_path):
    with pytest.raises(SaveFailed, match="No space"):
        with atomic_writer(tmp_path / "x.bin"):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == []


def test_a_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "outputs").write_text("I am a file")
    with pytest.raises(SaveFailed):
        write_bytes(tmp_path / "outputs" / "x.png", b"")


@pytest.mark.skipif(os.name == "nt", reason="permissions of this kind are not known on Windows")
def test_new_files_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "x", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


def test_names_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("n" * 240 + ".png")
    write_bytes(path, b"x")
    assert path.read_bytes() == b"x"


def test_many_writers_of_one_file_leave_one_of_them(tmp_path):
    path = tmp_path / "x"
    threads = [threading.Thread(target=write_bytes, args=(path, bytes([65 + i]) * 50_000)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    data = path.read_bytes()
    assert len(data) == 50_000 and len(set(data)) == 1 and names(tmp_path) == ["x"]


def test_a_hash_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "CHUNK", 1000)
    data, seen = os.urandom(2500), []
    write_bytes(tmp_path / "x", data)
    assert sha256_of(tmp_path / "x", seen.append) == hashlib.sha256(data).hexdigest()
    assert seen == [1000, 1000, 500]


@pytest.fixture
def counted(monkeypatch):
    """The files that were hashed."""
    hashed = []
    real = files.sha256_of
    monkeypatch.setattr(files, "sha256_of", lambda path: hashed.append(path) or real(path))
    return hashed


def test_a_hash_is_computed_once_and_remembered_on_disk(tmp_path, counted):
    file = tmp_path / "m.safetensors"
    file.write_bytes(b"weights")
    cache = HashCache(tmp_path / "cache" / "hashes.json")
    assert cache.known(file) is None
    digest = hashlib.sha256(b"weights").hexdigest()
    assert cache.sha256(file) == cache.sha256(file) == cache.known(file) == digest
    assert HashCache(tmp_path / "cache" / "hashes.json").sha256(file) == digest
    assert counted == [file]


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_changed_file_is_hashed_again(tmp_path, counted, change):
    file = tmp_path / "m"
    file.write_bytes(b"weights")
    cache = HashCache(tmp_path / "hashes.json")
    first = cache.sha256(file)
    if change == "size":
        file.write_bytes(b"other weights")
    else:
        file.write_bytes(b"WEIGHTS")
        os.utime(file, (1, 1))
    assert cache.known(file) is None
    assert cache.sha256(file) == hashlib.sha256(file.read_bytes()).hexdigest() != first
    assert len(counted) == 2


def test_a_file_that_is_gone_is_not_known(tmp_path):
    cache, file = HashCache(tmp_path / "hashes.json"), tmp_path / "m"
    file.write_bytes(b"x")
    cache.sha256(file)
    file.unlink()
    assert cache.known(file) is None
    with pytest.raises(FileNotFoundError):
        cache.sha256(file)


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe\x00", b'{"a": '])
def test_a_damaged_cache_costs_only_time(tmp_path, damage):
    (tmp_path / "hashes.json").write_bytes(damage)
    file = tmp_path / "m"
    file.write_bytes(b"x")
    cache = HashCache(tmp_path / "hashes.json")
    assert cache.sha256(file) == hashlib.sha256(b"x").hexdigest()
    assert str(file) in json.loads((tmp_path / "hashes.json").read_text())


@pytest.mark.parametrize("content", ("[]", '{"a": [1]}', "not json", '{"a": 3}'))
def test_a_damaged_hash_cache_costs_only_time(tmp_path, content):
    (tmp_path / "hashes.json").write_text(content)
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    assert HashCache(tmp_path / "hashes.json").sha256(file) == hashlib.sha256(b"abc").hexdigest()
