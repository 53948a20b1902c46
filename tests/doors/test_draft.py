"""A request becomes `p` and comes back unchanged; what scripts set on `p` gets through."""

import copy

import pytest
from PIL import Image

from atelier.base.errors import BadRequest
from atelier.params.request import DECLARATIONS, GenerationRequest
from modules._host.draft import NAMED, belongs, draft_of, request_of
from modules.processing import (
    StableDiffusionProcessing,
    StableDiffusionProcessingImg2Img,
    StableDiffusionProcessingTxt2Img,
)


class Scale(float):
    """Only looks like a number; cannot be copied."""

    def __new__(cls, value, schedule):
        return float.__new__(cls, value)


def test_nothing_is_lost_on_the_way(host):
    request = GenerationRequest().with_values(**{
        "prompt.positive": "p", "prompt.styles": ("a",), "size.width": 768, "batch.count": 3, "seed.seed": 5,
        "sampling.cfg_scale": 5.5, "sampling.eta": 0.5, "hires.enabled": True, "hires.denoising_strength": 0.3,
        "hires.sampler": "Euler", "output.save_images": False, "output.tiling": True, "overrides": {"jpeg_quality": 60},
    })  # fmt: skip
    p = draft_of(request, host.blobs)
    assert isinstance(p, StableDiffusionProcessingTxt2Img) and p.n_iter == 3 and p.styles == ["a"] and p.enable_hr
    assert p.denoising_strength == 0.3 and p.do_not_save_samples and p.override_settings == {"jpeg_quality": 60}
    assert not hasattr(p, "init_images"), "scripts tell the tabs apart by it"
    p.do_not_save_grid = False
    assert request_of(p, request, host.blobs) == request


def test_pictures_come_and_go_without_being_encoded_again(host):
    picture = Image.new("RGB", (64, 64), "red")
    ref, mask = host.blobs.put_image(picture), host.blobs.put_image(Image.new("L", (64, 64), 255).convert("RGB"))
    request = GenerationRequest().with_values(**{"source.images": (ref,), "mask.image": mask, "mask.invert": True})
    p = draft_of(request, host.blobs)
    assert isinstance(p, StableDiffusionProcessingImg2Img) and p.init_images[0].size == (64, 64)
    assert p.inpainting_mask_invert == 1 and p.mask_blur == 4
    assert request_of(p, request, host.blobs) == request
    p.init_images = [Image.new("RGB", (32, 32), "blue")]
    p.image_mask = p.mask = None
    changed = request_of(p, request, host.blobs)
    assert changed.source.images[0].width == 32 and changed.mask.image is None


def test_objects_that_look_like_numbers_get_through(host):
    p = draft_of(GenerationRequest(), host.blobs)
    p.cfg_scale = Scale(7.0, [1])
    p.s_churn = p.eta = Scale(1.0, [1])
    made = request_of(p, GenerationRequest(), host.blobs)
    assert made.sampling.cfg_scale is p.cfg_scale and made.sampling.s_churn is p.s_churn


def test_a1111s_ways_to_say_nothing(host):
    p = StableDiffusionProcessingTxt2Img(seed=None, subseed="", hr_sampler_name="Use same sampler", steps=20)
    p.prompt, p.seed_resize_from_w = ["one", "two"], -1
    made = request_of(p, GenerationRequest(), host.blobs)
    assert made.seed.seed == -1 and made.hires.sampler is None and made.prompt.positive == "one"
    assert made.sampling.sampler == GenerationRequest().sampling.sampler


def test_a_bad_value_names_its_field(host):
    p = StableDiffusionProcessingTxt2Img(width=-5)
    with pytest.raises(BadRequest) as error:
        request_of(p, GenerationRequest(), host.blobs)
    assert error.value.field == "size.width"


def test_p_is_an_ordinary_object():
    p = StableDiffusionProcessingImg2Img(init_images=[1], mask_blur=9)
    p.anything = {"x": 1}
    twin = copy.copy(p)
    assert twin.anything is p.anything and twin.mask_blur == 9 and (p.mask_blur_x, p.mask_blur_y) == (9, 9)
    p.mask_blur_y = 2
    assert p.mask_blur is None
    p.sd_model = "ignored"
    assert p.sd_model is None
    p.cached_c = [None, None]
    assert StableDiffusionProcessing.cached_c == [None, None, None]


def test_every_named_value_has_a_place_on_p():
    text, picture = StableDiffusionProcessingTxt2Img(), StableDiffusionProcessingImg2Img()
    for declaration in NAMED:
        for p, img2img in ((text, False), (picture, True)):
            if belongs(declaration, img2img):
                assert hasattr(p, declaration.param.a1111), declaration.path
    assert len(NAMED) > 45 and len(NAMED) < len(DECLARATIONS)
