"""The lists: the form clients of A1111 expect, with no model loaded and before the engine is ready."""

from __future__ import annotations

import threading

import pytest

from atelier.plugins.discover import Extension
from atelier.plugins.metadata import Metadata
from atelier.web.api.repository import describe_repository

LISTS = {
    "sd-models": {"title", "model_name", "hash", "sha256", "filename", "config"},
    "sd-vae": {"model_name", "filename"},
    "samplers": {"name", "aliases", "options"},
    "schedulers": {"name", "label", "aliases", "default_rho", "need_inner_model"},
    "upscalers": {"name", "model_name", "model_path", "model_url", "scale"},
    "latent-upscale-modes": {"name"},
    "face-restorers": {"name", "cmd_dir"},
    "loras": {"name", "alias", "path", "metadata"},
    "script-info": {"name", "is_alwayson", "is_img2img", "args"},
}


@pytest.mark.parametrize(("name", "keys"), LISTS.items())
def test_lists(served, name, keys):
    found = served.client.get(f"/sdapi/v1/{name}").json()
    assert found and all(set(item) == keys for item in found)


@pytest.mark.parametrize("name", ["hypernetworks", "realesrgan-models", "prompt-styles", "extensions"])
def test_lists_that_may_be_empty(served, name):
    assert served.client.get(f"/sdapi/v1/{name}").json() == []


def test_models_without_a_hash_have_null(served):
    first, second, _ = served.client.get("/sdapi/v1/sd-models").json()
    assert first["title"].endswith("[0123456789]") and first["hash"] == "0123456789"
    assert second["hash"] is None and second["sha256"] is None and second["config"] is None


def test_embeddings_and_scripts(served):
    found = served.client.get("/sdapi/v1/embeddings").json()
    assert found["loaded"]["good"] == {
        "step": 100, "sd_checkpoint": None, "sd_checkpoint_name": None, "shape": 768, "vectors": 2,
    }  # fmt: skip
    assert set(found["skipped"]) == {"wide"}
    assert served.client.get("/sdapi/v1/scripts").json() == {
        "txt2img": ["controlnet", "prompt matrix"], "img2img": ["controlnet", "loopback"],
    }  # fmt: skip


def test_styles(serve):
    served = serve()
    served.app.paths.styles[0].write_text("name,prompt,negative_prompt\nInk,ink drawing of {prompt},photo\n")
    assert served.client.post("/sdapi/v1/refresh-checkpoints").json() is None
    assert served.client.get("/sdapi/v1/prompt-styles").json() == [
        {"name": "Ink", "prompt": "ink drawing of {prompt}", "negative_prompt": "photo"}
    ]


@pytest.mark.parametrize("what", ["checkpoints", "vae", "embeddings", "loras"])
def test_refresh(served, what):
    answer = served.client.post(f"/sdapi/v1/refresh-{what}")
    assert answer.status_code == 200 and answer.json() is None
    assert served.app.arguments["seen"][-1].payload == {"what": what}


def test_lists_wait_for_an_engine_that_is_starting(serve):
    gate = threading.Event()
    served = serve(ready=False, build_gate=gate)
    threading.Timer(0.3, gate.set).start()
    assert served.client.get("/sdapi/v1/samplers").status_code == 200


def test_lists_do_not_wait_for_ever(serve, monkeypatch):
    gate = threading.Event()
    served = serve(ready=False, build_gate=gate)
    monkeypatch.setattr("atelier.web.api.common.lists.__defaults__", (0.1,))
    answer = served.client.get("/sdapi/v1/samplers")
    assert answer.status_code == 503 and answer.json()["remedy"]
    gate.set()


def test_extensions_that_were_cloned(serve, tmp_path):
    served = serve()
    folder = tmp_path / "cloned"
    (folder / ".git/refs/heads").mkdir(parents=True)
    (folder / ".git/config").write_text(
        '[core]\n\tbare = false\n[remote "origin"]\n\turl = https://example.org/x.git\n'
    )
    (folder / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (folder / ".git/refs/heads/main").write_text("0123456789abcdef\n")
    plain = tmp_path / "plain"
    plain.mkdir()
    served.app.extensions = (
        Extension("cloned", folder, False, Metadata("cloned")), Extension("plain", plain, False, Metadata("plain")),
    )  # fmt: skip
    assert served.client.get("/sdapi/v1/extensions").json() == [{
        "name": "cloned", "remote": "https://example.org/x.git", "branch": "main", "commit_hash": "0123456789abcdef",
        "version": "01234567", "commit_date": "", "enabled": True,
    }]  # fmt: skip
    (folder / ".git/refs/heads/main").unlink()
    (folder / ".git/packed-refs").write_text("# pack-refs\nfedcba9876543210 refs/heads/main\n")
    assert describe_repository(folder)["version"] == "fedcba98"


def test_loras_tell_the_name_they_were_trained_under(served):
    (found,) = served.client.get("/sdapi/v1/loras").json()
    assert found == {
        "name": "ink", "alias": "ink drawing", "path": "/models/Lora/ink.safetensors", "metadata": {"ss_steps": "10"},
    }  # fmt: skip
