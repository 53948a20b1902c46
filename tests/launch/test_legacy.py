from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from atelier.base.errors import SetupFailed
from atelier.base.paths import PROGRAM
from atelier.launch import legacy


def test_the_names_of_the_contract_are_there_and_cheap() -> None:
    script = (
        "import launch, sys; from launch import args, python; "
        "assert launch.args.skip_install is True; "
        "names = 'run_pip is_installed run git_tag args commit_hash python git git_clone repo_dir requirements_met "
        "list_extensions index_url dir_repos'.split(); "
        "assert all(hasattr(launch, name) for name in names); "
        "assert launch.run_pip('install nothing', 'nothing') is None; print('torch' in sys.modules)"
    )
    environ = {**os.environ, "PYTHONPATH": str(PROGRAM), "COMMANDLINE_ARGS": "--skip-install --unknown-flag x"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environ)
    assert done.stdout.strip() == "False", done.stderr


def test_the_version_looks_as_extensions_expect() -> None:
    assert re.fullmatch(r"v1\.10\.\d+", legacy.git_tag())


def test_run_returns_output_and_raises_with_it(capfd: pytest.CaptureFixture[str]) -> None:
    assert legacy.run(f'"{sys.executable}" -c "print(1)"', "Doing it").strip() == "1"
    assert "Doing it" in capfd.readouterr().out
    with pytest.raises(RuntimeError, match="Couldn't do it") as failed:
        legacy.run(f'"{sys.executable}" -c "raise SystemExit(\'why\')"', errdesc="Couldn't do it")
    assert "why" in str(failed.value) and "Error code: 1" in str(failed.value)


def test_run_pip_says_what_could_not_be_installed() -> None:
    with pytest.raises(RuntimeError, match="Couldn't install thing"):
        legacy.run_pip("nonsense-command", "thing")


@pytest.mark.parametrize(
    ("name", "there"), [("pytest", True), ("PIL", True), ("Pillow", True), ("no_such_thing", False), ("a.b", False)]
)
def test_is_installed_takes_distributions_and_modules(name: str, there: bool) -> None:
    assert legacy.is_installed(name) is there


def test_requirements_met(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# none\n")
    assert legacy.requirements_met(str(file))
    file.write_text("no-such-thing==1\n")
    assert not legacy.requirements_met(str(file))
    assert not legacy.requirements_met(str(tmp_path / "gone.txt"))


def test_nothing_is_cloned() -> None:
    with pytest.raises(SetupFailed, match="thing is not cloned"):
        legacy.git_clone("https://x/y", "d", "thing")


def test_extensions_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "extensions" / "b").mkdir(parents=True)
    (tmp_path / "extensions" / "a").mkdir()
    monkeypatch.setenv("COMMANDLINE_ARGS", f'--data-dir "{tmp_path.as_posix()}"')
    assert legacy.list_extensions(str(tmp_path / "config.json")) == ["a", "b"]
