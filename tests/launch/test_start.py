from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from atelier.base.errors import SetupFailed
from atelier.base.paths import PROGRAM
from atelier.launch import start
from tests.launch.fakes import make_venv, setup_in


def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM / "launch.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", **environ})


def test_commands_become_command_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = setup_in(tmp_path).environment
    make_venv(tmp_path / "venv")
    python = str(environment.python)
    for cores, workers in ((2, "2"), (64, "4"), (None, "1")):
        monkeypatch.setattr(start.os, "cpu_count", lambda cores=cores: cores)
        assert start.handover("test", environment, ["test"], ["-k", "x"]) == (
            [python, "-m", "pytest", "-q", "-n", workers, "--dist", "loadfile", "-k", "x"], PROGRAM,
        )  # fmt: skip
    assert start.handover("bench", environment, ["bench"], ["--quick"]) == ([python, "-m", "bench", "--quick"], PROGRAM)


def test_serving_gets_the_same_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_venv(tmp_path / "venv")
    monkeypatch.setattr(start, "PROGRAM", tmp_path)
    environment = setup_in(tmp_path).environment
    with pytest.raises(SetupFailed, match="webui.py is missing"):
        start.handover(None, environment, [], [])
    (tmp_path / "webui.py").touch()
    command, folder = start.handover(None, environment, ["--port", "1"], [])
    assert command == [str(environment.python), str(tmp_path / "webui.py"), "--port", "1"] and folder is None


def test_no_environment_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="no environment") as failed:
        start.handover("test", setup_in(tmp_path).environment, [], [])
    assert "launch.py prepare" in failed.value.remedy


def test_without_a_browser_its_tests_are_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = tmp_path / "tests" / "web"
    tests.mkdir(parents=True)
    (tests / "test_page.py").write_text(
        "import pytest\n@pytest.mark.browser\ndef test_types(): ...\ndef test_other(): ...\n"
    )
    (tests / "test_mask.py").write_text("import pytest\npytestmark = pytest.mark.browser\ndef test_paints(): ...\n")
    monkeypatch.setattr(start, "PROGRAM", tmp_path)
    setup = setup_in(tmp_path)
    given: dict[str, str] = {}
    command = start._with_browser(["py", "-m", "pytest"], setup.console, {"PATH": ""}, given)
    text = setup.console.stream.getvalue()  # type: ignore[attr-defined]
    if given:
        pytest.skip("this system has a browser at a fixed place")
    assert command[-2:] == ["-m", "not browser"]
    assert "2 browser tests are skipped" in text
    assert "tests/web/test_mask.py::test_paints" in text and "tests/web/test_page.py::test_types" in text
    assert "test_other" not in text
    own = start._with_browser(["py", "-m", "pytest", "-m", "gpu or slow"], setup.console, {"PATH": ""}, {})
    assert own[-1] == "(gpu or slow) and not browser"


def test_a_browser_is_handed_on(tmp_path: Path) -> None:
    browser = tmp_path / "chromium"
    browser.touch(mode=0o755)
    setup, given = setup_in(tmp_path), {}
    environ = {"ATELIER_BROWSER": str(browser)}
    assert start._with_browser(["py"], setup.console, environ, given) == ["py"]
    assert given == {"ATELIER_BROWSER": str(browser)}


def test_help_and_mistakes_end_with_the_right_status(tmp_path: Path) -> None:
    assert run("--help").returncode == 0
    wrong = run("--prot", "1")
    assert wrong.returncode == 2 and "Did you mean --port?" in wrong.stderr
    wrong = run("--comfy-dir", str(tmp_path), "doctor")
    assert wrong.returncode == 2 and "--comfy-dir" in wrong.stdout and "Traceback" not in wrong.stderr
    wrong = run("prepare", "--step", "nothing", "--venv-dir", str(tmp_path / "v"))
    assert wrong.returncode == 2 and "there is no step" in wrong.stdout


def test_the_launcher_reaches_nothing_but_the_standard_library() -> None:
    script = (
        "import sys; import launch, atelier.launch.start; "
        "tops = {name.split('.')[0] for name in sys.modules if not name.startswith('_')}; "
        "print(sorted(tops - set(sys.stdlib_module_names) - {'atelier', 'launch'}))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, cwd=PROGRAM)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
