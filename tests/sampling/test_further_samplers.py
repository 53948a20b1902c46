"""The samplers that A1111 has not, each against its formula written out once more."""

import numpy as np
import pytest
import torch

from atelier.sampling.samplers import adams, cfgpp, dpm, euler, exponential, gradient, multistep, seeds, stochastic
from atelier.sampling.samplers.quadrature import step_weights
from tests.sampling.cases import close, quiet
from tests.sampling.test_samplers import Toy, halves

SIGMAS = torch.tensor([9.0, 5.0, 3.2, 1.5, 0.6, 0.2, 0.0], dtype=torch.float64)
START = torch.tensor([1, -0.5, 0.25, 2.0], dtype=torch.float64).reshape(1, 1, 2, 2) * 9


def walk(function, model=None, **options):
    return function(model or Toy(), START, SIGMAS, noise=halves(START), on_step=quiet, **options)


def two(x, sigma):
    """A guided guess, and another one without guidance."""
    guess = Toy()(x, sigma)
    return guess, guess * 0.7 - 0.1


def same(x, sigma):
    guess = Toy()(x, sigma)
    return guess, guess


def slope(x, i):
    return (x - Toy()(x, SIGMAS[i])) / SIGMAS[i]


def test_ipndm_takes_steps_for_even():
    x, old = START, []
    for i in range(5):
        d, h = slope(x, i), SIGMAS[i + 1] - SIGMAS[i]
        rules = [d, (3 * d - old[0]) / 2 if i > 0 else 0, (23 * d - 16 * old[0] + 5 * old[1]) / 12 if i > 1 else 0]
        rules.append((55 * d - 59 * old[0] + 37 * old[1] - 9 * old[2]) / 24 if i > 2 else 0)
        x = x + h * rules[min(i, 3)]
        old = [d, *old]
    close(walk(adams.ipndm), Toy()(x, SIGMAS[5]))


def test_ipndm_v_is_lms_but_for_the_last_step():
    seen = []
    adams.ipndm_v(Toy(), START, SIGMAS[:-1], noise=halves(START), on_step=seen.append)
    close(seen[-1].denoised, Toy()(multistep.lms(Toy(), START, SIGMAS[:-2], noise=None, on_step=quiet), SIGMAS[4]))


def test_deis_integrates_polynomials_in_time():
    """The weights by the authors' own sum over the variance preserving process, with many points."""
    slope_, start_ = float(adams.BETA_SLOPE), float(adams.BETA_START)
    times = [float(adams._time(np.float64(s))) for s in (9.0, 5.0, 3.2, 1.5)]
    t = np.linspace(times[2], times[3], 200_001)
    t = (t[1:] + t[:-1]) / 2
    alpha = np.exp(-0.5 * t**2 * slope_ - t * start_)
    integrand = 0.5 * (slope_ * t + start_) / np.sqrt(alpha * (1 - alpha)) * (times[3] - times[2]) / 200_000
    known = times[2::-1]
    for j, weight in enumerate(step_weights([3.2, 5.0, 9.0], 3.2, 1.5, time=adams._time)):
        others = [p for k, p in enumerate(known) if k != j]
        poly = np.prod([(t - p) / (known[j] - p) for p in others], axis=0)
        assert weight == pytest.approx(float(np.sum(integrand * poly)), rel=1e-6)
    assert torch.isfinite(walk(adams.deis)).all()


def test_weights_of_an_even_step_are_those_of_the_textbook():
    close(step_weights([0.0, 1.0, 2.0], 0.0, -1.0), [-23 / 12, 16 / 12, -5 / 12])


