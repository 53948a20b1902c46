"""The upscalers that ship: offered by name, better than Lanczos on renders, and at work in Extras and hires fix."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atelier.params.extras import ExtrasRequest
from atelier.params.request import GenerationRequest
from atelier.pipeline.extras import postprocess
from atelier.pipeline.run import generate
from bench.studio import Studio
from starter.golden import CHECKPOINT
from starter.train_upscaler import psnr, smaller

RENDERS = sorted((Path(__file__).parent / "renders").glob("*.png"))
NAMES = ("atelier-2x", "atelier-4x")


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    made = Studio(tmp_path_factory.mktemp("studio"), CHECKPOINT)
    yield made
    made.close()


def render(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


@pytest.mark.parametrize("name, factor", zip(NAMES, (2, 4)))
def test_it_is_offered_with_its_factor(studio, name, factor):
    assert studio.engine.services.upscalers.get(name).scale == factor
    assert {u.name: u.scale for u in studio.engine.capabilities().upscalers}[name] == factor


@pytest.mark.parametrize("name, factor, margin", ((NAMES[0], 2, 2.0), (NAMES[1], 4, 1.0)))
def test_it_is_better_than_lanczos(studio, name, factor, margin):
    """By this many dB on renders whose combinations were held out, made small by bicubic; never worse on any."""
    upscalers, gains = studio.engine.services.upscalers, []
    for path in RENDERS:
        large = render(path)
        small = smaller(large, factor)
        ours, theirs = (psnr(upscalers.get(n).to(small, *large.size), large) for n in (name, "Lanczos"))
        gains.append(ours - theirs)
    assert len(gains) == 3 and min(gains) > 0 and np.mean(gains) > margin, gains


@pytest.mark.parametrize("name", NAMES)
def test_extras_uses_it(studio, name):
    services, small = studio.engine.services, smaller(render(RENDERS[0]), 4)
    values = {"input.images": (services.blobs.put_image(small),), "upscale.upscaler_1": name, "upscale.scale": 2}
    result = postprocess(ExtrasRequest().with_values(**values), services, settings=studio.settings(), keep=True)
    wanted = services.upscalers.get(name).to(small, 128, 128)
    assert np.array_equal(np.asarray(result.images[0]), np.asarray(wanted))
    assert f"Postprocess upscaler: {name}" in result.pictures[0].infotext


@pytest.mark.parametrize("name", NAMES)
def test_hires_fix_uses_it(studio, name):
    values = {"prompt.positive": "a red circle", "size.width": 64, "size.height": 64, "sampling.steps": 2}
    hires = {"hires.enabled": True, "hires.scale": 2, "hires.upscaler": name, "hires.denoising_strength": 0.3}
    request = GenerationRequest().with_values(**values, **hires, **{"seed.seed": 3})
    result = generate(request, studio.engine.services, settings=studio.settings())
    assert result.images[0].size == (128, 128) and f"Hires upscaler: {name}" in result.pictures[0].infotext
