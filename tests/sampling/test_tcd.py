"""TCD against diffusers' TCDScheduler, and at the ends of its gamma."""

import pytest
import torch
from diffusers import TCDScheduler

from atelier.sampling.catalogue import default_catalogue
from atelier.sampling.noise import PictureNoise
from atelier.sampling.prediction import Prediction
from atelier.sampling.samplers.euler import euler
from atelier.sampling.samplers.tcd import tcd
from atelier.sampling.session import SamplerOptions, plan_sampling
from tests.sampling.cases import close, quiet
from tests.sampling.test_samplers import Toy
from tests.sampling.toys import EPS, GaussianNetwork, conditioning, denoiser

CATALOGUE = default_catalogue()
SHAPE = (4, 6, 6)


def plan(steps, schedule="Automatic", **rest):
    sampler = CATALOGUE.samplers.get("TCD")
    return plan_sampling(sampler, CATALOGUE.schedule_for(sampler, schedule), steps, rest.pop("prediction", EPS), **rest)


def scheduler(steps, kind="epsilon"):
    found = TCDScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=kind, clip_sample=False
    )
    found.set_timesteps(steps)
    return found


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 8, 16, 33, 50])
def test_automatic_walks_the_published_timesteps(steps):
    sigmas = plan(steps).sigmas
    assert EPS.sigma_to_t(sigmas[:-1]).round().tolist() == scheduler(steps).timesteps.tolist()
    assert sigmas[-1] == 0


def test_more_steps_than_were_distilled_are_walked_too():
    sigmas = plan(60).sigmas
    assert len(sigmas) == 61 and (sigmas[1:] < sigmas[:-1]).all() and sigmas[0] == pytest.approx(EPS.sigma_max)


@pytest.mark.parametrize("kind", ["eps", "v"])
@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 4, 9])
def test_steps_are_those_of_diffusers(kind, gamma, steps):
    """With the same noise; diffusers ends at the first timestep, so here the last sigma is that one's too."""
    prediction = Prediction.scaled_linear(kind)
    theirs = scheduler(steps, {"eps": "epsilon", "v": "v_prediction"}[kind])
    start = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x, generator = start, torch.Generator().manual_seed(2)
    for t in theirs.timesteps:
        x = theirs.step(output(kind, x, t), t, x, eta=gamma, generator=generator).prev_sample

    def denoise(x, sigma):
        t = int(prediction.sigma_to_t(sigma.reshape(1)).round())
        alpha = theirs.alphas_cumprod[t].double()
        found = output(kind, x * alpha**0.5, t)
        return prediction.denoised(x, found, sigma.reshape(1))

    own = torch.Generator().manual_seed(2)
    alphas = theirs.alphas_cumprod.double()
    table = ((1 - alphas) / alphas) ** 0.5
    sigmas = table[[*theirs.timesteps.tolist(), 0]]
    mine = tcd(
        denoise, start / alphas[theirs.timesteps[0]] ** 0.5, sigmas, on_step=quiet, prediction=prediction, gamma=gamma,
        noise=lambda *_: torch.randn(1, *SHAPE, generator=own, dtype=torch.float64),
    )  # fmt: skip
    close(mine * alphas[0] ** 0.5, x, rtol=1e-4, atol=1e-4)


def output(kind, x, t):
    """Something that a network might give: it depends on latents and time."""
    return torch.tanh(x) * 0.7 + 0.1 * float(t) / 1000 + (0.2 if kind == "v" else 0.0)


def test_no_gamma_is_euler_and_a_whole_one_forgets_where_it_was():
    sigmas = torch.tensor([9.0, 5.0, 1.5, 0.2, 0.0], dtype=torch.float64)
    start = torch.linspace(-9, 9, 4, dtype=torch.float64).reshape(1, 1, 2, 2)
    given = {"on_step": quiet, "noise": lambda *_: torch.full_like(start, 0.5)}
    close(tcd(Toy(), start, sigmas, prediction=EPS, gamma=0.0, **given), euler(Toy(), start, sigmas, **given))
    seen = []
    tcd(lambda x, sigma: seen.append(x) or torch.full_like(x, 2.0), start, sigmas, prediction=EPS, gamma=1.0, **given)
    low = EPS.sigma_min
    close(seen[1].std(), low * start.std() / 9, rtol=1e-4)
    for x, sigma in zip(seen[1:], sigmas[1:-1]):
        assert float(x.mean()) == pytest.approx(2 + 0.5 * (float(sigma) ** 2 - low**2) ** 0.5, abs=2 * low)


def test_gamma_comes_from_the_options():
    def picture(gamma):
        noise = PictureNoise(SHAPE, [3], source="CPU")
        made = plan(4, options=SamplerOptions(tcd_gamma=gamma))
        model = denoiser(GaussianNetwork(), conditioning([1.0]), 1.0)
        return made.run(model, made.start(noise.first()), noise)

    assert torch.equal(picture(0.3), picture(0.3)) and not torch.equal(picture(0.3), picture(0.6))
    assert torch.equal(picture(0.0), picture(-2.0)) and torch.isfinite(picture(5.0)).all()
