"""LatentSpace: scale and shift undo each other, sizes round up, previews have the right form."""

import torch

from atelier.families.autoencoder import with_fitted_preview
from atelier.families.latent import LatentSpace
from atelier.families.sd1 import LATENT
from tests.tiny import tiny_vae


def test_scaled_and_raw_are_inverse():
    space = LatentSpace(4, 8, 0.5, shift=0.25)
    raw = torch.randn(2, 4, 3, 3)
    assert torch.allclose(space.raw(space.scaled(raw)), raw, atol=1e-6)
    assert torch.allclose(space.scaled(torch.full((1, 4, 1, 1), 0.25)), torch.zeros(1, 4, 1, 1))


def test_size_rounds_up_to_whole_cells():
    assert LATENT.size(512, 768) == (64, 96)
    assert LATENT.size(513, 1) == (65, 1)


def test_preview_is_one_pixel_a_cell_in_0_to_1():
    rgb = LATENT.preview_rgb(torch.randn(2, 4, 5, 6) * 10)
    assert rgb.shape == (2, 3, 5, 6)
    assert rgb.min() >= 0 and rgb.max() <= 1
    grey = LatentSpace(4, 8, 1.0).preview_rgb(torch.zeros(1, 4, 2, 2))
    assert torch.equal(grey, torch.full((1, 3, 2, 2), 0.5))


def test_fitted_preview_follows_the_autoencoder():
    """An autoencoder that turns the first channel into red, twice as strong as the second into blue."""
    vae = tiny_vae()

    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def decode(self, raw, return_dict=False):
            big = raw.repeat_interleave(8, 2).repeat_interleave(8, 3)
            return (torch.stack([big[:, 0] * 0.2, big[:, 1] * 0 + 0.1, big[:, 1] * 0.1], dim=1),)

    fitted = with_fitted_preview(LatentSpace(4, 8, 1.0), Plain())
    assert torch.allclose(torch.tensor(fitted.preview)[0], torch.tensor([0.2, 0.0, 0.0]), atol=1e-4)
    assert torch.allclose(torch.tensor(fitted.preview)[1], torch.tensor([0.0, 0.0, 0.1]), atol=1e-4)
    assert torch.allclose(torch.tensor(fitted.preview_bias), torch.tensor([0.0, 0.1, 0.0]), atol=1e-4)
    real = with_fitted_preview(LatentSpace(4, 8, 0.18215), vae)
    assert len(real.preview) == 4 and real.preview != fitted.preview
