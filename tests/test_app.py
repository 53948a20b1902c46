"""What the server owns: submitting, limits, settings with their models, one server a data folder."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from atelier.app import App
from atelier.base.errors import BadModelFile, BadRequest, Conflict, DataFolderBusy, NotAllowed, NotReady, QueueFull
from atelier.params.request import GenerationRequest
from tests.apps import make_app


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., App]]:
    made: list[App] = []

    def start(ready: bool = True, **arguments) -> App:
        app = make_app(tmp_path, **arguments)
        made.append(app)
        app.start()
        if ready:
            assert app.executor.wait_ready(20)
        return app

    yield start
    for app in made:
        app.arguments["gate"].set()
        app.close()


def asked(prompt: str = "a cat", **values) -> GenerationRequest:
    return GenerationRequest().with_values(**{"prompt.positive": prompt, "sampling.steps": 2, **values})


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_request_becomes_a_result(make):
    app = make()
    ticket = app.submit(asked(), client="me")
    row = app.result(ticket.id, 20)
    assert row.state == "done" and row.client == "me" and len(row.result["pictures"]) == 1
    assert row.payload["prompt"]["positive"] == "a cat"
    assert app.progress.get(ticket.id).state == "done"


def test_names_are_those_of_the_engine(make):
    app = make()
    checked = app.checked(
        asked(
            **{
                "sampling.sampler": "k_euler_a karras",
                "hires.enabled": True,
                "hires.upscaler": "latent",
                "overrides": {"sd_model_checkpoint": "tiny"},
            }
        )
    )
    assert (checked.sampling.sampler, checked.sampling.scheduler) == ("Euler a", "Karras")
    assert checked.hires.upscaler == "Latent"
    assert checked.overrides["sd_model_checkpoint"] == "tiny.safetensors [0123456789]"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"sampling.sampler": "Nonsense"}, "sampling.sampler"),
        ({"sampling.scheduler": "Nonsense"}, "sampling.scheduler"),
        ({"hires.enabled": True, "hires.upscaler": "Nonsense"}, "hires.upscaler"),
        ({"hires.enabled": True, "hires.sampler": "Nonsense"}, "hires.sampler"),
        ({"hires.enabled": True, "hires.checkpoint": "Nonsense"}, "hires.checkpoint"),
        ({"overrides": {"sd_model_checkpoint": "Nonsense"}}, "settings.sd_model_checkpoint"),
        ({"overrides": {"sd_vae": "Nonsense"}}, "settings.sd_vae"),
        ({"overrides": {"no_such_setting": 1}}, "settings.no_such_setting"),
        ({"overrides": {"jpeg_quality": 900}}, "jpeg_quality"),
    ],
)  # fmt: skip
def test_unknown_names_are_refused_before_they_wait(make, values, field):
    app = make()
    with pytest.raises(BadRequest) as error:
        app.submit(asked(**values))
    assert error.value.field.endswith(field) and error.value.remedy


def test_a_request_cannot_change_where_pictures_go(make):
    app = make()
    assert dict(app.checked(asked(overrides={"outdir_samples": "/etc", "jpeg_quality": 90})).overrides) == {
        "jpeg_quality": 90
    }


def test_one_client_cannot_fill_the_queue(make):
    app = make()
    app.settings.update({"jobs_per_client": 2})
    app.submit(asked("hold"), client="a", job_id="first")
    assert app.arguments["held"].wait(20)
    for _ in range(2):
        app.submit(asked(), client="a")
    with pytest.raises(QueueFull):
        app.submit(asked(), client="a")
    app.submit(asked(), client="b")


def test_an_id_may_be_used_again_when_its_job_has_ended(make):
    app = make()
    app.submit(asked("hold"), job_id="task(abc)")
    with pytest.raises(Conflict):
        app.submit(asked(), job_id="task(abc)")
    app.arguments["gate"].set()
    app.result("task(abc)", 20)
    app.submit(asked("second"), job_id="task(abc)")
    assert app.result("task(abc)", 20).payload["prompt"]["positive"] == "second"


def test_the_failure_of_a_job_is_raised_as_itself(make):
    app = make()
    with pytest.raises(BadRequest) as error:
        app.result(app.submit(asked("fail")).id, 20)
    assert error.value.field == "sampling.sampler" and error.value.remedy == "Choose another."
    with pytest.raises(NotReady):
        app.result(app.submit(asked("hold")).id, 0.01)


def test_who_begins_to_wait_between_the_end_and_its_book_keeping(make, monkeypatch):
    """The end is told, and the worker has not yet put the job down: the waiter must not wait for another telling."""
    app = make()
    told = threading.Event()
    monkeypatch.setattr(app.executor, "ended", lambda id: False)
    ticket = app.submit(asked())
    with app.endings.telling(ticket.id, told.set) as already:
        assert already or told.wait(20)
    assert app.result(ticket.id).state == "done"


def test_a_checkpoint_is_chosen_by_any_name_and_loaded(make):
    app = make()
    change = app.set_options({"sd_model_checkpoint": "other", "jpeg_quality": 70})
    assert set(change.changed) == {"sd_model_checkpoint", "jpeg_quality"}
    app.result(change.ticket.id, 20)
    assert app.capabilities().model == app.settings.get("sd_model_checkpoint") == "sub/other.safetensors"
    assert app.set_options({"sd_model_checkpoint": "sub_other"}).ticket is None


def test_a_model_that_cannot_be_loaded_leaves_the_settings_as_they_were(make):
    app = make()
    app.result(app.set_options({"sd_model_checkpoint": "other"}).ticket.id, 20)
    change = app.set_options({"sd_model_checkpoint": "broken"})
    with pytest.raises(BadModelFile):
        app.result(change.ticket.id, 20)
    until(lambda: app.settings.get("sd_model_checkpoint") == "sub/other.safetensors")
    assert app.capabilities().model == "sub/other.safetensors"


def test_unknown_models_and_settings_change_nothing(make):
    app = make()
    for values in ({"sd_model_checkpoint": "nothing"}, {"jpeg_quality": 70, "no_such": 1}, {"jpeg_quality": "x"}):
        with pytest.raises(BadRequest):
            app.set_options(values)
    assert app.settings.get("jpeg_quality") == 80 and app.settings.get("sd_model_checkpoint") == ""


def test_settings_that_are_not_for_the_api_are_skipped_and_named(make):
    app = make()
    change = app.set_options({"outdir_samples": "/tmp", "send_seed": False}, api=True)
    assert change.changed == ("send_seed",) and change.skipped == ("outdir_samples",)
    assert app.settings.get("outdir_samples") == ""


@pytest.mark.parametrize(
    "arguments",
    [
        {"freeze_settings": True},
        {"freeze_specific_settings": "a, jpeg_quality"},
        {"freeze_settings_in_sections": "Saving images/grids"},
    ],
)
def test_frozen_settings(make, arguments):
    app = make(**arguments)
    app.set_options({"jpeg_quality": 80})
    with pytest.raises(NotAllowed):
        app.set_options({"jpeg_quality": 70})


def test_before_the_engine_is_ready_requests_wait_and_models_cannot_be_chosen(make):
    gate = threading.Event()
    app = make(ready=False, build_gate=gate)
    ticket = app.submit(asked(**{"sampling.sampler": "Not known yet"}))
    with pytest.raises(NotReady):
        app.set_options({"sd_model_checkpoint": "tiny"})
    app.set_options({"send_seed": False})
    gate.set()
    assert app.result(ticket.id, 20).state == "done"


def test_an_engine_that_cannot_start_answers_who_waits(make):
    app = make(ready=False, build_fails=True)
    with pytest.raises(NotReady) as error:
        app.result(app.submit(asked()).id, 20)
    assert "no device" in str(error.value)


def test_a_second_server_on_the_same_folder_names_the_first(make, tmp_path):
    make()
    with pytest.raises(DataFolderBusy) as error:
        make_app(tmp_path)
    assert error.value.fields["port"] == 7860


def test_a_damaged_database_is_put_aside(make, tmp_path):
    (tmp_path / "atelier.sqlite").write_bytes(b"this is no database" * 100)
    app = make()
    assert app.result(app.submit(asked()).id, 20).state == "done"
    assert list(tmp_path.glob("atelier.sqlite.damaged-*"))
