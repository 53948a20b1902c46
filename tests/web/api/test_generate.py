"""POST /sdapi/v1/txt2img and img2img: what clients of A1111 send, and what nobody should."""

from __future__ import annotations

import base64
import io
import json
import threading
import time

import pytest
from PIL import Image

from atelier.imaging.metadata import read_metadata

TXT, IMG = "/sdapi/v1/txt2img", "/sdapi/v1/img2img"


def png(size=(32, 24), mode="RGB", color=None) -> str:
    buffer = io.BytesIO()
    Image.new(mode, size, color or 0).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def payload(served) -> dict:
    return served.app.arguments["seen"][-1].payload


def test_the_answer_of_a1111(served):
    answer = served.client.post(TXT, json={"prompt": "a cat", "steps": 2, "n_iter": 2, "width": 64, "height": 64})
    body = answer.json()
    assert answer.status_code == 200 and set(body) == {"images", "parameters", "info"}
    assert len(body["images"]) == 2 and isinstance(body["info"], str)
    data = base64.b64decode(body["images"][0], validate=True)
    assert Image.open(io.BytesIO(data)).format == "PNG"
    assert read_metadata(data).infotext.startswith("a cat")
    assert json.loads(body["info"])["prompt"] == "a cat"
    assert body["parameters"]["n_iter"] == 2 and body["parameters"]["cfg_scale"] == 7.0
    assert body["parameters"]["sampler_name"] in (None, "Euler") and body["parameters"]["sampler_index"] == "Euler"


def test_the_defaults_of_the_api(served):
    assert served.client.post(TXT, json={}).status_code == 200
    asked = payload(served)
    assert asked["sampling"]["steps"] == 50 and asked["sampling"]["sampler"] == "Euler"
    assert asked["output"]["save_images"] is False and asked["size"] == {"width": 512, "height": 512}


def test_null_counts_as_absent_and_unknown_fields_are_ignored(served):
    body = {
        "prompt": None,
        "steps": None,
        "seed": None,
        "no_such_field": [1],
        "alwayson_scripts": {},
        "script_args": [],
    }
    assert served.client.post(TXT, json=body).status_code == 200
    assert payload(served)["sampling"]["steps"] == 50


def test_a_body_without_a_content_type(served):
    assert served.client.post(TXT, content=json.dumps({"steps": 1})).status_code == 200


@pytest.mark.parametrize(
    ("body", "sampler", "scheduler"),
    [
        ({"sampler_index": "Euler a"}, "Euler a", "Automatic"),
        ({"sampler_name": "DPM++ 2M SDE Karras"}, "DPM++ 2M SDE", "Karras"),
        ({"sampler_name": "k_euler_a", "scheduler": "automatic"}, "Euler a", "Automatic"),
        ({"sampler_name": "Euler", "sampler_index": "DDIM", "scheduler": "karras"}, "Euler", "Karras"),
    ],
)
def test_samplers_as_clients_name_them(served, body, sampler, scheduler):
    assert served.client.post(TXT, json={"steps": 1, **body}).status_code == 200
    assert (payload(served)["sampling"]["sampler"], payload(served)["sampling"]["scheduler"]) == (sampler, scheduler)


@pytest.mark.parametrize("seed", [-1, 0, 2**40, 2**63 - 1])
def test_large_seeds(served, seed):
    assert served.client.post(TXT, json={"steps": 1, "seed": seed}).status_code == 200
    assert payload(served)["seed"]["seed"] == seed


def test_a_prompt_of_20000_characters(served):
    assert served.client.post(TXT, json={"steps": 1, "prompt": "word " * 4000}).status_code == 200