def test_heunpp2():
    x = START
    for i in range(6):
        d, h = slope(x, i), SIGMAS[i + 1] - SIGMAS[i]
        if i < 5:
            x_2 = x + d * h
            d_2 = slope(x_2, i + 1)
            w2 = SIGMAS[i + 1] / (3 * SIGMAS[0]) if i < 4 else SIGMAS[i + 1] / (2 * SIGMAS[0])
        if i < 4:
            d_3 = slope(x_2 + d_2 * (SIGMAS[i + 2] - SIGMAS[i + 1]), i + 2)
            w3 = SIGMAS[i + 2] / (3 * SIGMAS[0])
            d = (1 - w2 - w3) * d + w2 * d_2 + w3 * d_3
        elif i == 4:
            d = (1 - w2) * d + w2 * d_2
        x = x + d * h
    close(walk(euler.heunpp2), x)
    toy = Toy()
    walk(euler.heunpp2, toy)
    assert toy.calls == 3 * 4 + 2 + 1


def test_gradient_estimation():
    x, old = START, None
    for i in range(6):
        d = slope(x, i)
        mixed = d if old is None or i == 5 else 2 * d - old
        x, old = x + mixed * (SIGMAS[i + 1] - SIGMAS[i]), d
    close(walk(gradient.gradient_estimation), x)
    close(walk(gradient.gradient_estimation, gamma=1.0), walk(euler.euler))


def test_res_multistep_integrates_a_guess_that_is_linear_in_log_sigma_exactly():
    """x' = e^-h x + the integral of e^-(h-s) (a + b s), here by many points."""

    def linear(x, sigma):
        return torch.full_like(x, float(2 - 3 * sigma.log()))

    sigmas = SIGMAS[:4]
    result = exponential.res_multistep(linear, START, sigmas, noise=None, on_step=quiet)
    x = START * sigmas[1] / sigmas[0] + (1 - sigmas[1] / sigmas[0]) * linear(START, sigmas[0])
    ends = -sigmas.log()
    for i in (1, 2):
        s = torch.linspace(float(ends[i]), float(ends[i + 1]), 200_001, dtype=torch.float64)
        s = (s[1:] + s[:-1]) / 2
        whole = ((s - ends[i + 1]).exp() * (2 + 3 * s)).mean() * (ends[i + 1] - ends[i])
        x = x * sigmas[i + 1] / sigmas[i] + whole
    close(result, x, rtol=1e-7)


def test_exp_heun():
    x = START
    for i in range(5):
        h = float(SIGMAS[i].log() - SIGMAS[i + 1].log())
        phi1, phi2 = (1 - np.exp(-h)) / h, (np.exp(-h) - 1 + h) / h**2
        first = Toy()(x, SIGMAS[i])
        second = Toy()(np.exp(-h) * x + h * phi1 * first, SIGMAS[i + 1])
        x = np.exp(-h) * x + h * ((phi1 - phi2) * first + phi2 * second)
    close(walk(exponential.exp_heun), Toy()(x, SIGMAS[5]))


def test_ddpm_has_the_law_of_euler_a():
    close(walk(stochastic.ddpm), walk(euler.euler_ancestral, eta=1.0))


def test_er_sde_by_its_third_taylor_rule():
    def scale(s):
        return s * (np.exp(s**0.3) + 10)

    x, old, old_bend = START, None, None
    levels = SIGMAS.tolist()
    for i in range(5):
        a, b = levels[i], levels[i + 1]
        guess, ratio = Toy()(x, SIGMAS[i]), scale(b) / scale(a)
        s = np.linspace(b, a, 100_001)
        s, ds = (s[1:] + s[:-1]) / 2, (a - b) / 100_000
        x = ratio * x + (1 - ratio) * guess + 0.5 * (b**2 - a**2 * ratio**2) ** 0.5
        if old is not None:
            bend = (guess - old) / (a - levels[i - 1])
            x = x + (b - a + np.sum(ds / scale(s)) * scale(b)) * bend
            if old_bend is not None:
                second = 2 * (bend - old_bend) / (a - levels[i - 2])
                x = x + ((b - a) ** 2 / 2 + np.sum((s - a) / scale(s) * ds) * scale(b)) * second
            old_bend = bend
        old = guess
    close(walk(stochastic.er_sde), Toy()(x, SIGMAS[5]), rtol=1e-6)


