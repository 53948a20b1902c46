"""The small files that ship: within their sizes, and read by the product's own loaders as the starter wrote them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from atelier.checkpoints.approx import with_matrix
from atelier.families.sd1 import LATENT
from atelier.families.tiny_autoencoder import build_tiny
from atelier.tools.rrdb import rrdb
from starter import approximations as approx
from starter import upscaler
from starter.train_approximations import NAME

ROOT = Path(__file__).parents[2]
APPROX = ROOT / "models/VAE-approx"
LARGEST, TOGETHER = 60_000_000, 150_000_000


def shipped() -> list[Path]:
    found = [p for folder in ("models", "embeddings", "starter/state") for p in (ROOT / folder).rglob("atelier-*")]
    return [p for p in found if p.is_file()]


def test_weights_stay_within_what_a_repository_can_carry():
    sizes = {path.name: path.stat().st_size for path in shipped()}
    assert max(sizes.values()) <= LARGEST, sizes
    assert sum(sizes.values()) <= TOGETHER, sizes


@pytest.mark.parametrize("side, kind, given", (
    ("decoder", approx.TinyDecoder, (1, 4, 8, 8)), ("encoder", approx.TinyEncoder, (1, 3, 64, 64)),
))  # fmt: skip
def test_product_reads_the_tiny_networks_alike(side, kind, given):
    path = APPROX / f"{NAME}-taesd_{side}.safetensors"
    ours, theirs = approx.load_network(path, kind), build_tiny(load_file(path), side)
    x = torch.rand(given, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x), atol=1e-4)


def test_product_reads_the_matrix():
    path = APPROX / f"{NAME}-rgb.safetensors"
    file = load_file(path)
    space = with_matrix(LATENT, file, path)
    latents = torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(0)) / 4
    ours = approx.apply_matrix(latents, file["weight"].float(), file["bias"].float())
    assert torch.allclose(space.preview_rgb(latents), ((ours + 1) / 2).clamp(0, 1), atol=1e-4)


@pytest.mark.parametrize("scale", (2, 4))
def test_product_reads_upscalers_alike(scale):
    path = ROOT / f"models/ESRGAN/atelier-{scale}x.safetensors"
    opened, ours = rrdb({key: value.float() for key, value in load_file(path).items()}), upscaler.load(path)
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert opened.scale == scale
        assert torch.allclose(opened.run(x), ours(x), atol=1e-3)
