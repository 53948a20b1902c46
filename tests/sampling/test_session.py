"""Whole passes: step counts, starting noise, and every sampler with every schedule."""

import itertools
import math

import pytest
import torch

from atelier.base.cancel import CancelToken
from atelier.base.errors import BadRequest, Interrupted
from atelier.sampling.catalogue import default_catalogue
from atelier.sampling.noise import PictureNoise
from atelier.sampling.prediction import ConsistencyPrediction, Prediction
from atelier.sampling.session import SamplerOptions, img2img_steps, plan_sampling
from tests.sampling.cases import cases, close, quiet
from tests.sampling.toys import (
    EPS,
    GaussianNetwork,
    conditioning,
    denoiser,
    exact_flow,
    only,
    product_network,
)  # fmt: skip

CATALOGUE = default_catalogue()
SAMPLERS = CATALOGUE.samplers.names()
SCHEDULES = CATALOGUE.schedules.names()
SHAPE = (4, 4, 4)
SEEDS = [11, 12, 13, 14]


def plan(name, schedule="Automatic", steps=8, prediction=EPS, **rest):
    sampler = CATALOGUE.samplers.get(name)
    return plan_sampling(sampler, CATALOGUE.schedule_for(sampler, schedule), steps, prediction, **rest)


def run(the_plan, cond, seeds, network=product_network, source=None, cfg_scale=3.0, **rest):
    noise = PictureNoise(SHAPE, seeds, source="CPU")
    model = denoiser(network, cond, cfg_scale, **rest)
    start = the_plan.start(noise.first(), source)
    return the_plan.run(model, start, noise)


@pytest.mark.parametrize("case", cases()["img2img_steps"], ids=str)
def test_recorded_img2img_steps(case):
    fixed = case["fix_steps"] or case["hires_steps"] is not None
    steps = case["hires_steps"] or case["steps"]
    assert img2img_steps(steps, case["denoise"], fixed) == (case["total_steps"], case["t_enc"])
    made = plan("Euler", steps=steps, denoising_strength=case["denoise"], fixed_steps=fixed)
    assert len(made.sigmas) == case["sigmas_used"] and made.calls == case["model_calls_first_order"]
    network = GaussianNetwork()
    run(made, conditioning([1.0]), [1], network, torch.zeros(1, *SHAPE))
    assert network.calls == case["model_calls_first_order"]


def test_a_fixed_pass_of_strength_zero_changes_nothing():
    source = torch.randn(1, *SHAPE)
    for name in ("Euler", "DDIM"):
        made = plan(name, denoising_strength=0.0, fixed_steps=True)
        assert made.calls == 0 and torch.equal(run(made, conditioning([1.0]), [1], source=source), source)


@pytest.mark.parametrize(
    ("name", "steps", "calls"),
    [("Euler", 20, 20), ("Heun", 20, 39), ("DPM++ SDE", 20, 39), ("DPM fast", 20, 20), ("Restart", 20, 39),
     ("DDIM", 20, 19), ("DDIM", 30, 30), ("PLMS", 20, 20), ("UniPC", 20, 20), ("LCM", 4, 4)],
)  # fmt: skip
def test_how_often_the_network_is_asked(name, steps, calls):
    network, made = GaussianNetwork(), plan(name, steps=steps)
    run(made, conditioning([1.0]), [1], network)
    assert network.calls == calls
    doubled = steps * (2 if made.sampler.second_order else 1)
    assert made.calls == doubled and made.prompt_calls == doubled


def test_prompt_editing_counts_all_steps_in_img2img_too():
    made = plan("Heun", steps=20, denoising_strength=0.5)
    assert made.prompt_calls == 40 and made.calls == 22


@pytest.mark.parametrize("sgm", [False, True])
def test_starting_noise(sgm):
    noise = torch.randn(2, *SHAPE)
    start = plan("Euler", options=SamplerOptions(sgm_noise_multiplier=sgm)).start(noise)
    close(start, noise * ((1 + EPS.sigma_max**2) ** 0.5 if sgm else EPS.sigma_max))
    assert torch.equal(plan("DDIM").start(noise), noise)


