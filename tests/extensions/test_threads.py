"""process_images outside of a job, and what happens when a person stops one inside a run."""

from __future__ import annotations

import threading

import pytest

from atelier.base.cancel import CancelToken
from atelier.base.errors import Interrupted
from atelier.base.events import JobFinished, StepDone
from atelier.pipeline.run import generate
from modules import processing, shared


def draft(**values):
    small = {"prompt": "a cat", "steps": 2, "width": 64, "height": 64, "sampler_name": "Euler", "seed": 5}
    return processing.StableDiffusionProcessingTxt2Img(**{**small, "do_not_save_samples": True, **values})


def test_any_thread_may_make_pictures_once_the_device_is_free(bench):
    made = []
    thread = threading.Thread(target=lambda: made.append(processing.process_images(draft())))
    with bench.host.lease():
        thread.start()
        thread.join(0.2)
        assert not made, "it waits for the device"
    thread.join(30)
    (processed,) = made
    assert processed.images[0].size == (64, 64) and processed.seed == 5 and "Steps: 2" in processed.info
    assert processed.images[0].info["parameters"] == processed.infotexts[0]
    assert bench.host.tickets.current is None


def test_lists_of_prompts_and_seeds_and_settings_of_one_call(bench):
    overrides = {"samples_format": "jpg", "temp_dir": "x"}
    p = draft(prompt=["one", "two"], seed=[11, 22], n_iter=2, override_settings=overrides)
    processed = processing.process_images(p)
    assert processed.all_prompts == ["one", "two"] and processed.all_seeds == [11, 22] and len(processed.images) == 2
    assert "one" in processed.infotext(p, 0) and '"sampler_name": "Euler"' in processed.js()
    assert shared.opts.samples_format == "png"


def test_stopping_inside_a_selected_script_ends_the_script(bench):
    token = CancelToken()
    events = []

    def publish(event):
        events.append(event)
        if isinstance(event, StepDone) and len([e for e in events if isinstance(e, StepDone)]) == 4:
            shared.state.interrupt()

    result = generate(
        bench.request({"script_name": "Sample loop", "script_args": [4, False]}), bench.services,
        settings=bench.app.settings.snapshot(), publish=publish, token=token, job="stopped",
    )  # fmt: skip
    assert token.mode == "stop" and result.state == "stopped" and shared.state.interrupted
    assert len(result.pictures) == 2 and result.comments == (), "the loop that was finished, and the one that was not"
    assert bench.run().state == "done" and not shared.state.interrupted


def test_a_cancelled_run_leaves_no_trace(bench):
    token = CancelToken()

    def publish(event):
        if isinstance(event, StepDone):
            token.request("cancel")

    with pytest.raises(Interrupted):
        generate(
            bench.request(**{"prompt.positive": "detail"}), bench.services, settings=bench.app.settings.snapshot(),
            token=token, publish=publish, job="gone",
        )  # fmt: skip
    assert bench.host.tickets.run is not None
    bench.host.heard(JobFinished(job="gone", state="cancelled"))
    assert bench.host.tickets.run is None and shared.state.job == ""
    assert len(bench.run().pictures) == 1 and bench.host.tickets.current is None


def test_state_tells_of_the_job(bench):
    state = shared.state
    state.begin("mine")
    assert state.job_count == -1 and not state.interrupted and len(state.job_timestamp) == 14
    state.job_count, state.job_no = 3, 1
    state.nextjob()
    assert state.dict()["job_no"] == 2
    state.skip()
    assert state.skipped and not state.interrupted
    state.server_command = "restart"
    assert state.wait_for_server_command(1) == "restart" and state.wait_for_server_command(0.01) is None
    state.end()
    assert state.job == "" and state.job_count == 0
