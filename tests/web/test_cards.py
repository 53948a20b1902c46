"""The cards of networks: what they tell, their previews, what is written beside the files, what is never given away."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from atelier.base.errors import Conflict
from atelier.base.notes import read_notes, save_notes
from atelier.params.capabilities import Capabilities, EmbeddingInfo, FileInfo, ModelInfo, NetworkInfo
from atelier.web.card_routes import add_card_routes
from atelier.web.network_pages import pages_in_order
from atelier.web.server import build_server
from tests.apps import make_app

BASE = "/atelier/v1/page/networks"


def weights(path: Path, **metadata: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = json.dumps({"__metadata__": metadata}).encode() if metadata else b"{}"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


def picture(path: Path, colour: str = "green", size: tuple[int, int] = (900, 1200)) -> None:
    Image.new("RGB", size, colour).save(path)


class Desk:
    """A server over files that a test makes. The lists are the engine's, as the test says them."""

    def __init__(self, folder: Path, **arguments: Any) -> None:
        self.app = make_app(folder / "data", **arguments)
        self.root = folder / "data" / "models"
        self.known = Capabilities(family="sd1", model="tiny")
        self.app.capabilities = lambda: self.known  # type: ignore[method-assign]
        server = build_server(self.app)
        add_card_routes(server, self.app)
        self.client = TestClient(server, base_url="http://127.0.0.1:7860")

    def loras(self, *paths: str, **told: Any) -> list[Path]:
        files = [weights(self.root / "Lora" / path) for path in paths]
        self.known = Capabilities(
            family="sd1", loras=tuple(NetworkInfo(f.stem, str(f), alias=f.stem, **told) for f in files)
        )
        return files

    def cards(self, page: str = "lora") -> dict[str, dict[str, Any]]:
        answer = self.client.get(f"{BASE}/{page}")
        assert answer.status_code == 200, answer.text
        return {card["file"]: card for card in answer.json()["cards"]}

    def one(self, page: str = "lora") -> dict[str, Any]:
        (card,) = self.cards(page).values()
        return card

    def write(self, file: Path, **told: Any) -> Any:
        return self.client.post(f"{BASE}/lora/notes", json={"file": str(file), **told})


@pytest.fixture
def desk(tmp_path: Path):
    made = Desk(tmp_path)
    yield made
    made.client.close()
    made.app.close()


def test_a_card_tells_the_file_and_what_its_user_wrote(desk):
    (file,) = desk.loras("people/ink.safetensors", family="sdxl", trigger="inky")
    notes = {"description": "Ink", "activation text": "ink drawing", "preferred weight": "0.7"}
    notes |= {"negative text": "photo"}
    file.with_suffix(".json").write_text(json.dumps(notes))
    card = desk.one()
    assert card["text"] == "<lora:ink:0.7> ink drawing" and card["negative"] == "photo"
    assert (card["name"], card["folder"], card["description"], card["trigger"]) == ("ink", "people", "Ink", "inky")
    assert card["reason"] == "Made for SDXL; the loaded model is SD 1." and card["size"] and card["modified"]
    file.with_suffix(".json").write_text(json.dumps({"sd version": "SD1", "preferred weight": None, "notes": 5}))
    card = desk.one()
    assert card["text"] == "<lora:ink:1>" and card["reason"] == "" and card["version"] == "SD1"


def test_every_page_has_its_own_text(desk, tmp_path):
    embedding, hypernet = weights(tmp_path / "sad.safetensors"), weights(tmp_path / "face.pt")
    desk.known = Capabilities(
        model="sub/a.safetensors [0123456789]",
        embeddings=(EmbeddingInfo("sad", 1, 768, filename=str(embedding), usable=False, reason="too wide"),),
        hypernetworks=(FileInfo("face", str(hypernet)),),
        models=(ModelInfo("sub/a.safetensors [0123456789]", "a", str(tmp_path / "gone.safetensors"), "0123456789"),),
    )
    assert desk.one("textual_inversion") | {"text": "sad", "reason": "too wide"} == desk.one("textual inversion")
    desk.app.set_options({"extra_networks_default_multiplier": 0.5})
    assert desk.one("hypernetworks")["text"] == "<hypernet:face:0.5>"
    assert desk.one("hypernetworks")["reason"].startswith("A pickle file")
    desk.app.set_options({"allow_pickle": True})
    assert desk.one("hypernetworks")["reason"] == ""
    card = desk.one("checkpoints")
    assert card["title"] == "sub/a.safetensors [0123456789]" and card["loaded"] and card["hash"] == "0123456789"
    assert card["size"] == 0 and card["text"] == ""
    assert desk.client.get(f"{BASE}/none").status_code == 404


