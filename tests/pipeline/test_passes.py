"""Second passes, finished pictures, soft masks and autoencoders: what a request gives."""

import dataclasses
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from atelier.base.cancel import CancelToken
from atelier.base.errors import BadRequest, ModelMissing, NumericFailure
from atelier.imaging.color import color_target, match_color
from atelier.imaging.metadata import read_metadata
from atelier.params.infotext import PasteRules, parse_infotext, paste
from atelier.params.parts import SoftInpainting
from atelier.params.request import GenerationRequest
from atelier.pipeline.hooks import PipelineHooks
from atelier.pipeline.preview import Previewer
from atelier.pipeline.soft import final_mask, mix, percentile_mean
from atelier.plugins.hooks import hookimpl
from atelier.plugins.manager import Plugins
from atelier.tools.upscale import default_upscalers
from tests.families.test_tiny_autoencoder import original, reference  # noqa: F401
from tests.pipeline.test_run import StopAt, mask_of, picture_of, same
from tests.tiny import TinySizes, write_tiny_vae

HIRES = {"hires.enabled": True, "hires.scale": 1.5, "hires.steps": 2}


# -- hires fix


def test_the_second_pass_has_its_own_guidance(make):
    usual, strong = make(**HIRES), make(**HIRES, **{"hires.cfg_scale": 20.0})
    assert not same(usual.images[0], strong.images[0])
    assert "Hires CFG Scale: 20.0" in strong.pictures[0].infotext
    assert "Hires CFG Scale" not in usual.pictures[0].infotext
    assert same(usual.images[0], make(**HIRES, **{"hires.cfg_scale": 7.0}).images[0])


@pytest.mark.parametrize("upscaler", ("Latent", "Latent (bicubic antialiased)", "Latent (nearest-exact)", "Nearest"))
def test_both_sides_given_cover_and_crop(make, upscaler):
    result = make(**{**HIRES, "hires.upscaler": upscaler, "hires.resize_x": 128, "hires.resize_y": 72})
    assert result.images[0].size == (128, 72)
    assert "Hires resize: 128x72" in result.pictures[0].infotext


def test_a_stop_in_the_second_pass_shows_and_saves_what_is_there(make):
    # The first pass makes three calls, so the fifth check is before the second call of the second pass.
    result = make(token=StopAt("stop", 5), **HIRES)
    assert result.state == "stopped" and result.images[0].size == (96, 96)
    assert Path(result.pictures[0].path).is_file()
    # Before the second pass had anything to show, it is the first pass's picture.
    result = make(token=StopAt("stop", 4), **HIRES)
    assert result.images[0].size == (64, 64) and same(result.images[0], make().images[0])
    assert Path(result.pictures[0].path).is_file()
    # An unfinished first pass is shown, and saved only when settings say so.
    assert make(token=StopAt("stop", 3), **HIRES).pictures[0].path == ""


def test_finishing_the_picture_finishes_its_second_pass(make):
    events, token = [], StopAt("finish", 2)
    result = make(token=token, events=events, **HIRES, **{"batch.count": 2})
    assert [image.size for image in result.images] == [(96, 96)]
    # Two pictures of three and two calls were expected.
    assert {e.steps for e in events if e.kind == "StepDone"} == {10}


def test_a_skip_in_the_first_pass_shows_it_and_goes_on(make):
    result = make(token=StopAt("skip", 2), **HIRES, **{"batch.count": 2})
    assert [image.size for image in result.images[-2:]] == [(64, 64), (96, 96)] and result.state == "done"


def test_the_first_pass_is_saved_too_when_asked(make, data):
    for upscaler in ("Latent", "Lanczos"):
        make(**HIRES, **{"hires.upscaler": upscaler, "overrides": {"save_images_before_highres_fix": True}})
    saved = sorted((data / "outputs").rglob("*-before-highres-fix.png"))
    assert len(saved) == 2 and all(same(Image.open(path), make().images[0]) for path in saved)
    assert "Seed: 7" in read_metadata(Image.open(saved[0])).infotext


def test_old_sizes_make_the_size_the_final_one(make):
    result = make(**HIRES, **{
        "size.width": 640, "size.height": 512, "sampling.steps": 1, "hires.denoising_strength": 0.0,
        "overrides": {"use_old_hires_fix_width_height": True},
    })  # fmt: skip
    assert result.images[0].size == (640, 512) and "Size: 576x512" in result.pictures[0].infotext


