"""Named sets of values."""

from __future__ import annotations

import pytest

from atelier.base.errors import BadRequest, Conflict, NotFound
from atelier.store.database import Database
from atelier.store.presets import Presets


@pytest.fixture
def presets(tmp_path):
    presets = Presets(Database(tmp_path / "a.sqlite"))
    presets.save("txt2img", " Portrait ", {"steps": 30})
    presets.save("txt2img", "anime", {"steps": 20})
    presets.save("img2img", "portrait", {"steps": 5})
    return presets


def test_listed_by_name_within_a_kind(presets):
    assert [p.name for p in presets.list("txt2img")] == ["anime", "Portrait"]
    assert presets.get("txt2img", "PORTRAIT").values == {"steps": 30}
    assert presets.get("img2img", "Portrait").values == {"steps": 5}


def test_saving_again_replaces(presets):
    presets.save("txt2img", "ANIME", {"steps": 1})
    assert [p.values["steps"] for p in presets.list("txt2img")] == [1, 30]


def test_rename_and_delete(presets):
    assert presets.rename("txt2img", "anime", "Anime").name == "Anime"
    with pytest.raises(Conflict):
        presets.rename("txt2img", "Anime", "portrait")
    presets.delete("txt2img", "anime")
    for act in (lambda: presets.delete("txt2img", "anime"), lambda: presets.rename("txt2img", "anime", "b")):
        with pytest.raises(NotFound):
            act()
    assert [p.name for p in presets.list("txt2img")] == ["Portrait"]


def test_a_name_is_needed(presets):
    for name in ("", "  \n"):
        with pytest.raises(BadRequest):
            presets.save("txt2img", name, {})
