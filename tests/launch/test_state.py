from __future__ import annotations

from pathlib import Path

from atelier.launch.state import SetupState, fingerprint, fingerprint_of_files


def test_fingerprints_tell_values_apart(tmp_path: Path) -> None:
    assert fingerprint("a", 1) == fingerprint("a", 1) != fingerprint("a", 2)
    file = tmp_path / "r.txt"
    missing = fingerprint_of_files([file])
    file.write_text("a==1\n")
    first = fingerprint_of_files([file])
    file.write_text("a==2\n")
    assert len({missing, first, fingerprint_of_files([file])}) == 3


def test_a_step_is_done_for_one_fingerprint_only(tmp_path: Path) -> None:
    state = SetupState(tmp_path)
    state.record("torch", "abc", {"tag": "cpu"})
    again = SetupState(tmp_path)
    assert again.done("torch", "abc") and not again.done("torch", "abd") and not again.done("other", "abc")
    assert again.result("torch") == {"tag": "cpu"} and again.result("other") == {}
    again.forget("torch")
    assert not SetupState(tmp_path).done("torch", "abc")


def test_a_damaged_note_costs_only_time(tmp_path: Path) -> None:
    for text in ("{", "[1]", ""):
        (tmp_path / "atelier-setup.json").write_text(text)
        state = SetupState(tmp_path)
        assert not state.done("torch", "abc")
        state.record("torch", "abc")
        assert SetupState(tmp_path).done("torch", "abc")