def test_starting_noise_over_a_picture():
    noise, source = torch.randn(2, *SHAPE), torch.randn(2, *SHAPE)
    options = SamplerOptions(noise_multiplier=0.5, extra_noise=0.1)
    made = plan("Euler", steps=20, denoising_strength=0.5, options=options)
    close(made.start(noise, source), source + noise * 0.5 * (float(made.sigmas[0]) + 0.1))
    made = plan("DDIM", steps=20, denoising_strength=0.5, options=options)
    assert made.timesteps == tuple(range(1, 502, 50))
    alpha = EPS.alpha_bar(501)
    expected = source * alpha**0.5 + noise * 0.5 * ((1 - alpha) ** 0.5 + 0.1 * alpha**0.5)
    close(made.start(noise, source), expected)


def test_options_about_levels():
    assert len(plan("DPM++ 3M SDE").sigmas) == 9
    close(plan("DPM2", "Karras", 10).sigmas, cases()["discard_next_to_last"]["karras_10"], rtol=1e-5)
    assert len(plan("DDIM", steps=20, options=SamplerOptions(discard_penultimate=True)).timesteps) == 22
    old = plan("Euler", "Karras", options=SamplerOptions(old_karras=True)).sigmas
    close(old[[0, -2]], [10.0, 0.1])
    given = plan("Euler", "Karras", options=SamplerOptions(sigma_min=0.5, sigma_max=5.0, rho=3.0)).sigmas
    close(given[[0, -2]], [5.0, 0.5])
    assert plan("Euler", options=SamplerOptions(quantize=True)).prediction.quantize
    assert isinstance(plan("LCM").prediction, ConsistencyPrediction)
    close(plan("LCM", steps=4).sigmas[[0, -1]], [EPS.sigma_max, 0.0])
    with pytest.raises(BadRequest, match="sigma_min"):
        plan("Euler", "Karras", options=SamplerOptions(sigma_min=20.0))
    with pytest.raises(BadRequest, match="uni_pc_variant"):
        run(plan("UniPC", options=SamplerOptions(uni_pc_variant="bh3")), conditioning([1.0]), [1])


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_batch_equals_single_pictures_bit_for_bit(name):
    cond = conditioning([1.0, 2.0, -1.0, 0.5])
    options = SamplerOptions(s_churn=5.0, eta_ddim=0.7)
    source = torch.linspace(-1, 1, 4 * 64).reshape(4, *SHAPE)
    for strength in (None, 0.6):
        made = plan(name, steps=6, options=options, denoising_strength=strength)
        given = None if strength is None else source
        together = run(made, cond, SEEDS, source=given)
        assert torch.isfinite(together).all()
        for place, seed in enumerate(SEEDS):
            alone_source = None if given is None else given[place : place + 1]
            alone = run(made, only(cond, place), [seed], source=alone_source)
            assert torch.equal(together[place : place + 1], alone), f"picture {place} of {name} at {strength}"


MEAN, SPREAD = 1.5, 0.5


#: every pair that A1111 has; the further samplers on two schedules, the further schedules with two samplers
PAIRS = [
    *itertools.product(SAMPLERS[:20], SCHEDULES[:12]),
    *itertools.product(SAMPLERS[20:], ("automatic", "karras")),
    *itertools.product(("DPM++ 2M", "Euler a"), SCHEDULES[12:]),
]


