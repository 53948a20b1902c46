"""Whole runs of the Extras tab on small pictures: sizes, texts, files, stops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atelier.base.cancel import CancelToken
from atelier.base.errors import BadRequest, Interrupted, ModelMissing
from atelier.base.events import PictureReady, StepDone
from atelier.imaging.metadata import read_metadata
from atelier.imaging.resize import lanczos
from atelier.imaging.writer import encode
from atelier.params.extras import ExtrasRequest
from atelier.params.extras_schema import extras_from_json, extras_to_json
from atelier.params.groups import GROUPS
from atelier.params.request import GenerationRequest
from atelier.params.settings import Settings
from atelier.pipeline.extras import postprocess
from atelier.pipeline.run import generate
from atelier.tools.upscale import default_upscalers
from tests.pipeline.conftest import make_services
from tests.tools.networks import write_rrdb


def photo(width: int = 40, height: int = 30, mode: str = "RGB") -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    values = np.stack([x * 255 // width, y * 255 // height, (x * y) % 255, 255 - x * 5 % 200], axis=-1)
    return Image.fromarray(values.astype(np.uint8)[..., : len(mode)], mode)


@pytest.fixture
def services(tmp_path: Path):
    made = make_services(tmp_path)
    write_rrdb(tmp_path / "models" / "ESRGAN", "small-4x", ups=2)
    write_rrdb(tmp_path / "models" / "RealESRGAN", "small_2x", ups=2, fold=2)
    registry = default_upscalers()
    for upscaler in made.tools.upscalers():
        registry.add(upscaler.name, upscaler)
    made.upscalers = registry.freeze()
    return made


@pytest.fixture
def run(services, tmp_path):
    settings = Settings(tmp_path / "config.json", GROUPS)

    def work(*images, names=(), token=None, events=None, overrides=None, **paths):
        refs = tuple(services.blobs.put_bytes(i if isinstance(i, bytes) else encode(i, "png")) for i in images)
        values = {"input.images": refs, "input.names": tuple(names), "overrides": overrides or {}}
        request = ExtrasRequest().with_values(**{**values, **paths})
        # What travels to another process must say the same.
        request = extras_from_json(extras_to_json(request))
        publish = events.append if events is not None else (lambda event: None)
        return postprocess(
            request, services, settings=settings.snapshot(), keep=True, token=token, publish=publish, job="x"
        )  # fmt: skip

    return work


def test_the_folders_of_a1111_are_looked_through(services):
    names = services.upscalers.names()
    assert names == ("None", "Lanczos", "Nearest", "Bicubic", "small-4x", "small_2x")
    assert [services.upscalers.get(name).scale for name in names[-2:]] == [4, 2]


def test_files_of_a1111_have_its_names(services, tmp_path):
    for name in ("RealESRGAN_x4plus", "RealESRGAN_x2plus", "realesr-animevideov3"):
        (tmp_path / "models" / "RealESRGAN" / f"{name}.pth").write_bytes(b"x")
    found = {u.name: (u.scale, u.model_name) for u in services.tools.upscalers()}
    assert found["R-ESRGAN 4x+"] == (4, "RealESRGAN_x4plus") and found["R-ESRGAN 2x+"][0] == 2
    assert "R-ESRGAN AnimeVideo" in found


def test_scale_by(run):
    result = run(photo(), **{"upscale.upscaler_1": "lanczos", "upscale.scale": 2})
    assert result.images[0].size == (80, 56)  # sides are cut down to multiples of 8, as A1111 does
    assert result.pictures[0].infotext == "Postprocess upscale by: 2, Postprocess upscaler: Lanczos"
    assert result.info["html_info"] == "<p>Postprocess upscale by: 2, Postprocess upscaler: Lanczos</p>"
    assert np.array_equal(np.asarray(result.images[0]), np.asarray(lanczos(photo(), 80, 56)))


@pytest.mark.parametrize(("crop", "size"), [(True, (96, 96)), (False, (128, 96))])
def test_scale_to(run, crop, size):
    result = run(photo(), **{"upscale.upscaler_1": "Nearest", "upscale.mode": 1, "upscale.width": 96,
                             "upscale.height": 96, "upscale.crop": crop})  # fmt: skip
    assert result.images[0].size == size
    assert "Postprocess upscale to: 96x96" in result.pictures[0].infotext


def test_a_size_that_is_no_multiple_of_eight_is_met(run):
    result = run(photo(49, 31), **{"upscale.upscaler_1": "Nearest", "upscale.mode": 1, "upscale.width": 101,
                                   "upscale.height": 77})  # fmt: skip
    assert result.images[0].size == (101, 77)


def test_max_side_length(run):
    result = run(photo(), **{"upscale.upscaler_1": "Lanczos", "upscale.scale": 8, "upscale.max_side": 120})
    assert result.images[0].size == (120, 88)
    assert "Postprocess max side length: 120" in result.pictures[0].infotext


def test_no_upscaler_leaves_the_picture(run):
    result = run(photo())
    assert np.array_equal(np.asarray(result.images[0]), np.asarray(photo()))
    assert result.pictures[0].infotext == ""


def test_two_upscalers_are_blended(run):
    one = run(photo(), **{"upscale.upscaler_1": "Nearest"}).images[0]
    two = run(photo(), **{"upscale.upscaler_1": "Bicubic"}).images[0]
    blend = {"upscale.upscaler_1": "Nearest", "upscale.upscaler_2": "Bicubic", "upscale.visibility": 0.25}
    both = run(photo(), **blend)
    assert np.array_equal(np.asarray(both.images[0]), np.asarray(Image.blend(one, two, 0.25)))
    assert both.pictures[0].infotext.endswith("Postprocess upscaler 2: Bicubic")


def test_a_model_works_in_tiles_until_the_size_is_reached(run):
    whole = run(photo(), overrides={"ESRGAN_tile": 0}, **{"upscale.upscaler_1": "small-4x", "upscale.scale": 4})
    tiles = {"ESRGAN_tile": 32, "ESRGAN_tile_overlap": 24}
    tiled = run(photo(), overrides=tiles, **{"upscale.upscaler_1": "small-4x", "upscale.scale": 4})
    assert whole.images[0].size == (160, 120)
    assert np.abs(np.asarray(whole.images[0]).astype(int) - np.asarray(tiled.images[0])).max() <= 2
    twice = run(photo(), **{"upscale.upscaler_1": "small_2x", "upscale.scale": 4})
    assert twice.images[0].size == (160, 120)


def test_transparency_survives_a_model(run):
    result = run(photo(mode="RGBA"), **{"upscale.upscaler_1": "small_2x", "upscale.scale": 2})
    assert result.images[0].mode == "RGBA" and result.images[0].size == (80, 56)


def test_parameters_stay_and_texts_are_added(run, services):
    data = encode(photo(), "png", {"parameters": "a cat\nSteps: 3, Seed: 5", "note": "mine"})
    result = run(data, **{"upscale.upscaler_1": "Lanczos", "upscale.scale": 2})
    path = Path(result.pictures[0].path)
    assert path.parent == services.paths.data / "outputs" / "extras-images" and path.name == "00000.png"
    with Image.open(path) as saved:
        line = "Postprocess upscale by: 2, Postprocess upscaler: Lanczos"
        assert saved.info["postprocessing"] == saved.info["extras"] == line
        assert saved.info["parameters"] == "a cat\nSteps: 3, Seed: 5" and saved.info["note"] == "mine"
    assert result.pictures[0].infotext == f"a cat\nSteps: 3, Seed: 5, {line}"


def test_jpeg_keeps_the_parameters(run):
    data = encode(photo(), "png", "a cat\nSteps: 3, Seed: 5")
    result = run(data, overrides={"samples_format": "jpg"}, **{"upscale.upscaler_1": "Lanczos"})
    assert result.pictures[0].path.endswith(".jpg")
    assert read_metadata(Path(result.pictures[0].path).read_bytes()).infotext == "a cat\nSteps: 3, Seed: 5"


def test_names_of_a_batch(run):
    result = run(photo(), photo(20, 20), names=["one.jpg", "../sub\\two.png"], **{"upscale.upscaler_1": "Lanczos"})
    assert [Path(p.path).name for p in result.pictures] == ["one.png", "two.png"]
    again = run(photo(), photo(20, 20), names=["one.jpg", "two.png"], **{"upscale.upscaler_1": "Lanczos"})
    assert [Path(p.path).name for p in again.pictures] == ["one-1.png", "two-1.png"]


def test_folder_in_folder_out(run, tmp_path):
    source, made = tmp_path / "in", tmp_path / "made"
    source.mkdir()
    for name in ("a.png", "b.jpg"):
        photo().save(source / name)
    (source / "notes.txt").write_text("no picture")
    paths = {"input.folder": str(source), "output.folder": str(made), "upscale.upscaler_1": "Nearest"}
    result = run(**paths, **{"output.show": False})
    assert sorted(p.name for p in made.iterdir()) == ["a.png", "b.png"]
    assert result.pictures == ()
    shown = run(**paths)
    assert len(shown.pictures) == 2 and sorted(p.name for p in made.iterdir()) == ["a.png", "b.png"]
    with pytest.raises(BadRequest, match="input.folder"):
        run(**{**paths, "input.folder": str(tmp_path / "nowhere")})


def test_a_file_of_a_folder_that_is_no_picture_is_left_out_and_told(run, tmp_path):
    photo().save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    result = run(**{"input.folder": str(tmp_path), "upscale.upscaler_1": "Nearest"})
    assert len(result.pictures) == 1 and result.state == "done"
    assert len(result.comments) == 1 and result.comments[0].startswith("bad was left out: ")
    with pytest.raises(BadRequest, match="not a picture"):
        run(b"no picture", **{"upscale.upscaler_1": "Nearest"})


def test_progress_covers_every_picture_and_a_stop_keeps_what_is_done(run):
    events, token = [], CancelToken()

    class Ending(list):
        def append(self, event):
            events.append(event)
            if isinstance(event, PictureReady):
                token.request("stop")

    result = run(photo(), photo(), photo(), events=Ending(), token=token, **{"upscale.upscaler_1": "Lanczos"})
    assert result.state == "stopped" and len(result.pictures) == 1
    steps = [e for e in events if isinstance(e, StepDone)]
    assert steps[-1].step == 100 and steps[-1].steps == 300
    whole = []
    run(photo(), photo(), events=whole, **{"upscale.upscaler_1": "small-4x", "flip.enabled": True})
    steps = [e.step for e in whole if isinstance(e, StepDone)]
    assert steps == sorted(set(steps)) and steps[-1] == 200


def test_a_cancel_ends_at_the_next_tile(run):
    token = CancelToken()
    token.request("cancel")
    with pytest.raises(Interrupted):
        run(photo(), token=token, **{"upscale.upscaler_1": "small-4x"})


def test_a_result_that_is_too_large_is_refused(run):
    with pytest.raises(BadRequest, match="megapixels") as refused:
        run(photo(), overrides={"img_max_size_mp": 1}, **{"upscale.upscaler_1": "Lanczos", "upscale.mode": 1,
            "upscale.width": 4096, "upscale.height": 4096})  # fmt: skip
    assert refused.value.remedy


def test_flipped_copies(run):
    result = run(photo(), **{"flip.enabled": True, "flip.ways": ("Horizontal", "Both")})
    first, mirrored, both = (np.asarray(image) for image in result.images)
    assert np.array_equal(mirrored, first[:, ::-1]) and np.array_equal(both, first[::-1, ::-1])
    assert len({p.path for p in result.pictures}) == 3


def test_split_and_sizes(run):
    size = {"upscale.mode": 1, "upscale.width": 64, "upscale.height": 64}
    result = run(photo(200, 64), **{**size, "split.enabled": True})
    assert [image.size for image in result.images] == [(64, 64)] * 4
    assert len(run(photo(80, 64), **{**size, "split.enabled": True}).images) == 1
    with pytest.raises(BadRequest, match="split.enabled"):
        run(photo(200, 64), **{"split.enabled": True})
    auto = run(photo(400, 300), **{"autocrop.enabled": True})
    assert auto.images[0].size == (704, 576)


def test_steps_in_the_order_of_the_settings(run):
    paths = {"upscale.upscaler_1": "Nearest", "upscale.scale": 2, "autocrop.enabled": True}
    usual = run(photo(400, 300), **paths).images[0].size
    turned = run(photo(400, 300), overrides={"postprocessing_operation_order": ["Auto-sized crop"]}, **paths)
    assert usual == (704, 576) and turned.images[0].size == (1408, 1152)
    off = run(photo(400, 300), overrides={"postprocessing_disable_in_extras": ["Upscale", "Auto-sized crop"]}, **paths)
    assert off.images[0].size == (400, 300)


def test_the_same_upscalers_serve_hires_fix_and_img2img(data):
    """The registry is one: a model upscaler enlarges the first pass, and a picture of img2img."""
    services = make_services(data)
    write_rrdb(data / "models" / "ESRGAN", "small-2x", ups=1)
    registry = default_upscalers()
    (upscaler,) = services.tools.upscalers()
    seen = []

    def watched(image, width, height, watch):
        seen.append((image.size, (width, height), watch.tile("")))
        return upscaler.watched(image, width, height, watch)

    registry.add(upscaler.name, replace(upscaler, watched=watched))
    services.upscalers = registry.freeze()
    settings = Settings(data / "config.json", GROUPS)
    settings.update({"upscaler_for_img2img": "small-2x", "ESRGAN_tile": 48}, save=False)
    small = {"size.width": 64, "size.height": 64, "sampling.steps": 1, "seed.seed": 7}
    hires = {"hires.enabled": True, "hires.scale": 2, "hires.upscaler": "small-2x", "hires.denoising_strength": 0.3}
    result = generate(GenerationRequest().with_values(**small, **hires), services, settings=settings.snapshot())
    assert result.images[0].size == (128, 128) and seen == [((64, 64), (128, 128), (48, 8))]
    ref = services.blobs.put_image(photo(32, 32))
    generate(GenerationRequest().with_values(**small, **{"source.images": (ref,)}), services,
             settings=settings.snapshot())  # fmt: skip
    assert seen[1][:2] == ((32, 32), (64, 64))
    mask = Image.new("L", (32, 32), 0)
    mask.paste(255, (12, 12, 20, 20))
    masked = {
        "source.images": (ref,), "mask.image": services.blobs.put_image(mask), "mask.only_masked": True,
        "mask.padding": 4, "mask.blur_x": 0, "mask.blur_y": 0,
    }  # fmt: skip
    generate(GenerationRequest().with_values(**small, **masked), services, settings=settings.snapshot())
    assert seen[2][:2] == ((16, 16), (64, 64)) and len(seen) == 3, "the part around the mask, and no mask"


def test_captions_are_written_beside_the_pictures(run, services, tmp_path, monkeypatch):
    monkeypatch.setattr(services.tools, "describe", lambda image, model, rules, watch: f"by {model}")
    caption = {"caption.enabled": True, "caption.by": ("Deepbooru", "BLIP"), "output.folder": str(tmp_path / "set")}
    (tmp_path / "in").mkdir()
    photo().save(tmp_path / "in" / "a.png")
    paths = {"input.folder": str(tmp_path / "in"), **caption}
    run(**paths)
    side = tmp_path / "set" / "a.txt"
    assert side.read_text() == "by deepdanbooru, by blip"
    side.write_text("mine")
    for action, text in (("Keep", "mine"), ("Append", "mine by deepdanbooru, by blip")):
        run(overrides={"postprocessing_existing_caption_action": action}, **paths)
        assert side.read_text() == text
    run(overrides={"postprocessing_existing_caption_action": "Ignore"}, **paths)
    assert side.read_text() == "by deepdanbooru, by blip"


def test_the_background_becomes_transparent(run, services, monkeypatch):
    mask = Image.new("L", (40, 30), 0)
    mask.paste(255, (10, 10, 20, 20))
    monkeypatch.setattr(services.tools, "foreground", lambda image, watch: mask)
    cut = run(photo(), overrides={"samples_format": "jpg"}, **{"background.enabled": True})
    assert cut.images[0].mode == "RGBA" and np.array_equal(np.asarray(cut.images[0])[..., 3], np.asarray(mask))
    assert cut.pictures[0].path.endswith(".png")
    assert run(photo(), **{"background.enabled": True, "background.mask_only": True}).images[0].mode == "L"


def test_a_missing_restorer_is_told_before_anything_is_done(run):
    events = []
    with pytest.raises(ModelMissing, match="GFPGAN"):
        run(photo(), events=events, **{"upscale.upscaler_1": "Lanczos", "gfpgan.enabled": True})
    assert not events


def test_visibility_blends_restored_faces(run, services, monkeypatch):
    seen = []
    monkeypatch.setattr(services.tools, "missing_restorer", lambda name: None)

    def restore(name, image, weight, watch):
        seen.append((name, weight))
        return Image.new("RGB", image.size, "white")

    monkeypatch.setattr(services.tools, "restore_faces", restore)
    result = run(Image.new("RGB", (8, 8)), **{"gfpgan.enabled": True, "gfpgan.visibility": 0.5,
                 "codeformer.enabled": True, "codeformer.visibility": 0.5, "codeformer.weight": 0.2})  # fmt: skip
    assert seen == [("GFPGAN", 0.5), ("CodeFormer", 0.2)]
    assert np.asarray(result.images[0])[0, 0, 0] == 191
    wanted = "GFPGAN visibility: 0.5, CodeFormer visibility: 0.5, CodeFormer weight: 0.2"
    assert result.pictures[0].infotext.endswith(wanted)
