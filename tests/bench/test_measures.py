"""Every measure once, on a tiny model: what comes out is whole and fits together. Never how long it took."""

from __future__ import annotations

import json
import logging
import math

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
from bench.checkpoints import VAE_ALONE, write_random_checkpoint, write_random_vae, write_random_xl
from bench.decoding import measure_large, measure_tiles
from bench.loading import measure_loading
from bench.networks import measure_networks
from bench.overhead import measure_overhead
from bench.pipeline import measure_pipeline
from bench.previews import PreviewStudio, measure_previews, write_small_decoder
from bench.report import Figure
from bench.start import measure_setup_check
from bench.studio import Scene, Studio
from bench.swaps import measure_swaps, write_pair
from bench.texts import measure_texts
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


def test_texts(studio):
    found = by_name(measure_texts(studio, SCENE, EFFORT, "texts.tiny", full=True))
    assert found["texts.tiny.again"].limit == 1.0 and found["texts.tiny.first"].value > 0
    # Of equal prompts nothing is read; of a changed negative prompt that one alone.
    assert [found[f"texts.tiny.{asked}.texts"].value for asked in ("again", "changed")] == [0, 1]
    assert not studio.model.text_encoder._forward_hooks


def test_texts_that_are_not_remembered_miss_the_target(studio, monkeypatch):
    monkeypatch.setattr(studio.engine.services.encodings, "get", lambda key: None)
    found = by_name(measure_texts(studio, SCENE, EFFORT, "t", full=False))
    assert [found[f"t.{asked}.texts"].verdict for asked in ("again", "changed")] == ["missed"] * 2
    assert found["t.again"].limit is None


def test_previews_by_every_method(tmp_path):
    general = write_small_decoder(tmp_path / "data" / "models")
    general.rename(general.with_name("tiny-taesd_decoder.safetensors"))
    painter = PreviewStudio(tmp_path / "data", write_tiny_checkpoint(tmp_path / "models"), SCENE)
    found = by_name(measure_previews(painter, EFFORT, "previews.tiny", full=True))
    decoded = []
    painter.studio.model.vae.decoder.register_forward_hook(lambda *_: decoded.append(method))
    for method in ("Approx cheap", "TAESD", "Full"):
        painter.paint(method)
    painter.close()
    # Previews and the finished picture, so that each method is measured by what it is named after.
    assert len(decoded) >= 2 and set(decoded) == {"Full"}
    shares = {f"previews.tiny.{method}" for method in ("approx_cheap", "approx_nn", "taesd", "full")}
    assert shares <= set(found) and all(found[name].value > 0 for name in shares)
    assert [name for name in found if found[name].limit] == ["previews.tiny.approx_cheap"]
    assert found["previews.tiny.approx_cheap"].note.endswith("previews in 3 steps")


def test_previews_by_a_decoder_that_is_not_there_are_not_measured(tmp_path):
    # The general file fits no autoencoder of other sizes, and the cheap previews in its place would look fast.
    write_small_decoder(tmp_path / "data" / "models")
    painter = PreviewStudio(tmp_path / "data", write_tiny_checkpoint(tmp_path / "models"), SCENE)
    with pytest.raises(RuntimeError, match="small decoder"):
        list(measure_previews(painter, EFFORT, "previews.tiny", full=True))
    painter.close()


def test_tiles_and_the_whole_give_the_same_picture(studio):
    found = by_name(measure_tiles(studio, 576, EFFORT, "decode.tiny"))
    assert set(found) == {"decode.tiny.whole", "decode.tiny.tiles", "decode.tiny.tiles.cpu"}
    assert float(found["decode.tiny.tiles"].note.split("difference ")[1].split("/")[0]) < 2


def test_a_large_picture_in_a_process_of_its_own(tmp_path):
    peak, seconds = measure_large(write_tiny_checkpoint(tmp_path), tmp_path / "data", 576, "decode", full=True)
    assert peak.limit == 4.0 and 0 < peak.value < 4 and "runtime alone" in peak.note and seconds.value > 0


def test_the_autoencoder_alone_is_of_full_size(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.checkpoints._random", lambda name, shape, generator: torch.empty(0))
    path = write_random_vae(tmp_path / "vae.safetensors")
    size = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + size])
    numbers = {name: math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    own = sum(count for name, count in numbers.items() if name.startswith("first_stage_model."))
    assert own == 83_653_863 and sum(numbers.values()) - own < 2e6
    assert read_config(path.with_suffix(".yaml")) == VAE_ALONE


def test_swaps_in_a_process_of_its_own(tmp_path):
    pair = write_pair(write_tiny_checkpoint(tmp_path / "models"), tmp_path / "pair")
    assert pair[0].read_bytes() != pair[1].read_bytes() and pair[1].with_suffix(".yaml").is_file()
    resident, left = measure_swaps(pair, tmp_path / "data", "half", "swaps", 6)
    assert resident.limit == 5.0 and resident.verdict == "met" and "after 6 " in resident.note
    assert left.unit == "MB" and left.value < 10


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
    log = logging.getLogger("atelier")
    before = log.level
    program.main(["--only", "start", "--output", str(tmp_path / "r.json")])
    assert measures == [("start", False, None)] and log.level == before


@pytest.mark.parametrize("words", [["--only", "speed"], ["--rounds", "0"], ["--threads", "0"], ["--nonsense"]])
def test_a_command_line_that_makes_no_sense_is_refused(words, capsys):
    with pytest.raises(SystemExit) as caught:
        program.main(words)
    assert caught.value.code == 2 and capsys.readouterr().err


def test_results_are_kept_out_of_the_repository():
    assert "*" in (program.Path(program.__file__).parent / "results" / ".gitignore").read_text().split()