@pytest.mark.parametrize("upscaler", ("Latent", "Lanczos"))
def test_a_finished_picture_takes_the_place_of_the_first_pass(make, services, upscaler):
    steps = []
    ref = picture_of(services, 72, 64)
    result = make(events=steps, **{
        **HIRES, "hires.image": ref, "hires.upscaler": upscaler, "hires.denoising_strength": 0.3, "batch.count": 3,
        "size.width": 512, "size.height": 512,
    })  # fmt: skip
    assert len(result.images) == 1 and result.images[0].size == (104, 96)
    assert [(e.step, e.steps) for e in steps if e.kind == "StepDone"] == [(1, 2), (2, 2)]
    text = result.pictures[0].infotext
    assert "Size: 72x64" in text and "Original Size: 512x512" in text and "Hires upscale: 1.5" in text


def test_a_finished_picture_keeps_what_strength_leaves(make, services):
    ref = services.blobs.put_image(make().images[0])
    weak, strong = (
        make(**{**HIRES, "hires.image": ref, "hires.upscaler": "Lanczos", "hires.denoising_strength": strength})
        for strength in (0.1, 1.0)
    )
    none = make(**{**HIRES, "hires.image": ref, "hires.upscaler": "Lanczos", "hires.denoising_strength": 0.0})
    off = [np.abs(np.asarray(r.images[0], float) - np.asarray(none.images[0], float)).mean() for r in (weak, strong)]
    assert off[0] < off[1]


# -- soft inpainting


def test_soft_inpainting_changes_by_degrees_and_is_told(make, services):
    source, mask = picture_of(services), mask_of(services)
    asked = {"source.images": (source,), "mask.image": mask, "mask.blur_x": 8, "mask.blur_y": 8,
             "source.denoising_strength": 1.0, "sampling.steps": 4}  # fmt: skip
    hard = make(**asked)
    soft = make(**asked, **{"soft.enabled": True})
    assert not same(hard.images[0], soft.images[0])
    text = soft.pictures[0].infotext
    assert "Soft inpainting enabled: True" in text and "Soft inpainting difference contrast: 2.0" in text
    assert "Soft inpainting" not in hard.pictures[0].infotext
    for sampler in ("DDIM", "Euler a"):
        assert make(**asked, **{"soft.enabled": True, "sampling.sampler": sampler}).images


@pytest.mark.parametrize("only_masked", (False, True))
def test_what_did_not_change_stays_to_the_pixel(make, services, only_masked):
    source, mask = picture_of(services), mask_of(services, (40, 24, 56, 40))
    result = make(**{
        "source.images": (source,), "mask.image": mask, "mask.blur_x": 0, "mask.blur_y": 0, "soft.enabled": True,
        "mask.only_masked": only_masked, "mask.padding": 8, "source.denoising_strength": 0.9,
    })  # fmt: skip
    before = np.asarray(services.blobs.image(source).convert("RGB")).astype(int)
    changed = np.abs(np.asarray(result.images[0]).astype(int) - before).max(axis=2)
    # Eight cells are few: a trace of the final mask's soft edge reaches far.
    assert changed[:, :8].max() <= 3 and changed.max() > 30


def test_a_mix_keeps_the_length_between():
    old, new = torch.zeros(1, 4, 1, 1), torch.zeros(1, 4, 1, 1)
    old[0, 0], new[0, 1] = 3.0, 3.0
    half = torch.full((1, 1, 1, 1), 0.5)
    mixed = mix(old, new, half, 4.0)
    # A plain mean of two vectors at right angles would be shorter than either.
    assert torch.linalg.vector_norm(mixed).item() == pytest.approx(3.0, rel=1e-5)
    assert torch.allclose(mix(old, new, half * 0, 4.0), old) and torch.allclose(mix(old, new, half * 2, 4.0), new)


