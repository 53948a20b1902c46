from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from atelier.launch.environment import launch_settings
from atelier.launch.prepare import prepare
from atelier.launch.process import Runner
from atelier.launch.steps import Setup
from tests.launch.fakes import make_venv, put_package, setup_in


def test_mirrors_and_proxies_are_variables_and_nothing_else(tmp_path: Path) -> None:
    words = ["--index-url", "https://mirror/simple", "--proxy", "http://p:3128", "--find-links", "/wheels", "--offline"]
    environ = {"PIP_FIND_LINKS": "/old", "PYTHONHOME": "/x"}
    given = setup_in(tmp_path, *words, environ=environ).environment.variables()
    assert given["PIP_INDEX_URL"] == given["UV_DEFAULT_INDEX"] == "https://mirror/simple"
    assert given["HTTPS_PROXY"] == given["PIP_PROXY"] == "http://p:3128"
    assert given["PIP_FIND_LINKS"] == "/wheels /old" and given["PIP_NO_INDEX"] == "1"
    assert "PYTHONHOME" not in given
    plain = setup_in(tmp_path, environ=environ).environment.variables()
    assert not {"PIP_INDEX_URL", "PIP_PROXY", "HTTPS_PROXY", "PIP_NO_INDEX"} & set(plain)
    assert plain["PIP_FIND_LINKS"] == "/old"


def test_the_settings_file_can_say_it_too_and_the_command_line_wins(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "config.json").write_text(json.dumps({"launch_index_url": "https://a", "launch_offline": True, "x": 1}))
    environment = setup_in(tmp_path).environment
    assert environment.option("index_url") == "https://a" and environment.option("offline") is True
    assert setup_in(tmp_path, "--index-url", "https://b").environment.option("index_url") == "https://b"
    (data / "config.json").write_text("[]")
    assert launch_settings(data / "config.json") == {}
    assert launch_settings(data / "none.json") == {}


def test_an_environment_is_judged_without_starting_it(tmp_path: Path) -> None:
    environment = setup_in(tmp_path).environment
    assert not environment.intact and environment.version is None
    make_venv(tmp_path / "venv", "3.12.1")
    assert environment.intact and environment.version == (3, 12)
    put_package(tmp_path / "venv", "Pillow_extra", "1.0")
    assert environment.installed() == {"pip": "23.2.1", "pillow-extra": "1.0"}
    environment.python.unlink()
    assert not environment.intact


def test_without_a_folder_the_running_python_is_used(tmp_path: Path) -> None:
    environment = setup_in(tmp_path, "--venv-dir", "-").environment
    assert environment.folder is None and environment.python == Path(sys.executable) and environment.intact
    assert environment.version == sys.version_info[:2] and "pytest" in environment.installed()


def test_constraints_go_with_every_installation(tmp_path: Path) -> None:
    environment = setup_in(tmp_path).environment
    pip = environment.install_command("thing==1")
    assert pip[1:4] == ["-m", "pip", "install"] and pip[-2] == "-c" and pip[-1].endswith("constraints.txt")
    uv = environment.install_command("thing==1", uv="/bin/uv")
    assert uv[:3] == ["/bin/uv", "pip", "install"] and "unsafe-best-match" in uv


def test_a_real_environment_is_made_and_found_whole(tmp_path: Path) -> None:
    plan = setup_in(tmp_path, "--step", "venv")
    setup = Setup(plan.environment, plan.console, Runner(plan.console), plan.probe, [])
    prepare(setup)
    assert setup.environment.intact and setup.environment.version == sys.version_info[:2]
    asked = [str(setup.environment.python), "-c", "import sys; print(sys.prefix)"]
    assert Path(subprocess.check_output(asked, text=True).strip()) == tmp_path / "venv"
    assert setup.environment.state.file.parent == tmp_path / "venv"
