"""The doors of VAE files, small autoencoders, noise, caches and merging, over services with a tiny model."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atelier.base.errors import NotFound
from atelier.imaging.color import lab_target, match_picture
from atelier.params.request import GenerationRequest
from modules._host.draft import draft_of, request_of
from tests.pipeline.conftest import make_services
from tests.tiny import TinySizes, write_tiny_checkpoint, write_tiny_vae


@pytest.fixture
def services(host, tmp_path, monkeypatch):
    made = make_services(tmp_path)
    folder = tmp_path / "models" / "Stable-diffusion"
    write_tiny_checkpoint(folder, "tiny")
    write_tiny_checkpoint(folder, "other", TinySizes(seed=2))
    write_tiny_vae(tmp_path / "models" / "VAE", "bright", TinySizes(seed=30))
    monkeypatch.setattr(host, "services", made)
    monkeypatch.setattr(host, "lease", contextlib.nullcontext)
    return made


def test_vae_files(services):
    from modules import sd_vae

    assert list(sd_vae.vae_dict) == ["bright.safetensors"] and Path(sd_vae.vae_dict["bright.safetensors"]).is_file()
    services.library.open("tiny")
    assert sd_vae.loaded_vae_file is None and sd_vae.get_loaded_vae_name() is None
    sd_vae.reload_vae_weights(None, sd_vae.vae_dict["bright.safetensors"])
    assert sd_vae.get_loaded_vae_name() == "bright.safetensors" and len(sd_vae.get_loaded_vae_hash()) == 10
    assert sd_vae.checkpoint_info.name == "tiny.safetensors"
    sd_vae.reload_vae_weights(vae_file=None)
    assert sd_vae.loaded_vae_file is None
    assert sd_vae.find_vae_near_checkpoint("tiny") is None
    assert any(name.startswith("decoder.") for name in sd_vae.load_vae_dict(sd_vae.vae_dict["bright.safetensors"]))
    with pytest.raises(NotFound):
        sd_vae.reload_vae_weights(vae_file="no-such")


def test_latents_become_pictures(services):
    from modules import sd_samplers_common, sd_vae_approx, sd_vae_taesd

    model = services.library.open("tiny")
    latents = torch.randn(2, 4, 8, 8)
    cheap = sd_vae_approx.cheap_approximation(latents[0])
    assert cheap.shape == (3, 8, 8) and cheap.min() >= -1 and cheap.max() <= 1
    assert sd_vae_taesd.decoder_model() is None, "there is no file for it"
    full = sd_samplers_common.decode_first_stage(None, latents)
    assert torch.equal(full, model.decode(latents))
    picture = sd_samplers_common.sample_to_image(latents, 1, sd_samplers_common.approximation_indexes["Full"])
    wanted = ((full[1] + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy() * 255
    assert np.abs(np.asarray(picture) - wanted).max() < 1.01
    assert sd_samplers_common.samples_to_image_grid(latents, 2).size == (16, 8)
    assert sd_samplers_common.apply_refiner(None) is False


@pytest.mark.parametrize(
    ("fixed", "steps", "found"), [(False, None, (20, 15)), (False, 10, (13, 9)), (True, None, (26, 19))]
)
def test_step_counts_of_img2img(host, fixed, steps, found):
    from modules import sd_samplers_common
    from modules.processing import StableDiffusionProcessingImg2Img

    p = StableDiffusionProcessingImg2Img(steps=20, denoising_strength=0.75)
    host.settings.update({"img2img_fix_steps": fixed}, save=False)
    try:
        assert sd_samplers_common.setup_img2img_steps(p, steps) == found
    finally:
        host.settings.update({"img2img_fix_steps": False}, save=False)


def test_noise(host):
    from modules import rng

    noise = rng.ImageRNG((4, 8, 8), [7, 8])
    first, second = noise.next(), noise.next()
    assert first.shape == (2, 4, 8, 8) and not torch.equal(first, second)
    assert torch.equal(first[0], rng.randn(7, (4, 8, 8))) and torch.equal(first[1], rng.randn_local(8, (4, 8, 8)))


def test_a_cache_holds_until_the_file_changes(host, tmp_path):
    from modules import cache
    from modules._host.disk_cache import Sections

    file, calls = tmp_path / "a.txt", []
    file.write_text("x")

    def work():
        calls.append(1)
        return {"n": len(calls)}

    def ask(where=cache):
        return where.cached_data_for_file("some section", "a", str(file), work)

    assert ask() == ask() == {"n": 1}
    assert ask(Sections()) == {"n": 1}, "another run of the program finds it on disk"
    later = time.time() + 5
    __import__("os").utime(file, (later, later))
    assert ask() == {"n": 2} and len(calls) == 2
    cache.cache("own")["key"] = [1]
    cache.dump_cache()
    assert Sections().cache("own") == {"key": [1]}


def test_pictures_as_text(host):
    from modules.api import api

    picture = Image.new("RGB", (8, 4), "teal")
    picture.info["parameters"] = "a cat\nSteps: 1"
    again = api.decode_base64_to_image(api.encode_pil_to_base64(picture).decode())
    assert np.array_equal(np.asarray(again), np.asarray(picture)) and again.info["parameters"] == "a cat\nSteps: 1"


def test_room_on_the_device(services):
    from modules import lowvram

    seen = []
    services.residency.evict_idle = lambda: seen.append(1)
    lowvram.send_everything_to_cpu()
    assert seen == [1] and lowvram.is_enabled(None) is False and lowvram.module_in_gpu is None


def test_a_guarded_reader(tmp_path):
    from modules import safe

    torch.save({"a": torch.ones(2)}, tmp_path / "fine.pt")
    torch.save({"a": Path("x")}, tmp_path / "odd.pt")
    assert torch.equal(safe.load(str(tmp_path / "fine.pt"))["a"], torch.ones(2))
    with pytest.raises(__import__("pickle").UnpicklingError):
        safe.load(str(tmp_path / "odd.pt"))


def test_times_of_parts():
    from modules.timer import Timer

    timer = Timer()
    timer.record("first", extra_time=2)
    with timer.subcategory("more"):
        timer.record("inner", extra_time=1)
    assert timer.records["first"] >= 2 and timer.records["more/inner"] >= 1 and "first: 2.0s" in timer.summary()


def test_checkpoints_are_merged(services):
    from modules import extras

    asked = [
        "id",
        "tiny",
        "other",
        "",
        "Weighted sum",
        0.5,
        False,
        "both",
        "safetensors",
        3,
        "None",
        "",
        True,
        True,
        True,
        "{}",
    ]
    *lists, told = extras.run_modelmerger(*asked)
    assert told.startswith("Checkpoint saved to ") and Path(told.removeprefix("Checkpoint saved to ")).is_file()
    assert len(lists) == 4 and any("both" in title for title in lists[0]["choices"])
    asked[1] = "nobody"
    assert "nobody" in extras.run_modelmerger(*asked)[-1]


def test_a_finished_picture_for_hires_fix(host):
    from modules.processing import StableDiffusionProcessingTxt2Img

    p = StableDiffusionProcessingTxt2Img(enable_hr=True, firstpass_image=Image.new("RGB", (64, 32), "red"))
    request = request_of(p, GenerationRequest(), host.blobs)
    assert (request.hires.image.width, request.hires.image.height) == (64, 32)
    again = draft_of(request, host.blobs)
    assert again.firstpass_image.size == (64, 32) and request_of(again, request, host.blobs) == request
    again.firstpass_image = None
    assert request_of(again, request, host.blobs).hires.image is None


def test_colours_that_a_script_asks_for(host):
    from modules import processing
    from modules._host.pixels import correction_for

    reference, picture = Image.new("RGB", (8, 8), "red"), Image.radial_gradient("L").resize((8, 8)).convert("RGB")
    given = [processing.setup_color_correction(reference)]
    assert correction_for(given, 0) is given[0] and correction_for(given, 1) is None and correction_for(None, 0) is None
    found = processing.apply_color_correction(given[0], picture)
    assert np.array_equal(np.asarray(found), np.asarray(match_picture(picture, reference)))
    lab = np.full((8, 8, 3), (136, 208, 195), dtype=np.uint8)
    assert correction_for([lab], 0).channels[0][0].tolist() == lab_target(lab).channels[0][0].tolist() == [136]
