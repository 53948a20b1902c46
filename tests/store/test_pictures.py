"""The index of pictures: search, paging, favourites."""

from __future__ import annotations

import pytest

from atelier.base.errors import NotFound
from atelier.store.database import Database
from atelier.store.pictures import PictureIndex, PictureRow


@pytest.fixture
def index(tmp_path):
    index = PictureIndex(Database(tmp_path / "a.sqlite"))
    for i, text in enumerate(("a red cat", "a blue dog, 100% wool", "Red_dog 猫", "grid of cats")):
        role = "grid" if i == 3 else "picture"
        index.add(
            PictureRow(
                f"/out/{i}.png", f"{i}" * 64, "job" if i < 2 else "", 2**40 + i, text, role, 512, 768, created=100.0 + i
            )
        )
    return index


def test_round_trip(index):
    first = index.by_path("/out/0.png")
    assert first == index.get(first.id)
    assert (first.seed, first.width, first.height, first.created, first.favourite) == (2**40, 512, 768, 100.0, False)
    assert index.by_path("/out/9.png") is None
    assert [p.path for p in index.of_job("job")] == ["/out/0.png", "/out/1.png"]


@pytest.mark.parametrize(
    ("query", "found"),
    [("", [3, 2, 1, 0]), ("red", [2, 0]), ("red dog", [2]), ("dog red", [2]), ("100%", [1]), ("%", [1]), ("red_", [2]),
     ("猫", [2]), ("0.png", [0]), ("nothing", []), ("\ud800", []), ("'; DROP TABLE pictures --", [])],
)  # fmt: skip
def test_search(index, query, found):
    rows = index.list(query)
    assert [int(p.path[5]) for p in rows] == found and index.count(query) == len(found)


def test_filters_and_pages(index):
    assert [p.path for p in index.list(role="grid")] == ["/out/3.png"]
    newest = index.list(limit=2)
    assert [p.path for p in newest] == ["/out/3.png", "/out/2.png"]
    index.add(PictureRow("/out/new.png", created=200.0))
    assert [p.path for p in index.list(limit=2, before=newest[-1].id)] == ["/out/1.png", "/out/0.png"]
    assert [p.path for p in index.list(limit=1, offset=1)] == ["/out/3.png"]


def test_favourites(index):
    cat = index.by_path("/out/0.png")
    assert index.set_favourite(cat.id).favourite
    assert index.list(favourite=True) == [index.get(cat.id)] and index.count(favourite=False) == 3
    assert not index.set_favourite(cat.id, False).favourite
    for missing in (lambda: index.set_favourite(99), lambda: index.get(99), lambda: index.remove(99)):
        with pytest.raises(NotFound):
            missing()


def test_same_path_replaces_and_remove_forgets(index):
    again = index.add(PictureRow("/out/0.png", infotext="other"))
    assert index.count() == 4 and index.by_path("/out/0.png") == again and index.list()[0] == again
    index.remove(again.id)
    assert index.count() == 3
