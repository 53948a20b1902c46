"""Whole runs of Stable Diffusion XL: what reaches the network, infotext, refiner, inpainting, little memory."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from atelier.checkpoints.load import LoadedModel
from atelier.device.recovery import Ladder
from atelier.device.residency import Residency
from atelier.pipeline import sample
from tests.pipeline.test_memory import movers as movers
from tests.tiny_sdxl import TinyXL, write_tiny_xl


@pytest.fixture(scope="session")
def xl_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("xl")
    write_tiny_xl(folder, "xl")
    write_tiny_xl(folder, "xl-refiner", TinyXL(refiner=True))
    write_tiny_xl(folder, "xl-inpaint", TinyXL(in_channels=9))
    return folder


@pytest.fixture
def xl(data, xl_files, make):
    """`make` with the files of SDXL beside the usual one; `xl("refiner")` takes another of them."""
    for file in xl_files.iterdir():
        (data / "models" / "Stable-diffusion" / file.name).symlink_to(file)

    def run(name="xl", **paths):
        return make(**{**paths, "overrides": {"sd_model_checkpoint": name, **paths.get("overrides", {})}})

    return run


@pytest.fixture
def told(monkeypatch):
    """What the network is told at each call, by the sign of its rows."""
    calls = []
    original = LoadedModel.call_denoiser

    def listen(self, inputs):
        for row, sizes, pooled in zip(inputs.rows, inputs.added["sizes"], inputs.added["pooled"], strict=True):
            calls.append((row.negative, tuple(sizes.tolist()), pooled))
        return original(self, inputs)

    monkeypatch.setattr(LoadedModel, "call_denoiser", listen)
    return calls


def picture(blobs, color=(200, 40, 40), size=(64, 64)):
    return blobs.put_image(Image.new("RGB", size, color))


def test_sizes_crop_and_pooled_vectors_reach_the_network(xl, told):
    crop = {"sdxl_crop_top": 8, "sdxl_crop_left": 24}
    result = xl(overrides=crop, **{"size.width": 128, "size.height": 64, "batch.size": 2})
    assert len(result.images) >= 2
    assert {sizes for _, sizes, _ in told} == {(64, 128, 8, 24, 64, 128)}
    # The empty negative prompt is zeros, the prompt is not.
    assert all(bool(pooled.any()) != negative for negative, _, pooled in told)
    assert {negative for negative, _, _ in told} == {True, False}


def test_the_second_pass_is_told_its_own_size(xl, told):
    xl(**{"hires.enabled": True, "hires.scale": 2.0, "hires.denoising_strength": 0.7})
    assert {sizes[:2] for _, sizes, _ in told} == {(64, 64), (128, 128)}


def test_settings_change_the_picture_and_infotext_tells_the_model(xl, services):
    plain, cropped = xl(), xl(overrides={"sdxl_crop_top": 512})
    assert not np.array_equal(np.asarray(plain.images[0]), np.asarray(cropped.images[0]))
    text = plain.pictures[0].infotext
    file = services.library.current.file
    assert f"Model hash: {file.short}, Model: xl" in text and "Size: 64x64" in text
    assert services.library.current.family.default_size == (1024, 1024)


def test_batches_do_not_change_pictures(xl):
    both = xl(**{"batch.size": 2})
    second = xl(**{"seed.seed": 8})
    first, other = (np.asarray(image).astype(int) for image in (both.images[-1], second.images[-1]))
    assert np.abs(first - other).max() <= 1


def test_the_refiner_runs_by_itself_with_its_scores(xl, services, told):
    source = (picture(services.blobs),)
    scores = {"sdxl_refiner_low_aesthetic_score": 1.5, "sdxl_refiner_high_aesthetic_score": 8.0}
    result = xl("xl-refiner", overrides=scores, **{
        "source.images": source, "source.denoising_strength": 0.6, "prompt.negative": "bad"})  # fmt: skip
    assert result.images and services.library.current.family.name == "sdxl_refiner"
    assert {(negative, sizes) for negative, sizes, _ in told} == {
        (False, (64, 64, 0, 0, 8.0)), (True, (64, 64, 0, 0, 1.5))}  # fmt: skip


def test_the_refiner_takes_over_from_the_base_and_is_told_its_own_numbers(xl, told):
    takeover = {"refiner.enabled": True, "refiner.checkpoint": "xl-refiner", "refiner.switch_at": 0.5}
    result = xl(**takeover, **{"sampling.steps": 6})
    lengths = [len(sizes) for _, sizes, _ in told]
    assert set(lengths) == {6, 5} and lengths == sorted(lengths, reverse=True)
    assert "Refiner: xl-refiner" in result.pictures[0].infotext


def test_inpainting_models_repaint_only_the_mask(xl, services):
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    result = xl("xl-inpaint", **{
        "source.images": (picture(services.blobs),), "mask.image": services.blobs.put_image(mask), "mask.blur_x": 0,
        "mask.blur_y": 0, "source.denoising_strength": 1.0})  # fmt: skip
    pixels = np.asarray(result.images[-1]).astype(int)
    assert np.array_equal(pixels[:, 40:], np.full((64, 24, 3), (200, 40, 40)))
    assert np.abs(pixels[:, :24] - (200, 40, 40)).max() > 5


def test_embeddings_for_both_encoders_change_the_picture(xl, services, data):
    folder = data / "embeddings"
    folder.mkdir(exist_ok=True)
    save_file({"clip_l": torch.randn(2, 16), "clip_g": torch.randn(2, 24)}, str(folder / "charm.safetensors"))
    save_file({"emb_params": torch.randn(2, 16)}, str(folder / "old.safetensors"))
    services.shelf.scan()
    with_it = xl(**{"prompt.positive": "a charm"})
    found = services.shelf.embeddings(services.library.current)
    assert set(found.loaded) == {"charm"} and "16" in found.skipped["old"]
    assert 'TI hashes: "charm: ' in with_it.pictures[0].infotext
    (folder / "charm.safetensors").unlink()
    services.shelf.scan()
    without = xl(**{"prompt.positive": "a charm"})
    assert not np.array_equal(np.asarray(with_it.images[0]), np.asarray(without.images[0]))


def test_streamed_and_whole_give_the_same_picture(xl, movers, services):
    streamed = xl()
    # The denoiser, the autoencoder and both text encoders.
    assert len(movers) == 4 and services.residency.resident_bytes == 0
    services.residency = Residency(torch.device("cpu"))
    services.ladder = Ladder(services.residency)
    services.encodings.clear()
    assert np.array_equal(np.asarray(streamed.images[0]), np.asarray(xl().images[0]))


@pytest.fixture(scope="module")
def plain_pixels():
    """The picture without anything special, made once."""
    return {}


@pytest.mark.parametrize("asked", [
    {"guidance.pag_scale": 3.0}, {"guidance.seg_scale": 3.0}, {"guidance.sag_scale": 1.0}, {"guidance.freeu": True},
    {"guidance.apg": True}, {"guidance.threshold": True, "guidance.mimic_scale": 2.0}, {"guidance.rescale": 0.7},
    {"output.tiling": True},
    {"prompt.positive": "a cat AND a dog :0.5"}, {"prompt.positive": "[a cat:a dog:0.5]"},
    {"prompt.positive": "a cat " * 60, "overrides": {"pad_cond_uncond": True}},
    {"sampling.sampler": "DPM++ 2M", "sampling.scheduler": "Align Your Steps"}, {"sampling.cfg_scale": 1.0},
    {"overrides": {"sd_noise_schedule": "Zero Terminal SNR"}},
], ids=lambda asked: next(iter(asked)))  # fmt: skip
def test_what_steers_sampling_works_on_sdxl_too(xl, plain_pixels, asked):
    usual = {"prompt.positive": "a cat", "prompt.negative": "bad"}
    if not plain_pixels:
        plain_pixels["found"] = np.asarray(xl(**usual).images[-1]).astype(int)
    found = np.asarray(xl(**{**usual, **asked}).images[-1]).astype(int)
    assert np.abs(found - plain_pixels["found"]).max() > 0


def test_tokens_are_merged_at_full_resolution_only_where_sdxl_has_no_attention(xl):
    """As in A1111: the setting is accepted, and changes nothing."""
    merged = xl(overrides={"token_merging_ratio": 0.5})
    assert np.array_equal(np.asarray(merged.images[-1]), np.asarray(xl().images[-1]))


def test_align_your_steps_takes_the_table_of_the_family(xl, monkeypatch):
    tables, original = [], sample.plan_sampling

    def planned(*args, options, **rest):
        tables.append(options.table)
        return original(*args, options=options, **rest)

    monkeypatch.setattr(sample, "plan_sampling", planned)
    xl(**{"sampling.scheduler": "Align Your Steps 32"})
    xl("tiny", **{"sampling.scheduler": "Align Your Steps 32"})
    assert tables == ["sdxl", "sd1"]
