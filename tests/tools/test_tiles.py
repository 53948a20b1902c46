"""A picture in tiles is the picture as a whole, without seams."""

import pytest
import torch

from atelier.base.cancel import CancelToken
from atelier.base.errors import Interrupted
from atelier.tools.tiles import fade, in_tiles, starts
from atelier.tools.watch import Watch
from tests.tools.networks import small_rrdb


def smooth(height: int, width: int) -> torch.Tensor:  # [1, 3, H, W]
    """Soft waves with a little noise: like a photograph, unlike pure noise, what is near is alike."""
    y, x = torch.meshgrid(torch.arange(height) / 9.0, torch.arange(width) / 7.0, indexing="ij")
    waves = torch.stack([torch.sin(x) * torch.cos(y), torch.sin(x + y), torch.cos(x - 2 * y)])
    noise = torch.rand(3, height, width, generator=torch.Generator().manual_seed(3))
    return (waves * 0.3 + 0.45 + noise * 0.1)[None]


@pytest.mark.parametrize(("length", "tile", "overlap"), [(100, 100, 8), (100, 64, 8), (500, 192, 8), (65, 64, 32),
                                                         (200, 64, 63), (1000, 64, 200)])  # fmt: skip
def test_tiles_cover_everything_and_overlap(length, tile, overlap):
    places = starts(length, tile, overlap)
    assert places[0] == 0 and places[-1] == max(0, length - tile)
    for before, after in zip(places, places[1:]):
        assert before + tile - after >= min(overlap, tile - 1) and after > before


def test_weights_of_neighbours_add_up_to_one():
    places = starts(150, 64, 16)
    total = torch.zeros(150 * 2)
    for start in places:
        total[start * 2 : (start + 64) * 2] += fade(places, start, 64, 2)
    assert torch.allclose(total, torch.ones(300), atol=1e-5)


def test_enough_overlap_is_exact():
    """A network that sees 9 pixels around gives, with 48 pixels of overlap, the whole picture to the last bit or so."""
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 3, 3, padding=1) for _ in range(6)]
    network = torch.nn.Sequential(*layers).eval()
    picture = smooth(150, 170)
    with torch.no_grad():
        whole = network(picture)
        tiled = in_tiles(picture, network, 1, (96, 48), Watch())
    assert (whole - tiled).abs().max() < 1e-5


def test_seams_cannot_be_seen():
    """With A1111's overlap the largest difference to the whole is under a thousandth of what it is without overlap."""
    network = small_rrdb(1)
    picture = smooth(128, 192)
    with torch.no_grad():
        whole = network(picture)
        tiled = in_tiles(picture, network, 2, (64, 8), Watch())
        apart = in_tiles(picture, network, 2, (64, 0), Watch())
    off, without = (whole - tiled).abs().max(), (whole - apart).abs().max()
    assert off < 0.001 * without and off < 0.001 * whole.std()
    # No step between neighbouring pixels that the whole picture has not.
    assert (tiled[..., 1:] - tiled[..., :-1]).abs().max() <= (whole[..., 1:] - whole[..., :-1]).abs().max() * 1.001


def test_it_can_be_stopped_and_followed():
    token, heard = CancelToken(), []

    def told(done, total):
        heard.append((done, total))
        if done == 2:
            token.request("stop")

    with pytest.raises(Interrupted):
        in_tiles(smooth(64, 200), lambda x: x, 1, (64, 8), Watch(token.check, told))
    assert heard == [(1, 4), (2, 4)]


def test_no_tiles_for_side_zero_or_a_small_picture():
    seen = []

    def call(tile):
        seen.append(tuple(tile.shape[-2:]))
        return tile

    in_tiles(smooth(100, 90), call, 1, (0, 8), Watch())
    in_tiles(smooth(100, 90), call, 1, (192, 8), Watch())
    assert seen == [(100, 90), (100, 90)]