def test_the_part_of_the_surroundings_that_counts():
    values = np.zeros((7, 7))
    values[3, 3] = 25.0
    even = np.ones((5, 5))
    highest = percentile_mean(values, even, 0.96, 1.0)
    middle = percentile_mean(values, even, 0.25, 0.75)
    assert highest[3, 3] == pytest.approx(25) and highest[0, 0] == 0 and middle.max() == 0
    assert percentile_mean(np.full((4, 5), 2.5), even, 0.25, 0.75) == pytest.approx(2.5)


def test_the_final_mask_is_white_where_something_changed():
    before = torch.zeros(4, 12, 12)
    now = before.clone()
    now[:, 4:9, 4:9] = 3.0
    mask = np.asarray(final_mask(now, before, torch.ones(1, 12, 12), SoftInpainting()))
    assert mask[6, 6] > 200 and mask[0, 0] == 0


class Wishes:
    """A plugin that has a finished picture enlarged, and gives results the colours of another picture."""

    def __init__(self, ref=None, colors=None):
        self.ref, self.colors = ref, colors

    @hookimpl
    def amend_request(self, run, draft):
        if self.ref is not None:
            draft.request = draft.request.with_values(**{"hires.image": self.ref, "batch.size": 2})

    @hookimpl
    def amend_overlay(self, frame):
        frame.colors = self.colors


def wishing(services, **wishes):
    plugins = Plugins()
    plugins.add_hookspecs(PipelineHooks)
    plugins.register(Wishes(**wishes), "wishes")
    services.hooks = plugins.relay


def test_a_plugin_gives_the_picture_that_hires_fix_enlarges(make, services):
    wishing(services, ref=services.blobs.put_image(Image.new("RGB", (64, 32), "red")))
    values = {"hires.enabled": True, "hires.scale": 2, "hires.denoising_strength": 0.3, "sampling.steps": 2}
    result = make(**values)
    (picture,) = result.images
    assert picture.size == (128, 64) and "Original Size: 64x64" in result.pictures[0].infotext


def test_a_plugin_gives_the_colours(make, services):
    plain = make().images[0]
    wishing(services, colors=color_target(Image.new("RGB", (8, 8), "red")))
    wanted = match_color(plain, color_target(Image.new("RGB", (8, 8), "red")))
    assert same(make().images[0], wanted) and not same(plain, wanted)


# -- autoencoders


def test_the_method_of_decoding_and_encoding(make, services, data, reference):  # noqa: F811
    missing = make(**{"overrides": {"sd_vae_decode_method": "TAESD"}})
    assert any("VAE-approx" in comment for comment in missing.comments) and same(missing.images[0], make().images[0])
    assert "VAE Decoder" not in missing.pictures[0].infotext
    folder = data / "models" / "VAE-approx"
    folder.mkdir()
    for side in ("decoder", "encoder"):
        save_file(original(reference, side), str(folder / f"tiny-taesd_{side}.safetensors"))
    services.approx.scan()
    source = picture_of(services)
    small = make(**{"source.images": (source,), "overrides": {
        "sd_vae_decode_method": "TAESD", "sd_vae_encode_method": "TAESD",
    }})  # fmt: skip
    text = small.pictures[0].infotext
    assert "VAE Encoder: TAESD" in text and "VAE Decoder: TAESD" in text and small.comments == ()
    assert not same(small.images[0], make(**{"source.images": (source,)}).images[0])


@pytest.mark.parametrize("method", ("Full", "Approx NN", "Approx cheap", "TAESD"))
def test_preview_methods(make, services, data, reference, monkeypatch, method):  # noqa: F811
    folder = data / "models" / "VAE-approx"
    folder.mkdir()
    save_file(original(reference, "decoder"), str(folder / "tiny-taesd_decoder.safetensors"))
    save_file({"weight": torch.eye(4)[:, :3].contiguous()}, str(folder / "tiny-rgb.safetensors"))
    seen, given = [], Previewer.picture
    monkeypatch.setattr(Previewer, "picture", lambda self, x: seen.append((x.clone(), given(self, x))) or seen[-1][1])
    result = make(**{"batch.size": 2, "sampling.steps": 1, "overrides": {
        "show_progress_type": method, "live_preview_content": "Combined",
    }})  # fmt: skip
    latents, picture = seen[-1]
    assert picture.size == ((64, 32) if method == "Approx NN" else (128, 64))
    if method == "Full":
        # What is shown after the last step is the picture.
        assert np.abs(np.asarray(picture)[:, :64].astype(int) - np.asarray(result.images[-2]).astype(int)).max() <= 1
    if method == "Approx cheap":
        wanted = ((latents[0, :3].clamp(-1, 1) + 1) / 2 * 255).mean(dim=(1, 2)).numpy()
        assert np.asarray(picture)[:, :64].mean(axis=(0, 1)) == pytest.approx(wanted, abs=4)


