"""Every measure once, on a tiny model: what comes out is whole and fits together. Never how long it took."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from atelier.checkpoints.detect import identify
from atelier.checkpoints.fill import Source, build_empty, match_tensors
from atelier.checkpoints.header import read_safetensors_header
from atelier.families.ldm_config import bundled, read_config
from bench import __main__ as program
from bench import machine
from bench.bare import BareLoop, difference
from bench.checkpoints import write_random_checkpoint, write_random_xl
from bench.loading import measure_loading
from bench.networks import measure_networks
from bench.overhead import measure_overhead
from bench.pipeline import measure_pipeline
from bench.report import Figure
from bench.start import measure_setup_check
from bench.studio import Scene, Studio
from bench.timing import Effort
from bench.variants import measure_variants
from tests.tiny import TinySizes, tiny_yaml, write_tiny_checkpoint
from tests.tiny_sdxl import write_tiny_xl

SCENE, EFFORT = Scene(side=64, steps=3), Effort(least=2, most=2, warmup=0)


@pytest.fixture(scope="module", params=["eps", "v"])
def studio(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    path = write_tiny_checkpoint(folder / "models", sizes=TinySizes(prediction=request.param))
    made = Studio(folder / "data", path)
    yield made
    made.close()


def by_name(figures):
    found = {item.name: item for item in figures}
    assert all(item.rounds == 2 and item.low <= item.value <= item.high for item in found.values())
    return found


def test_the_bare_loop_gives_the_same_picture(studio):
    figures, bare = BareLoop(studio.model, SCENE, studio.settle).paint()
    others, ours = studio.paint(SCENE)
    assert bare.shape == ours.shape == (64, 64, 3) and difference(bare, ours)[0] <= 1
    assert set(figures) == set(others) == {"step", "step_cpu", "outside", "total", "total_cpu"}
    for one in (figures, others):
        assert one["total"] >= 2 * one["step"] > 0 and 0 < one["outside"] < one["step"]


def test_nothing_is_saved_among_the_outputs(studio):
    studio.paint(SCENE)
    assert not list(studio.engine.services.paths.outputs.rglob("*.*"))


def test_networks(studio):
    folder = studio.engine.services.paths.models / "Lora"
    found = by_name(measure_networks(studio, folder, EFFORT, "networks.tiny", full=True))
    assert found["networks.tiny.reads"].limit == 1.5 and found["networks.tiny.apply"].value > 0
    assert set(found) == {f"networks.tiny.{name}" for name in ("apply", "remove", "reads", "copies")}
    assert studio.engine.services.networks.tags_of(studio.model) == ((), False)


def test_overhead(studio):
    found = by_name(measure_overhead(studio, SCENE, EFFORT, "overhead.tiny", full=False))
    assert set(found) == {"overhead.tiny" + end for end in (
        ".step.bare", ".step", ".step.ms", ".step.cpu", ".outside", ".outside.ms", ".picture", ".picture.ms",
    )}  # fmt: skip
    assert found["overhead.tiny.step.ms"].limit == 8.0 and found["overhead.tiny.step"].limit is None
    assert found["overhead.tiny.step"].unit == "%" and found["overhead.tiny.step"].value > -100
    full = by_name(measure_overhead(studio, SCENE, EFFORT, "o", full=True))
    assert full["o.step"].limit == full["o.outside"].limit == 3.0 and full["o.step.ms"].limit is None


def test_diffusers(studio):
    found = by_name(measure_pipeline(studio, SCENE, EFFORT, "diffusers.tiny"))
    assert found["diffusers.tiny.step"].verdict and found["diffusers.tiny.picture"].limit is None
    # The comparison only counts when both paint the same picture.
    largest = int(found["diffusers.tiny.step"].note.split("difference ")[1].split("/")[0])
    assert largest <= 2


@pytest.mark.parametrize(("precision", "limit"), [("full", 1), ("half", 32)])
def test_diffusers_and_sdxl(tmp_path, precision, limit):
    """The whole recipe against diffusers' own pipeline, with both text encoders and the size told. In half precision
    diffusers keeps the latents themselves in it from step to step."""
    studio = Studio(tmp_path / "data", write_tiny_xl(tmp_path / "models"), precision)
    found = by_name(measure_pipeline(studio, SCENE, EFFORT, "xl"))
    studio.close()
    assert int(found["xl.step"].note.split("difference ")[1].split("/")[0]) <= limit


def test_variants_leave_the_model_as_it_was(studio):
    before = {k: (v.dtype, v.stride()) for k, v in studio.model.denoiser.state_dict().items()}
    _, picture = studio.paint(SCENE)
    found = by_name(measure_variants(studio, SCENE, EFFORT, "variants"))
    assert {"variants.channels_last", "variants.bfloat16", "variants.decode.channels_last"} <= set(found)
    assert {k: (v.dtype, v.stride()) for k, v in studio.model.denoiser.state_dict().items()} == before
    assert np.array_equal(studio.paint(SCENE)[1], picture)


def test_loading_in_a_process_of_its_own(tmp_path):
    path = write_tiny_checkpoint(tmp_path)
    seconds, peak = measure_loading(path, "float32", 1, "loading")
    assert seconds.value > 0 and "the weights in float32" in peak.what and "runtime alone" in peak.note
    # A few megabytes say nothing about the target for real checkpoints.
    assert peak.limit is None


def test_a_random_checkpoint_is_one_that_opens(tmp_path):
    (tmp_path / "models").mkdir()
    config = tmp_path / "models" / "random.yaml"
    config.write_text(tiny_yaml(), "utf-8")
    path = write_random_checkpoint(config.with_suffix(".safetensors"), torch.bfloat16, read_config(config))
    again = write_random_checkpoint(tmp_path / "again.safetensors", torch.bfloat16, read_config(config))
    assert path.read_bytes() == again.read_bytes()
    studio = Studio(tmp_path / "data", path)
    _, picture = studio.paint(SCENE)
    assert picture.std() > 0
    studio.close()


def test_a_random_checkpoint_is_full_size_without_a_configuration(monkeypatch, tmp_path):
    # The header alone: 4 GB of weights would be long in the making.
    monkeypatch.setattr("bench.checkpoints._random", lambda name, shape, generator: torch.empty(0))
    path = write_random_checkpoint(tmp_path / "full.safetensors")
    size = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + size])
    last = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    assert last == 4 * 1_066_235_307
    assert bundled("sd1")["model"]["params"]["unet_config"]["params"]["model_channels"] == 320
    with pytest.raises(Exception, match="full.safetensors"):
        read_safetensors_header(path)


def test_the_header_of_a_full_size_sdxl_is_one_that_opens(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.checkpoints._random", lambda name, shape, generator: torch.empty(0))
    path = write_random_xl(tmp_path / "xl.safetensors")
    size = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + size])
    path.write_bytes(path.read_bytes()[: 8 + size])
    with open(path, "r+b") as file:
        file.truncate(8 + size + max(e["data_offsets"][1] for n, e in header.items() if n != "__metadata__"))
    family, _, evidence = identify(read_safetensors_header(path))
    source = Source(path, read_safetensors_header(path).tensors)
    assert family.name == "sdxl"
    for component in family.blueprint(evidence).components.values():
        assert match_tensors(build_empty(component, path), component, source)
    assert path.stat().st_size - 8 - size == 2 * (2_567_463_684 + 83_653_863 + 123_060_480 + 694_659_840)


def test_the_set_up_check_needs_an_environment_of_the_launcher(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.start.sys.prefix", str(tmp_path))
    (only,) = measure_setup_check(tmp_path, 1)
    assert only.value is None and only.verdict == "" and "not measured" in only.note and only.limit == 1.0


def test_peak_memory_is_at_least_what_is_used_now():
    assert machine.peak_resident() >= machine.resident() * 0.9 > 0


# -- the command line


@pytest.fixture
def measures(monkeypatch):
    """Two measures that only write down how they were called."""
    seen = []

    def measure(name):
        def work(bench):
            seen.append((name, bench.quick, bench.rounds))
            yield Figure(f"{name}.step", f"{name}: a step", "%", 1.0, 0.5, 1.5, 3, 3.0)

        return work

    monkeypatch.setattr(program, "MEASURES", {"overhead": measure("overhead"), "start": measure("start")})
    return seen


def test_everything_is_measured_and_written(measures, tmp_path, capsys):
    assert program.main(["--json", str(tmp_path / "r.json"), "--quick", "--rounds", "2"]) == 0
    assert measures == [("overhead", True, 2), ("start", True, 2)]
    report = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert [f["name"] for f in report["figures"]] == ["overhead.step", "start.step"]
    assert {"load", "load_after", "threads", "torch", "processor", "memory"} <= set(report["machine"])
    shown = capsys.readouterr().out
    assert "overhead: a step" in shown and "<= 3 %" in shown and "met" in shown


def test_one_measure_alone(measures, tmp_path):
    program.main(["--only", "start", "--output", str(tmp_path / "r.json")])
    assert measures == [("start", False, None)]


@pytest.mark.parametrize("words", [["--only", "speed"], ["--rounds", "0"], ["--threads", "0"], ["--nonsense"]])
def test_a_command_line_that_makes_no_sense_is_refused(words, capsys):
    with pytest.raises(SystemExit) as caught:
        program.main(words)
    assert caught.value.code == 2 and capsys.readouterr().err


def test_results_are_kept_out_of_the_repository():
    assert "*" in (program.Path(program.__file__).parent / "results" / ".gitignore").read_text().split()
