"""The other built-in scripts on a tiny model."""

from __future__ import annotations

import numpy as np
import pytest

from atelier.base.errors import AtelierError
from atelier.base.events import StepDone
from atelier.imaging.color import match_picture
from atelier.params.infotext import parse_infotext
from atelier.params.lines import read_lines
from atelier.params.scripts import script_from_infotext
from atelier.scripts.loopback import strength_at
from tests.pipeline.test_run import mask_of, picture_of, same


def test_prompt_matrix(ask):
    result = ask(
        "Prompt matrix", {"different_seeds": True}, **{"prompt.positive": "a cat|red|small", "prompt.styles": ()}
    )
    assert [p.prompt for p in result.pictures[1:]] == ["a cat", "a cat, red", "a cat, small", "a cat, red, small"]
    assert [p.seed for p in result.pictures[1:]] == [7, 8, 9, 10]
    grid = result.images[0]
    assert grid.width > 128 and grid.height > 128 and result.info["index_of_first_image"] == 1
    assert same(grid.crop((grid.width - 64, grid.height - 64, grid.width, grid.height)), result.images[4])
    told = parse_infotext(result.pictures[0].infotext)
    assert told["Prompt"] == "a cat|red|small" and told["Script"] == "Prompt matrix"
    assert script_from_infotext(told, "txt2img").values.different_seeds
    other = ask("Prompt matrix", {"put_at_start": True, "prompt_type": "negative", "variations_delimiter": "space"},
                job="other", **{"prompt.negative": "dog|big"})  # fmt: skip
    assert [p.negative for p in other.pictures[1:]] == ["dog", "big dog"]


def test_a_matrix_of_too_many_parts_is_refused_with_the_number(ask):
    with pytest.raises(AtelierError, match="16384 pictures"):
        ask("Prompt matrix", {}, **{"prompt.positive": "|".join("abcdefghijklmno")})


def test_prompts_from_lines(ask):
    text = (
        'a dog\n\n--prompt "a fox" --steps 1 --seed 9 --cfg_scale 3 --negative_prompt big, bad\n--prompt x --n_iter 2'
    )
    result = ask("Prompts from file or textbox", {"prompt_txt": text, "checkbox_iterate": True},
                 **{"prompt.positive": "photo", "prompt.negative": "ugly"})  # fmt: skip
    assert [p.prompt for p in result.pictures] == ["a dog photo", "a fox photo", "x photo", "x photo"]
    assert [p.seed for p in result.pictures] == [7, 9, 9, 10]
    second = parse_infotext(result.pictures[1].infotext)
    assert second["Steps"] == "1" and second["CFG scale"] == "3.0" and second["Negative prompt"] == "big, bad ugly"
    assert result.info["all_prompts"][1] == "a fox photo"


@pytest.mark.parametrize(("line", "values"), [
    ("a cat -- with dashes", {"prompt.positive": "a cat -- with dashes"}),
    ("it's a cat", {"prompt.positive": "it's a cat"}),
    ("it's a cat --steps 5", {"prompt.positive": "it's a cat", "sampling.steps": 5}),
    ("--prompt a red cat --width 512", {"prompt.positive": "a red cat", "size.width": 512}),
    ("--prompt x --seed -1 --sampler_name 'Euler a'", {"prompt.positive": "x", "seed.seed": -1,
                                                       "sampling.sampler": "Euler a"}),
    ("--styles a,b --tiling --do_not_save_samples", {"prompt.styles": ("a", "b"), "output.tiling": True,
                                                     "output.save_images": False}),
])  # fmt: skip
def test_lines(line, values):
    (found,) = read_lines(f"\n{line}\n", "txt2img")
    assert dict(found.values) == values and found.number == 2


@pytest.mark.parametrize(("line", "word"), [
    ("--prompt x --moon 1", "no option --moon"), ("--steps many", "line 1: --steps"), ("--width 1 2", "one value"),
    ('--prompt "x', "line 1"), ("--do_not_save_grid perhaps", "true or false"),
])  # fmt: skip
def test_bad_lines_name_line_and_option(line, word):
    with pytest.raises(AtelierError, match=word):
        read_lines(line, "txt2img")


