import numpy as np
import pytest
import torch

from atelier.base.errors import BadRequest
from atelier.sampling import philox
from atelier.sampling.noise import PictureNoise, paste_centred, slerp
from atelier.sampling.philox import Philox
from tests.sampling.cases import cases, close

SHAPE = (4, 8, 8)
SOURCES = ["CPU", "GPU", "NV"]
PHILOX = {key: value for key, value in cases()["philox"].items() if key.isdigit()}


@pytest.mark.parametrize("seed", list(PHILOX))
def test_recorded_philox(seed):
    philox = Philox(int(seed))
    close(philox.randn((4,)), PHILOX[seed]["first_call_shape_4"], atol=1e-6)
    close(philox.randn((2, 3)).flatten(), PHILOX[seed]["second_call_shape_2x3"], atol=1e-6)


def test_large_draws_are_made_in_blocks_without_a_seam(monkeypatch):
    blocked = Philox(5).randn((4, 64, 64))
    monkeypatch.setattr(philox, "BLOCK", 1 << 20)
    assert np.array_equal(blocked, Philox(5).randn((4, 64, 64)))
    assert Philox(5).randn((0,)).shape == (0,)


def test_recorded_philox_of_the_documentation():
    drawn = Philox(0).randn((3, 4))
    assert drawn.dtype == np.float32
    close(drawn, cases()["philox"]["doc_example_seed0_3x4"], atol=1e-6)


@pytest.mark.parametrize("name", list(cases()["torch_cpu_randn"]))
def test_recorded_numbers_of_the_cpu(name):
    seed, _, large = name.partition(" first of ")
    shape = (4, 64, 64) if large else (1, 2, 4)
    drawn = PictureNoise(shape, [int(seed)], source="CPU").first()
    expected = cases()["torch_cpu_randn"][name]
    close(drawn.flatten()[: len(expected)], expected, atol=1e-6)


@pytest.mark.parametrize("value", [0.3, 1.0])
def test_recorded_slerp(value):
    low, high = (torch.from_numpy(Philox(seed).randn((2, 2, 2))) for seed in (1, 2))
    close(slerp(value, low, high).flatten(), cases()["slerp"][f"val_{value}"], rtol=1e-4)


def test_slerp_of_nearly_parallel_noise_swaps_the_roles():
    low = torch.ones(1, 4, 4) + torch.rand(1, 4, 4) * 1e-4
    close(slerp(0.25, low, low * 2), low * 0.25 + low * 2 * 0.75)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("delta", [0, 31337])
def test_a_batch_equals_single_pictures(source, delta):
    seeds, subseeds = [5, 2**40, 7], [100, 101, 102]

    def draws(numbers):
        noise = PictureNoise(
            SHAPE, [seeds[n] for n in numbers], [subseeds[n] for n in numbers], 0.25, (40, 96), source, delta
        )
        return [noise.first(), noise.next(), noise.next()]

    together = draws([0, 1, 2])
    for number in range(3):
        for drawn, alone in zip(together, draws([number])):
            assert torch.equal(drawn[number : number + 1], alone)


def test_first_and_later_draws_come_from_one_sequence():
    noise = PictureNoise(SHAPE, [3], source="CPU")
    generator = torch.Generator().manual_seed(3)
    for drawn in (noise.first(), noise.next(), noise.next()):
        assert torch.equal(drawn[0], torch.randn(SHAPE, generator=generator))


def test_the_seed_delta_moves_later_draws_only():
    plain, moved, other = (
        PictureNoise(SHAPE, [seed], source="CPU", eta_seed_delta=delta) for seed, delta in ((3, 0), (3, 4), (7, 0))
    )
    assert torch.equal(plain.first(), moved.first())
    assert torch.equal(moved.next(), other.first())


def test_variation_is_between_two_seeds():
    low = PictureNoise(SHAPE, [3], source="CPU").first()
    high = PictureNoise(SHAPE, [4], source="CPU").first()
    assert torch.equal(PictureNoise(SHAPE, [3], [4], 0.0, source="CPU").first(), low)
    close(PictureNoise(SHAPE, [3], [4], 1.0, source="CPU").first(), high, atol=1e-4)
    middle = PictureNoise(SHAPE, [3], [4], 0.5, source="CPU").first()
    close(middle[0], slerp(0.5, low[0], high[0]))


def test_resized_seeds_keep_their_middle():
    small = PictureNoise((4, 4, 6), [3], source="CPU").first()
    large = PictureNoise(SHAPE, [3], resize_from=(32, 48), source="CPU").first()
    assert torch.equal(large[:, :, 2:6, 1:7], small)
    assert not torch.equal(large[:, :, :4, :6], small)
    tall = PictureNoise((4, 2, 8), [3], resize_from=(32, 48), source="CPU").first()
    assert torch.equal(tall[:, :, :, 1:7], small[:, :, 1:3])


def test_pasting_something_larger_on_both_sides():
    target = paste_centred(torch.arange(36.0).reshape(1, 6, 6), torch.zeros(1, 2, 2))
    assert target.tolist() == [[[14.0, 15.0], [20.0, 21.0]]]


@pytest.mark.parametrize("source", SOURCES)
def test_pictures_that_wait_do_not_draw(source):
    noise, alone = PictureNoise(SHAPE, [1, 2], source=source), PictureNoise(SHAPE, [2], source=source)
    noise.first(), alone.first()
    drawn = noise.next([True, False])
    assert not drawn[1].any() and drawn[0].any()
    assert torch.equal(noise.next()[1], alone.next()[0])


def test_an_unknown_source_is_refused():
    with pytest.raises(BadRequest, match="randn_source"):
        PictureNoise(SHAPE, [1], source="TPU")


@pytest.mark.parametrize("seed", [0, 2**40, 2**63 + 5, -1])
@pytest.mark.parametrize("source", SOURCES)
def test_any_whole_number_is_a_seed(source, seed):
    noise = PictureNoise((1, 2, 2), [seed], source=source)
    assert torch.isfinite(noise.first()).all()
    assert torch.isfinite(noise.brownian(0.1, 10.0)(5.0, 1.0)).all()


def test_one_walk_for_a_whole_batch_depends_on_the_batch_and_on_nothing_else():
    def drawn(seeds, source="CPU"):
        path = PictureNoise((4, 8, 8), seeds, source=source).brownian(0.03, 14.6, together=True)
        return torch.stack([path(14.6, 5.0), path(5.0, 0.5)])

    both, again = drawn([1, 2]), drawn([1, 2])
    assert torch.equal(both, again) and both.shape == (2, 2, 4, 8, 8)
    assert not torch.equal(both[:, 1:], drawn([2]))
    assert float(both.std()) == pytest.approx(1.0, abs=0.1)
    assert torch.isfinite(drawn([-5, 2**63], "NV")).all()
