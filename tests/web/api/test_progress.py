"""Progress, interrupt and skip as A1111's clients and page ask for them."""

from __future__ import annotations

import time

import pytest


def until(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def submit(served, prompt: str, id: str, count: int = 2) -> None:
    body = {
        "kind": "txt2img",
        "id": id,
        "request": {"prompt": {"positive": prompt}, "batch": {"count": count}, "sampling": {"steps": 4}},
    }
    assert served.client.post("/atelier/v1/jobs", json=body).status_code == 202


@pytest.fixture
def held(serve):
    """A server whose running job waits at its first step, another one behind it."""
    served = serve()
    submit(served, "hold", "first")
    assert served.app.arguments["held"].wait(20)
    submit(served, "a cat", "second")
    return served


def test_nothing_runs(served):
    body = served.client.get("/sdapi/v1/progress").json()
    assert body["progress"] == 0 and body["eta_relative"] == 0 and body["state"]["job_count"] == 0
    assert body["current_image"] is None
    assert served.client.post("/sdapi/v1/interrupt").json() == {}
    assert served.client.post("/sdapi/v1/skip").json() is None
    assert served.client.get("/internal/ping").json() == {}
    assert served.client.get("/internal/pending-tasks").json() == {"size": 0, "tasks": []}
    assert served.client.post("/internal/progress", json={"id_task": "nobody"}).json() == {
        "active": False, "queued": False, "completed": False, "progress": None, "eta": None, "live_preview": None,
        "id_live_preview": -1, "textinfo": "Waiting...",
    }  # fmt: skip


def test_while_a_job_runs(held):
    client = held.client
    body = client.get("/sdapi/v1/progress").json()
    assert 0.01 <= body["progress"] < 0.2 and body["current_task"] == "first" and body["textinfo"] == "sampling"
    state = body["state"]
    assert state["job"] == "first" and state["job_count"] == 2 and len(state["job_timestamp"]) == 14
    assert not state["interrupted"] and not state["skipped"]
    assert client.get("/internal/pending-tasks").json() == {"size": 1, "tasks": ["second"]}
    waiting = client.post("/internal/progress", json={"id_task": "second"}).json()
    assert waiting["queued"] and waiting["textinfo"] == "In queue: 1/1"
    running = client.post(
        "/internal/progress", json={"id_task": "first", "id_live_preview": -1, "live_preview": True}
    ).json()
    assert running["active"] and not running["completed"]
    held.app.arguments["gate"].set()
    held.app.result("second", 20)
    assert client.post("/internal/progress", json={"id_task": "first"}).json()["completed"]


def test_a_preview_is_made_for_who_polls_and_sent_once(serve):
    served = serve(step_seconds=0.02)
    submit(served, "a cat", "seen", count=30)
    until(lambda: served.client.get("/sdapi/v1/progress").json()["current_image"] == "AAAA")
    found = served.client.post("/internal/progress", json={"id_task": "seen"}).json()
    assert found["live_preview"] == "data:image/jpeg;base64,AAAA" and found["id_live_preview"] >= 1
    served.app.settings.update({"live_previews_enable": False})
    assert served.client.get("/sdapi/v1/progress").json()["current_image"] is None
    served.app.executor.cancel("seen")


def test_interrupt_and_skip(held):
    assert held.client.post("/sdapi/v1/skip").json() is None
    assert held.client.get("/sdapi/v1/progress").json()["state"]["skipped"]
    assert held.client.post("/sdapi/v1/interrupt").json() == {}
    assert held.client.get("/sdapi/v1/progress").json()["state"]["interrupted"]
    held.app.arguments["gate"].set()
    assert held.app.result("first", 20).state == "stopped"
    assert held.app.result("second", 20).state == "done"


def test_interrupt_after_the_current_picture(held):
    held.app.settings.update({"interrupt_after_current": True})
    held.client.post("/sdapi/v1/interrupt")
    assert held.client.get("/sdapi/v1/progress").json()["state"]["stopping_generation"]
    held.app.arguments["gate"].set()
    assert len(held.app.result("first", 20).result["pictures"]) == 1