@pytest.mark.parametrize(("name", "schedule"), PAIRS)
def test_every_sampler_and_schedule_finds_a_known_gaussian(name, schedule):
    """Pictures from N(1.5, 0.5): where noise is added their statistics are right, else each arrives where its flow
    leads."""
    made = plan(name, schedule, steps=40)
    noise = PictureNoise((4, 16, 16), [3], source="CPU")
    # CFG++ steps along the negative's noise: without a prompt of its own it says the same as the positive.
    model = denoiser(GaussianNetwork(SPREAD, made.prediction), conditioning([MEAN], MEAN), 12.5)
    first = noise.first()
    result = made.run(model, made.start(first), noise)
    assert float(result.mean()) == pytest.approx(MEAN, abs=0.1)
    if schedule == "linear_quadratic":
        # Made for models of flow: half of its steps hardly move, and the last one is long.
        return
    # A consistency model's jumps lose spread, and 40 uneven steps are coarse for the stochastic multistep samplers.
    assert float(result.std()) == pytest.approx(SPREAD, abs=0.25 if name == "LCM" or "M SDE" in name else 0.17)


@pytest.mark.parametrize("name", ["Euler", "Heun", "LMS", "DPM2", "DPM++ 2M", "DPM fast", "Restart"])
def test_without_noise_the_probability_flow_is_followed(name):
    made = plan(name, "Karras", steps=18, options=SamplerOptions(eta=0.0))
    start = made.start(torch.linspace(-2, 2, 64).reshape(1, *SHAPE))
    model = denoiser(GaussianNetwork(SPREAD), conditioning([MEAN]), 1.0)
    result = made.run(model, start, PictureNoise(SHAPE, [1], source="CPU"))
    close(result, exact_flow(start, EPS.sigma_max, MEAN, SPREAD), rtol=0.0, atol=0.2 if name == "Euler" else 0.05)


def flow_error(name, steps, **options):
    """Distance from the exact flow, in double precision, over a range in which the last step to zero plays no part."""
    sampler = CATALOGUE.samplers.get(name)
    low, high = 0.5, 5.0
    sigmas = torch.linspace(math.log(high), math.log(low), steps + 1, dtype=torch.float64).exp()
    if sampler.kind == "own":
        sigmas = torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)])[1:]
        sigmas[0] = high

    def denoise(x, sigma):
        guess = (x * SPREAD**2 + MEAN * sigma**2) / (SPREAD**2 + sigma**2)
        return (guess, guess) if sampler.needs_uncond else guess

    x = torch.full((1, 1, 1, 1), 4.0, dtype=torch.float64)
    still = {"noise": lambda *_: torch.zeros_like(x), "on_step": quiet}
    result = sampler.function(denoise, x, sigmas, **still, **options)
    exact = MEAN + (x - MEAN) * ((SPREAD**2 + low**2) / (SPREAD**2 + high**2)) ** 0.5
    return float((result - exact).abs())


@pytest.mark.parametrize(
    ("name", "order", "options"),
    [  # Multistep samplers begin with a step of first order, which leaves them order 2 in the limit.
        ("Euler", 1, {}), ("Euler a", 1, {"eta": 0.0}), ("Heun", 2, {}), ("DPM2", 2, {}), ("DPM2 a", 2, {"eta": 0.0}),
        ("DPM++ 2S a", 2, {"eta": 0.0}), ("DPM++ 2M", 2, {}), ("DPM++ SDE", 2, {"eta": 0.0}),
        ("DPM++ 2M SDE", 2, {"eta": 0.0}), ("DPM++ 2M SDE Heun", 2, {"eta": 0.0}),
        ("DPM++ 3M SDE", 1.7, {"eta": 0.0}), ("LMS", 2, {}), ("DPM fast", 3, {"eta": 0.0}),
        ("HeunPP2", 1, {}), ("IPNDM", 2, {}), ("IPNDM_V", 2, {}), ("DEIS", 2, {}), ("Res Multistep", 2, {}),
        ("Res Multistep a", 2, {"eta": 0.0}), ("Exp Heun 2 x0", 2, {}), ("Gradient Estimation", 1, {}),
        ("ER SDE", 2, {"scale": lambda sigma: sigma}), ("SA-Solver", 2.9, {"eta": 0.0}),
        ("SA-Solver PECE", 2.9, {"eta": 0.0}), ("SEEDS 2", 2, {"eta": 0.0}), ("SEEDS 3", 3, {"eta": 0.0}),
        ("TCD", 1, {"gamma": 0.0, "prediction": EPS}),
        ("Euler CFG++", 1, {}), ("Euler a CFG++", 1, {"eta": 0.0}), ("DPM++ 2M CFG++", 2, {}),
        ("DPM++ 2S a CFG++", 2, {"eta": 0.0}), ("Res Multistep CFG++", 2, {}),
        ("Res Multistep a CFG++", 2, {"eta": 0.0}), ("Gradient Estimation CFG++", 1, {}),
    ],
)  # fmt: skip
def test_order_of_convergence(name, order, options):
    """Twice the steps make the error about 2^order times smaller. Numbers of the form 3k + 2 suit DPM fast, whose
    last step has the order of the remainder."""
    coarse, fine = flow_error(name, 35, **options), flow_error(name, 71, **options)
    assert coarse / fine > 2 ** (order - 0.25)
    if order > 1:
        assert fine < flow_error("Euler", 71) / 10


