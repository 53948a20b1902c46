import pytest
import torch

from atelier.sampling.conditioning import Conditioning
from atelier.sampling.guidance import ClassifierFree
from tests.sampling.cases import close
from tests.sampling.toys import GaussianNetwork, conditioning, constant, denoiser

SIGMA = 5.0


def guess(cond, guidance, images=1, calls=1, network=None, sigma=SIGMA):
    model = denoiser(network or GaussianNetwork(), cond, guidance=guidance)
    model.total_calls = calls
    return [model(torch.zeros(images, 4, 2, 2), torch.tensor(sigma)) for _ in range(calls)]


def plain(value):
    return guess(conditioning([value]), ClassifierFree(1.0))[0]


def test_the_sum_over_parts():
    cond = Conditioning((((0.5, constant(1.0)), (-0.25, constant(3.0))),), (constant(-2.0),))
    base = plain(-2.0)
    expected = base + 0.5 * 7 * (plain(1.0) - base) - 0.25 * 7 * (plain(3.0) - base)
    close(guess(cond, ClassifierFree(7.0))[0], expected)


class Counting(float):
    """A scale as one known extension passes it: gives another value at each multiplication."""

    def __new__(cls, value):
        made = super().__new__(cls, value)
        made.seen = []
        return made

    def __mul__(self, other):
        self.seen.append(other)
        return other * len(self.seen)

    __rmul__ = __mul__


def test_the_scale_is_multiplied_once_a_picture_and_part_as_the_very_object():
    scale = Counting(7.0)
    cond = Conditioning(
        (((0.5, constant(1.0)), (2.0, constant(3.0))), ((1.0, constant(2.0)),)), (constant(0.0), constant(0.0))
    )
    first, second = guess(cond, ClassifierFree(scale, skip_at_one=True), images=2, calls=2)
    assert scale.seen == [0.5, 2.0, 1.0, 0.5, 2.0, 1.0]
    base = plain(0.0)
    close(first[1:], base + 3 * (plain(2.0) - base))
    close(second[1:], base + 6 * (plain(2.0) - base))


@pytest.mark.parametrize(("every", "rows"), [(False, [2, 1, 2, 1]), (True, [1, 1, 1, 1])])
def test_the_negative_is_left_out_below_a_sigma(every, rows):
    seen = []
    network = GaussianNetwork()

    def count(inputs):
        seen.append(len(inputs.rows))
        return network(inputs)

    results = guess(conditioning([1.0]), ClassifierFree(7.0, SIGMA + 1, every), calls=4, network=count)
    assert seen == rows
    close(results[1], plain(1.0))
    guess(conditioning([1.0]), ClassifierFree(7.0, SIGMA - 1, every), calls=4, network=count)
    assert seen[4:] == [2, 2, 2, 2]


def test_pictures_at_different_sigma_decide_each_for_themselves():
    cond = conditioning([1.0, 1.0])
    guided = guess(cond, ClassifierFree(7.0, 3.0, True), images=2, sigma=[5.0, 2.0])[0]
    alone = [guess(conditioning([1.0]), ClassifierFree(7.0, 3.0, True), sigma=[sigma])[0] for sigma in (5.0, 2.0)]
    assert torch.equal(guided, torch.cat(alone))


def test_the_negative_is_left_out_early():
    seen = []
    network = GaussianNetwork()

    def count(inputs):
        seen.append(len(inputs.rows))
        return network(inputs)

    guess(conditioning([1.0]), ClassifierFree(7.0, skip_early=0.5), calls=4, network=count)
    assert seen == [1, 1, 1, 2]


@pytest.mark.parametrize(("scale", "rows"), [(1.0, 1), (1, 1), (Counting(1.0), 2), (1.5, 2)])
def test_a_plain_scale_of_one_can_do_without(scale, rows):
    seen = []
    network = GaussianNetwork()

    def count(inputs):
        seen.append(len(inputs.rows))
        return network(inputs)

    guess(conditioning([1.0]), ClassifierFree(scale, skip_at_one=True), network=count)
    guess(conditioning([1.0]), ClassifierFree(1.0), network=count)
    assert seen == [rows, 2]
