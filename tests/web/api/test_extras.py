"""The routes of the Extras tab over the fake engine: bodies, refusals, folders."""

import base64
import io

import pytest
from PIL import Image

from atelier.params.extras_schema import extras_from_json

URL = "/sdapi/v1/extra-single-image"


def picture(color="red") -> str:
    out = io.BytesIO()
    Image.new("RGB", (16, 16), color).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def asked(served):
    return extras_from_json(served.app.arguments["seen"][-1].payload)


def test_a1111s_defaults(served):
    answer = served.client.post(URL, json={"image": picture()})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"html_info", "image"}
    request = asked(served)
    assert (request.upscale.scale, request.upscale.upscaler_1, request.upscale.crop) == (2, "None", True)
    assert not request.gfpgan.enabled and not request.codeformer.enabled and not request.output.save


def test_every_field_arrives(served):
    body = {
        "image": picture(), "resize_mode": 1, "upscaling_resize_w": 640, "upscaling_resize_h": 320,
        "upscaling_crop": False, "upscaler_1": "lanczos", "upscaler_2": "Nearest", "extras_upscaler_2_visibility": 0.5,
        "gfpgan_visibility": 0.4, "codeformer_visibility": 0.3, "codeformer_weight": 0.2, "upscale_first": True,
        "unknown": 1,
    }  # fmt: skip
    assert served.client.post(URL, json=body).status_code == 200
    r = asked(served)
    assert (r.upscale.mode, r.upscale.width, r.upscale.height, r.upscale.crop) == (1, 640, 320, False)
    assert (r.upscale.upscaler_1, r.upscale.upscaler_2, r.upscale.visibility) == ("Lanczos", "Nearest", 0.5)
    assert (r.gfpgan.enabled, r.gfpgan.visibility) == (True, 0.4)
    assert (r.codeformer.enabled, r.codeformer.visibility, r.codeformer.weight) == (True, 0.3, 0.2)


@pytest.mark.parametrize(("change", "field"), [
    ({"resize_mode": 2}, "resize_mode"), ({"gfpgan_visibility": 1.5}, "gfpgan_visibility"),
    ({"upscaling_resize": 0}, "upscaling_resize"), ({"upscaling_resize_w": 0}, "upscaling_resize_w"),
    ({"upscaler_1": "Magic"}, "upscaler_1"), ({"upscaling_resize": "NaN"}, "upscaling_resize"),
    ({"image": ""}, "image"), ({"image": "no picture"}, "image"), ({"image": 5}, "image"),
    ({"upscaler_2": ["x"]}, "upscaler_2"),
])  # fmt: skip
def test_bad_values_are_named(served, change, field):
    answer = served.client.post(URL, json={"image": picture(), **change})
    assert answer.status_code == 422, answer.text
    assert answer.json()["fields"]["field"].startswith(field) and answer.json()["message"]


def test_batch(served):
    url = "/sdapi/v1/extra-batch-images"
    body = {"imageList": [{"data": picture(), "name": "a.png"}, {"data": picture("blue"), "name": "b.png"}]}
    answer = served.client.post(url, json=body)
    assert answer.status_code == 200 and answer.json()["images"] == []
    assert asked(served).input.names == ("a.png", "b.png")
    for wrong in ({}, {"imageList": []}, {"imageList": "x"}, {"imageList": [5]}, {"imageList": [{"data": "x"}]}):
        refused = served.client.post(url, json=wrong)
        assert refused.status_code == 422 and refused.json()["fields"]["field"].startswith("imageList")


def test_a_job_takes_the_nested_form(served, tmp_path):
    body = {"kind": "extras", "request": {"input": {"images": [picture()]}, "upscale": {"upscaler_1": "Lanczos"}}}
    answer = served.client.post("/atelier/v1/jobs", json=body)
    assert answer.status_code == 202, answer.text
    served.app.result(answer.json()["id"], 20)
    assert asked(served).upscale.upscaler_1 == "Lanczos" and asked(served).output.save
    wrong = served.client.post("/atelier/v1/jobs", json={"kind": "extras", "request": {"upscale": {"scael": 2}}})
    assert wrong.status_code == 422 and "scale" in wrong.json()["remedy"]
    for odd in ("x" * 3000, "a\0b", "~nobody-of-this-name/x"):
        told = served.client.post("/atelier/v1/jobs", json={"kind": "extras", "request": {"input": {"folder": odd}}})
        assert told.status_code == 422 and told.json()["fields"]["field"] == "input.folder"
    nowhere = {"kind": "extras", "request": {"input": {"folder": str(tmp_path / "nowhere")}}}
    assert served.client.post("/atelier/v1/jobs", json=nowhere).status_code == 422


def test_folders_on_this_machine_and_over_the_network(serve, tmp_path):
    def post(made, folder):
        body = {"kind": "extras", "request": {"input": {"folder": str(folder)}}}
        return made.client.post("/atelier/v1/jobs", json=body)

    here = serve()
    assert post(here, tmp_path).status_code == 202
    open_to_all = serve(listen=True, listen_without_password=True, api=True)
    own = open_to_all.app.paths.data / "outputs" / "txt2img-images"
    own.mkdir(parents=True)
    assert post(open_to_all, own).status_code == 202
    for outside in (tmp_path, own / ".." / ".." / "..", "/etc"):
        refused = post(open_to_all, outside)
        assert refused.status_code == 403 and refused.json()["fields"]["field"] == "input.folder"
    hidden = serve(hide_ui_dir_config=True)
    assert post(hidden, tmp_path).status_code == 403


def test_face_restorers(served):
    found = served.client.get("/sdapi/v1/face-restorers").json()
    assert found[-1] == {"name": "None", "cmd_dir": None}


def test_interrogate(served):
    answer = served.client.post("/sdapi/v1/interrogate", json={"image": picture(), "model": "deepdanbooru"})
    assert answer.status_code == 200 and answer.json() == {"caption": ""}, "the fake engine has no words"
    job = served.app.arguments["seen"][-1]
    assert job.kind == "interrogate" and job.payload["model"] == "deepdanbooru"
    for body, status in (({}, 404), ({"image": None}, 404), ({"image": picture(), "model": "magic"}, 404),
                         ({"image": "junk"}, 422), ({"image": picture(), "model": 5}, 404)):  # fmt: skip
        assert served.client.post("/sdapi/v1/interrogate", json=body).status_code == status