def test_more_memory_makes_fewer_errors():
    assert flow_error("DPM++ 3M SDE", 32, eta=0.0) < flow_error("DPM++ 2M SDE", 32, eta=0.0) / 2
    assert flow_error("DPM++ 2M", 32) < flow_error("Euler", 32) / 4


def test_timestep_samplers_of_higher_order_are_nearer_than_ddim():
    def error(name):
        made = plan(name, steps=20)
        noise = torch.linspace(-2, 2, 64).reshape(1, *SHAPE)
        model = denoiser(GaussianNetwork(SPREAD), conditioning([MEAN]), 1.0)
        result = made.run(model, made.start(noise), PictureNoise(SHAPE, [1], source="CPU"))
        first, last = EPS.alpha_bar(made.timesteps[-1] if name != "UniPC" else 999), EPS.alpha_bar(made.timesteps[0])
        # The way ends a little above zero noise; compare in the scale of sigma there.
        sigma, end = ((1 - first) / first) ** 0.5, ((1 - last) / last) ** 0.5 if name != "UniPC" else EPS.sigma_min
        last = last if name != "UniPC" else EPS.alpha_bar(0)
        there = exact_flow(noise / first**0.5, sigma, MEAN, SPREAD) - MEAN
        exact = MEAN + there * ((SPREAD**2 + end**2) ** 0.5 / SPREAD)
        return float((result / last**0.5 - exact).abs().max())

    assert error("UniPC") < error("DDIM") and error("PLMS") < error("DDIM")


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_very_few_steps_work(name, steps):
    for strength in (None, 0.01, 1.0):
        source = None if strength is None else torch.zeros(1, *SHAPE)
        made = plan(name, steps=steps, denoising_strength=strength)
        assert torch.isfinite(run(made, conditioning([1.0]), [1], source=source)).all()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_fixed_pass_of_small_strength_works_on_every_schedule(schedule):
    source = torch.zeros(1, *SHAPE)
    for name in ("DPM++ 2M", "DPM++ 2M SDE", "LMS", "UniPC"):
        made = plan(name, schedule, steps=5, denoising_strength=0.003, fixed_steps=True)
        result = run(made, conditioning([1.0]), [1], GaussianNetwork(), source)
        assert torch.isfinite(result).all() and float(result.abs().max()) < 1.5


def test_velocity_models_and_zero_terminal_snr_are_sampled():
    prediction = Prediction.scaled_linear("v", zero_terminal_snr=True)

    def network(inputs):
        eps = GaussianNetwork(SPREAD, prediction)(inputs)
        sigma = inputs.sigma.reshape(-1, 1, 1, 1)
        x = inputs.latents * (sigma**2 + 1) ** 0.5
        return (eps - sigma * (x - sigma * eps)) / (sigma**2 + 1) ** 0.5

    for name in ("Euler", "DDIM", "UniPC"):
        made = plan(name, steps=30, prediction=prediction)
        noise = PictureNoise((4, 16, 16), [1], source="CPU")
        result = made.run(denoiser(network, conditioning([MEAN]), 1.0), made.start(noise.first()), noise)
        assert float(result.mean()) == pytest.approx(MEAN, abs=0.15) and torch.isfinite(result).all()


