"""The upscalers: the names of ESRGAN's files, sizes, and that a short training beats its own beginning."""

import random

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from starter import upscaler
from starter.train_upscaler import Options, smaller
from starter.upscaler import Upscaler


@pytest.mark.parametrize("scale", (2, 4))
def test_names_and_sizes_are_those_of_esrgan(tmp_path, scale):
    network = Upscaler(scale, 8, 2, 4)
    keys = set(network.state_dict())
    assert {
        "conv_first.weight",
        "body.1.rdb3.conv5.bias",
        "conv_body.weight",
        "conv_up2.weight",
        "conv_last.bias",
    } <= keys
    upscaler.save(tmp_path / "a.safetensors", network)
    again = upscaler.load(tmp_path / "a.safetensors")
    assert again.fold == network.fold and len(again.body) == 2
    pictures = np.zeros((2, 12, 16, 3), np.uint8)
    assert again.enlarge(pictures).shape == (2, 12 * scale, 16 * scale, 3)


@pytest.mark.parametrize("scale", (2, 4))
def test_it_begins_near_plain_enlargement(scale):
    torch.manual_seed(0)
    flat = torch.tensor([0.2, 0.5, 0.8])[None, :, None, None].expand(1, 3, 16, 16)
    with torch.no_grad():
        made = Upscaler(scale)(flat)
    assert (made[..., 8:-8, 8:-8] - flat[..., :1, :1]).abs().max() < 0.25


def test_other_scales_are_refused():
    with pytest.raises(ValueError, match="scale 3"):
        Upscaler(3)


def test_it_learns():
    torch.manual_seed(0)
    network = Upscaler(2, 8, 1, 4)
    small = torch.rand(1, 3, 1, 1).expand(1, 3, 16, 16)
    large, optimizer = F.interpolate(small, scale_factor=2), torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        loss = F.l1_loss(network(small), large)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_pictures_are_made_worse_but_stay_themselves():
    ramp = np.tile(np.arange(96, dtype=np.uint8)[None, :, None] * 2, (96, 1, 3))
    for i in range(12):
        small = np.asarray(smaller(Image.fromarray(ramp), 4, random.Random(i)))
        assert small.shape == (24, 24, 3)
        assert abs(small.astype(float).mean() - ramp.mean()) < 6
    assert smaller(Image.fromarray(ramp), 4).size == (24, 24)


def test_pieces_fit_the_scale():
    for scale in (2, 4):
        assert Options(1.0, scale).side % (4 * scale) == 0