BAD = [
    ({"width": 0}, "width"),
    ({"height": 0}, "height"),
    ({"width": 100_000}, "width"),
    ({"width": -64}, "width"),
    ({"width": "wide"}, "width"),
    ({"width": [512]}, "width"),
    ({"width": {}}, "width"),
    ({"width": 512.5}, "width"),
    ({"steps": 0}, "steps"),
    ({"steps": 1001}, "steps"),
    ({"steps": "many"}, "steps"),
    ({"seed": 2**64}, "seed"),
    ({"seed": "abc"}, "seed"),
    ({"subseed_strength": 2}, "subseed_strength"),
    ({"cfg_scale": "high"}, "cfg_scale"),
    ({"cfg_scale": 1e9}, "cfg_scale"),
    ({"cfg_scale": [7]}, "cfg_scale"),
    ({"batch_size": 0}, "batch_size"),
    ({"batch_size": 10_000}, "batch_size"),
    ({"n_iter": 0}, "n_iter"),
    ({"prompt": 5}, "prompt"),
    ({"prompt": ["a"]}, "prompt"),
    ({"prompt": "x" * 200_000}, "prompt"),
    ({"negative_prompt": {}}, "negative_prompt"),
    ({"styles": "one"}, "styles"),
    ({"styles": [1]}, "styles"),
    ({"sampler_name": "No such sampler"}, "sampler_name"),
    ({"sampler_index": "No such sampler"}, "sampler_name"),
    ({"sampler_name": 5}, "sampler_name"),
    ({"scheduler": "No such schedule"}, "scheduler"),
    ({"enable_hr": "perhaps"}, "enable_hr"),
    ({"enable_hr": True, "hr_upscaler": "No such"}, "hr_upscaler"),
    ({"enable_hr": True, "hr_scale": 0}, "hr_scale"),
    ({"enable_hr": True, "denoising_strength": 2}, "denoising_strength"),
    ({"enable_hr": True, "hr_checkpoint_name": "No such"}, "hr_checkpoint_name"),
    ({"override_settings": []}, "override_settings"),
    ({"override_settings": {"no_such": 1}}, "override_settings.no_such"),
    ({"override_settings": {"sd_model_checkpoint": "No such"}}, "override_settings.sd_model_checkpoint"),
    ({"script_name": "No such script"}, "script_name"),
    ({"script_name": "ControlNet"}, "script_name"),
    ({"script_name": "Loopback"}, "script_name"),
    ({"script_name": 5}, "script_name"),
    ({"alwayson_scripts": {"No such": {"args": []}}}, "alwayson_scripts.No such"),
    ({"alwayson_scripts": {"Prompt matrix": {"args": []}}}, "alwayson_scripts.Prompt matrix"),
    ({"alwayson_scripts": {"ControlNet": [1]}}, "alwayson_scripts.ControlNet"),
    ({"alwayson_scripts": {"ControlNet": {"args": 1}}}, "alwayson_scripts.ControlNet"),
    ({"alwayson_scripts": [1]}, "alwayson_scripts"),
    ({"force_task_id": "x" * 500}, "force_task_id"),
    ({"infotext": 5}, "infotext"),
    ({"save_images": "maybe"}, "save_images"),
]


@pytest.mark.parametrize(("body", "field"), BAD, ids=lambda v: str(v)[:60])
def test_bad_values_are_refused_by_name(served, body, field):
    before = len(served.app.arguments["seen"])
    answer = served.client.post(TXT, json=body)
    told = answer.json()
    assert answer.status_code == 422, told
    assert told["fields"]["field"] == field and field in told["message"] and told["code"] == "bad_request"
    assert told["detail"][0]["loc"][0] == "body"
    assert len(served.app.arguments["seen"]) == before


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"cfg_scale": NaN}', "cfg_scale"),
        (b'{"width": Infinity}', "width"),
        (b'{"steps": 1e400}', "steps"),
        (b"{", "body"),
        (b"[]", "body"),
        (b'"text"', "body"),
        (b"\xff\xfe", "body"),
        (b'{"width": ' + b"9" * 5000 + b"}", "body"),
        (b"[" * 100_000, "body"),
        (b'{"subseed_strength": -Infinity}', "subseed_strength"),
    ],
    ids=lambda v: str(v)[:30],
)
def test_bodies_that_are_hardly_json(served, raw, field):
    answer = served.client.post(TXT, content=raw)
    assert answer.status_code == 422 and answer.json()["fields"]["field"] == field


def test_half_a_surrogate_pair_is_answered(served):
    answer = served.client.post(TXT, content=b'{"prompt": "\\ud800", "steps": 1}')
    assert answer.status_code == 200
    assert served.client.post(TXT, content=b'{"sampler_name": "\\ud800"}').status_code == 422


