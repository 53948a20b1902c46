"""Each guidance method against its formula, written out once more, and that being off leaves no trace."""

import math
from contextlib import contextmanager

import pytest
import torch
from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer, normalized_guidance
from diffusers.guiders.guider_utils import rescale_noise_cfg
from diffusers.pipelines.deprecated.stable_diffusion_sag.pipeline_stable_diffusion_sag import gaussian_blur_2d

from atelier.sampling.conditioning import Conditioning
from atelier.sampling.guidance import ClassifierFree, scaled_guess
from atelier.sampling.guides.blur import blurred
from atelier.sampling.guides.perturbed import PerturbedAttention
from atelier.sampling.guides.projected import AdaptiveProjected, usual_threshold
from atelier.sampling.guides.rescale import Rescale
from atelier.sampling.guides.self_attention import SelfAttentionGuidance
from atelier.sampling.guides.threshold import SMALLEST, DynamicThreshold, ThresholdOptions, scaled_at
from atelier.sampling.prediction import Prediction, per_row
from atelier.sampling.step import StepHooks
from tests.sampling.cases import close
from tests.sampling.toys import EPS, conditioning, constant, denoiser, only, product_network

SIGMA = torch.tensor(3.0)
X = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(5)) * 4
COND = conditioning([1.0, 2.0])
#: what the toy network gives with each prompt and with the negative
Dc = denoiser(product_network, COND)(X, SIGMA)
Du = denoiser(product_network, conditioning([0.0, 0.0]))(X, SIGMA)


def guess(guidance, network=product_network, cond=COND, x=X, calls=1, **rest):
    model = denoiser(network, cond, guidance=guidance, total_calls=calls, **rest)
    return [model(x, SIGMA) for _ in range(calls)]


def batch_equals_singles(make, network=product_network):
    together = guess(make(), network, calls=2)[1]
    for k in (0, 1):
        alone = guess(make(), network, only(COND, k), X[k : k + 1], calls=2)[1]
        assert torch.equal(together[k : k + 1], alone)


def test_a_plain_scale_is_what_classifier_free_guidance_does():
    seen = []
    hooks = StepHooks(after_denoise=lambda step: seen.append(scaled_guess(step, 5.0)))
    close(guess(ClassifierFree(5.0), hooks=hooks)[0], seen[0])
    guess(ClassifierFree(5.0, skip_early=1.0), hooks=hooks)
    close(seen[1], Dc)


@pytest.mark.parametrize("kind", ["eps", "v"])
@pytest.mark.parametrize("phi", [0.3, 1.0])
def test_rescale_is_that_of_the_paper_on_what_the_network_predicts(kind, phi):
    prediction = Prediction.scaled_linear(kind)
    model = denoiser(product_network, COND, guidance=Rescale(ClassifierFree(9.0), phi, prediction))
    model.prediction = prediction
    scaled = X / (1 + SIGMA**2) ** 0.5
    outputs = [product_network_output(scaled, value) for value in ([1.0, 2.0], [0.0, 0.0])]
    mixed = outputs[1] + 9.0 * (outputs[0] - outputs[1])
    wanted = rescale_noise_cfg(mixed, outputs[0], phi)
    close(model(X, SIGMA), prediction.denoised(X, wanted, SIGMA.expand(2)), rtol=1e-4, atol=1e-4)


def product_network_output(latents, values):
    level = torch.tensor(values) * 6 * 0.1 + EPS.sigma_to_t(SIGMA.reshape(1)) * 0.0005
    return latents * 0.5 + latents.roll(1, -1) * 0.25 + per_row(level, latents)


def test_rescale_treats_each_picture_alone_and_survives_a_flat_one():
    batch_equals_singles(lambda: Rescale(ClassifierFree(9.0), 0.7, EPS))
    flat = guess(Rescale(ClassifierFree(9.0), 0.7, EPS), network=lambda inputs: torch.zeros_like(inputs.latents))[0]
    assert torch.isfinite(flat).all()