def test_a_line_can_choose_a_model():
    (found,) = read_lines("--sd_model other.safetensors --prompt x", "txt2img")
    assert dict(found.overrides) == {"sd_model_checkpoint": "other.safetensors"}


@pytest.mark.parametrize(("curve", "expected"), [
    ("Linear", [0.2, 0.4, 0.6]), ("Aggressive", [0.2, 0.48284, 0.6]), ("Lazy", [0.2, 0.31716, 0.6]),
])  # fmt: skip
def test_curves_of_loopback(curve, expected):
    assert [strength_at(k, 3, 0.2, 0.6, curve) for k in range(3)] == pytest.approx(expected, abs=1e-4)
    assert strength_at(0, 1, 0.2, 0.6, curve) == 0.2


def img2img(services, **more):
    return {"source.images": (picture_of(services),), "source.denoising_strength": 0.5, **more}


def test_loopback_goes_on_from_its_own_pictures(ask, services):
    result = ask(
        "Loopback", {"loops": 3, "final_denoising_strength": 1.0}, **img2img(services, **{"sampling.steps": 4})
    )
    grid, *loops = result.images
    assert len(loops) == 3 and result.pictures[0].role == "grid"
    told = [parse_infotext(p.infotext) for p in result.pictures[1:]]
    assert [t["Denoising strength"] for t in told] == ["0.5", "0.75", "1.0"]
    assert [t["Seed"] for t in told] == ["7", "8", "9"]
    assert told[0]["Final denoising strength"] == "1.0" and told[0]["Denoising curve"] == "Linear"
    again = ask("Loopback", {"loops": 1}, job="one", **{
        **img2img(services), "source.images": (result.pictures[1].ref,), "seed.seed": 8, "sampling.steps": 4,
        "source.denoising_strength": 0.75,
    })  # fmt: skip
    assert same(again.images[0], loops[1])


def test_loopback_keeps_the_colours_of_the_first_picture(ask, services):
    values, how = {"loops": 2, "final_denoising_strength": 0.5}, {"overrides": {"img2img_color_correction": True}}
    result = ask("Loopback", values, **img2img(services, **how))
    source = services.blobs.image(picture_of(services)).convert("RGB")
    plain = ask("Loopback", {"loops": 1}, job="one", **img2img(services)).images[0]
    assert same(result.images[1], match_picture(plain, source)) and not same(result.images[1], plain)
    going_on = {**img2img(services), "source.images": (result.pictures[1].ref,), "seed.seed": 8}
    plain = ask("Loopback", {"loops": 1}, job="two", **going_on).images[0]
    assert same(result.images[2], match_picture(plain, source))


def test_loopback_describes_what_it_goes_on_from(ask, services, monkeypatch):
    seen = []

    def describe(image, model, rules, watch):
        seen.append((image.size, model))
        return f"seen {len(seen)}"

    monkeypatch.setattr(services.tools, "describe", describe)
    values = {"loops": 2, "append_interrogation": "DeepBooru"}
    result = ask("Loopback", values, job="caption", **img2img(services))
    assert [p.prompt for p in result.pictures[1:]] == ["a cat, seen 1", "a cat, seen 2"]
    assert seen == [((64, 64), "deepdanbooru")] * 2
    again = ask("Loopback", values, job="again", resume="caption", **img2img(services))
    assert len(seen) == 2 and [p.prompt for p in again.pictures] == [p.prompt for p in result.pictures]


