"""Options as A1111's clients use them, and settings with their descriptions."""

from __future__ import annotations

import json

import pytest

OPTIONS, SETTINGS = "/sdapi/v1/options", "/atelier/v1/settings"


def test_options_are_read_and_changed(serve):
    served = serve()
    before = served.client.get(OPTIONS).json()
    assert before["samples_format"] == "png" and before["sd_checkpoint_hash"].startswith("0123456789")
    assert before["sd_model_checkpoint"] == "tiny.safetensors [0123456789]" and not served.app.settings.get(
        "sd_model_checkpoint"
    )
    answer = served.client.post(OPTIONS, json={"send_seed": False, "jpeg_quality": 70.0})
    assert answer.status_code == 200 and answer.json() is None
    after = served.client.get(OPTIONS).json()
    assert after["send_seed"] is False and after["jpeg_quality"] == 70
    assert json.loads(served.app.settings.path.read_text())["jpeg_quality"] == 70


def test_everything_may_be_sent_back_as_it_came(serve):
    served = serve()
    before = served.client.get(OPTIONS).json()
    assert served.client.post(OPTIONS, json=before).status_code == 200
    assert served.client.get(OPTIONS).json() == before


def test_a_checkpoint_is_loaded_before_the_call_returns(serve):
    served = serve()
    assert served.client.post(OPTIONS, json={"sd_model_checkpoint": "sub_other"}).status_code == 200
    assert served.app.capabilities().model == "sub/other.safetensors"
    answer = served.client.post(OPTIONS, json={"sd_model_checkpoint": "broken"})
    assert answer.status_code == 422 and answer.json()["code"] == "bad_model_file" and answer.json()["remedy"]
    assert served.client.get(OPTIONS).json()["sd_model_checkpoint"] == "sub/other.safetensors"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"sd_model_checkpoint": "No such"}, "sd_model_checkpoint"), ({"sd_vae": "No such"}, "sd_vae"),
        ({"jpeg_quality": 900}, "jpeg_quality"), ({"jpeg_quality": "good"}, "jpeg_quality"),
        ({"samples_format": "exe"}, "samples_format"), ({"no_such_setting": 1}, "no_such_setting"),
        ({"send_seed": None}, "send_seed"),
    ],
)  # fmt: skip
def test_bad_options_change_nothing(served, values, field):
    before = served.client.get(OPTIONS).json()
    for path in (OPTIONS, SETTINGS):
        answer = served.client.post(path, json={"jpeg_quality": 11, **values})
        assert answer.status_code == 422, answer.text
        assert answer.json()["fields"]["field"].rpartition(".")[2] == field
    assert served.client.get(OPTIONS).json() == before


def test_restricted_settings_are_skipped_and_named(serve):
    served = serve()
    answer = served.client.post(OPTIONS, json={"outdir_samples": "/x", "api_enable_requests": True, "send_seed": False})
    assert answer.status_code == 200 and answer.headers["x-atelier-skipped"] == "outdir_samples,api_enable_requests"
    assert served.client.get(OPTIONS).json()["outdir_samples"] == ""
    answer = served.client.post(SETTINGS, json={"outdir_samples": "/x", "send_seed": True})
    assert answer.json() == {"changed": ["send_seed"], "skipped": ["outdir_samples"], "job": None}


def test_frozen_settings(serve):
    assert serve(freeze_settings=True).client.post(OPTIONS, json={"send_seed": False}).status_code == 403


def test_settings_are_described(served):
    body = served.client.get(SETTINGS).json()
    described = {s["name"]: s for g in body["groups"] for s in g["settings"]}
    assert set(described) == set(body["values"])
    assert described["jpeg_quality"]["maximum"] == 100 and described["samples_format"]["enum"]


def test_flags_without_secrets(serve):
    flags = (
        serve(api_auth="robot:secret", styles_file=["a"])
        .client.get("/sdapi/v1/cmd-flags", auth=("robot", "secret"))
        .json()
    )
    assert flags["port"] == 7860 and flags["styles_file"] == ["a"] and flags["api_auth"] is None
    assert "secret" not in json.dumps(flags)
