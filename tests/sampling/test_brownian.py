import pytest
import torch

from atelier.sampling.brownian import BrownianPath
from atelier.sampling.noise import PictureNoise

SHAPE = (4, 8, 8)
SIGMAS = [14.614643, 7.3, 7.25, 1.5, 0.4, 0.05, 0.029168]


def path(seed=7, start=0.029168, end=14.614643):
    def draw(number):
        return torch.randn(SHAPE, generator=torch.Generator().manual_seed(number))

    return BrownianPath(draw, start, end, seed)


def test_equals_the_tree_of_torchsde():
    torchsde = pytest.importorskip("torchsde")
    tree = torchsde.BrownianTree(SIGMAS[-1], torch.zeros(SHAPE), SIGMAS[0], entropy=7)
    ours = path()
    for high, low in [*zip(SIGMAS, SIGMAS[1:]), (14.0, 0.5), (SIGMAS[0], SIGMAS[-1])]:
        torch.testing.assert_close(ours.increment(low, high), tree(low, high), rtol=1e-5, atol=1e-5)


def test_the_order_of_questions_does_not_matter():
    spans = list(zip(SIGMAS[1:], SIGMAS))
    forward, backward = path(), path()
    first = [forward.increment(a, b) for a, b in spans]
    second = [backward.increment(a, b) for a, b in reversed(spans)]
    assert all(torch.equal(one, two) for one, two in zip(first, reversed(second)))
    torch.testing.assert_close(sum(first), forward.increment(SIGMAS[-1], SIGMAS[0]), rtol=1e-4, atol=1e-4)


def test_increments_have_the_variance_of_their_span():
    walks = [path(seed) for seed in range(40)]
    for low, high in ((0.03, 0.05), (1.0, 1.5), (2.0, 14.0)):
        drawn = torch.stack([walk.increment(low, high) for walk in walks]) / (high - low) ** 0.5
        assert abs(float(drawn.std()) - 1) < 0.03 and abs(float(drawn.mean())) < 0.03


def test_a_point_has_no_increment_and_outside_is_the_end():
    walk = path()
    assert walk.increment(2.0, 2.0) is None
    assert torch.equal(walk.increment(0.0, 100.0), walk.increment(SIGMAS[-1], SIGMAS[0]))


@pytest.mark.parametrize("source", ["CPU", "NV"])
def test_walks_of_a_batch_equal_single_walks(source):
    together = PictureNoise(SHAPE, [1, 2, 3], source=source).brownian(SIGMAS[-1], SIGMAS[0])
    for place, seed in enumerate([1, 2, 3]):
        alone = PictureNoise(SHAPE, [seed], source=source).brownian(SIGMAS[-1], SIGMAS[0])
        for high, low in zip(SIGMAS, SIGMAS[1:]):
            assert torch.equal(together(high, low)[place], alone(high, low)[0])


def test_noise_down_is_the_negative_of_noise_up():
    noise = PictureNoise(SHAPE, [1], source="CPU").brownian(SIGMAS[-1], SIGMAS[0])
    assert torch.equal(noise(5.0, 2.0), -noise(2.0, 5.0))
    assert not noise(5.0, 5.0).any()
