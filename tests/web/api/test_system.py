"""Memory, the model's place in it, parameters inside pictures, the end of the server."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from atelier.imaging.writer import encode

TEXT = "a cat\nNegative prompt: a dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64, Foo: bar"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_memory(serve):
    served = serve()
    body = served.client.get("/sdapi/v1/memory").json()
    assert body["ram"]["total"] > body["ram"]["free"] > 0 and body["cuda"]["system"]["total"] == 3
    served.client.post("/atelier/v1/jobs", json={"kind": "txt2img", "request": {"prompt": {"positive": "hold"}}})
    assert served.app.arguments["held"].wait(20)
    assert "error" in served.client.get("/sdapi/v1/memory").json()["cuda"]


def test_the_model_leaves_and_comes_back(served):
    for path, kind in (("unload-checkpoint", "unload_model"), ("reload-checkpoint", "load_model")):
        answer = served.client.post(f"/sdapi/v1/{path}")
        assert answer.status_code == 200 and answer.json() == {}
        assert served.app.arguments["seen"][-1].kind == kind


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "avif"])
def test_parameters_inside_pictures(served, format):
    data = encode(Image.new("RGB", (16, 16)), format, TEXT)
    body = served.client.post("/sdapi/v1/png-info", json={"image": "data:image/x;base64," + b64(data)}).json()
    assert body["info"] == TEXT
    assert (
        body["parameters"]["Prompt"] == "a cat"
        and body["parameters"]["Size-1"] == "64"
        and body["parameters"]["Foo"] == "bar"
    )


def test_a_picture_without_parameters(served):
    out = io.BytesIO()
    Image.new("L", (4, 4)).save(out, "PNG")
    body = served.client.post("/sdapi/v1/png-info", json={"image": b64(out.getvalue())}).json()
    assert body == {"info": "", "items": {}, "parameters": {}, "program": "", "original": "", "watermark": ""}


@pytest.mark.parametrize("image", ["", "!!", b64(b"no picture"), None, 5])
def test_what_is_no_picture(served, image):
    answer = served.client.post("/sdapi/v1/png-info", json={"image": image})
    assert answer.status_code == 422 and answer.json()["fields"]["field"] == "image"


def test_the_server_ends_only_where_that_is_allowed(serve):
    assert serve().client.post("/sdapi/v1/server-stop").status_code == 404
    served = serve(api_server_stop=True)
    assert served.client.post("/sdapi/v1/server-stop").status_code == 404
    asked = []
    served.app.exit = asked.append
    assert served.client.post("/sdapi/v1/server-stop").text == "Stopping."
    assert served.client.post("/sdapi/v1/server-restart").status_code == 501
    assert served.client.post("/sdapi/v1/server-kill").status_code == 200
    assert asked == ["stop", "kill"]
