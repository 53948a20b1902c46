"""Jobs under /atelier/v1: an id at once, lists, events that can be resumed, ending and moving."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
import time

import pytest
from PIL import Image

from atelier.web.api.common import follow

JOBS = "/atelier/v1/jobs"


def submit(served, prompt: str = "a cat", count: int = 1, steps: int = 2, **rest):
    request = {"prompt": {"positive": prompt}, "batch": {"count": count}, "sampling": {"steps": steps}}
    return served.client.post(JOBS, json={"kind": "txt2img", "request": request, **rest})


def until(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def events(served, id: str, query: str = "", **headers: str) -> list[dict]:
    """The stream up to its end."""
    answer = served.client.get(f"{JOBS}/{id}/events{query}", headers=headers)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
    blocks = [b for b in answer.text.split("\n\n") if b and not b.startswith(":")]
    found = []
    for block in blocks:
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        data = json.loads(lines["data"])
        assert int(lines["id"]) == data["seq"] and lines["event"] == data["kind"]
        found.append(data)
    return found


def test_a_job_from_submission_to_pictures(served):
    answer = submit(served, count=2, client="tester")
    assert answer.status_code == 202
    id = answer.json()["id"]
    assert answer.json()["position"] == 0 and answer.headers["location"] == f"{JOBS}/{id}"
    heard = events(served, id)
    assert [e["kind"] for e in heard][-1] == "JobFinished" and sum(e["kind"] == "PictureReady" for e in heard) == 2
    job = served.client.get(f"{JOBS}/{id}").json()
    assert job["state"] == "done" and job["client"] == "tester" and job["request"]["prompt"]["positive"] == "a cat"
    assert job["finished"] >= job["started"] >= job["created"] and job["attempts"] == 1 and job["error"] is None
    pictures = served.client.get(f"{JOBS}/{id}/pictures").json()
    assert pictures == job["pictures"] and len(pictures) == 2
    found = served.client.get(pictures[0]["url"])
    assert found.headers["content-type"] == "image/png" and Image.open(io.BytesIO(found.content)).size == (64, 64)
    assert "immutable" in found.headers["cache-control"]


def test_events_are_resumed_by_number(served):
    id = submit(served, count=3).json()["id"]
    everything = events(served, id)
    pictures = [e for e in everything if e["kind"] == "PictureReady"]
    kept = [e["seq"] for e in events(served, id)]
    after = pictures[1]["seq"]
    assert [e["seq"] for e in events(served, id, f"?after={after}")] == [n for n in kept if n > after]
    assert [e["seq"] for e in events(served, id, **{"Last-Event-ID": str(after)})] == [n for n in kept if n > after]
    assert events(served, id, f"?after={kept[-1]}") == []
    assert events(served, id, **{"Last-Event-ID": "nonsense"})[0]["seq"] == kept[0]


def test_an_interrupted_stream_misses_nothing(serve):
    """One listener leaves in the middle of a running job and comes back: together it heard what another heard."""
    served = serve()
    id = submit(served, "hold", count=2).json()["id"]
    assert served.app.arguments["held"].wait(20)

    async def listen(after: int, enough: int | None) -> list:
        heard = []
        async for event in follow(served.app, id, after):
            if event is not None and not event.droppable:
                heard.append(event)
            if enough is not None and len(heard) == enough:
                break
        return heard

    async def both() -> tuple[list, list]:
        whole = asyncio.create_task(listen(0, None))
        first = await listen(0, 3)
        served.app.arguments["gate"].set()
        rest = await listen(first[-1].seq, None)
        return await whole, first + rest

    whole, pieces = asyncio.run(both())
    assert pieces == whole and whole[-1].kind == "JobFinished" and len(whole) >= 5


def test_what_is_published_while_the_stored_events_are_read_is_sent(serve, monkeypatch):
    served = serve()
    id = submit(served, "hold").json()["id"]
    assert served.app.arguments["held"].wait(20)
    read = served.app.records.events

    def slowly(job: str, after: int = 0):
        found = read(job, after)
        served.app.arguments["gate"].set()
        until(lambda: served.app.executor.ended(job))
        return found

    monkeypatch.setattr(served.app.records, "events", slowly)
    kinds = [e["kind"] for e in events(served, id)]
    assert kinds[-1] == "JobFinished" and "PictureReady" in kinds


def test_a_late_stream_of_a_running_job_begins_with_what_was(serve):
    served = serve(step_seconds=0.01)
    id = submit(served, count=10).json()["id"]
    until(lambda: served.client.get(f"{JOBS}/{id}/pictures").json())
    heard = events(served, id)
    assert [e["kind"] for e in heard[:2]] == ["JobQueued", "JobStarted"]
    assert sum(e["kind"] == "PictureReady" for e in heard) == 10
    assert [e["seq"] for e in heard] == sorted({e["seq"] for e in heard})


def test_two_clients_wait_in_turn(serve):
    served = serve()
    submit(served, "hold", id="first")
    assert served.app.arguments["held"].wait(20)
    for n, who in enumerate(("alice", "bob", "alice")):
        assert submit(served, id=f"{who}-{n}", client=who).json()["position"] == n
    listed = served.client.get(JOBS).json()
    assert listed["running"] == "first" and listed["queue"] == ["alice-0", "bob-1", "alice-2"] and listed["total"] == 4
    assert [j["id"] for j in listed["jobs"]] == ["alice-2", "bob-1", "alice-0", "first"]
    assert [j["position"] for j in listed["jobs"]] == [2, 1, 0, None]
    assert listed["jobs"][3]["progress"]["steps"] == 0 and listed["jobs"][3]["progress"]["stage"] == "sampling"
    assert [j["id"] for j in served.client.get(f"{JOBS}?client=alice&state=queued&limit=1").json()["jobs"]] == [
        "alice-2"
    ]
    assert served.client.post(f"{JOBS}/alice-2/move", json={"position": 0}).json() == {"id": "alice-2", "position": 0}
    assert submit(served, id="urgent", priority=5).json()["position"] == 0
    served.app.arguments["gate"].set()
    served.app.result("bob-1", 20)
    assert [j.id for j in served.app.arguments["seen"]] == ["first", "urgent", "alice-2", "alice-0", "bob-1"]


@pytest.mark.parametrize(
    ("mode", "state"), [("stop", "stopped"), ("cancel", "cancelled"), ("finish", "done"), ("skip", "done")]
)
def test_ways_to_end_a_running_job(serve, mode, state):
    served = serve()
    id = submit(served, "hold", count=2).json()["id"]
    assert served.app.arguments["held"].wait(20)
    assert served.client.post(f"{JOBS}/{id}/cancel", json={"mode": mode}).status_code == 200
    served.app.arguments["gate"].set()
    assert events(served, id)[-1]["state"] == state
    assert served.client.get(f"{JOBS}/{id}").json()["state"] == state


def test_a_waiting_job_is_cancelled_and_the_queue_held(serve):
    served = serve()
    assert served.client.post("/atelier/v1/queue/pause").json() == {"paused": True}
    id = submit(served).json()["id"]
    assert served.client.get(JOBS).json()["paused"] is True
    assert served.client.post(f"{JOBS}/{id}/cancel").json()["state"] == "cancelled"
    assert served.client.post(f"{JOBS}/{id}/cancel").status_code == 409
    assert served.client.post(f"{JOBS}/{id}/move", json={"position": 0}).status_code == 409
    assert served.client.post("/atelier/v1/queue/resume").json() == {"paused": False}


def test_the_flat_form_is_understood_too(served):
    body = {"kind": "txt2img", "request": {"prompt": "flat", "steps": 3, "sampler_name": "Euler a"}}
    id = served.client.post(JOBS, json=body).json()["id"]
    served.app.result(id, 20)
    asked = served.client.get(f"{JOBS}/{id}").json()["request"]
    assert asked["prompt"]["positive"] == "flat" and asked["sampling"]["sampler"] == "Euler a"


def test_pictures_are_uploaded_once_and_named_by_hash(served):
    buffer = io.BytesIO()
    Image.new("RGBA", (20, 10), (1, 2, 3, 4)).save(buffer, "PNG")
    ref = served.client.post("/atelier/v1/images", content=buffer.getvalue()).json()
    assert (ref["width"], ref["height"], ref["media"]) == (20, 10, "image/png")
    for image in (ref, {"sha256": ref["sha256"]}, base64.b64encode(buffer.getvalue()).decode()):
        body = {"kind": "img2img", "request": {"source": {"images": [image]}, "sampling": {"steps": 1}}}
        answer = served.client.post(JOBS, json=body)
        assert answer.status_code == 202, answer.text
        assert served.app.result(answer.json()["id"], 20).state == "done"
    assert served.client.post("/atelier/v1/images", content=b"").status_code == 422
    assert served.client.post("/atelier/v1/images", content=b"GIF89a").json()["fields"]["field"] == "body"


BAD = [
    ({}, "kind"),
    ({"kind": "dance", "request": {}}, "kind"),
    ({"kind": 5, "request": {}}, "kind"),
    ({"kind": "memory", "request": {}}, "kind"),
    ({"kind": "txt2img", "request": []}, "request"),
    ({"kind": "txt2img", "request": {"size": {"width": 0}}}, "size.width"),
    ({"kind": "txt2img", "request": {"size": {"wdth": 512}}}, "size.wdth"),
    ({"kind": "txt2img", "request": {"sizes": {}}}, "sizes"),
    ({"kind": "txt2img", "request": {"width": 0}}, "width"),
    ({"kind": "txt2img", "request": {"sampling": {"sampler": "No such"}}}, "sampling.sampler"),
    ({"kind": "txt2img", "request": {"source": {"images": ["!"]}}}, "source.images.0"),
    ({"kind": "txt2img", "request": {"source": {"images": [{"sha256": "x"}]}}}, "source.images.0.sha256"),
    ({"kind": "img2img", "request": {}}, "source.images"),
    ({"kind": "txt2img", "request": {}, "priority": "high"}, "priority"),
    ({"kind": "txt2img", "request": {}, "priority": 5000}, "priority"),
    ({"kind": "txt2img", "request": {}, "id": 5}, "id"),
    ({"kind": "txt2img", "request": {}, "client": "x" * 300}, "client"),
    ({"kind": "load_model", "request": {"checkpoint": "No such"}}, "request.checkpoint"),
    ({"kind": "txt2img", "request": {"overrides": {"no_such": 1}}}, "settings.no_such"),
]


@pytest.mark.parametrize(("body", "field"), BAD, ids=lambda v: str(v)[:60])
def test_bad_jobs_are_refused_by_name(served, body, field):
    answer = served.client.post(JOBS, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["fields"]["field"] == field


def test_a_model_is_loaded_as_a_job(serve):
    served = serve()
    answer = served.client.post(JOBS, json={"kind": "load_model", "request": {"checkpoint": "sub_other"}})
    assert answer.status_code == 202
    served.app.result(answer.json()["id"], 20)
    assert served.client.get("/atelier/v1/health").json()["model"] == "sub/other.safetensors"


def test_an_id_is_taken_while_its_job_lives(serve):
    served = serve()
    served.app.executor.pause()
    assert submit(served, id="mine").status_code == 202
    assert submit(served, id="mine").status_code == 409


@pytest.mark.parametrize("path", ["", "/events", "/pictures"])
def test_unknown_jobs(served, path):
    answer = served.client.get(f"{JOBS}/nobody{path}")
    assert answer.status_code == 404 and answer.json()["code"] == "not_found"
    assert served.client.post(f"{JOBS}/nobody/cancel", json={"mode": "stop"}).status_code == 404


def test_bad_questions_about_jobs(served):
    assert served.client.get(f"{JOBS}?limit=0").status_code == 422
    assert served.client.get(f"{JOBS}/x/events?after=abc").json()["fields"]["field"] == "after"
    id = submit(served).json()["id"]
    assert served.client.post(f"{JOBS}/{id}/cancel", json={"mode": "explode"}).json()["fields"]["field"] == "mode"
    assert served.client.post(f"{JOBS}/{id}/move", json={}).json()["fields"]["field"] == "position"
    assert (
        served.client.post(f"{JOBS}/{id}/move", content=b"{", headers={"Content-Type": "application/json"}).status_code
        == 422
    )


def test_a_failed_job_keeps_its_reason(served):
    id = submit(served, "oom").json()["id"]
    assert events(served, id)[-1]["error"]["code"] == "out_of_memory"
    job = served.client.get(f"{JOBS}/{id}").json()
    assert job["state"] == "failed" and job["error"]["fields"] == {"needed": 2, "free": 1} and job["result"] is None


def test_ids_with_brackets_work_in_paths(served):
    assert submit(served, id="task(abc)").status_code == 202
    assert served.client.get(f"{JOBS}/task(abc)").json()["id"] == "task(abc)"


def test_many_waiters_need_no_threads(serve):
    """More blocking calls than the thread pool has threads, all waiting at once; another route still answers."""
    served = serve()
    served.app.settings.update({"jobs_per_client": 1000})
    submit(served, "hold", id="first")
    assert served.app.arguments["held"].wait(20)

    async def many() -> list[int]:
        import httpx

        transport = httpx.ASGITransport(app=served.server)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as client:
            calls = [asyncio.create_task(client.post("/sdapi/v1/txt2img", json={"steps": 1})) for _ in range(60)]
            while len(served.app.executor.queued()) < 60:
                await asyncio.sleep(0.02)
            alive = await client.get("/sdapi/v1/progress")
            threading.Timer(0.05, served.app.arguments["gate"].set).start()
            return [alive.status_code, *(answer.status_code for answer in await asyncio.gather(*calls))]

    assert asyncio.run(many()) == [200] * 61


def test_a_batch_from_a_folder_needs_no_other_picture(served, tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "one.png")
    body = {"kind": "img2img", "request": {"extras": {"picture_batch": {"folder": str(tmp_path)}}}}
    answer = served.client.post(JOBS, json=body)
    assert answer.status_code == 202, answer.text
    asked = served.client.get(f"{JOBS}/{answer.json()['id']}").json()["request"]
    assert len(asked["source"]["images"]) == 1
    body["request"]["extras"]["picture_batch"]["folder"] = str(tmp_path / "nowhere")
    assert served.client.post(JOBS, json=body).json()["fields"]["field"] == "picture_batch.folder"
