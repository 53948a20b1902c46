"""Pictures by hash, health, capabilities, and what a page had on its controls."""

from __future__ import annotations

import pytest

from atelier.web.api.pictures import media_of


def test_health_and_capabilities(served):
    health = served.client.get("/atelier/v1/health").json()
    assert health["status"] == "ok" and health["engine"] == "ready" and health["waiting"] == 0 and health["version"]
    found = served.client.get("/atelier/v1/capabilities").json()
    assert found["samplers"][0]["name"] == "DPM++ 2M" and found["device"] == "cpu"


@pytest.mark.parametrize("name", ["0" * 64, "nothing", "..%2f..%2fconfig.json", "x" * 500])
def test_unknown_pictures(served, name):
    assert served.client.get(f"/atelier/v1/pictures/{name}").status_code == 404


def test_a_page_finds_its_controls_again(served):
    client = served.client
    assert client.get("/atelier/v1/sessions/txt2img").json() == {}
    assert (
        client.put("/atelier/v1/sessions/txt2img", json={"size.width": 640, "prompt.positive": "a cat"}).status_code
        == 200
    )
    kept = client.put("/atelier/v1/sessions/txt2img", json={"size.width": 768}).json()
    assert kept == client.get("/atelier/v1/sessions/txt2img").json() == {"size.width": 768, "prompt.positive": "a cat"}
    assert client.get("/atelier/v1/sessions/txt2img?client=another").json() == {}
    assert client.put("/atelier/v1/sessions/txt2img", json=[1]).status_code == 422


def test_kinds_of_pictures_by_their_first_bytes():
    assert media_of(b"\xff\xd8\xff\xe0") == "image/jpeg" and media_of(b"RIFF0000WEBPVP8 ") == "image/webp"
    assert media_of(b"\0\0\0 ftypavif") == "image/avif" and media_of(b"???") == "application/octet-stream"