def test_sa_solver_adds_the_noise_of_its_process():
    """With a constant guess every level has a known mean and a known amount of noise."""
    seen = []

    def constant(x, sigma):
        seen.append(x)
        return torch.full_like(x, 2.0)

    walk(stochastic.sa_solver, constant, eta=0.5)
    mean, drawn = START, 0.0
    for i in range(5):
        tau = 0.5 if stochastic.TAU_LOW <= SIGMAS[i] <= stochastic.TAU_HIGH else 0.0
        shrunk = (SIGMAS[i + 1] / SIGMAS[i]) ** (1 + tau**2)
        noise = SIGMAS[i + 1] * (1 - (SIGMAS[i + 1] / SIGMAS[i]) ** (2 * tau**2)) ** 0.5
        mean = shrunk * mean + (1 - shrunk) * 2.0 + 0.5 * noise
        close(seen[i + 1], mean)
        drawn += float(noise)
    assert drawn > 0


def test_seeds_without_noise_is_the_single_step_solver():
    close(walk(seeds.seeds_2, eta=0.0), walk(dpm.dpmpp_2s_ancestral, eta=0.0))


@pytest.mark.parametrize("function", [seeds.seeds_2, seeds.seeds_3])
@pytest.mark.parametrize("eta", [0.6, 1.0])
def test_seeds_ends_every_step_with_the_noise_of_its_process(function, eta):
    """With a guess of zero and independent draws, the variance of x is known at the end of a step."""
    generator = torch.Generator().manual_seed(4)
    x = torch.zeros(1, 1, 300, 300, dtype=torch.float64)

    def noise(sigma, sigma_next, active=None):
        return torch.randn(x.shape, generator=generator, dtype=torch.float64)

    sigmas = torch.tensor([5.0, 2.0], dtype=torch.float64)
    end = function(lambda x, sigma: torch.zeros_like(x), x, sigmas, noise=noise, on_step=quiet, eta=eta)
    assert float(end.std()) == pytest.approx(2 * (1 - (2 / 5) ** (2 * eta)) ** 0.5, rel=0.01)


def test_pece_asks_again_after_each_correction():
    toy = Toy()
    walk(stochastic.sa_solver_pece, toy)
    assert toy.calls == 6 + 4


def test_euler_cfgpp_goes_to_the_guided_guess_with_unguided_noise():
    x = START
    for i in range(6):
        guided, base = two(x, SIGMAS[i])
        x = guided + SIGMAS[i + 1] * (x - base) / SIGMAS[i]
    close(walk(cfgpp.euler_cfgpp, two), x)


def test_dpmpp_2m_cfgpp_remembers_unguided_guesses():
    x, old = START, None
    for i in range(5):
        guided, base = two(x, SIGMAS[i])
        h = float(SIGMAS[i].log() - SIGMAS[i + 1].log())
        extra = 0.0
        if old is not None:
            r = float(SIGMAS[i - 1].log() - SIGMAS[i].log()) / h
            extra = -np.expm1(-h) / (2 * r) * (base - old)
        x, old = guided + np.exp(-h) * (x - base) + extra, base
    close(walk(cfgpp.dpmpp_2m_cfgpp, two), two(x, SIGMAS[5])[0])


@pytest.mark.parametrize(
    ("plus", "plain", "options"),
    [
        (cfgpp.euler_cfgpp, euler.euler, {}),
        (cfgpp.euler_ancestral_cfgpp, euler.euler_ancestral, {"eta": 0.8}),
        (cfgpp.dpmpp_2m_cfgpp, multistep.dpmpp_2m, {}),
        (exponential.res_multistep_cfgpp, exponential.res_multistep, {}),
        (exponential.res_multistep_ancestral_cfgpp, exponential.res_multistep_ancestral, {"eta": 0.8}),
        (gradient.gradient_estimation_cfgpp, gradient.gradient_estimation, {}),
    ],
)
def test_without_guidance_cfgpp_changes_nothing(plus, plain, options):
    close(walk(plus, same, **options), walk(plain, **options))


def test_an_eta_that_leaves_no_step_down_is_walked():
    for function in (exponential.res_multistep_ancestral, euler.euler_ancestral):
        assert torch.isfinite(walk(function, eta=50.0)).all()
