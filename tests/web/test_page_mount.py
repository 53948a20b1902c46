"""The page as it is served: its head, its own files, the changed front end, and the routes that only it uses."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gradio
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from atelier.imaging.writer import encode
from atelier.plugins.hooks import hookimpl
from atelier.plugins.manager import Plugins
from atelier.store.pictures import PictureRow
from atelier.web.frontend import core_bundle, eager
from atelier.web.hooks import Assets, WebHooks
from atelier.web.mount import LAST, SCRIPTS, build_paged_server
from atelier.web.tokens import TokenCounter
from tests.apps import make_app

ROOT = Path(__file__).parents[2]


class OwnAssets:
    def __init__(self, script: Path) -> None:
        self.script = str(script)

    @hookimpl
    def provide_assets(self, app):
        return Assets(scripts=(self.script,), styles=("/x/with space.css",), head="<!-- own -->")


@pytest.fixture(scope="module")
def paged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("data")
    script = folder / "own.js"
    script.write_text("// own")
    plugins = Plugins()
    plugins.add_hookspecs(WebHooks)
    plugins.register(OwnAssets(script), "own")
    app = make_app(folder, plugins)
    client = TestClient(build_paged_server(app), base_url="http://127.0.0.1:7860")
    yield SimpleNamespace(app=app, client=client, script=script)
    client.close()
    app.close()


def test_the_page_answers_before_the_engine_exists(paged):
    assert paged.app.capabilities() is None
    answer = paged.client.get("/")
    assert answer.status_code == 200 and "atelier-canvas" in answer.text
    assert paged.client.get("/atelier/v1/health").json()["engine"] == "starting"


def test_scripts_come_in_order_and_those_of_extensions_last(paged):
    text = paged.client.get("/config").json()["head"]
    found = re.findall(r'<script src="([^"?]+)', text)
    ours = [name.rpartition("/")[2] for name in found if name.startswith("atelier/page/javascript/")]
    assert ours == [*SCRIPTS, LAST] and ours[0] == "doors.js"
    assert found.index(f"file={paged.script}") == len(found) - 2
    assert 'href="file=/x/with%20space.css?0"' in text and "<!-- own -->" in text


def test_nothing_is_fetched_from_elsewhere(paged):
    text = paged.client.get("/").text + paged.client.get("/config").json()["head"]
    fetched = re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(https?://[^"]+)', text)
    assert [url for url in fetched if "127.0.0.1" not in url] == []


def test_every_script_is_loaded_and_served(paged):
    folder = ROOT / "javascript"
    assert {path.name for path in folder.glob("*.js")} == {*SCRIPTS, LAST, "theme.js"}
    for name in SCRIPTS:
        answer = paged.client.get(f"/atelier/page/javascript/{name}")
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/javascript")
    assert paged.client.get("/atelier/page/style.css").headers["content-type"].startswith("text/css")


@pytest.mark.parametrize(
    "name", ["webui.py", "javascript/../webui.py", "..%2f..%2fetc/passwd", "javascript", "html/none"]
)
def test_other_files_are_not_served(paged, name):
    assert paged.client.get(f"/atelier/page/{name}").status_code == 404


def test_the_front_end_is_changed_in_exactly_one_place(paged):
    """When this fails after an update of Gradio, look for the function that marks children of closed tabs."""
    bundle = core_bundle()
    assert bundle is not None and bundle.hits == 1
    original = (Path(gradio.__file__).parent / "templates/frontend/assets" / bundle.name).read_text("utf-8")
    assert 200 < len(original) - len(bundle.text) < 1000
    assert paged.client.get(f"/assets/{bundle.name}").text == bundle.text
    assert eager("function x(){return 1}") == ("function x(){return 1}", 0)


def test_counting_tokens(paged):
    ask = paged.client.post("/atelier/v1/page/tokens", json={"text": "a, " * 50, "steps": 20})
    assert ask.json() == {"count": 100, "room": 150}
    assert paged.client.post("/atelier/v1/page/tokens", json={"text": "x", "steps": 0}).status_code == 422


@pytest.mark.parametrize(
    "text",
    ["a panda on a blue background", "it's (a:1.2) 12345 Ünïcödé — 日本語, hello!!  world\n new", "",
     "don't 😀 ((x)) A, b;'LL", "<|endoftext|> x"],
)  # fmt: skip
def test_tokens_are_those_of_the_text_encoder(text):
    from atelier.families.clip import load_tokenizer, tokenize_with

    assert TokenCounter(ROOT).ids(text) == tokenize_with(load_tokenizer())(text)


def test_parameters_of_a_dropped_picture(paged):
    data = encode(Image.new("RGB", (32, 16)), "png", "a lake\nSteps: 5, Seed: 7, Size: 32x16")
    told = paged.client.post("/atelier/v1/page/parameters", content=data).json()
    assert (
        told["info"].startswith("a lake")
        and told["values"]["Seed"] == "7"
        and (told["width"], told["height"]) == (32, 16)
    )
    plain = io.BytesIO()
    Image.new("L", (4, 4)).save(plain, "PNG")
    assert paged.client.post("/atelier/v1/page/parameters", content=plain.getvalue()).json()["info"] == ""
    for bad in (b"", b"no picture"):
        assert paged.client.post("/atelier/v1/page/parameters", content=bad).status_code == 422


def test_browsing_saved_pictures(paged, tmp_path):
    ids = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        path.write_bytes(encode(Image.new("RGB", (400, 200), "green"), "png", ""))
        row = PictureRow(str(path), infotext=f"lake {number}", seed=number, width=400, height=200)
        ids.append(paged.app.pictures.add(row).id)
    get = paged.client.get
    told = get("/atelier/v1/page/pictures?query=lake&limit=2").json()
    assert told["total"] == 3 and [p["name"] for p in told["pictures"]] == ["2.png", "1.png"]
    rest = get(f"/atelier/v1/page/pictures?query=lake&before={told['pictures'][-1]['id']}").json()
    assert [p["name"] for p in rest["pictures"]] == ["0.png"]
    small = Image.open(io.BytesIO(get(f"/atelier/v1/page/pictures/{ids[0]}/thumbnail").content))
    assert small.size == (320, 160)
    assert get(f"/atelier/v1/page/pictures/{ids[0]}/file").content == (tmp_path / "0.png").read_bytes()
    assert paged.client.post(f"/atelier/v1/page/pictures/{ids[1]}", json={"favourite": True}).json()["favourite"]
    assert [p["id"] for p in get("/atelier/v1/page/pictures?favourite=true").json()["pictures"]] == [ids[1]]
    (tmp_path / "2.png").unlink()
    assert get(f"/atelier/v1/page/pictures/{ids[2]}/thumbnail").status_code == 404


def test_settings_from_the_page_may_change_what_programs_may_not(paged):
    post = paged.client.post
    told = post("/atelier/v1/page/settings", json={"outdir_grids": "grids", "hidden_tabs": ["Queue"]}).json()
    assert set(told["changed"]) == {"outdir_grids", "hidden_tabs"} and told["restart"] == ["hidden_tabs"]
    bad = post("/atelier/v1/page/settings", json={"jpeg_quality": 5000})
    assert bad.status_code == 422 and "jpeg_quality" in bad.json()["fields"]["field"]


def test_extensions_are_listed(paged):
    assert paged.client.get("/atelier/v1/page/extensions").json() == []
