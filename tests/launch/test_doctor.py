from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from atelier.launch import doctor
from atelier.launch.process import Ended
from tests.launch.fakes import PROOF, FakeProbe, make_venv, put_package, said, setup_in


def found(setup, subject: str) -> doctor.Finding:  # noqa: ANN001
    return next(finding for finding in reversed(doctor.examine(setup)) if finding.subject == subject)


def test_an_empty_machine_is_told_to_prepare(tmp_path: Path) -> None:
    setup = setup_in(tmp_path)
    assert doctor.report(setup) == 1
    text = said(setup)
    assert "does not exist yet" in text and "-> Run: python launch.py prepare" in text and "1 thing to mend" in text


def test_wrong_versions_are_named(tmp_path: Path) -> None:
    make_venv(tmp_path / "venv")
    put_package(tmp_path / "venv", "gradio", "3.41.2")
    setup = setup_in(tmp_path)
    finding = found(setup, "requirements")
    assert finding.level == "bad" and "gradio 3.41.2 (wanted 6.31.0)" in finding.text
    assert "--step requirements" in finding.remedy


@pytest.mark.parametrize(
    ("answer", "level", "part"),
    [
        (Ended(0, PROOF), "good", "CPU (2 threads)"),
        (Ended(1, "ImportError: libtorch"), "bad", "torch does not start: ImportError"),
        (Ended(0, PROOF.replace('"error": ""', '"error": "no kernel image"')), "bad", "no kernel image"),
    ],
)
def test_the_device(answer: Ended, level: str, part: str, tmp_path: Path) -> None:
    make_venv(tmp_path / "venv")
    put_package(tmp_path / "venv", "torch", "2.13.0+cpu")
    probe = FakeProbe(runs={"nvidia-smi": "RTX 4090, 580.65.06, 24564, 8.9"}) if level == "bad" else FakeProbe()
    setup = setup_in(tmp_path, probe=probe, answer=lambda command: answer)
    finding = found(setup, "device")
    assert finding.level == level and part in finding.text and bool(finding.remedy) == (level == "bad")
    if level == "bad":
        assert "compute capability 8.9" in found(setup, "hardware").text


def test_a_full_disk_and_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1e8})())

    def refuse(*args: object, **words: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "NamedTemporaryFile", refuse)
    setup = setup_in(tmp_path)
    assert found(setup, "disk").level == "bad"
    finding = found(setup, "data folder")
    assert finding.level == "bad" and "Permission denied" in finding.text and "--data-dir" in finding.remedy


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = str(server.getsockname()[1])
        assert found(setup_in(tmp_path, "--port", port), "port").level == "note"
    assert found(setup_in(tmp_path, "--port", port), "port").level == "good"


def test_extensions_that_failed_are_named(tmp_path: Path) -> None:
    make_venv(tmp_path / "venv")
    setup = setup_in(tmp_path)
    setup.environment.state.record("extensions", "", {"failed": ["wildcards"]})
    assert "wildcards" in found(setup, "extensions").text


def test_sysinfo_holds_findings_but_no_passwords(tmp_path: Path) -> None:
    path = doctor.write_sysinfo(setup_in(tmp_path, "--gradio-auth", "me:secret", "--listen"))
    text = path.read_text()
    content = json.loads(text)
    assert "secret" not in text and content["options"]["listen"] is True and content["findings"]
