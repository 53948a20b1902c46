from __future__ import annotations

from pathlib import Path

import pytest

from atelier.base.errors import BadRequest, SetupFailed
from atelier.launch.environment import REQUIREMENTS
from atelier.launch.pins import pins_of
from atelier.launch.prepare import prepare
from atelier.launch.process import Ended
from atelier.launch.start import failure_text
from atelier.launch.steps import STEPS, Setup
from tests.launch.fakes import PROOF, FakeProbe, make_venv, put_package, said, setup_in

NVIDIA = {"nvidia-smi": "NVIDIA GeForce RTX 4090, 580.65.06, 24564, 8.9\n"}


def installer(folder: Path, torch: str = "2.13.0+cpu"):  # noqa: ANN201
    """Makes the packages of an install command appear, as pip would."""

    def answer(command: list[str]) -> Ended | None:
        if "install" not in command:
            return Ended(0, PROOF) if "-c" in command and "venv" not in command else None
        files = [Path(word) for before, word in zip(command, command[1:]) if before == "-r"]
        for pin in pins_of(files, (3, 11)):
            put_package(folder / "venv", pin.name, pin.version)
        if any(word.startswith("torch==2.13.0") for word in command):
            put_package(folder / "venv", "torch", torch)
        return Ended(0, "Successfully installed")

    return answer


def done_names(setup: Setup) -> list[str]:
    lines = [line for line in said(setup).splitlines() if line.startswith("[")]
    return [line.split("] ")[1].split(":")[0] for line in lines]


def test_a_first_start_does_every_step_and_a_second_none(tmp_path: Path) -> None:
    first = setup_in(tmp_path, answer=installer(tmp_path))
    prepare(first)
    assert done_names(first) == ["venv", "torch", "requirements", "architectures", "device"]
    assert "Device: CPU (2 threads) with torch 2.13.0+cpu, because no usable graphics device" in said(first)

    second = setup_in(tmp_path, answer=installer(tmp_path))
    prepare(second)
    assert second.runner.commands == [] and "nothing to do" in said(second)
    assert "Device: CPU" in said(second)


def test_the_tests_extras_are_installed_once_they_are_wanted(tmp_path: Path) -> None:
    prepare(setup_in(tmp_path, answer=installer(tmp_path)))
    testing = setup_in(tmp_path, answer=installer(tmp_path), testing=True)
    prepare(testing)
    assert done_names(testing) == ["test-extras"]
    again = setup_in(tmp_path, answer=installer(tmp_path))
    prepare(again)
    assert again.runner.commands == []


def test_a_package_of_another_version_makes_its_step_run_again(tmp_path: Path) -> None:
    prepare(setup_in(tmp_path, answer=installer(tmp_path)))
    put_package(tmp_path / "venv", "pillow", "9.0.0")
    setup = setup_in(tmp_path, answer=installer(tmp_path))
    prepare(setup)
    assert done_names(setup) == ["requirements"]


def test_a_new_python_makes_everything_anew(tmp_path: Path) -> None:
    prepare(setup_in(tmp_path, answer=installer(tmp_path)))
    make_venv(tmp_path / "venv", "3.9.2")
    setup = setup_in(tmp_path, answer=installer(tmp_path))
    prepare(setup)
    assert done_names(setup)[0] == "venv" and "--clear" in setup.runner.commands[0]
    assert "does not fit; it is made anew" in said(setup)


def test_a_new_driver_makes_torch_be_chosen_again(tmp_path: Path) -> None:
    prepare(setup_in(tmp_path, answer=installer(tmp_path)))
    machine = FakeProbe(runs=NVIDIA, files={"/proc/driver/nvidia/version": "NVRM 580.65\n"})
    setup = setup_in(tmp_path, probe=machine, answer=installer(tmp_path, "2.13.0+cu130"))
    prepare(setup)
    assert done_names(setup) == ["torch", "device"]
    first, second = setup.runner.installs()
    assert "--force-reinstall --no-deps torch==2.13.0 --extra-index-url" in first and "/cu130" in first
    assert "--force-reinstall" not in second


def test_an_index_out_of_reach_is_said_aloud(tmp_path: Path) -> None:
    setup = setup_in(tmp_path, probe=FakeProbe(online=False), answer=installer(tmp_path))
    prepare(setup)
    assert "the index of cpu builds cannot be reached; the ordinary package index is used" in said(setup)
    assert not any("--extra-index-url" in command for command in setup.runner.installs())
    near = setup_in(tmp_path, "--reinstall-torch", answer=installer(tmp_path))
    prepare(near)
    assert any("--extra-index-url https://download.pytorch.org/whl/cpu" in line for line in near.runner.installs())