def test_img2img_takes_bare_base64_and_data_uris(served):
    body = {"init_images": ["data:image/png;base64," + png()], "mask": png(mode="L"), "steps": 1, "mask_blur": 8,
            "inpainting_mask_invert": True}  # fmt: skip
    answer = served.client.post(IMG, json=body)
    assert answer.status_code == 200, answer.text
    asked = payload(served)
    assert (
        asked["source"]["images"][0]["width"] == 32 and asked["mask"]["blur_y"] == 8 and asked["mask"]["invert"] is True
    )
    assert asked["mask"]["fill"] == 0 and asked["mask"]["only_masked"] is True
    assert answer.json()["parameters"]["init_images"] is None and answer.json()["parameters"]["mask"] is None
    kept = served.app.blobs.image(asked["source"]["images"][0]["sha256"])
    assert kept.size == (32, 24)
    echoed = served.client.post(IMG, json={"init_images": [png()], "steps": 1, "include_init_images": True}).json()
    assert echoed["parameters"]["init_images"] == [png()]


def test_several_pictures_become_the_batch(served):
    body = {"init_images": [png(color=c) for c in (1, 2)], "batch_size": 2, "steps": 1}
    assert served.client.post(IMG, json=body).status_code == 200
    assert payload(served)["batch"]["size"] == 2


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 404, None),
        ({"init_images": []}, 404, None),
        ({"init_images": [""]}, 422, "init_images.0"),
        ({"init_images": ["no base64 !"]}, 422, "init_images.0"),
        ({"init_images": [5]}, 422, "init_images.0"),
        ({"init_images": "text"}, 422, "init_images"),
        ({"init_images": [base64.b64encode(b"no picture").decode()]}, 422, "init_images.0"),
        ({"init_images": [png()[:60]]}, 422, "init_images.0"),
        ({"init_images": [png()], "mask": "!"}, 422, "mask"),
        ({"init_images": [png()] * 3}, 422, "init_images"),
        ({"init_images": [png()], "resize_mode": 9}, 422, "resize_mode"),
        ({"init_images": [png()], "denoising_strength": 1.5}, 422, "denoising_strength"),
        ({"init_images": [png()], "inpainting_fill": "x"}, 422, "inpainting_fill"),
        ({"init_images": ["https://example.org/a.png"]}, 403, "init_images.0"),
    ],
    ids=lambda v: str(v)[:50],
)
def test_bad_pictures(served, body, status, field):
    answer = served.client.post(IMG, json=body)
    assert answer.status_code == status, answer.text
    assert field is None or answer.json()["fields"]["field"] == field


def test_addresses_inside_the_network_are_never_fetched(serve):
    served = serve()
    served.app.settings.update({"api_enable_requests": True})
    for url in (
        "http://127.0.0.1:1/a.png",
        "http://localhost/a",
        "http://10.0.0.1/a",
        "http://[::1]/a",
        "http://169.254.169.254/",
    ):
        answer = served.client.post(IMG, json={"init_images": [url]})
        assert answer.status_code == 403, url
    for url in ("http://nobody.invalid/a.png", "http://x:99999/a", "https:///nothing"):
        assert served.client.post(IMG, json={"init_images": [url]}).status_code in (403, 422), url


def test_scripts_travel_with_the_request(served):
    body = {
        "steps": 1,
        "script_name": "prompt MATRIX",
        "script_args": [True],
        "alwayson_scripts": {"controlnet": {"args": [{}]}},
    }
    assert served.client.post(TXT, json=body).status_code == 200
    extras = payload(served)["extras"]
    assert extras["a1111"] == {"alwayson_scripts": {"controlnet": {"args": [{}]}}}
    assert extras["script"]["name"] == "Prompt matrix" and extras["script"]["values"]["put_at_start"] is True
    wrong = served.client.post(TXT, json={"script_name": "Prompt matrix", "script_args": [False, False, "sideways"]})
    assert wrong.status_code == 422 and wrong.json()["fields"]["field"] == "prompt_matrix.prompt_type"


