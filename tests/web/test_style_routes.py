"""Styles through the page's routes: saved, deleted, merged; what is written by hand or cannot be written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient

from atelier.base.errors import SaveFailed
from atelier.prompts import styles
from atelier.prompts.styles import Style, StyleBook
from atelier.web.mount import build_paged_server
from atelier.web.style_routes import PATH
from tests.apps import make_app

FILE = 'name,prompt,negative_prompt\r\n---- MINE ----,,\r\n#off,a,b\r\n,loose,\r\nInk,"ink, {prompt}",photo\r\n'


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    app = make_app(tmp_path_factory.mktemp("data"))
    client = TestClient(build_paged_server(app), base_url="http://127.0.0.1:7860")
    yield SimpleNamespace(app=app, client=client, file=app.paths.styles[0])
    client.close()
    app.close()


@pytest.fixture
def served(module: SimpleNamespace) -> SimpleNamespace:
    module.file.write_bytes(FILE.encode())
    module.app.styles.reload()
    return module


def save(served: SimpleNamespace, name: str, prompt: str = "", negative: str = ""):
    return served.client.put(PATH, json={"name": name, "prompt": prompt, "negative_prompt": negative})


def delete(served: SimpleNamespace, name: str):
    return served.client.delete(PATH, params={"name": name})


def on_disk(served: SimpleNamespace) -> dict[str, Style]:
    return {style.name: style for style in StyleBook([served.file])}


def test_a_style_is_saved_changed_and_deleted(served):
    assert save(served, " Foto 🎞/? ", "photo of {prompt}\nsharp", "blur").status_code == 200
    assert on_disk(served)["Foto 🎞/?"] == Style("Foto 🎞/?", "photo of {prompt}\nsharp", "blur")
    told = save(served, "Ink", "new").json()
    assert [style["name"] for style in told["styles"]] == ["Ink", "Foto 🎞/?"] and told["problems"] == []
    assert told == served.client.get(PATH).json() and told["styles"][0]["prompt"] == "new"
    assert delete(served, "Foto 🎞/?").json()["styles"] == told["styles"][:1]
    assert on_disk(served) == {"Ink": Style("Ink", "new", "")} == {s.name: s for s in served.app.styles}


def test_rows_that_are_not_offered_stay_in_the_file(served):
    save(served, "b", "x")
    text = served.file.read_text("utf-8-sig")
    assert text.startswith(FILE.replace("\r\n", "\n")) and text.endswith("b,x,\n")


@pytest.mark.parametrize(("name", "prompt", "field"), [
    ("", "x", "style.name"), ("  ", "x", "style.name"), ("#x", "x", "style.name"), ("---- x ----", "x", "style.name"),
    ("two\nlines", "x", "style.name"), ("a" * 100_001, "x", "style.name"), ("nul", "a\0b", "style.prompt"),
    ("half", "\ud83d", "style.prompt"), ("long", "x" * 100_001, "style.prompt"),
])  # fmt: skip
def test_what_cannot_be_a_style_is_refused_and_changes_nothing(served, name, prompt, field):
    body = b'{"name": %s, "prompt": %s}' % tuple(json.dumps(text).encode() for text in (name, prompt))
    answer = served.client.put(PATH, content=body, headers={"Content-Type": "application/json"})
    told = answer.json()
    assert answer.status_code == 422 and told["fields"]["field"] == field and told["remedy"]
    assert served.file.read_bytes() == FILE.encode() and served.app.styles.names() == ("Ink",)


def test_an_unknown_style_cannot_be_deleted(served):
    answer = delete(served, "nobody")
    assert answer.status_code == 404 and answer.json()["remedy"]
    assert delete(served, "#off").status_code == 404
    assert served.file.read_bytes() == FILE.encode()


def test_what_was_written_by_hand_meanwhile_is_kept_and_told(served):
    served.file.write_bytes(FILE.encode() + b"Hand,by hand,\r\n")
    save(served, "b", "x")
    assert list(on_disk(served)) == ["Ink", "Hand", "b"]
    served.file.write_bytes(FILE.encode())
    assert [style["name"] for style in served.client.get(PATH).json()["styles"]] == ["Ink"]


def test_a_disk_that_refuses_leaves_book_and_file_as_they_were(served, monkeypatch):
    def refuse(path: Path, text: str) -> None:
        raise SaveFailed(f"{path.name} could not be written.", remedy="Free some disk space.")

    monkeypatch.setattr(styles, "write_text", refuse)
    for answer in (save(served, "b", "x"), save(served, "Ink", "other"), delete(served, "Ink")):
        assert answer.status_code == 507 and answer.json()["code"] == "save_failed" and answer.json()["remedy"]
    assert tuple(served.app.styles) == (Style("Ink", "ink, {prompt}", "photo"),)
    assert served.file.read_bytes() == FILE.encode()


def test_a_read_only_file_is_not_replaced(served, monkeypatch):
    monkeypatch.setattr(styles.os, "access", lambda path, mode: Path(path) != served.file.resolve())
    answer = save(served, "b", "x")
    assert answer.status_code == 507 and "read-only" in answer.json()["message"]
    assert served.app.styles.names() == ("Ink",) and served.file.read_bytes() == FILE.encode()


def test_a_file_that_cannot_be_read_is_told_and_left_alone(served):
    served.file.write_bytes(b"name;prompt\r\nInk;lines\r\n")
    told = served.client.get(PATH).json()
    assert told["styles"] == [] and "no column called name" in told["problems"][0]
    assert save(served, "b", "x").status_code == 507
    assert served.file.read_bytes() == b"name;prompt\r\nInk;lines\r\n"


def test_many_save_at_the_same_time_and_nothing_is_lost(served):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: save(served, f"s{n}", f"text {n}").status_code, range(24)))
    assert set(answers) == {200}
    assert on_disk(served).keys() == {"Ink", *(f"s{n}" for n in range(24))} == set(served.app.styles.names())


def test_a_style_is_laid_around_the_prompt(served):
    style = {"prompt": "ink, {prompt}, fine", "negative_prompt": "photo"}
    asked = {"prompt": "a cat", "negative_prompt": "fog", "style": style}
    assert served.client.post(f"{PATH}/merge", json=asked).json() == {
        "prompt": "ink, a cat, fine", "negative_prompt": "fog, photo",
    }  # fmt: skip


def test_another_site_may_not_change_styles(served):
    foreign = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert served.client.put(PATH, json={"name": "b"}, headers=foreign).status_code == 403
    assert served.client.delete(PATH, params={"name": "Ink"}, headers=foreign).status_code == 403
    assert served.file.read_bytes() == FILE.encode()