def test_reinstall_torch_does_it_and_tries_the_device(tmp_path: Path) -> None:
    prepare(setup_in(tmp_path, answer=installer(tmp_path)))
    setup = setup_in(tmp_path, "--reinstall-torch", answer=installer(tmp_path))
    prepare(setup)
    assert done_names(setup) == ["torch", "device"]


def test_torch_command_and_torch_index_url(tmp_path: Path) -> None:
    environ = {"TORCH_COMMAND": "pip install torch==2.9.1"}
    setup = setup_in(tmp_path, environ=environ, answer=installer(tmp_path))
    prepare(setup)
    assert [str(setup.environment.python), "-m", "pip", "install", "torch==2.9.1"] in setup.runner.commands
    assert setup.environment.state.result("torch")["why"] == "TORCH_COMMAND says so"
    other = tmp_path / "other"
    other.mkdir()
    setup = setup_in(other, "--torch-index-url", "https://mirror/cu126", answer=installer(other))
    prepare(setup)
    assert any("--extra-index-url https://mirror/cu126" in command for command in setup.runner.installs())


def test_one_step_runs_alone(tmp_path: Path) -> None:
    prepare(setup_in(tmp_path, answer=installer(tmp_path)))
    setup = setup_in(tmp_path, "--step", "device", answer=installer(tmp_path))
    prepare(setup)
    assert done_names(setup) == ["device"]
    with pytest.raises(BadRequest, match="Did you mean torch?"):
        prepare(setup_in(tmp_path, "--step", "toch"))


def test_skip_install_does_nothing(tmp_path: Path) -> None:
    setup = setup_in(tmp_path, "--skip-install")
    prepare(setup)
    assert setup.runner.commands == [] and "skipped" in said(setup)


@pytest.mark.parametrize(
    ("step", "output", "cause", "remedy"),
    [
        ("torch", "OSError: [Errno 28] No space left on device", "disk is full", "Free some room"),
        ("torch", "NewConnectionError: Temporary failure in name resolution", "cannot be reached", "--proxy"),
        ("requirements", "ERROR: No matching distribution found for gradio", "no build", "3.10 to 3.13"),
        ("requirements", "something nobody has seen", "status 1", "log"),
    ],
)
def test_a_failure_names_step_cause_and_remedy_and_is_tried_again(
    step: str, output: str, cause: str, remedy: str, tmp_path: Path
) -> None:
    works = installer(tmp_path)

    def fails(command: list[str]) -> Ended | None:
        hit = (
            f"{REQUIREMENTS.parent / 'requirements.txt'}" in command if step == "requirements" else "-r" not in command
        )
        return Ended(1, output) if "install" in command and hit else works(command)

    setup = setup_in(tmp_path, answer=fails)
    with pytest.raises(SetupFailed) as failed:
        prepare(setup)
    text = failure_text(failed.value)
    assert f"'{step}'" in text and cause in text and remedy in text
    assert f"launch.py prepare --step {step}" in text

    mended = setup_in(tmp_path, answer=works)
    prepare(mended)
    assert "venv" not in done_names(mended) and step in done_names(mended)


def test_too_little_room_is_told_before_anything_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atelier.launch.steps.shutil.disk_usage", lambda path: type("Usage", (), {"free": 1e9})())
    setup = setup_in(tmp_path, answer=installer(tmp_path))
    with pytest.raises(SetupFailed, match="1.0 GB are free"):
        prepare(setup)
    assert setup.runner.installs() == []


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "letters.txt").write_text("dear")
    with pytest.raises(SetupFailed, match="something else"):
        prepare(setup_in(tmp_path, answer=installer(tmp_path)))
    assert (tmp_path / "venv" / "letters.txt").read_text() == "dear"


def test_a_python_without_venv_names_the_package_that_brings_it(tmp_path: Path) -> None:
    output = "The virtual environment was not created successfully because ensurepip is not\navailable."
    setup = setup_in(tmp_path, answer=lambda command: Ended(1, output))
    with pytest.raises(SetupFailed) as failed:
        prepare(setup)
    assert "apt install python3-venv" in failed.value.remedy


