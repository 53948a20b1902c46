"""The upscalers: the names of ESRGAN's files, the beginning as a bicubic picture, and a short training."""

import random

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional as F

from atelier.tools.architectures import _without_torchvision, has_spandrel
from starter import upscaler
from starter.muon import Optimizers, orthogonal
from starter.train_upscaler import loss_of, psnr, smaller
from starter.upscaler import Upscaler


@pytest.mark.parametrize("scale", (2, 4))
def test_names_and_sizes_are_those_of_esrgan(tmp_path, scale):
    network, path = Upscaler(scale, 8, 2, 4), tmp_path / "a.safetensors"
    upscaler.save(path, network)
    written = load_file(path)
    assert {"conv_first.weight", "body.1.rdb3.conv5.bias", "conv_body.weight", "conv_last.bias"} <= set(written)
    assert ("conv_up2.weight" in written) == (scale == 4)
    assert written["body.0.rdb1.conv3.weight"].shape == (32, 8 + 2 * 32, 3, 3)
    again = upscaler.load(path)
    assert again.scale == network.scale and len(again.body) == 2
    assert all(torch.equal(value.half(), again.state_dict()[key].half()) for key, value in network.state_dict().items())
    pictures = np.zeros((2, 12, 16, 3), np.uint8)
    assert again.enlarge(pictures).shape == (2, 12 * scale, 16 * scale, 3)


@pytest.mark.skipif(not has_spandrel(), reason="spandrel is not installed")
@pytest.mark.parametrize("scale", (2, 4))
def test_other_programs_read_what_is_written(tmp_path, scale):
    with _without_torchvision():
        import spandrel
    torch.manual_seed(0)
    network, path, x = Upscaler(scale, 8), tmp_path / "a.safetensors", torch.rand(1, 3, 10, 12)
    upscaler.save(path, network)
    theirs = spandrel.ModelLoader(device="cpu").load_from_state_dict(load_file(path))
    assert (theirs.architecture.id, theirs.scale) == ("ESRGAN", scale)
    with torch.no_grad():
        assert torch.allclose(theirs.model.float()(x), upscaler.load(path)(x), atol=1e-5)


@pytest.mark.parametrize("scale, near", ((2, 55), (4, 45)))
def test_it_begins_as_a_bicubic_picture(scale, near):
    """Away from the edges, where nothing is known of what lies beyond; PSNR in dB, 55 being rounding."""
    torch.manual_seed(0)
    y, x = np.mgrid[0:32, 0:32]
    small = np.stack([128 + 90 * np.sin(x / 2.7), 128 + 90 * np.cos(y / 3.1), x * y % 190], -1).astype(np.uint8)[
        ..., :2
    ]
    small = np.dstack([small, small[..., 0]])
    wanted = np.asarray(Image.fromarray(small).resize((32 * scale, 32 * scale), Image.Resampling.BICUBIC))
    inner = np.s_[4 * scale : -4 * scale, 4 * scale : -4 * scale]
    assert psnr(Upscaler(scale).enlarge(small[None])[0][inner], wanted[inner]) > near


def test_other_scales_are_refused():
    with pytest.raises(ValueError, match="scale 3"):
        Upscaler(3)


def test_it_learns():
    torch.manual_seed(0)
    network = Upscaler(2, 8, 1, 4)
    large = (F.interpolate(torch.rand(2, 3, 4, 4), scale_factor=8) > 0.5).float()
    small, counted, losses = F.avg_pool2d(large, 2), torch.ones(2, 1, 32, 32), []
    optimizers = Optimizers(network, ("body",))
    for _ in range(40):
        loss = loss_of(network(small), large, counted)
        optimizers.step(loss, 1e-3)
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.2


def test_steps_have_the_same_length_in_every_direction():
    torch.manual_seed(0)
    kernels = torch.randn(3, 8, 2) @ torch.randn(3, 2, 40) + 0.1 * torch.randn(3, 8, 40)
    values = torch.linalg.svdvals(orthogonal(kernels))
    assert torch.linalg.svdvals(kernels).max() > 10 and 0.5 < values.min() and values.max() < 1.3


def test_what_lies_outside_the_rim_does_not_count():
    made, wanted, counted = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    counted[..., 2:-2, 2:-2] = 1
    made[..., 0] = 1
    assert float(loss_of(made, wanted, counted)) == pytest.approx(np.log(1e-4))
    made[..., 2:-2, 2] = 1
    assert float(loss_of(made, wanted, counted)) == pytest.approx(np.log(0.25 + 1e-4))


def test_pictures_are_made_worse_but_stay_themselves():
    ramp = np.tile(np.arange(96, dtype=np.uint8)[None, :, None] * 2, (96, 1, 3))
    for i in range(12):
        small = np.asarray(smaller(Image.fromarray(ramp), 4, random.Random(i)))
        assert small.shape == (24, 24, 3)
        assert abs(small.astype(float).mean() - ramp.mean()) < 6
    assert smaller(Image.fromarray(ramp), 4).size == (24, 24)
