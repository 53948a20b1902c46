"""Whole runs on a tiny random model: what a request gives, whatever happens on the way."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atelier.base.cancel import CancelToken
from atelier.base.errors import BadRequest, Interrupted, NumericFailure, OutOfMemory
from atelier.imaging.metadata import read_metadata
from atelier.imaging.provenance import note_of
from atelier.imaging.watermark import detect
from atelier.params.request import GenerationRequest
from tests.pipeline.conftest import make_services


def same(a: Image.Image, b: Image.Image) -> bool:
    return a.size == b.size and np.array_equal(np.asarray(a), np.asarray(b))


def picture_of(services, width=64, height=64, color=(200, 40, 40)):
    image = Image.new("RGB", (width, height), color)
    image.paste((20, 60, 220), (0, 0, width // 2, height))
    return services.blobs.put_image(image)


def mask_of(services, box=(32, 16, 56, 48), size=(64, 64)):
    mask = Image.new("L", size, 0)
    mask.paste(255, box)
    return services.blobs.put_image(mask)


def test_the_same_request_gives_the_same_picture_and_another_seed_another(make):
    first, again, other = make(), make(), make(**{"seed.seed": 8})
    assert same(first.images[0], again.images[0])
    assert not same(first.images[0], other.images[0])


def test_batch_size_never_changes_a_picture(make):
    together = make(**{"batch.size": 3, "sampling.sampler": "Euler a"}).images[-3:]
    for k, image in enumerate(together):
        alone = make(**{"seed.seed": 7 + k, "sampling.sampler": "Euler a"}).images[0]
        # The network's own kernels may sum in another order for another number of rows.
        difference = np.abs(np.asarray(image).astype(int) - np.asarray(alone).astype(int)).max()
        assert difference <= 1


def test_a_saved_picture_carries_its_parameters(make, data):
    result = make(**{"prompt.positive": "a red cat, (sharp:1.2)", "prompt.negative": "dog"})
    path = Path(result.pictures[0].path)
    assert path.is_file() and path.is_relative_to(data / "outputs" / "txt2img-images")
    text = read_metadata(Image.open(path)).infotext
    assert text == result.pictures[0].infotext
    assert text.startswith(
        "a red cat, (sharp:1.2)\nNegative prompt: dog\nSteps: 3, Sampler: DPM++ 2M, Schedule type: Karras"
    )
    assert "Seed: 7" in text and "Size: 64x64" in text
    assert (data / "params.txt").read_text("utf-8") == text


def test_a_style_that_was_saved_a_moment_ago_is_used(make, data):
    assert make(**{"prompt.styles": ("Ink",)}).pictures[0].infotext.startswith("a cat\n")
    (data / "styles.csv").write_text("name,prompt\nInk,ink drawing of {prompt}\n", "utf-8")
    assert make(**{"prompt.styles": ("Ink",)}).pictures[0].infotext.startswith("ink drawing of a cat\n")


def test_a_watermark_and_a_note_of_provenance_only_when_asked(make):
    size = {"size.width": 128, "size.height": 128}
    plain = Image.open(make(**size).pictures[0].path)
    assert detect(plain) == "" and note_of(plain) == b""
    asked = {"watermark": "Mine", "provenance_note": True}
    for format, quality in (("png", 80), ("jpg", 90)):
        result = make(**size, overrides={**asked, "samples_format": format, "jpeg_quality": quality})
        file = Image.open(result.pictures[0].path)
        assert detect(file) == "Mine" and b"digitalsourcetype/trainedAlgorithmicMedia" in note_of(file)
        assert "watermark: Mine" in result.pictures[0].infotext
    assert np.abs(np.asarray(plain).astype(int) - np.asarray(make(**size, overrides=asked).images[0])).max() <= 40
    small = make(overrides=asked)
    assert "too small" in " ".join(small.comments) and same(small.images[0], make().images[0])


def test_no_saving_when_not_asked(make, data):
    result = make(**{"output.save_images": False})
    assert result.pictures[0].path == "" and not (data / "outputs").exists()


def test_a_grid_comes_first(make):
    result = make(**{"batch.count": 2})
    assert [p.role for p in result.pictures] == ["grid", "picture", "picture"]
    assert result.images[0].size == (128, 64) and result.info["index_of_first_image"] == 1


def test_img2img_keeps_more_of_the_source_at_low_strength(make, services):
    source = picture_of(services)
    original = np.asarray(services.blobs.image(source).convert("RGB")).astype(float)

    def distance(strength):
        result = make(**{"source.images": (source,), "source.denoising_strength": strength, "sampling.steps": 6})
        return np.abs(np.asarray(result.images[0]).astype(float) - original).mean()

    low, high = distance(0.1), distance(1.0)
    assert low < high


@pytest.mark.parametrize("mode", (0, 1, 2, 3))
def test_img2img_of_another_size_gives_the_asked_one(make, services, mode):
    source = picture_of(services, 100, 40)
    result = make(**{"source.images": (source,), "source.resize_mode": mode})
    assert result.images[0].size == (64, 64)


@pytest.mark.parametrize("fill", (0, 1, 2, 3))
@pytest.mark.parametrize("only_masked", (False, True))
def test_inpainting_leaves_the_rest_alone(make, services, fill, only_masked):
    source, mask = picture_of(services), mask_of(services)
    result = make(**{
        "source.images": (source,), "mask.image": mask, "mask.fill": fill, "mask.only_masked": only_masked,
        "mask.blur_x": 0, "mask.blur_y": 0, "mask.padding": 4, "source.denoising_strength": 1.0,
    })  # fmt: skip
    before = np.asarray(services.blobs.image(source).convert("RGB")).astype(int)
    after = np.asarray(result.images[0]).astype(int)
    changed = np.abs(after - before).max(axis=2)
    assert changed[:, :32].max() == 0 and changed[:16].max() == 0 and changed[:, 56:].max() == 0
    assert changed[16:48, 32:56].max() > 0
    assert ("Inpaint area: Only masked" in result.pictures[0].infotext) is only_masked


def test_the_picture_outside_of_an_inverted_mask_is_painted(make, services):
    source, mask = picture_of(services), mask_of(services)
    result = make(
        **{"source.images": (source,), "mask.image": mask, "mask.invert": True, "mask.blur_x": 0, "mask.blur_y": 0}
    )
    before = np.asarray(services.blobs.image(source).convert("RGB")).astype(int)
    changed = np.abs(np.asarray(result.images[0]).astype(int) - before).max(axis=2)
    assert changed[20:44, 36:52].max() == 0 and changed[:, :16].max() > 0


def test_an_empty_mask_is_plain_img2img_with_a_comment(make, services):
    source = picture_of(services)
    mask = services.blobs.put_image(Image.new("L", (64, 64), 0))
    result = make(**{"source.images": (source,), "mask.image": mask, "mask.only_masked": True})
    assert result.images[0].size == (64, 64) and any("mask is empty" in c for c in result.comments)


def test_hires_makes_it_larger(make):
    result = make(**{"hires.enabled": True, "hires.scale": 2.0, "hires.steps": 2})
    assert result.images[0].size == (128, 128)
    assert "Hires upscale: 2.0" in result.pictures[0].infotext
    assert make(**{"hires.enabled": True, "hires.upscaler": "Lanczos"}).images[0].size == (128, 128)
    assert make(**{"hires.enabled": True, "hires.denoising_strength": 0.0}).images[0].size == (128, 128)


class StopAt(CancelToken):
    """Asks for an end at the nth check, as a person would while a picture forms."""

    def __init__(self, mode, check):
        super().__init__()
        self.left, self.wish = check, mode

    def check(self):
        self.left -= 1
        if self.left == 0:
            self.request(self.wish)
        super().check()


def test_stop_keeps_what_is_done(make):
    result = make(token=StopAt("stop", 6), **{"batch.count": 3})
    assert result.state == "stopped"
    assert len([p for p in result.pictures if p.role == "picture"]) == 2


def test_skip_ends_one_batch(make):
    result = make(token=StopAt("skip", 2), **{"batch.count": 2})
    assert result.state == "done" and len([p for p in result.pictures if p.role == "picture"]) == 2


def test_cancel_discards(make):
    with pytest.raises(Interrupted):
        make(token=StopAt("cancel", 2))


def test_previews_and_steps_are_told(make):
    events = []
    make(events=events, **{"sampling.steps": 4})
    steps = [e for e in events if e.kind == "StepDone"]
    assert [s.step for s in steps] == [1, 2, 3, 4] and steps[-1].steps == 4
    assert any(e.kind == "PreviewReady" and e.data for e in events)


def test_schedules_and_composition_reach_the_model(make):
    plain = make(**{"prompt.positive": "cat", "sampling.steps": 4})
    edited = make(**{"prompt.positive": "[cat:dog:0.5]", "sampling.steps": 4})
    both = make(**{"prompt.positive": "cat AND dog :0.5", "sampling.steps": 4})
    assert not same(plain.images[0], edited.images[0]) and not same(plain.images[0], both.images[0])


def test_settings_of_one_request_do_not_stay(make, settings):
    changed = make(**{"overrides": {"CLIP_stop_at_last_layers": 2}})
    assert "Clip skip: 2" in changed.pictures[0].infotext
    assert "Clip skip" not in make().pictures[0].infotext and settings.get("CLIP_stop_at_last_layers") == 1


def test_bad_names_are_refused_with_their_field(make):
    with pytest.raises(BadRequest) as unknown:
        make(**{"sampling.sampler": "Eular"})
    assert unknown.value.field == "sampling.sampler" and "Euler" in unknown.value.remedy
    with pytest.raises(BadRequest) as setting:
        make(**{"overrides": {"no_such": 1}})
    assert "no_such" in setting.value.field
    with pytest.raises(BadRequest) as value:
        make(**{"overrides": {"CLIP_stop_at_last_layers": 99}})
    assert value.value.field == "settings.CLIP_stop_at_last_layers" and "99 is outside" in value.value.message


def test_nan_is_a_typed_failure_and_the_next_run_succeeds(make, services):
    model = services.library.open()
    weight = next(model.denoiser.parameters())
    kept = weight.detach().clone()
    weight.data.fill_(math.nan)
    with pytest.raises(NumericFailure):
        make()
    weight.data.copy_(kept)
    assert make().images


@pytest.mark.parametrize("stage", ("encode_texts", "call_denoiser", "decode"))
def test_out_of_memory_at_each_stage_ends_well(make, services, monkeypatch, stage):
    services.library.open()
    original = getattr(type(services.library.current), stage)
    monkeypatch.setattr(
        type(services.library.current),
        stage,
        lambda *a, **k: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")),
    )
    with pytest.raises(OutOfMemory) as failure:
        make()
    assert failure.value.remedy and failure.value.fields["free"] > 0
    monkeypatch.setattr(type(services.library.current), stage, original)
    services.ladder.begin_job()
    assert make().images


def test_too_little_memory_for_a_whole_batch_still_gives_the_same_pictures(make, services, monkeypatch):
    expected = make(**{"batch.size": 2}).images[-2:]
    model = type(services.library.current)
    original = model.call_denoiser

    def small_only(self, inputs):
        if inputs.latents.shape[0] > 1:
            raise torch.OutOfMemoryError("out of memory")
        return original(self, inputs)

    monkeypatch.setattr(model, "call_denoiser", small_only)
    result = make(**{"batch.size": 2})
    for a, b in zip(result.images[-2:], expected, strict=True):
        assert np.abs(np.asarray(a).astype(int) - np.asarray(b).astype(int)).max() <= 1
    assert any("smaller pieces" in c for c in result.comments)


def test_a_full_disk_keeps_the_picture_and_says_so(make, monkeypatch):
    from atelier.base.errors import SaveFailed
    from atelier.pipeline import save

    def full(*args, **kwargs):
        raise SaveFailed("Could not write: No space left on device.", remedy="Free some disk space.")

    monkeypatch.setattr(save, "write_bytes", full)
    result = make()
    assert result.pictures[0].path == "" and len(result.pictures[0].ref.sha256) == 64
    assert any("No space left" in c for c in result.comments)


def test_encodings_are_used_again(make, services):
    make()
    before = services.encodings.hits
    make(**{"seed.seed": 9})
    assert services.encodings.hits > before


def test_tiling_joins_edges_and_is_undone(make, services):
    plain = make()
    tiled = make(**{"output.tiling": True})
    assert not same(plain.images[0], tiled.images[0]) and "Tiling: True" in tiled.pictures[0].infotext
    assert same(plain.images[0], make().images[0])


def test_every_hook_is_fired_in_order(data, settings):
    fired = []

    class Recorder:
        def __getattr__(self, name):
            def fire(**carriers):
                if not fired or fired[-1] != name:
                    fired.append(name)
                return None if name == "take_over" else []

            return fire

    services = make_services(data, hooks=Recorder())
    from atelier.pipeline.run import generate

    small = {
        "size.width": 64,
        "size.height": 64,
        "sampling.steps": 1,
        "sampling.sampler": "Euler",
        "hires.enabled": True,
    }
    generate(GenerationRequest().with_values(**small), services, settings=settings.snapshot())
    once = [name for k, name in enumerate(fired) if name not in fired[:k]]
    assert once == [
        "amend_request", "take_over", "amend_plan", "before_batch", "provide_patches", "networks_applied",
        "amend_batch", "amend_conditioning", "before_sampling", "before_denoise", "amend_model_inputs", "after_denoise",
        "after_guidance", "before_second_pass", "after_sampling", "after_decode", "amend_frame", "amend_overlay",
        "amend_composite", "before_save", "after_run",
    ]  # fmt: skip


def test_take_over_replaces_the_run(data, settings):
    from atelier.pipeline.relay import NoHooks
    from atelier.pipeline.run import generate
    from atelier.pipeline.state import Result

    class TakesOver(NoHooks):
        def take_over(self, run):
            return Result(pictures=(), comments=("mine",))

    services = make_services(data, hooks=TakesOver())
    assert generate(GenerationRequest(), services, settings=settings.snapshot()).comments == ("mine",)


def test_requests_are_values(services):
    request = GenerationRequest().with_values(**{"source.images": (picture_of(services),)})
    assert request.kind == "img2img" and dataclasses.replace(request) == request


def test_the_command_line_governs_names_and_the_last_parameters(make, services, data):
    services.arguments = {"filenames_max_length": 12, "no_prompt_history": True, "unix_filenames_sanitization": True}
    pattern = {"samples_filename_pattern": "a:b [prompt_spaces]"}
    path = Path(make(**{"prompt.positive": "a very long prompt", "overrides": pattern}).pictures[0].path)
    assert path.stem == "00000-a:b a very l" and not (data / "params.txt").exists()
    services.arguments = {}
    assert Path(make(overrides=pattern).pictures[0].path).stem == "00001-a_b a cat" and (data / "params.txt").exists()


def test_the_name_and_the_shape_of_a_grid(make):
    grid = {"grid_extended_filename": True, "grid_prevent_empty_spots": True}
    result = make(**{"batch.size": 3, "overrides": grid})
    assert Path(result.pictures[0].path).stem == "grid-0000-7-a cat" and result.images[0].size == (192, 64)
    assert make(**{"batch.size": 3}).images[0].size == (128, 128)


def test_nan_is_not_looked_for_when_that_is_switched_off(make, services, monkeypatch):
    model = services.library.open()
    model.unet_dtype = torch.float16
    calls = []

    def broken(self, inputs):
        calls.append(1)
        return inputs.latents * torch.nan

    monkeypatch.setattr(type(model), "call_denoiser", broken)
    services.arguments = {"disable_nan_check": True}
    with pytest.raises(NumericFailure):
        make()
    assert len(calls) == 3, "the pass is walked to its end, and once"