def test_a_preview_shows_the_text_that_is_asked_for(make, monkeypatch):
    seen, given = [], Previewer.picture
    monkeypatch.setattr(Previewer, "picture", lambda self, x: seen.append(x.clone()) or given(self, x))
    how = {"sampling.sampler": "Euler", "sampling.steps": 1, "sampling.cfg_scale": 3, "prompt.negative": "bad"}
    shown = {}
    for content in ("Combined", "Prompt", "Negative prompt"):
        make(**how, overrides={"live_preview_content": content})
        shown[content] = seen[-1]
    combined = shown["Negative prompt"] + 3 * (shown["Prompt"] - shown["Negative prompt"])
    assert torch.allclose(shown["Combined"], combined, atol=1e-4)
    assert not torch.allclose(shown["Combined"], shown["Prompt"], atol=1e-3)
    # Without a guess for the negative prompt there is only one to be shown.
    skipped = {"s_min_uncond": 15, "s_min_uncond_all": True}
    make(**how, overrides={"live_preview_content": "Negative prompt", **skipped})
    assert torch.allclose(seen[-1], shown["Prompt"], atol=1e-4)


def test_nan_of_a_half_vae_climbs_to_the_next_precision(make, services, monkeypatch):
    model = services.library.open()
    model.use_vae_dtype(torch.float16)
    kind = type(model)
    original_decode = kind.decode

    def decode(self, latents, **how):
        pixels = original_decode(self, latents, **how)
        return pixels * float("nan") if self.vae_dtype == torch.float16 else pixels

    monkeypatch.setattr(kind, "decode", decode)
    for bfloat, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        model.use_vae_dtype(torch.float16)
        result = make(**{"overrides": {"auto_vae_precision_bfloat16": bfloat}})
        assert model.vae_dtype == dtype and any("NaN" in comment for comment in result.comments)
    model.use_vae_dtype(torch.float16)
    with pytest.raises(NumericFailure):
        make(**{"overrides": {"auto_vae_precision": False}})


def test_the_vae_of_a_checkpoint_and_the_one_selected(make, data, services):
    vae = write_tiny_vae(data / "models" / "VAE", "own", TinySizes(seed=5))
    write_tiny_vae(data / "models" / "VAE", "chosen", TinySizes(seed=6))
    (data / "models" / "Stable-diffusion" / "tiny.json").write_text('{"vae": "own.safetensors"}')
    services.shelf.scan()

    def used(**settings):
        text = make(**{"sampling.steps": 1, "overrides": settings}).pictures[0].infotext
        return text.partition(", VAE: ")[2].partition(",")[0]

    assert used() == vae.name
    assert used(sd_vae="chosen.safetensors") == "chosen.safetensors"
    assert used(sd_vae="chosen.safetensors", sd_vae_overrides_per_model_preferences=False) == vae.name
    assert used(sd_vae="None") == ""


# -- settings


def test_texts_of_equal_length_where_asked(make):
    asked = {"prompt.positive": "a cat " * 40, "prompt.negative": "dog"}
    plain, padded = make(**asked), make(**asked, **{"overrides": {"pad_cond_uncond": True}})
    assert not same(plain.images[0], padded.images[0]) and "Pad conds: True" in padded.pictures[0].infotext


def test_the_user_is_told_where_asked(make):
    known = {"extras": {"user": "mia"}}
    assert "User" not in make(**known).pictures[0].infotext
    told = make(**known, **{"overrides": {"add_user_name_to_info": True}}).pictures[0].infotext
    assert told.endswith("Version: test, User: mia")


def test_a_copy_before_colour_correction(make, services, data):
    settings = {"img2img_color_correction": True, "save_images_before_color_correction": True}
    make(**{"source.images": (picture_of(services),), "overrides": settings})
    before = next((data / "outputs").rglob("*-before-color-correction.png"))
    plain = make(**{"source.images": (picture_of(services),)}).images[0]
    assert same(Image.open(before), plain)