@pytest.mark.parametrize(("eta", "threshold", "momentum"), [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.4, 3.0, -0.75)])
def test_apg_is_that_of_its_paper(eta, threshold, momentum):
    """Against diffusers, whose threshold means the same; two calls, since it remembers."""
    buffer = MomentumBuffer(momentum)
    results = guess(AdaptiveProjected(ClassifierFree(8.0), eta, threshold, momentum), calls=2)
    for result in results:
        # Its scale counts from the guess with the prompt in the paper's own form.
        wanted = normalized_guidance(Dc, Du, 7.0, buffer, eta, threshold, use_original_formulation=True)
        close(result, wanted, rtol=1e-4, atol=1e-4)
    if eta == 1.0:
        close(results[0], guess(ClassifierFree(8.0))[0], rtol=1e-4, atol=1e-4)


def test_apgs_own_threshold_follows_the_size_of_the_latents():
    assert usual_threshold(4 * 64 * 64) == 7.5 and usual_threshold(4 * 128 * 128) == 15.0
    wanted = guess(AdaptiveProjected(ClassifierFree(8.0), threshold=7.5 * (8 * 8 / 64 / 64) ** 0.5), calls=2)
    for mine, other in zip(guess(AdaptiveProjected(ClassifierFree(8.0)), calls=2), wanted):
        assert torch.equal(mine, other)
    # Four pictures side by side: the usual limit shortens each part of them as it does one alone.
    wide = torch.cat([torch.cat([X, X], 2)] * 2, 3)
    alone = guess(AdaptiveProjected(ClassifierFree(8.0)), network=evenly)[0]
    close(guess(AdaptiveProjected(ClassifierFree(8.0)), network=evenly, x=wide)[0][..., :8, :8], alone, rtol=1e-4)


def evenly(inputs):
    """A network to which places do not matter."""
    return inputs.latents * 0.5 + per_row(inputs.context.sum(dim=(1, 2)) * 0.1, inputs.latents)


def test_apg_leaves_calls_without_a_negative_alone():
    inner = ClassifierFree(8.0, skip_early=1.0)
    assert torch.equal(guess(AdaptiveProjected(inner))[0], guess(inner)[0])
    batch_equals_singles(lambda: AdaptiveProjected(ClassifierFree(8.0)))


def mimicked(options: ThresholdOptions, scale=20.0):
    """The extension's calculation for one picture and channel after the other."""
    result = torch.empty_like(Dc)
    target, mimic = Du + scale * (Dc - Du), Du + options.mimic_scale * (Dc - Du)
    for image in range(2):
        for channel in range(4):
            t, m = target[image, channel], mimic[image, channel]
            ct, cm = t - t.mean(), m - m.mean()
            wide_t, wide_m = (ct, cm)
            if not options.separate:
                wide_t = target[image] - target[image].mean(dim=(1, 2), keepdim=True)
                wide_m = mimic[image] - mimic[image].mean(dim=(1, 2), keepdim=True)
            if options.variability == "STD":
                a, b = wide_m.std(), wide_t.std()
                made = ct / b * a + t.mean()
            else:
                a, b = wide_m.abs().max(), torch.quantile(wide_t.abs().flatten(), options.percentile)
                top = max(a, b)
                made = ct.clamp(-top, top) / top * a + t.mean()
            if options.startpoint == "ZERO":
                made = t * a / b
            result[image, channel] = made * options.phi + t * (1 - options.phi)
    return result


@pytest.mark.parametrize("variability", ["AD", "STD"])
@pytest.mark.parametrize("startpoint", ["MEAN", "ZERO"])
@pytest.mark.parametrize("separate", [True, False])
def test_dynamic_thresholding_is_that_of_the_extension(variability, startpoint, separate):
    options = ThresholdOptions(
        5.0, 0.9, 0.8, separate=separate, startpoint=startpoint, variability=variability
    )  # fmt: skip
    result = guess(DynamicThreshold(ClassifierFree(20.0), options))[0]
    close(result, mimicked(options), rtol=1e-3, atol=1e-3)


