"""Control values of pages."""

from __future__ import annotations

import time

import pytest

from atelier.base.errors import BadRequest
from atelier.store.database import Database
from atelier.store.sessions import Sessions


@pytest.fixture
def sessions(tmp_path):
    return Sessions(Database(tmp_path / "a.sqlite"))


def test_values_come_back(sessions):
    values = {"prompt": "猫\n\u2028 \ud800", "steps": 20, "loras": [1.5, None], "on": True}
    sessions.save("me", "txt2img", values)
    assert sessions.load("me", "txt2img") == {**values, "prompt": "猫\n\u2028 ?"}
    assert sessions.load("me", "img2img") is None and sessions.load("you", "txt2img") is None


def test_update_changes_only_what_is_given(sessions):
    assert sessions.update("me", "t", {"a": 1, "b": 2}) == {"a": 1, "b": 2}
    assert sessions.update("me", "t", {"b": 3}) == {"a": 1, "b": 3} == sessions.load("me", "t")


def test_tabs_latest_forget_prune(sessions):
    sessions.save("me", "t", {"n": 1})
    sessions.save("me", "i", {"n": 2})
    time.sleep(0.01)
    sessions.save("you", "t", {"n": 3})
    assert sessions.tabs("me") == {"i": {"n": 2}, "t": {"n": 1}}
    assert sessions.latest("t") == {"n": 3} and sessions.latest("x") is None
    sessions.forget("you")
    assert sessions.latest("t") == {"n": 1}
    assert sessions.prune(3600) == 0 and sessions.prune(-1) == 2 and sessions.tabs("me") == {}


def test_values_that_are_no_json(sessions):
    with pytest.raises(BadRequest):
        sessions.save("me", "t", {"a": {1, 2}})
