"""Tiles of an autoencoder against the same work done as a whole."""

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from atelier.families.tiles import SharedNorms, decode_in_tiles, encode_in_tiles, starts
from tests.device.tracing import peak_of
from tests.tiny import FULL, tiny_vae

#: of the range of the result, in the mean and in the worst place: two channels to a norm, so few, are told badly by
#: samples
MEAN, WORST = 0.015, 0.08


@pytest.fixture(scope="module")
def vae():
    return tiny_vae()


def smooth(channels, height, width):
    """A picture with large and small things, as pictures are; plain noise is the same everywhere."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.randn(1, channels, height // 6 + 2, width // 6 + 2, generator=generator)
    large = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return large + 0.3 * torch.randn(1, channels, height, width, generator=generator)


def differences(tiled, whole):
    span = float(whole.max() - whole.min())
    off = (tiled - whole).abs()
    return float(off.mean()) / span, float(off.max()) / span


def test_decoding_in_tiles_is_near_the_whole_and_has_no_seams(vae):
    raw = smooth(4, 40, 72)
    with torch.no_grad():
        whole = vae.decode(raw).sample
        tiled = decode_in_tiles(vae, raw, tile=32, overlap=16)
    mean, worst = differences(tiled, whole)
    assert mean < MEAN and worst < WORST
    # No step where one tile ends that the whole picture has not.
    edges = np.abs(np.diff((tiled - whole).numpy(), axis=-1)).max(axis=(0, 1, 2))
    assert edges.max() < 8 * np.median(edges) + 1e-4


def test_encoding_in_tiles_is_near_the_whole(vae):
    pixels = smooth(3, 320, 448).clamp(-1, 1)
    with torch.no_grad():
        whole = vae.quant_conv(vae.encoder(pixels))
        tiled = encode_in_tiles(vae, pixels, tile=32, overlap=16)
    mean, worst = differences(tiled, whole)
    assert tiled.shape == whole.shape and mean < MEAN and worst < WORST


def test_with_norms_of_the_whole_tiles_are_exact(vae):
    raw = smooth(4, 24, 24)
    with torch.no_grad(), SharedNorms().over(list(vae.decoder.up_blocks)) as norms:
        whole = vae.decoder.up_blocks[0](vae.decoder.conv_in(raw))
        norms.learning = False
        part = vae.decoder.up_blocks[0](vae.decoder.conv_in(raw)[:, :, :, :16])
    inner = 16 // 2 * 2
    assert torch.allclose(part[..., :inner], whole[..., :inner], atol=1e-4)


def test_a_picture_of_one_tile_is_as_the_whole(vae):
    raw = smooth(4, 16, 16)
    with torch.no_grad():
        whole, tiled = vae.decode(raw).sample, decode_in_tiles(vae, raw)
    assert differences(tiled, whole)[0] < MEAN


def test_opposite_edges_meet_where_they_are_to_fit(vae):
    raw = smooth(4, 20, 28)
    with torch.no_grad():
        wrapped = decode_in_tiles(vae, raw, wrap=True, tile=28, overlap=16)
        rolled = decode_in_tiles(vae, raw.roll(14, dims=-1), wrap=True, tile=28, overlap=16)
    assert wrapped.shape == (1, 3, 160, 224)
    # Where the tiles lie does not show: a picture shifted round gives the same picture shifted round.
    mean, _ = differences(rolled.roll(-112, dims=-1), wrapped)
    assert mean < 2 * MEAN


def test_half_precision_stays_half(vae):
    half = tiny_vae().to(torch.bfloat16)
    with torch.no_grad():
        assert decode_in_tiles(half, smooth(4, 16, 40).to(torch.bfloat16), tile=32, overlap=16).isfinite().all()


def test_pieces_cover_the_whole():
    assert starts(64, 64, 16) == [0] and starts(65, 64, 16) == [0, 1] and starts(200, 64, 16) == [0, 48, 96, 136]


class Stay(TorchFunctionMode):
    """Without a device there is nothing to copy to the CPU."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return args[0] if function is torch.Tensor.cpu else function(*args, **(kwargs or {}))


@pytest.mark.parametrize("what", ("decode", "encode"))
def test_2048_pixels_of_the_full_size_fit_into_few_gigabytes(what):
    with torch.device("meta"):
        large = tiny_vae(FULL)
        raw, pixels = torch.zeros(1, 4, 256, 256), torch.zeros(1, 3, 2048, 1024)

    def work():
        with Stay(), torch.device("meta"):
            return decode_in_tiles(large, raw) if what == "decode" else encode_in_tiles(large, pixels)

    # As a whole, decoding keeps 12.9 GB in float32.
    assert peak_of(large, work) < 1.3e9