def test_dynamic_thresholding_at_the_mimic_scale_changes_nothing():
    plain = guess(ClassifierFree(7.0))[0]
    close(guess(DynamicThreshold(ClassifierFree(7.0), ThresholdOptions(7.0)))[0], plain, rtol=1e-4, atol=1e-4)
    inner = ClassifierFree(8.0, skip_early=1.0)
    assert torch.equal(guess(DynamicThreshold(inner))[0], guess(inner)[0])
    batch_equals_singles(lambda: DynamicThreshold(ClassifierFree(20.0), ThresholdOptions(separate=False)))
    flat = guess(DynamicThreshold(ClassifierFree(9.0)), network=lambda inputs: torch.zeros_like(inputs.latents))[0]
    assert torch.isfinite(flat).all() and SMALLEST > 0


def test_modes_of_a_scale():
    assert scaled_at(10, "Constant", 2, 0.3, 4) == 10
    assert scaled_at(10, "Linear Down", 2, 0.25, 4) == 8
    assert scaled_at(10, "Cosine Up", 2, 1.0, 4) == pytest.approx(10)
    assert scaled_at(10, "Half Cosine Down", 2, 0.5, 4) == pytest.approx(8 * math.cos(0.5) + 2)
    assert scaled_at(10, "Power Down", 2, 0.5, 2) == 8
    assert scaled_at(10, "Linear Repeating", 2, 0.125, 4) == 2
    assert scaled_at(10, "Sawtooth", 2, 0.125, 4) == 6
    assert scaled_at(10, "Cosine Repeating", 2, 0.25, 4) == 10
    moving = DynamicThreshold(ClassifierFree(20.0), ThresholdOptions(7.0, cfg_mode="Linear Down", cfg_min=7.0))
    close(guess(moving, calls=3)[2], guess(ClassifierFree(7.0))[0], rtol=1e-4, atol=1e-4)


class Disturbed:
    """A network whose guess changes while it is disturbed; notes its calls."""

    def __init__(self):
        self.on, self.calls = False, []

    def __call__(self, inputs):
        self.calls.append((self.on, [(row.image, row.part) for row in inputs.rows]))
        return product_network(inputs) * (0.6 if self.on else 1.0)

    @contextmanager
    def disturb(self, height, width):
        assert (height, width) == (8, 8)
        self.on = True
        yield
        self.on = False


def test_perturbed_attention_leads_away_from_the_disturbed_guess():
    network = Disturbed()
    guidance = PerturbedAttention(ClassifierFree(5.0), "pag", 3.0, network.disturb)
    result = guess(guidance, network)[0]
    network.on = True
    perturbed = denoiser(network, COND)(X, SIGMA)
    close(result, Du + 5 * (Dc - Du) + 3 * (Dc - perturbed), rtol=1e-4, atol=1e-4)
    assert network.calls[:2] == [(False, [(0, 0), (1, 0), (0, -1), (1, -1)]), (True, [(0, 0), (1, 0)])]


def test_further_guesses_are_not_noticed_by_samplers_and_hooks():
    network, seen, told = Disturbed(), [], []
    names = ("before_denoise", "after_denoise", "after_guidance")
    hooks = StepHooks(**{name: lambda step, name=name: seen.append((name, len(step.rows))) for name in names})
    guidance = PerturbedAttention(ClassifierFree(5.0), "pag", 3.0, network.disturb, start=0.5)
    guess(guidance, network, calls=2, hooks=hooks, on_call=lambda *call: told.append(call))
    assert seen == [(name, 4) for name in names] * 2 and told == [(0, 2), (1, 2)]
    # The first of two calls is before the start.
    assert [on for on, _ in network.calls] == [False, False, True]


