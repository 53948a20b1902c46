"""Estimates against tensors that were counted one by one, and their correction by measured peaks."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn

from atelier.device.estimate import CUSHION, FARTHEST, Estimate, Estimator, Sizes, gigabytes
from tests.device.tracing import peak_of
from tests.families.test_sdxl import BASE_UNET, REFINER_UNET
from tests.tiny import FULL, TinySizes, tiny_unet, tiny_vae

MPS = torch.device("mps")
#: as SDXL and SD 2: no attention in the first level
DEEP = TinySizes(channel_mult=(1, 2, 4), attention_resolutions=(2, 4), res_blocks=2)


@pytest.fixture(scope="module")
def meta_unet():
    with torch.device("meta"):
        return tiny_unet(FULL).half()


@pytest.fixture(scope="module")
def meta_vae():
    with torch.device("meta"):
        return tiny_vae(FULL).half()


def denoise(unet, rows, height, width):
    """One call, on the device and in the precision of the network."""
    first = next(unet.parameters())
    make = {"device": first.device, "dtype": first.dtype}
    context = torch.zeros(rows, 77, unet.config.cross_attention_dim, **make)
    return lambda: unet(torch.zeros(rows, 4, height, width, **make), torch.zeros(rows, device=first.device), context)[0]


def code(vae, what, height, width):
    first = next(vae.parameters())
    make = {"device": first.device, "dtype": first.dtype}
    if what == "decode":
        return lambda: vae.decode(torch.zeros(1, 4, height, width, **make), return_dict=False)[0]
    return lambda: vae.encode(torch.zeros(1, 3, 8 * height, 8 * width, **make)).latent_dist.mean


def near(estimate, counted, low=0.98, high=1.15):
    """Never much below what was counted, and not far above."""
    return low * counted <= estimate.bytes / CUSHION <= high * counted


@pytest.mark.parametrize(("rows", "height", "width"), [(2, 64, 64), (4, 96, 64)])
def test_a_full_size_denoiser(meta_unet, rows, height, width):
    estimate = Estimator().denoiser(meta_unet, rows, height, width, "sdpa")
    assert near(estimate, peak_of(meta_unet, denoise(meta_unet, rows, height, width)))


@pytest.mark.parametrize("config", [BASE_UNET, REFINER_UNET])
def test_full_size_denoisers_of_sdxl(config):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config).half()
    make = {"device": "meta", "dtype": torch.half}
    numbers = (config["projection_class_embeddings_input_dim"] - 1280) // 256
    told = {"text_embeds": torch.zeros(2, 1280, **make), "time_ids": torch.zeros(2, numbers, device="meta")}
    context = torch.zeros(2, 77, config["cross_attention_dim"], **make)
    work = lambda: unet(  # noqa: E731
        torch.zeros(2, 4, 128, 128, **make), torch.zeros(2, device="meta"), context, added_cond_kwargs=told
    )
    assert near(Estimator().denoiser(unet, 2, 128, 128, "sdpa"), peak_of(unet, work))


def test_attention_that_keeps_its_scores(meta_unet):
    estimate = Estimator(MPS).denoiser(meta_unet, 2, 64, 64, "sdpa")
    assert near(estimate, peak_of(meta_unet, denoise(meta_unet, 2, 64, 64), fused=False))


@pytest.mark.parametrize("what", ["decode", "encode"])
def test_a_full_size_autoencoder(meta_vae, what):
    estimate = getattr(Estimator(), what)(meta_vae, 64, 96, "sdpa")
    assert near(estimate, peak_of(meta_vae, code(meta_vae, what, 64, 96)))


def test_an_autoencoder_whose_scores_are_larger_than_its_maps(meta_vae):
    estimate = Estimator(MPS).decode(meta_vae, 128, 128, "sdpa")
    assert near(estimate, peak_of(meta_vae, code(meta_vae, "decode", 128, 128), fused=False), low=0.85)


@pytest.mark.parametrize("sizes", [TinySizes(), DEEP])
def test_small_denoisers(sizes):
    unet = tiny_unet(sizes)
    estimate = Estimator().denoiser(unet, 2, 16, 16, "sdpa")
    assert near(estimate, peak_of(unet, denoise(unet, 2, 16, 16)))


def test_a_small_autoencoder():
    vae = tiny_vae()
    for what in ("decode", "encode"):
        counted = peak_of(vae, code(vae, what, 8, 8))
        assert near(getattr(Estimator(), what)(vae, 8, 8, "sdpa"), counted, high=1.3)


def test_what_makes_it_more(meta_unet, meta_vae):
    count = lambda *args: Estimator(MPS).denoiser(meta_unet, *args).bytes  # noqa: E731
    assert count(4, 64, 64, "split") > count(2, 64, 64, "split")
    fused = [Estimator().denoiser(meta_unet, 2, 64, 64, kernel).bytes for kernel in ("sdpa", "split", "xformers")]
    assert len({*fused}) == 1
    assert count(2, 64, 128, "sdpa") > count(2, 64, 64, "sdpa") > count(2, 64, 64, "split")
    assert Estimator().decode(meta_vae, 64, 128, "sdpa").bytes == 2 * Estimator().decode(meta_vae, 64, 64, "sdpa").bytes
    double = tiny_vae().double()
    assert Estimator().decode(double, 8, 8, "sdpa").bytes == 2 * Estimator().decode(tiny_vae(), 8, 8, "sdpa").bytes


def test_sizes_are_read_from_the_network(meta_unet):
    assert Sizes.of(meta_unet) == Sizes(channels=320, heads=8, level=0)
    assert Sizes.of(tiny_unet(DEEP)) == Sizes(channels=16, heads=2, level=1)


def test_of_other_networks_nothing_is_known():
    estimate = Estimator().denoiser(nn.Linear(2, 2), 2, 64, 64, "sdpa")
    assert estimate.bytes == 0 and Estimator().decode(nn.Linear(2, 2), 64, 64, "sdpa").bytes == 0


# -- correction by what a device measured


class Meter:
    """A device that needed `needs` bytes."""

    def __init__(self, needs):
        self.needs, self.starts = needs, 0

    def start(self):
        self.starts += 1

    def peak(self):
        return self.needs


@pytest.fixture
def unet():
    return tiny_unet()


def estimator_on(needs):
    return Estimator(torch.device("cuda"), Meter(needs))


def test_a_higher_peak_counts_at_once(unet):
    first = Estimator().denoiser(unet, 2, 16, 16, "sdpa")
    estimator = estimator_on(2 * first.bytes)
    with estimator.measuring(estimator.denoiser(unet, 2, 16, 16, "sdpa")):
        pass
    assert estimator.denoiser(unet, 2, 16, 16, "sdpa").bytes == pytest.approx(2 * first.bytes, rel=0.01)
    # It is a ratio, so it holds for other sizes too, but not for other kernels.
    assert estimator.denoiser(unet, 4, 16, 16, "sdpa").bytes == pytest.approx(4 * first.bytes, rel=0.01)
    assert estimator.denoiser(unet, 2, 16, 16, "split").what != first.what


def test_a_lower_peak_counts_by_and_by(unet):
    first = Estimator().denoiser(unet, 2, 16, 16, "sdpa")
    estimator = estimator_on(first.bytes // 2)
    seen = []
    for _ in range(8):
        estimate = estimator.denoiser(unet, 2, 16, 16, "sdpa")
        seen.append(estimate.bytes)
        with estimator.measuring(estimate):
            pass
    assert seen[1] == pytest.approx(0.75 * first.bytes, rel=0.01) and seen == sorted(seen, reverse=True)
    assert seen[-1] == pytest.approx(first.bytes / 2, rel=0.05)


@pytest.mark.parametrize("times", [0, 2 * FARTHEST, 0.5 / FARTHEST / CUSHION])
def test_a_peak_that_cannot_be_of_this_work_is_ignored(unet, times):
    first = Estimator().denoiser(unet, 2, 16, 16, "sdpa")
    estimator = estimator_on(int(times * first.bytes))
    with estimator.measuring(estimator.denoiser(unet, 2, 16, 16, "sdpa")):
        pass
    assert estimator.denoiser(unet, 2, 16, 16, "sdpa") == first


def test_work_that_failed_or_was_cut_teaches_nothing(unet):
    estimator = estimator_on(10**6)
    estimate = estimator.denoiser(unet, 2, 16, 16, "sdpa")
    with pytest.raises(ValueError), estimator.measuring(estimate):
        raise ValueError
    with estimator.measuring(estimate) as watch:
        watch.drop()
    assert estimator.denoiser(unet, 2, 16, 16, "sdpa") == estimate and estimator.meter.starts == 2


def test_where_the_device_cannot_tell_nothing_is_measured():
    estimator = Estimator.on(torch.device("cpu"))
    assert estimator.meter is None
    with estimator.measuring(Estimate("denoiser", 100)):
        pass
    with estimator_on(5).measuring(Estimate("unknown", 0)):
        pass


def test_sizes_for_people():
    assert gigabytes(1_500_000_000) == "1.5 GB"