def test_colour_correction_and_the_old_range_of_sigma_come_back_from_the_infotext(make, services):
    ref, settings = picture_of(services), {"img2img_color_correction": True, "use_old_karras_scheduler_sigmas": True}
    made = make(**{"source.images": (ref,), "overrides": settings, "sampling.scheduler": "Karras"})
    told = made.pictures[0].infotext
    assert "Color correction: True" in told
    assert "Schedule min sigma: 0.1, Schedule max sigma: 10.0" in told
    overrides = paste(parse_infotext(told), GenerationRequest(), PasteRules(kind="img2img")).overrides
    again = make(**{"source.images": (ref,), "overrides": dict(overrides), "sampling.scheduler": "Karras"})
    assert same(again.images[0], made.images[0])
    plain = make(**{"source.images": (ref,), "sampling.scheduler": "Karras"})
    assert not same(plain.images[0], made.images[0])
    assert "Color correction" not in make(overrides=settings).pictures[0].infotext


def test_the_source_is_kept_where_asked(make, services, data):
    ref = picture_of(services)
    told = make(**{"source.images": (ref,), "overrides": {"save_init_img": True}}).pictures[0].infotext
    name = hashlib.md5(services.blobs.image(ref).tobytes()).hexdigest()
    assert f"Init image hash: {name}" in told
    assert same(Image.open(data / "outputs" / "init-images" / f"{name}.png"), services.blobs.image(ref))
    assert "Init image" not in make(**{"source.images": (ref,)}).pictures[0].infotext


def test_tiles_of_a_seamless_picture_know_of_its_edges(make, services, monkeypatch):
    kind, asked = type(services.library.open()), []
    decode = kind.decode
    monkeypatch.setattr(kind, "decode", lambda self, x, **how: asked.append(how) or decode(self, x, **how))
    wide = {"size.width": 640, "sampling.steps": 1, "overrides": {"vae_tile_from": 64}}
    assert make(**wide, **{"output.tiling": True}).images[0].size == (640, 64) and make(**wide).images
    assert asked == [{"tiled": True, "wrap": True}, {"tiled": True, "wrap": False}]


def test_a_small_finished_picture_is_refused(make, services):
    with pytest.raises(BadRequest) as error:
        make(**HIRES, **{"hires.image": services.blobs.put_image(Image.new("RGB", (6, 6)))})
    assert error.value.field == "hires.image"


def test_options_of_soft_inpainting_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SoftInpainting().enabled = True


# -- steps for finished pictures


def finished(**steps):
    return {"extras": {"postprocessing": {part: {"enabled": True, **told} for part, told in steps.items()}}}


def test_finished_pictures_go_through_the_steps_that_are_asked_for(make):
    plain = make(**{"batch.size": 2}).images[1]
    result = make(**finished(upscale={"upscaler_1": "Nearest", "scale": 2}), **{"batch.size": 2})
    grid, first, second = result.images
    assert first.size == second.size == (128, 128) and grid.size == (256, 128)
    assert same(first, plain.resize((128, 128), Image.Resampling.NEAREST))
    text = result.pictures[1].infotext
    assert "Postprocess upscale by: 2, Postprocess upscaler: Nearest" in text and "Size: 64x64" in text


def test_a_step_that_cannot_be_done_ends_the_job_before_the_first_step(make):
    for steps, error in ((finished(gfpgan={}), ModelMissing), (finished(upscale={"upscaler_1": "no"}), BadRequest)):
        events = []
        with pytest.raises(error):
            make(events=events, **steps)
        assert not [e for e in events if e.kind == "StepDone"]


def test_a_person_who_stops_a_step_gets_the_picture_as_it_is(make, services):
    registry = default_upscalers()
    stopping = CancelToken()

    def upscale(image, width, height, watch):
        stopping.request("stop")
        watch.check()

    registry.add("slow", replace(registry.get("Nearest"), name="slow", watched=upscale))
    services.upscalers = registry.freeze()
    result = make(token=stopping, **finished(upscale={"upscaler_1": "slow", "scale": 2}), **{"batch.count": 2})
    assert result.state == "stopped" and same(result.images[0], make().images[0]) and len(result.images) == 1