def test_infotext_fills_what_is_not_given(served):
    text = (
        "a dog\nNegative prompt: a bone\nSteps: 7, Sampler: DPM++ 2M SDE Karras, CFG scale: 4, Seed: 99, Size: 128x256"
    )
    assert served.client.post(TXT, json={"infotext": text, "cfg_scale": 9}).status_code == 200
    asked = payload(served)
    assert asked["prompt"]["positive"] == "a dog" and asked["sampling"]["steps"] == 7 and asked["seed"]["seed"] == 99
    assert asked["sampling"]["cfg_scale"] == 9 and asked["size"] == {"width": 128, "height": 256}
    assert asked["sampling"]["sampler"] == "DPM++ 2M SDE"


def test_settings_of_one_request(served):
    body = {
        "steps": 1,
        "override_settings": {
            "sd_model_checkpoint": "other",
            "samples_format": "jpg",
            "outdir_samples": "/x",
            "sd_vae": None,
        },
    }
    answer = served.client.post(TXT, json=body)
    assert answer.status_code == 200
    assert payload(served)["overrides"] == {"sd_model_checkpoint": "sub/other.safetensors", "samples_format": "jpg"}
    data = base64.b64decode(answer.json()["images"][0])
    assert Image.open(io.BytesIO(data)).format == "JPEG" and read_metadata(data).infotext
    assert served.app.settings.get("samples_format") == "png"


def test_pictures_are_left_out_when_nobody_wants_them(served):
    assert served.client.post(TXT, json={"steps": 1, "send_images": False}).json()["images"] == []


@pytest.mark.parametrize(
    ("prompt", "status", "code"),
    [("fail", 422, "bad_request"), ("oom", 507, "out_of_memory"), ("bug", 500, "internal")],
)
def test_a_failure_of_the_engine(served, prompt, status, code):
    answer = served.client.post(TXT, json={"prompt": prompt})
    told = answer.json()
    assert answer.status_code == status and told["code"] == code and told["message"]
    if code == "bad_request":
        assert told["fields"]["field"] == "sampler_name" and told["remedy"] == "Choose another."
    assert served.client.post(TXT, json={"steps": 1}).status_code == 200


def test_a_stopped_job_answers_with_what_is_done(serve):
    served = serve()
    answers = []
    caller = threading.Thread(target=lambda: answers.append(
        served.client.post(TXT, json={"prompt": "hold", "n_iter": 3, "steps": 2, "force_task_id": "task(mine)"})
    ))  # fmt: skip
    caller.start()
    assert served.app.arguments["held"].wait(20)
    assert served.client.post("/sdapi/v1/interrupt").json() == {}
    served.app.arguments["gate"].set()
    caller.join(20)
    assert answers[0].status_code == 200 and len(answers[0].json()["images"]) == 1


def test_a_cancelled_job_answers_with_a_conflict(serve):
    served = serve()
    served.app.executor.pause()
    answers = []
    caller = threading.Thread(target=lambda: answers.append(served.client.post(TXT, json={"force_task_id": "waiting"})))
    caller.start()
    end = time.monotonic() + 20
    while "waiting" not in served.app.executor.queued():
        assert time.monotonic() < end
        time.sleep(0.01)
    served.app.executor.cancel("waiting")
    caller.join(20)
    assert answers[0].status_code == 409


def test_an_engine_that_is_not_there(serve):
    served = serve(ready=False, build_fails=True)
    assert served.app.executor.wait_ready(20) is False
    answer = served.client.post(TXT, json={})
    assert answer.status_code == 503 and "no device" in answer.json()["message"]
    assert served.client.get("/sdapi/v1/samplers").status_code == 503
    assert served.client.get("/sdapi/v1/memory").json()["ram"]["total"] > 0
    assert served.client.get("/atelier/v1/health").json()["status"] == "failed"


def test_one_client_cannot_fill_the_queue(serve):
    served = serve()
    served.app.settings.update({"jobs_per_client": 1})
    served.app.executor.pause()
    assert served.client.post("/atelier/v1/jobs", json={"kind": "txt2img", "request": {}}).status_code == 202
    answer = served.client.post(TXT, json={})
    assert answer.status_code == 429 and answer.json()["remedy"]
