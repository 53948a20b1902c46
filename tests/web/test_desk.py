"""The folder of the pictures is opened on the machine of the program, for nobody from elsewhere."""

from __future__ import annotations

import subprocess
import sys

import pytest

from atelier.base.errors import InternalError, NotAllowed, NotFound
from atelier.web import desk
from atelier.web.page_routes import add_routes


@pytest.fixture
def opened(monkeypatch):
    """A machine with a screen, and the folders that were opened on it."""
    found = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(desk.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: found.append(command))
    return found


def test_a_folder_is_opened_by_the_systems_own_program(opened, tmp_path, monkeypatch):
    desk.show_folder(tmp_path, {})
    monkeypatch.setattr(sys, "platform", "darwin")
    desk.show_folder(tmp_path, {})
    assert opened == [["xdg-open", str(tmp_path)], ["open", str(tmp_path)]]


@pytest.mark.parametrize("arguments", [{"listen": True}, {"share": True}, {"hide_ui_dir_config": True}])
def test_nobody_from_elsewhere_opens_folders(opened, tmp_path, arguments):
    assert desk.has_desk({}) and not desk.has_desk(arguments)
    with pytest.raises(NotAllowed):
        desk.show_folder(tmp_path, arguments)
    assert not opened


def test_a_machine_without_a_screen_has_none(opened, tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not desk.has_desk({})
    with pytest.raises(NotAllowed, match=tmp_path.name):
        desk.show_folder(tmp_path, {})


def test_what_goes_wrong_is_told(opened, tmp_path, monkeypatch):
    with pytest.raises(NotFound):
        desk.show_folder(tmp_path / "not there", {})

    def refuse(command, **_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(InternalError, match="Permission denied"):
        desk.show_folder(tmp_path, {})


def test_the_page_asks_for_the_folder_of_a_job_or_of_a_tab(opened, serve):
    served = serve()
    add_routes(served.server, served.app)
    ask = lambda **question: served.client.post("/atelier/v1/page/folder", json=question)  # noqa: E731
    answer = ask(tab="txt2img")
    assert answer.status_code == 404 and "outputs" in answer.json()["message"]
    folder = served.app.paths.data / served.app.settings.get("outdir_txt2img_samples")
    folder.mkdir(parents=True)
    assert ask(tab="txt2img", job="no-such-job").json() == {"folder": str(folder)}
    assert opened == [["xdg-open", str(folder)]]
    assert ask(tab="../..").status_code == 422