def test_a_device_that_fails_falls_back_aloud_and_is_tried_again(tmp_path: Path) -> None:
    works = installer(tmp_path, "2.13.0+cu130")
    broken = PROOF.replace('"error": ""', '"error": "RuntimeError: no kernel image"')

    def answer(command: list[str]) -> Ended | None:
        return Ended(0, broken) if "install" not in command and "-c" in command else works(command)

    setup = setup_in(tmp_path, probe=FakeProbe(runs=NVIDIA), answer=answer)
    prepare(setup)
    assert "Device: CPU" in said(setup) and "cuda device could not be used (RuntimeError: no kernel image)" in said(
        setup
    )
    again = setup_in(tmp_path, probe=FakeProbe(runs=NVIDIA), answer=answer)
    prepare(again)
    assert done_names(again) == ["device"]


def test_a_torch_that_does_not_start_is_a_failure_of_the_device_step(tmp_path: Path) -> None:
    works = installer(tmp_path)

    def answer(command: list[str]) -> Ended | None:
        if "install" not in command and "-c" in command:
            return Ended(1, "Traceback\nOSError: libcudart.so.13: cannot open shared object file")
        return works(command)

    with pytest.raises(SetupFailed, match="libcudart") as failed:
        prepare(setup_in(tmp_path, answer=answer))
    assert failed.value.fields["step"] == "device" and "--reinstall-torch" in failed.value.remedy


def test_without_spandrel_the_program_starts_all_the_same(tmp_path: Path) -> None:
    works = installer(tmp_path)

    def answer(command: list[str]) -> Ended | None:
        return Ended(1, "no network") if any(word.endswith("spandrel.txt") for word in command) else works(command)

    setup = setup_in(tmp_path, answer=answer)
    prepare(setup)
    assert "upscalers of the kinds ESRGAN and Compact work without it" in said(setup)
    assert any("--no-deps" in command for command in setup.runner.installs())
    again = setup_in(tmp_path, answer=works)
    prepare(again)
    assert again.runner.commands == []


def test_xformers_only_where_it_is_asked_for_and_can_be(tmp_path: Path) -> None:
    setup = setup_in(tmp_path, "--xformers", answer=installer(tmp_path))
    prepare(setup)
    assert "xformers" not in done_names(setup)
    other = tmp_path / "gpu"
    other.mkdir()
    works = installer(other, "2.13.0+cu130")

    def answer(command: list[str]) -> Ended | None:
        return Ended(1, "no build") if "xformers" in command else works(command)

    setup = setup_in(other, "--xformers", probe=FakeProbe(runs=NVIDIA), answer=answer)
    prepare(setup)
    assert "no xformers build fits torch 2.13.0+cu130; torch's own attention is used" in said(setup)
    assert any(command.endswith("xformers torch==2.13.0+cu130") for command in setup.runner.installs())


def test_uv_is_fetched_and_used_and_pip_steps_in(tmp_path: Path) -> None:
    works = installer(tmp_path)
    uv = tmp_path / "venv" / "bin" / "uv"

    def answer(command: list[str]) -> Ended | None:
        if any(word.endswith("uv.txt") for word in command):
            uv.touch()
        if command[0] == str(uv) and any(word.endswith("requirements.txt") for word in command):
            return Ended(1, "No solution found")
        return works(command)

    setup = setup_in(tmp_path, "--use-uv", answer=answer, environ={"PATH": ""})
    setup.environment.uv = lambda: str(uv) if uv.exists() else ""  # type: ignore[method-assign]
    prepare(setup)
    assert done_names(setup)[:3] == ["venv", "uv", "torch"]
    assert any(line.startswith(f"{uv} pip install --python") for line in setup.runner.installs())
    assert "trying pip" in said(setup)


def test_offline_asks_no_index_and_says_what_is_missing(tmp_path: Path) -> None:
    works = installer(tmp_path)

    def answer(command: list[str]) -> Ended | None:
        return Ended(1, "No matching distribution found for gradio") if "-r" in command else works(command)

    setup = setup_in(tmp_path, "--offline", answer=answer)
    with pytest.raises(SetupFailed, match="may not be used") as failed:
        prepare(setup)
    assert "--find-links" in failed.value.remedy
    assert "offline: the index of cpu builds is not asked" in said(setup)
    assert all(given["PIP_NO_INDEX"] == "1" for given in setup.runner.environments[1:])


def test_step_names_are_distinct_and_described() -> None:
    assert len({step.name for step in STEPS}) == len(STEPS)
    assert all(step.title for step in STEPS)
