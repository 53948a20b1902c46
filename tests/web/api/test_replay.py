"""The route of replays: a picture's own words become the request, with present settings put back to what it tells."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from atelier.imaging.writer import encode
from atelier.params.request import GenerationRequest
from atelier.params.schema import request_from_json

TEXT = "a cat\nNegative prompt: bad\nSteps: 12, Sampler: Euler, CFG scale: 5, Seed: 42, Size: 64x32, RNG: CPU"


def png(text: str, color: str = "teal", size: tuple[int, int] = (64, 32), kind: str = "png") -> str:
    return base64.b64encode(encode(Image.new("RGB", size, color), kind, text)).decode()


def ask(served, **body):
    answer = served.client.post("/atelier/v1/replay", json=body)
    if answer.status_code != 202:
        return answer.json()
    served.app.result(answer.json()["id"], 20)
    return served.app.arguments["seen"][-1].payload


def test_a_picture_becomes_its_request(served):
    payload = ask(served, image=png(TEXT))
    request = request_from_json(payload["request"])
    assert (request.prompt.positive, request.prompt.negative, request.seed.seed) == ("a cat", "bad", 42)
    assert (request.sampling.steps, request.sampling.sampler, request.size.width) == (12, "Euler", 64)
    assert request.output.save_images is False and request.batch.count == 1 and request.kind == "txt2img"
    assert payload["infotext"] == TEXT and payload["notes"] == []


def test_present_settings_give_way_to_what_the_picture_tells(serve):
    served = serve()
    served.app.settings.update({
        "randn_source": "NV", "CLIP_stop_at_last_layers": 2, "eta_ancestral": 0.5, "comma_padding_backtrack": 3,
        "sd_vae": "Automatic",
    }, save=False)  # fmt: skip
    conditions = ', Replay: "device: cpu, precision: float32, enable_quantization: True"'
    told = f"{TEXT}, Model hash: 0123456789, Model: tiny{conditions}"
    overrides = request_from_json(ask(served, image=png(told))["request"]).overrides
    assert overrides["randn_source"] == "CPU" and overrides["CLIP_stop_at_last_layers"] == 1
    assert overrides["eta_ancestral"] == 1.0 and overrides["comma_padding_backtrack"] == 20
    assert overrides["enable_quantization"] in (True, "True") and overrides["sd_vae"] == "None"
    assert overrides["sd_model_checkpoint"] == "tiny.safetensors [0123456789]"


def test_missing_models_and_lossy_files_are_told(served):
    payload = ask(served, image=png(f"{TEXT}, Model hash: ffffffffff, Model: gone, VAE: lost.pt", kind="jpg"))
    assert [note.split(",")[0] for note in payload["notes"]] == [
        "The file is JPEG", "The checkpoint gone [ffffffffff] is not here; the chosen one was used.",
        "The VAE lost.pt is not here; the checkpoint's own was used.",
    ]  # fmt: skip
    other = ask(served, image=png(f"{TEXT}, Model hash: ffffffffff, Model: tiny"))["notes"]
    assert other == ["The checkpoint tiny [ffffffffff] is not here; another file of that name was used."]
    assert "not of the size" in ask(served, image=png(TEXT, size=(65, 32)))["notes"][0]


def test_the_source_of_a_picture_is_found_by_its_hash(served):
    source = served.app.blobs.put_image(Image.new("RGB", (64, 32), "red"))
    mask = served.app.blobs.put_image(Image.new("L", (64, 32), 255))
    told = f'{TEXT}, Denoising strength: 0.5, Mask blur: 4, Replay: "source: {source.sha256[:16]}, ' \
           f'mask: {mask.sha256[:16]}, resize mode: 2"'  # fmt: skip
    request = request_from_json(ask(served, image=png(told))["request"])
    assert request.kind == "img2img" and request.source.images[0].sha256 == source.sha256
    assert request.mask.image.sha256 == mask.sha256 and request.source.resize_mode == 2
    assert request.source.denoising_strength == 0.5
    gone = ask(served, image=png(f'{TEXT}, Denoising strength: 0.5, Replay: "source: {"9" * 16}"'))
    assert gone["code"] == "bad_request" and "no longer kept" in gone["message"]
    unknown = ask(served, image=png(f"{TEXT}, Denoising strength: 0.5"))
    assert "does not tell from which" in unknown["message"]


@pytest.mark.parametrize("body", [{}, {"image": "no"}, {"image": {"sha256": "0" * 64}}, {"picture": 12345}])
def test_bad_bodies(served, body):
    answer = served.client.post("/atelier/v1/replay", json=body)
    assert answer.status_code in (404, 422) and answer.json()["message"]


def test_a_picture_without_parameters_is_refused(served):
    assert "does not tell how" in ask(served, image=png(""))["message"]


def test_a_saved_picture_brings_what_its_job_was_asked(serve):
    served = serve()
    request = {"prompt": {"positive": "a cat"}, "source": {"resize_mode": 0}, "batch": {"count": 3}, "extras": {}}
    ticket = served.client.post("/atelier/v1/jobs", json={"kind": "txt2img", "request": request}).json()
    row = served.app.result(ticket["id"], 20)
    sha256 = row.result["pictures"][1]["sha256"]
    data = served.app.blobs.bytes(sha256)
    assert Image.open(io.BytesIO(data)).format == "PNG"
    asked = request_from_json(ask(served, image={"sha256": sha256})["request"])
    assert asked.seed.seed == 1 and asked.batch.count == GenerationRequest().batch.count
