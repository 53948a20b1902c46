"""The routes of work on weights: what is asked becomes a job of that kind; bad values are named before it is queued."""

from __future__ import annotations

import pytest

from atelier.params.field import declarations_of
from atelier.params.merging import REQUESTS
from atelier.web.tabs import modelmerger

PATHS = {
    "merge": "merge", "lora_merge": "loras/merge", "lora_extract": "loras/extract", "lora_resize": "loras/resize",
    "lora_bake": "loras/bake",
}  # fmt: skip


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_request_becomes_a_job(served, kind):
    answer = served.client.post(f"/atelier/v1/{PATHS[kind]}", json={"custom_name": "mine"})
    assert answer.status_code == 202, answer.text
    served.app.result(answer.json()["id"], 20)
    job = served.app.arguments["seen"][-1]
    assert job.kind == kind and job.payload["custom_name"] == "mine"
    assert job.payload.keys() == {d.name for d in declarations_of(REQUESTS[kind])}


def test_bad_values_are_refused_before_the_queue(served):
    seen = len(served.app.arguments["seen"])
    for body, field in (
        ({"interp_amount": 99}, "merge.interp_amount"), ({"interp_amount": "x"}, "merge.interp_amount"),
        ({"interp_method": "no"}, "merge.interp_method"), ({"colour": 1}, "colour"),
        ({"metadata": 3}, "merge.metadata"),
    ):  # fmt: skip
        answer = served.client.post("/atelier/v1/merge", json=body)
        assert answer.status_code == 422 and answer.json()["fields"]["field"] == field, answer.text
    answer = served.client.post("/atelier/v1/jobs", json={"kind": "merge", "request": {"colour": 1}})
    assert answer.status_code == 422
    assert len(served.app.arguments["seen"]) == seen
    answer = served.client.post("/atelier/v1/jobs", json={"kind": "merge", "request": {"custom_name": "x"}})
    assert answer.status_code == 202


def test_the_form_holds_every_value_under_a1111s_ids():
    page = modelmerger.page()
    for kind, cls in REQUESTS.items():
        for declaration in declarations_of(cls):
            assert f'id="{"modelmerger" if kind == "merge" else kind}_{declaration.name}"' in page
    for name in (
        "primary_model_name", "custom_name", "interp_amount", "interp_method", "checkpoint_format", "save_as_half",
        "config_method", "bake_in_vae", "discard_weights", "save_metadata", "merge",
    ):  # fmt: skip
        assert f'id="modelmerger_{name}"' in page


def test_the_schema_is_documented(served):
    schema = served.client.get("/openapi.json").json()["paths"]["/atelier/v1/merge"]["post"]
    body = schema["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["interp_amount"]["maximum"] == 5


def test_metadata_is_asked_of_the_engine(served):
    answer = served.client.get("/atelier/v1/merge/metadata", params={"model": ["tiny", "other"]})
    assert answer.status_code == 200 and answer.json() == {}
    job = served.app.arguments["seen"][-1]
    assert (job.kind, job.payload) == ("merge_metadata", {"models": ["tiny", "other"]})
    assert served.client.get("/atelier/v1/merge/metadata").status_code == 422