def test_sd_upscale_draws_tiles_without_seams(ask, services):
    events: list = []
    result = ask("SD upscale", {"overlap": 16, "upscaler_index": "Lanczos", "scale_factor": 1.6}, events,
                 **img2img(services, **{"source.denoising_strength": 0.0}))  # fmt: skip
    (image,) = result.images
    assert image.size == (102, 102) and result.pictures[0].path
    told = parse_infotext(result.pictures[0].infotext)
    assert told["SD upscale overlap"] == "16" and told["SD upscale upscaler"] == "Lanczos" and told["Seed"] == "7"
    again = script_from_infotext(told, "img2img").values
    assert again.overlap == 16 and again.scale_factor == 1.6 and again.upscaler_index == "Lanczos"
    by_number = ask("SD upscale", {"overlap": 16, "upscaler_index": "1", "scale_factor": 1.6}, job="number",
                    **img2img(services, **{"source.denoising_strength": 0.0}))  # fmt: skip
    assert same(by_number.images[0], image)
    with pytest.raises(AtelierError, match="overlap"):
        ask("SD upscale", {"overlap": 64}, job="wide", **img2img(services))
    with pytest.raises(AtelierError, match="no upscaler"):
        ask("SD upscale", {"overlap": 8, "upscaler_index": "moon"}, job="moon", **img2img(services))


@pytest.mark.parametrize(("title", "values", "runs"), [
    ("Outpainting mk2", {"pixels": 32, "mask_blur": 2, "direction": ["left", "down"]}, 2),
    ("Poor man's outpainting", {"pixels": 32, "mask_blur": 2, "direction": ["left", "down"], "inpainting_fill": 1}, 4),
])  # fmt: skip
def test_outpainting_keeps_the_picture_and_paints_beside_it(ask, services, title, values, runs):
    events: list = []
    result = ask(title, values, events, **img2img(services, **{"sampling.steps": 1}))
    (image,) = result.images
    assert image.size == (96, 96) and result.pictures[0].path and result.pictures[0].role == "picture"
    source = services.blobs.image(picture_of(services))
    kept = np.asarray(image.crop((32 + 12, 0, 96, 64 - 12))), np.asarray(source.crop((12, 0, 64, 52)))
    assert np.array_equal(*kept)
    assert len(np.unique(np.asarray(image.crop((0, 0, 32, 96))))) > 20
    told = parse_infotext(result.pictures[0].infotext)
    assert told["Outpainting direction"] == "left, down" and (told["Size-1"], told["Size-2"]) == ("64", "64")
    assert script_from_infotext(told, "img2img").values.direction == ("left", "down")
    assert max(e.passes for e in events if isinstance(e, StepDone)) == runs
    with pytest.raises(AtelierError, match="no side"):
        ask(title, {"direction": []}, job="none", **img2img(services))
    with pytest.raises(AtelierError, match="not a side"):
        ask(title, {"direction": ["inward"]}, job="wrong", **img2img(services))


def test_the_alternative_test_starts_from_the_noise_it_finds(ask, services):
    """With randomness 1 all that is left of it is the seed's noise, and so the picture of txt2img."""
    values = {"original_prompt": "a cat", "st": 2, "sigma_adjustment": True, "randomness": 1.0}
    random = ask("img2img alternative test", values, **img2img(services))
    plain = ask("None", {}, job="plain").images[0]
    assert np.abs(np.asarray(random.images[0], dtype=int) - np.asarray(plain, dtype=int)).max() <= 1
    told = parse_infotext(random.pictures[0].infotext)
    assert told["Decode prompt"] == "a cat" and told["Decode steps"] == "2" and told["Sampler"] == "Euler"
    assert told["Randomness"] == "1.0" and "Decode negative prompt" not in told
    found = ask("img2img alternative test", {**values, "randomness": 0.0}, job="found", **img2img(services))
    assert not same(found.images[0], random.images[0])


def test_a_script_that_is_not_there_is_refused(ask, services):
    with pytest.raises(AtelierError, match="no script 'Loopback'"):
        ask("Loopback", {})
    with pytest.raises(AtelierError, match="no script 'Moon'"):
        ask("Moon", {}, **img2img(services))
    assert ask("None", {}).pictures


def test_masks_stay_in_force_in_loops(ask, services):
    result = ask("Loopback", {"loops": 2}, **img2img(services, **{
        "mask.image": mask_of(services), "mask.fill": 0, "sampling.steps": 1}))  # fmt: skip
    source = services.blobs.image(picture_of(services))
    assert same(result.images[-1].crop((0, 0, 16, 64)), source.crop((0, 0, 16, 64)))
