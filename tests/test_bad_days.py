"""Bad days that must end well, through the whole program: a clear message, the server alive, the next job succeeds."""

import shutil
import socket
from pathlib import Path

import pytest

from tests.program import Program, data_folder

SMALL = {"prompt": "a cat", "steps": 2, "width": 64, "height": 64, "seed": 1, "save_images": True}
LONG = {"sampling": {"steps": 1000}, "size": {"width": 64, "height": 64}, "prompt": {"positive": "a cat"}}
SHORT = {"sampling": {"steps": 2}, "size": {"width": 64, "height": 64}, "prompt": {"positive": "a cat"}}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    with Program(data_folder(tmp_path_factory.mktemp("data"))) as running:
        yield running


def succeeds(program) -> None:
    status, answer = program.post("/sdapi/v1/txt2img", SMALL)
    assert status == 200 and len(answer["images"]) == 1


def model_file(program) -> Path:
    return next(Path(program.data / "models" / "Stable-diffusion").glob("*.safetensors"))


def test_a_very_long_prompt_is_painted(program):
    status, answer = program.post("/sdapi/v1/txt2img", {**SMALL, "prompt": "a red cat, (sharp:1.2) [x|y] " * 690})
    assert status == 200 and answer["images"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"width": 0}, "width"), ({"width": 100_000}, "width"), ({"steps": 0}, "steps"),
        ({"cfg_scale": "much"}, "cfg_scale"), ({"sampler_name": "Eulerr"}, "sampl"), ({"batch_size": -1}, "batch_size"),
        ({"denoising_strength": 7}, "denoising"),
        ({"override_settings": {"no_such_setting": 1}}, "no_such_setting"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_by_name(program, change, field):
    status, answer = program.post("/sdapi/v1/txt2img", {**SMALL, **change})
    assert 400 <= status < 500 and field in str(answer)
    succeeds(program)


def test_a_large_seed_is_a_seed(program):
    status, answer = program.post("/sdapi/v1/txt2img", {**SMALL, "seed": 2**40})
    assert status == 200 and str(2**40) in answer["info"]


def test_a_cut_model_file_is_refused_and_the_old_model_stays(program):
    whole = model_file(program)
    cut = whole.with_name("cut.safetensors")
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    shutil.copy(whole.with_suffix(".yaml"), cut.with_suffix(".yaml"))
    program.post("/sdapi/v1/refresh-checkpoints")
    status, answer = program.post("/sdapi/v1/options", {"sd_model_checkpoint": "cut.safetensors"})
    assert 400 <= status < 500 and "cut" in str(answer)
    assert program.get("/sdapi/v1/options")[1]["sd_model_checkpoint"] != "cut.safetensors"
    succeeds(program)
    cut.unlink()
    cut.with_suffix(".yaml").unlink()
    program.post("/sdapi/v1/refresh-checkpoints")


def test_a_checkpoint_deleted_while_loaded_does_no_harm(program):
    file = model_file(program)
    succeeds(program)
    kept = file.rename(file.with_name("away.bin"))
    succeeds(program)
    kept.rename(file)


def test_an_output_folder_that_cannot_be_written_costs_no_picture(program):
    outputs = program.data / "outputs"
    aside = outputs.rename(program.data / "outputs-aside") if outputs.exists() else None
    outputs.write_text("a file stands where the folder should be")
    status, answer = program.post("/sdapi/v1/txt2img", SMALL)
    assert status == 200 and answer["images"]
    outputs.unlink()
    if aside:
        aside.rename(outputs)
    succeeds(program)


def test_a_second_server_refuses_the_folder_and_names_the_first(program):
    second = Program(program.data, port=17960).start()
    assert second.process.wait(60) != 0
    assert str(program.process.pid) in second.output and not second.url
    succeeds(program)


def test_a_taken_port_is_left_to_its_owner_and_the_next_one_is_named(tmp_path):
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    with Program(data_folder(tmp_path), port=port) as program:
        assert program.url.rsplit(":", 1)[1] != str(port)
        assert str(port) in program.output and "taken" in program.output
    taken.close()


def test_killed_in_the_middle_it_comes_back_with_its_queue(tmp_path):
    data = data_folder(tmp_path)
    with Program(data) as program:
        first = program.submit(**{**SHORT, "output": {"save_images": True}})
        program.wait(first)
        running, waiting = program.submit(**LONG), program.submit(**SHORT)
        program.wait(running, "running")
        program.kill()
    assert not list(data.rglob("*.part"))
    with Program(data) as program:
        assert program.job(first)["state"] == "done"
        assert program.get(f"/atelier/v1/jobs/{first}/pictures")[1]
        assert program.job(running)["state"] in ("queued", "running")
        assert program.post(f"/atelier/v1/jobs/{running}/cancel", {"mode": "stop"})[0] < 300
        assert program.wait(waiting)["state"] == "done"
        assert program.interrupt() == 0


def test_ctrl_c_during_a_job_ends_the_program_in_order(tmp_path):
    data = data_folder(tmp_path)
    with Program(data) as program:
        running = program.submit(**LONG)
        program.wait(running, "running")
        waiting = program.submit(**SHORT)
        assert program.interrupt() == 0
    with Program(data) as program:
        assert program.wait(waiting)["state"] == "done"
        assert program.job(running)["state"] in ("stopped", "queued", "running", "done")