def test_files_of_one_name_are_told_apart_and_aliases_are_used_where_they_are_clear(desk):
    first, second = desk.loras("ink.safetensors", "old/ink.safetensors")
    cards = desk.cards()
    assert cards[str(first)]["text"] == "<lora:ink:1>" and cards[str(second)]["text"] == "<lora:old/ink:1>"
    desk.known = Capabilities(loras=(
        NetworkInfo("a", "/x/a.pt", alias="pen"), NetworkInfo("b", "/x/b.pt", alias="both"),
        NetworkInfo("c", "/x/c.pt", alias="both"), NetworkInfo("d", "/x/d.pt", alias="a"),
    ))  # fmt: skip
    assert [card["text"] for card in desk.cards().values()] == [f"<lora:{n}:1>" for n in ("pen", "b", "c", "d")]
    assert desk.cards()["/x/a.pt"]["names"] == ["a", "pen"]
    desk.app.set_options({"lora_preferred_name": "Filename"})
    assert desk.cards()["/x/a.pt"]["text"] == "<lora:a:1>"


@pytest.mark.parametrize("name", ["a:b", "a>b", "a=b", "a#b"])
def test_a_name_that_no_prompt_can_have_is_explained(desk, name):
    desk.known = Capabilities(loras=(NetworkInfo(name, f"/x/{name}.safetensors"),))
    card = desk.one()
    assert card["text"] == "" and "Rename the file" in card["problem"]


def test_odd_names_and_damaged_neighbours_break_nothing(desk):
    name = "it's \"<b>bold</b>\" & ünï 🎨"
    names = [f"{name.replace('/', '')}.safetensors", "list.safetensors", "garbled.safetensors"]
    odd, listed, garbled = desk.loras(*names)
    listed.with_suffix(".json").write_text("[1]")
    garbled.with_suffix(".json").write_bytes(b"\xff\xfe{not json")
    garbled.with_suffix(".png").write_bytes(b"no picture")
    picture(odd.with_suffix(".PNG"))
    cards = desk.cards()
    assert cards[str(odd)]["name"] == odd.stem and cards[str(odd)]["preview"]
    assert "cannot be read as notes" in cards[str(listed)]["problem"] and cards[str(garbled)]["problem"]
    assert desk.client.get(f"/{cards[str(odd)]['preview']}").status_code == 200
    assert desk.client.get(f"/{cards[str(garbled)]['preview']}").status_code == 422
    refused = desk.write(garbled, description="x")
    assert refused.status_code == 409 and garbled.with_suffix(".json").read_bytes() == b"\xff\xfe{not json"


def test_a_name_that_is_no_text_costs_no_other_card(desk):
    odd = NetworkInfo("a\udcff", "/x/a\udcff.safetensors")
    desk.known = Capabilities(loras=(odd, NetworkInfo("b", "/x/b.safetensors")))
    assert desk.one()["name"] == "b"


def test_previews_are_small_kept_and_follow_their_picture(desk):
    (file,) = desk.loras("ink.safetensors")
    assert desk.one()["preview"] == ""
    picture(file.with_suffix(".jpg"), "red")
    address = desk.one()["preview"]
    answer = desk.client.get(f"/{address}")
    small = Image.open(io.BytesIO(answer.content))
    assert small.format == "WEBP" and small.size == (384, 512) and small.getpixel((9, 9))[0] > 200
    kept = desk.app.paths.cache / "previews"
    assert len(list(kept.iterdir())) == 1
    picture(file.with_name("ink.preview.png"), "blue")
    assert desk.one()["preview"] != address
    small = Image.open(io.BytesIO(desk.client.get(f"/{desk.one()['preview']}").content))
    assert small.getpixel((9, 9))[2] > 200
    (file.with_name("ink.preview.png")).unlink()
    file.with_suffix(".jpg").unlink()
    assert desk.client.get(f"/{address}").status_code == 404


def test_an_embedding_that_is_a_picture_shows_itself(desk, tmp_path):
    picture(tmp_path / "sad.png", "green")
    desk.known = Capabilities(embeddings=(EmbeddingInfo("Sad", 1, 768, filename=str(tmp_path / "sad.png")),))
    assert desk.client.get(f"/{desk.one('textual_inversion')['preview']}").status_code == 200


def test_only_what_belongs_to_a_listed_file_is_given_away(desk, tmp_path):
    (file,) = desk.loras("ink.safetensors")
    picture(file.with_suffix(".png"))
    picture(desk.root / "Lora" / "private.png")
    picture(tmp_path / "private.png")
    for other in (tmp_path / "private.png", desk.root / "Lora" / "private.png", "/etc/passwd", f"{file.parent}/../x"):
        query = {"file": str(other)}
        assert desk.client.get(f"{BASE}/lora/preview", params=query).status_code == 404
        assert desk.client.get(f"{BASE}/lora/card", params=query).status_code == 404
        assert desk.write(Path(other), description="x").status_code == 404
        assert desk.client.get("/sd_extra_networks/thumb", params={"filename": str(other)}).status_code == 404
    thumb = desk.client.get("/sd_extra_networks/thumb", params={"filename": str(file.with_suffix(".png"))})
    assert thumb.status_code == 200 and thumb.headers["content-type"] == "image/webp"