def test_every_part_of_a_prompt_is_led_by_its_weight():
    cond = Conditioning((((0.5, constant(1.0)), (2.0, constant(3.0, 4))),), (constant(0.0),))
    network = Disturbed()
    guidance = PerturbedAttention(ClassifierFree(1.0), "seg", 2.0, network.disturb)
    result = guess(guidance, network, cond, X[:1])[0]
    parts = {}
    for on in (False, True):
        network.on = on
        parts[on] = [denoiser(network, Conditioning((((1.0, constant(v, 4)),),), (constant(0.0),)))(X[:1], SIGMA)
                     for v in (1.0, 3.0)]  # fmt: skip
    network.on = False
    plain = guess(ClassifierFree(1.0), network, cond, X[:1])[0]
    wanted = plain + 2 * (0.5 * (parts[False][0] - parts[True][0]) + 2 * (parts[False][1] - parts[True][1]))
    close(result, wanted, rtol=1e-4, atol=1e-4)


@contextmanager
def no_watch(height, width):
    yield []


class Watched:
    """A network that leaves a map of attention for each row: the left half is looked at."""

    def __init__(self):
        self.seen = None

    def __call__(self, inputs):
        if self.seen is not None:
            self.seen.append(torch.tensor([[2.0, 0.0], [1.5, 0.5]]).expand(len(inputs.rows), 2, 2))
        return product_network(inputs)

    @contextmanager
    def watch(self, height, width):
        self.seen = []
        yield self.seen
        self.seen = None


@pytest.mark.parametrize("skip", [False, True])
def test_self_attention_guidance_is_that_of_its_paper(skip):
    """In noise, as the paper has it: eps' = eps + s (eps_u - eps(x degraded)); with a blur written by diffusers."""
    network = Watched()
    inner = ClassifierFree(5.0, skip_early=1.0 if skip else 0.0)
    result = guess(SelfAttentionGuidance(inner, 0.75, network.watch, sigma=1.0), network)[0]
    base, text = (Dc, [1.0, 2.0]) if skip else (Du, [0.0, 0.0])
    mask = torch.zeros(8, 8)
    mask[:, :4] = 1
    # The map is smaller than the kernel of nine here: the product's blur takes the largest odd one that fits.
    soft = gaussian_blur_2d(base, 7, 1.0)
    x_again = X + (soft * mask + base * (1 - mask)) - base
    again = denoiser(product_network, conditioning(text))(x_again, SIGMA)
    eps_base, eps_again = (X - base) / SIGMA, (x_again - again) / SIGMA
    plain = guess(inner)[0]
    wanted = X - SIGMA * ((X - plain) / SIGMA + 0.75 * (eps_base - eps_again))
    close(result, wanted, rtol=1e-4, atol=1e-4)


def test_self_attention_guidance_survives_a_call_that_was_made_twice():
    """After running out of memory a call is made again in halves; its first maps do not count."""
    network = Watched()

    def stumbling(inputs):
        network.seen is not None and network.seen.append(torch.full((1, 2, 2), 9.0))
        return network(inputs)

    def make():
        return SelfAttentionGuidance(ClassifierFree(5.0), 0.75, network.watch, sigma=1.0)

    assert torch.equal(guess(make(), network)[0], guess(make(), stumbling)[0])
    batch_equals_singles(make, network)


def test_methods_stand_around_each_other():
    network = Disturbed()
    chain = Rescale(
        PerturbedAttention(
            DynamicThreshold(AdaptiveProjected(ClassifierFree(7.0)), ThresholdOptions(5.0)), "pag", 2.0, network.disturb
        ), 0.5, EPS,
    )  # fmt: skip
    assert chain.cfg_scale == 7.0
    assert torch.isfinite(guess(chain, network, calls=2)[1]).all() and len(network.calls) == 4


def test_the_blur_is_the_usual_one_and_fits_itself_into_small_maps():
    maps = torch.randn(2, 3, 12, 16)
    close(blurred(maps, 1.3, 9), gaussian_blur_2d(maps, 9, 1.3), atol=1e-5)
    for height, width in ((1, 1), (1, 4), (2, 3)):
        small = torch.randn(1, 3, height, width)
        assert blurred(small, 1.0, 9).shape == small.shape
