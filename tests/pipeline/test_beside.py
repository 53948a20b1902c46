"""Runs of models that are fed more than latents and a text: depth maps, pictures to be edited."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from atelier.base.errors import BadRequest
from atelier.params.flat import request_from_flat
from atelier.pipeline.beside import scaled_depth
from atelier.sampling.embedded_guidance import embedded_guidance
from tests.families.test_midas import write_with_eye
from tests.pipeline.test_run import mask_of, picture_of, same
from tests.tiny import TinySizes, write_tiny_checkpoint
from tests.tiny_sd2 import PROJECTION, sd2_sizes, write_tiny_sd2

CHANNELS = {"depth": 5, "edit": 8}


@pytest.fixture
def use(data, make):
    """`use("depth", **paths)` runs a small request on a model of that kind; what the network was fed is kept."""
    for kind, channels in CHANNELS.items():
        sizes = TinySizes(in_channels=channels, seed=5)
        write_tiny_checkpoint(data / "models" / "Stable-diffusion", kind, sizes)

    def run(kind, **paths):
        return make(**{"overrides": {"sd_model_checkpoint": kind}, "sampling.steps": 2, **paths})

    return run


@pytest.fixture
def seen(services):
    """The extra channels and rows of every call of the network."""
    calls = []

    class Hooks(type(services.hooks)):
        def amend_model_inputs(self, sampling_pass, step, inputs):
            calls.append((inputs.rows, inputs.concat))

        def __getattr__(self, name):
            return getattr(self.inner, name)

    hooks = Hooks.__new__(Hooks)
    hooks.inner = services.hooks
    object.__setattr__(services, "hooks", hooks)
    return calls


def depth_of(services, width=64, height=64):
    ramp = np.tile(np.linspace(40, 200, width, dtype=np.uint8), (height, 1))
    return services.blobs.put_image(Image.fromarray(ramp))


def test_a_depth_map_changes_the_picture_and_spans_the_whole_range(use, services, seen):
    source, depth = picture_of(services), depth_of(services)
    result = use("depth", **{"source.images": (source,), "source.depth": depth})
    rows, concat = seen[0]
    assert concat.shape == (2, 1, 8, 8) and concat.min() == -1 and concat.max() == 1
    assert (concat[..., 1:] > concat[..., :-1]).all() and torch.equal(concat[0], concat[1])
    turned = services.blobs.put_image(Image.fromarray(np.asarray(services.blobs.image(depth).convert("L"))[:, ::-1]))
    assert not same(result.images[0], use("depth", **{"source.images": (source,), "source.depth": turned}).images[0])


def test_a_depth_map_serves_text_to_image_and_both_passes_of_hires(use, services, seen):
    result = use("depth", **{"source.depth": depth_of(services), "hires.enabled": True, "hires.steps": 1})
    assert result.images[0].size == (128, 128)
    assert {tuple(concat.shape[-2:]) for _, concat in seen} == {(8, 8), (16, 16)}


def test_the_map_is_cut_like_the_picture_under_only_masked(use, services, seen):
    source, mask = picture_of(services), mask_of(services, (0, 0, 16, 16))
    use("depth", **{
        "source.images": (source,), "source.depth": depth_of(services), "mask.image": mask, "mask.only_masked": True,
        "mask.padding": 0, "mask.blur_x": 0, "mask.blur_y": 0,
    })  # fmt: skip
    # The left quarter of the ramp, enlarged, is spread over the whole range again.
    assert seen[0][1].shape[-2:] == (8, 8) and seen[0][1].min() == -1 and seen[0][1].max() == 1


def test_without_a_depth_map_the_field_and_the_remedy_are_named(use, services):
    for sources in ((), (picture_of(services),)):
        with pytest.raises(BadRequest, match="depth map") as caught:
            use("depth", **{"source.images": sources})
        assert caught.value.field == "source.depth" and "white" in caught.value.remedy


def test_a_model_with_an_estimator_looks_at_the_source_itself(make, services, data, seen):
    write_with_eye(data / "models" / "Stable-diffusion", "eye")
    common = {
        "overrides": {"sd_model_checkpoint": "eye"},
        "sampling.steps": 2,
        "source.images": (picture_of(services),),
    }
    make(**common)
    concat = seen[0][1]
    assert concat.shape == (2, 1, 8, 8) and concat.min() == -1 and concat.max() == 1
    make(**common, **{"source.depth": depth_of(services)})
    assert not torch.equal(seen[-1][1], concat)
    with pytest.raises(BadRequest, match="depth map"):
        make(**{**common, "source.images": ()})


def test_a_plain_map_is_the_middle():
    assert torch.equal(scaled_depth(torch.full((1, 1, 16, 16), 3.0), (4, 4)), torch.zeros(1, 1, 4, 4))


def test_an_edit_model_sees_the_source_without_the_scale_and_asks_three_times(use, services, seen):
    source = picture_of(services)
    result = use("edit", **{"source.images": (source,), "source.image_cfg_scale": 1.5})
    rows, concat = seen[0]
    assert [row.part for row in rows] == [0, -1, -2]
    model = services.library.current
    pixels = torch.from_numpy(np.asarray(services.blobs.image(source).convert("RGB"), dtype=np.float32) / 127.5 - 1)
    raw = model.encode_images(pixels.permute(2, 0, 1)[None]) / model.latent.scale
    assert torch.allclose(concat[0], raw[0], atol=1e-4) and torch.equal(concat[0], concat[1])
    assert concat[2].abs().max() == 0
    assert "Image CFG scale: 1.5" in result.pictures[0].infotext
    other = use("edit", **{"source.images": (source,), "source.image_cfg_scale": 2.5})
    assert not same(result.images[0], other.images[0])


@pytest.mark.parametrize("scale", [None, 1.0])
def test_without_a_strength_of_its_own_the_picture_needs_no_third_guess(use, services, seen, scale):
    use("edit", **{"source.images": (picture_of(services),), "source.image_cfg_scale": scale})
    assert [row.part for row in seen[0][0]] == [0, -1]


def test_a_batch_of_two_pictures_equals_two_runs(use, services):
    first, second = picture_of(services), picture_of(services, color=(20, 220, 90))
    together = use("edit", **{
        "source.images": (first, second), "batch.size": 2, "source.image_cfg_scale": 1.5, "seed.subseed_strength": 0.01,
    })  # fmt: skip
    apart = [
        use("edit", **{"source.images": (source,), "source.image_cfg_scale": 1.5, "seed.subseed": subseed})
        for source, subseed in ((first, 1), (second, 2))
    ]
    pictures = [p for p in together.pictures if p.role == "picture"]
    assert len(pictures) == 2
    # The second picture follows its own source.
    ours = [np.asarray(image, dtype=float) for image in together.images[-2:]]
    theirs = [np.asarray(result.images[0], dtype=float) for result in apart]
    assert np.abs(ours[1] - theirs[1]).mean() < np.abs(ours[1] - theirs[0]).mean()


def test_text_alone_is_possible_with_an_edit_model(use, seen):
    use("edit")
    assert seen[0][1].abs().max() == 0


def test_other_models_say_nothing_of_the_picture_scale(make, services):
    result = make(**{"source.images": (picture_of(services),), "source.image_cfg_scale": 1.5})
    assert "Image CFG" not in result.pictures[0].infotext


def test_the_flat_form_takes_a_depth_map(services):
    image, depth = picture_of(services), depth_of(services)
    stored = {"a": image, "b": depth}
    body = {"init_images": ["a"], "depth_image": "b", "image_cfg_scale": 2}
    request = request_from_flat(body, "img2img", store=lambda field, text: stored[text])
    assert request.source.depth == depth and request.source.image_cfg_scale == 2.0


def test_an_image_variation_sees_its_source_in_the_positive_row_only(make, services, data):
    write_tiny_sd2(data / "models" / "Stable-diffusion", "vary", sd2_sizes(labels=2 * PROJECTION))
    told = []

    def run(**paths):
        return make(**{"overrides": {"sd_model_checkpoint": "vary"}, "sampling.steps": 2, **paths})

    run()
    model = services.library.current
    assert model.varies and model.needs == ("vary",)
    inner = model.denoiser.forward

    def seen(*args, class_labels=None, **rest):
        told.append(class_labels)
        return inner(*args, class_labels=class_labels, **rest)

    model.denoiser.forward = seen
    source = picture_of(services)
    first = run(**{"source.images": (source,), "source.denoising_strength": 1.0})
    assert told[0].shape == (2, 2 * PROJECTION) and told[0][1].abs().max() == 0 and told[0][0].abs().max() > 0
    assert "Image noise level: 0" in first.pictures[0].infotext
    again = run(**{"source.images": (source,), "source.denoising_strength": 1.0})
    assert same(first.images[0], again.images[0])
    other = run(**{"source.images": (source,), "source.denoising_strength": 1.0, "source.image_noise": 700})
    assert not same(first.images[0], other.images[0])
    told.clear()
    run()
    assert told[0].abs().max() == 0


def test_a_consistency_model_is_told_the_guidance_and_asked_once(make, services, data):
    sizes = TinySizes(seed=6, unet_extra={"time_cond_proj_dim": 8})
    write_tiny_checkpoint(data / "models" / "Stable-diffusion", "lcm", sizes)
    rows = []
    common = {"overrides": {"sd_model_checkpoint": "lcm"}, "sampling.sampler": "LCM", "sampling.steps": 2}
    make(**common)
    model = services.library.current
    inner = model.denoiser.forward

    def seen(sample, *args, timestep_cond=None, **rest):
        rows.append((sample.shape[0], timestep_cond))
        return inner(sample, *args, timestep_cond=timestep_cond, **rest)

    model.denoiser.forward = seen
    first = make(**common, **{"sampling.cfg_scale": 2.0})
    assert [count for count, _ in rows] == [1, 1]
    assert torch.allclose(rows[0][1], embedded_guidance(torch.tensor([1.0]), 8))
    assert not same(first.images[0], make(**common, **{"sampling.cfg_scale": 8.0}).images[0])


def test_a_consistency_lora_works_through_its_sampler(make, services, data):
    """LCM-LoRA is a LoRA like any other, on a model that is not told the guidance."""
    key = "lora_unet_mid_block_attentions_0_proj_in"
    folder = data / "models" / "Lora"
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(1)
    tensors = {
        f"{key}.lora_up.weight": torch.randn(32, 4, 1, 1, generator=generator),
        f"{key}.lora_down.weight": torch.randn(4, 32, 1, 1, generator=generator),
        f"{key}.alpha": torch.tensor(4.0),
    }
    save_file(tensors, str(folder / "lcm-lora-sdv1-5.safetensors"))
    common = {"sampling.sampler": "LCM", "sampling.steps": 4, "sampling.cfg_scale": 1.0}
    plain = make(**common)
    fast = make(**common, **{"prompt.positive": "a cat <lora:lcm-lora-sdv1-5:1>"})
    assert not same(plain.images[0], fast.images[0]) and not fast.comments
    assert "Sampler: LCM" in fast.pictures[0].infotext and "lcm-lora-sdv1-5: " in fast.pictures[0].infotext
