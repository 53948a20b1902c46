from __future__ import annotations

import json
from pathlib import Path

from atelier.base.paths import PROGRAM
from atelier.launch.extensions import enabled_folders
from atelier.launch.prepare import prepare
from atelier.launch.process import Ended
from tests.launch.fakes import said, setup_in


def extension(data: Path, name: str, text: str = "import launch\n") -> Path:
    folder = data / "extensions" / name
    folder.mkdir(parents=True)
    (folder / "install.py").write_text(text)
    return folder


def test_disabled_ones_are_left_out(tmp_path: Path) -> None:
    for name in ("a", "b", ".hidden", "__pycache__"):
        extension(tmp_path, name)
    settings = tmp_path / "config.json"
    assert [f.name for f in enabled_folders(tmp_path / "extensions", settings)] == ["a", "b"]
    settings.write_text(json.dumps({"disabled_extensions": ["a"]}))
    assert [f.name for f in enabled_folders(tmp_path / "extensions", settings)] == ["b"]
    settings.write_text(json.dumps({"disable_all_extensions": "extra"}))
    assert enabled_folders(tmp_path / "extensions", settings) == ()
    settings.write_text("{broken")
    assert len(enabled_folders(tmp_path / "extensions", settings)) == 2
    assert enabled_folders(tmp_path / "extensions", settings, "all") == ()


def test_an_installer_runs_once_for_each_version_with_the_contract_kept(tmp_path: Path) -> None:
    setup = setup_in(tmp_path, "--medvram", "--step", "extensions")
    folder = extension(tmp_path / "data", "some")
    prepare(setup)
    assert setup.runner.commands == [[str(setup.environment.python), str(folder / "install.py")]]
    given = setup.runner.environments[0]
    assert given["PYTHONPATH"].startswith(str(PROGRAM)) and "--medvram" in given["COMMANDLINE_ARGS"]
    assert "constraints.txt" in given["PIP_CONSTRAINT"] and "requirements.txt" in given["PIP_CONSTRAINT"]
    assert setup.installers.pending() == ()
    (folder / "requirements.txt").write_text("send2trash\n")
    assert setup.installers.pending() == (folder,)


def test_a_failing_installer_is_told_and_never_stops_the_start(tmp_path: Path) -> None:
    def answer(command: list[str]) -> Ended | None:
        return Ended(1, "ERROR: ResolutionImpossible: numpy<2") if command[-1].endswith("install.py") else None

    extension(tmp_path / "data", "bad")
    good = extension(tmp_path / "data", "good")
    setup = setup_in(tmp_path, "--step", "extensions", answer=lambda c: None if str(good) in c[-1] else answer(c))
    prepare(setup)
    assert "bad: install.py failed (status 1). It asks for other versions" in said(setup)
    assert setup.environment.state.result("extensions") == {"failed": ["bad"]}
    assert [folder.name for folder in setup.installers.pending()] == ["bad"]


def test_switched_off_by_the_command_line(tmp_path: Path) -> None:
    setup = setup_in(tmp_path, "--disable-extra-extensions")
    extension(tmp_path / "data", "some")
    assert setup.installers.pending() == ()
    assert [f.name for f in setup_in(tmp_path).installers.pending()] == ["some"]


def test_update_pulls_forward_only(tmp_path: Path) -> None:
    folder = extension(tmp_path / "data", "some")
    (folder / ".git").mkdir()
    setup = setup_in(tmp_path, "--update-all-extensions", answer=lambda command: Ended(1, "fatal: no upstream"))
    setup.installers.update()
    assert setup.runner.commands[0][-2:] == ["--ff-only", "--quiet"]
    assert "some: not updated: fatal: no upstream" in said(setup)