def test_notes_are_written_as_a1111_reads_them_and_keep_what_they_do_not_know(desk):
    (file,) = desk.loras("ink.safetensors")
    file.with_suffix(".json").write_text(json.dumps({"vae": "soft", "sd version": "SD2"}))
    words = {"description": "Tinte 🎨", "activation": "inky", "negative": "photo", "notes": "n", "version": ""}
    told = desk.write(file, weight=0.6, **words)
    assert told.status_code == 200, told.text
    assert told.json()["card"]["text"] == "<lora:ink:0.6> inky" and told.json()["job"]
    assert json.loads(file.with_suffix(".json").read_text("utf-8")) == {
        "vae": "soft", "description": "Tinte 🎨", "activation text": "inky", "preferred weight": 0.6,
        "negative text": "photo", "notes": "n",
    }  # fmt: skip
    assert not desk.write(file, notes="m").json()["job"]
    assert sorted(path.name for path in file.parent.iterdir()) == ["ink.json", "ink.safetensors"]
    assert desk.write(file, weight=3).status_code == 422


def test_a_text_beside_the_file_is_its_description_until_there_is_another(desk):
    (file,) = desk.loras("ink.safetensors")
    file.with_name("ink.description.txt").write_text("From a text.")
    assert desk.one()["description"] == "From a text."
    desk.write(file, description="Own.")
    assert desk.one()["description"] == "Own."


def test_a_picture_of_the_gallery_becomes_the_preview(desk):
    (file,) = desk.loras("ink.safetensors")
    ref = desk.app.blobs.put_image(Image.new("RGB", (64, 64), "red"), "a red square")
    url = f"{BASE}/lora/preview"
    told = desk.client.post(url, json={"file": str(file), "sha256": ref.sha256}).json()
    assert parse_qs(urlsplit(told["card"]["preview"]).query)["file"] == [str(file)]
    assert Image.open(file.with_name("ink.preview.png")).info["parameters"] == "a red square"
    assert desk.client.post(url, json={"file": str(file), "sha256": "0" * 64}).status_code == 404


def test_what_the_trainer_left_is_told_with_its_tags(desk, tmp_path):
    tags = {"ss_tag_frequency": {"10_ink": {"inky": 9, "cat ": 2}, "b": {"cat": 20}}, "ss_steps": "10"}
    (file,) = desk.loras("ink.safetensors", metadata=tags)
    told = desk.client.get(f"{BASE}/lora/card", params={"file": str(file)}).json()
    assert told["metadata"] == tags and list(told["tags"].items()) == [("cat", 22), ("inky", 9)]
    door = desk.client.get("/sd_extra_networks/metadata", params={"page": "lora", "item": "ink"}).json()
    assert json.loads(door["metadata"]) == tags
    assert desk.client.get("/sd_extra_networks/metadata", params={"page": "lora", "item": "no"}).json() == {}
    model = weights(tmp_path / "m.safetensors", sd_merge_recipe='{"a": 1}')
    desk.known = Capabilities(models=(ModelInfo("m", "m", str(model)),))
    told = desk.client.get(f"{BASE}/checkpoints/card", params={"file": str(model)}).json()
    assert told["metadata"] == {"sd_merge_recipe": {"a": 1}}
    model.write_bytes(b"\xff" * 20)
    assert desk.client.get(f"{BASE}/checkpoints/card", params={"file": str(model)}).json()["metadata"] == {}


def test_pages_of_other_sites_may_not_write(desk):
    (file,) = desk.loras("ink.safetensors")
    foreign = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
    for what, more in (("notes", {"description": "x"}), ("preview", {"sha256": "0" * 64})):
        body = {"file": str(file), **more}
        assert desk.client.post(f"{BASE}/lora/{what}", json=body, headers=foreign).status_code == 403
    assert not file.with_suffix(".json").exists()


def test_with_accounts_nothing_is_told_to_strangers(tmp_path):
    desk = Desk(tmp_path, gradio_auth="me:secret")
    (file,) = desk.loras("ink.safetensors")
    assert desk.client.get(f"{BASE}/lora").status_code == 401
    assert desk.client.get("/sd_extra_networks/metadata?page=lora&item=ink").status_code == 401
    assert desk.write(file, description="x").status_code == 401
    assert desk.client.get(f"{BASE}/lora", auth=("me", "secret")).status_code == 200
    desk.app.close()


def test_notes_of_a_folder_lie_beside_it(tmp_path):
    folder = tmp_path / "model.v2"
    folder.mkdir()
    save_notes(folder, {"notes": "x", "gone": None})
    assert (tmp_path / "model.v2.json").is_file() and read_notes(folder) == {"notes": "x"}
    (tmp_path / "model.v2.json").write_text("nothing")
    with pytest.raises(Conflict):
        save_notes(folder, {"notes": "y"})


def test_tabs_stand_in_the_order_that_was_asked_for():
    names = [page.name for page in pages_in_order("Lora, textual inversion, nonsense")]
    assert names == ["lora", "textual_inversion", "hypernetworks", "checkpoints"]