def test_a_stopped_pass_leaves_its_last_guess():
    token, noise = CancelToken(), PictureNoise(SHAPE, [1], source="CPU")
    made, told = plan("DPM++ 2M", steps=10), []

    def on_step(info):
        told.append(info.index)
        if info.index == 3:
            token.request("stop")

    model = denoiser(GaussianNetwork(), conditioning([1.0]), token=token)
    with pytest.raises(Interrupted):
        made.run(model, made.start(noise.first()), noise, on_step)
    assert told == [0, 1, 2, 3] and model.last_denoised.shape == (1, *SHAPE) and model.total_calls == 10


@pytest.mark.parametrize("name", ["Euler a", "DPM++ 2M", "DDIM", "UniPC"])
def test_what_the_mask_keeps_is_kept_by_blending(name):
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    source = torch.randn(1, *SHAPE)
    made = plan(name, steps=10, denoising_strength=0.8)
    result = run(made, conditioning([1.0]), [1], GaussianNetwork(), source, mask=mask, init_latents=source)
    if made.sampler.kind == "sigma":
        close(result[..., :2], source[..., :2], atol=1e-5)
    assert float(result[..., 2:].mean()) == pytest.approx(3.0, abs=1.0)


@pytest.mark.parametrize("variant", ["bh1", "bh2", "vary_coeff"])
def test_variants_of_unipc_agree_in_the_limit(variant):
    made = plan("UniPC", steps=60, options=SamplerOptions(uni_pc_variant=variant))
    noise = torch.linspace(-2, 2, 64).reshape(1, *SHAPE)
    model = denoiser(GaussianNetwork(SPREAD), conditioning([MEAN]), 1.0)
    result = made.run(model, made.start(noise), PictureNoise(SHAPE, [1], source="CPU"))
    alpha, last = EPS.alpha_bar(999), EPS.alpha_bar(0)
    there = exact_flow(noise / alpha**0.5, EPS.sigma_max, MEAN, SPREAD) - MEAN
    exact = MEAN + there * ((SPREAD**2 + EPS.sigma_min**2) ** 0.5 / SPREAD)
    close(result / last**0.5, exact, atol=0.02, rtol=0.0)


def test_noise_of_a_whole_batch_reaches_sde_samplers():
    cond = conditioning([1.0, 1.0])
    usual, joint = (plan("DPM++ SDE", options=SamplerOptions(joint_noise=on)) for on in (False, True))
    assert not torch.equal(run(usual, cond, [1, 2]), run(joint, cond, [1, 2]))
    assert torch.equal(run(joint, cond, [1, 2]), run(joint, cond, [1, 2]))


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("source", ["CPU", "NV"])
def test_a_seed_gives_the_same_picture_in_every_run(name, source):
    """With a variation, a resized seed and a delta, so that every kind of draw takes part."""
    made, cond = plan(name, steps=4, options=SamplerOptions(s_churn=5.0, eta_ddim=0.7)), conditioning([1.0, 2.0])

    def picture(seeds, subseeds, texts):
        noise = PictureNoise(SHAPE, seeds, subseeds, 0.3, (16, 16), source, eta_seed_delta=31337)
        return made.run(denoiser(product_network, texts, 3.0), made.start(noise.first()), noise)

    both = picture([5, 6], [7, 8], cond)
    assert torch.equal(both, picture([5, 6], [7, 8], cond))
    assert torch.equal(both[1:], picture([6], [8], only(cond, 1)))
    assert not torch.equal(both[1:], picture([6], [9], only(cond, 1)))
