import pytest
import torch

from atelier.base.cancel import CancelToken
from atelier.base.errors import Interrupted
from atelier.sampling.conditioning import Conditioning, ScheduledEncoding, TextEncoding
from atelier.sampling.step import StepHooks
from tests.sampling.cases import close
from tests.sampling.toys import EPS, GaussianNetwork, conditioning, constant, denoiser, only, product_network, text

X = torch.linspace(-3, 3, 2 * 4 * 4 * 4).reshape(2, 4, 4, 4)
SIGMA = torch.tensor(3.0)


def recorder(seen):
    def network(inputs):
        seen.append(inputs)
        return product_network(inputs)

    return network


def test_the_network_gets_scaled_latents_and_fractional_times():
    seen = []
    denoiser(recorder(seen), conditioning([1.0, 2.0]))(X, SIGMA)
    (inputs,) = seen
    close(inputs.latents, torch.cat([X, X]) / (1 + 9) ** 0.5)
    close(inputs.t, EPS.sigma_to_t(SIGMA).expand(4))
    assert inputs.context[:, 0, 0].tolist() == [1, 2, 0, 0]
    assert [(row.image, row.part, row.negative) for row in inputs.rows] == [
        (0, 0, False), (1, 0, False), (0, -1, True), (1, -1, True),
    ]  # fmt: skip


def test_concat_and_added_inputs_follow_their_picture():
    seen = []
    cond = Conditioning(
        (((1.0, constant(1.0)), (1.0, constant(2.0))), ((1.0, constant(3.0)),)),
        (constant(0.0), constant(0.0)),
        concat=torch.arange(2.0).reshape(2, 1, 1, 1).expand(2, 5, 4, 4),
        added={"size": torch.tensor([[1.0], [2.0]])},
        negative_added={"size": torch.tensor([[-1.0], [-2.0]])},
    )
    denoiser(recorder(seen), cond)(X, SIGMA)
    assert seen[0].concat[:, 0, 0, 0].tolist() == [0, 0, 1, 0, 1]
    assert seen[0].added["size"].flatten().tolist() == [1, 1, 2, -1, -2]


def test_pooled_vectors_are_an_added_input():
    seen = []

    def pooled(value):
        return ScheduledEncoding.constant(TextEncoding(torch.ones(2, 3), torch.full((5,), value)))

    denoiser(recorder(seen), Conditioning((((1.0, pooled(1.0)),),), (pooled(2.0),)))(X[:1], SIGMA)
    assert seen[0].added["pooled"][:, 0].tolist() == [1, 2]


def test_texts_of_different_length_are_asked_separately():
    seen = []
    cond = Conditioning((((1.0, constant(1.0, 4)),), ((1.0, constant(2.0, 2)),)), (constant(0.0, 2),) * 2)
    together = denoiser(recorder(seen), cond, cfg_scale=3.0)(X, SIGMA)
    assert [inputs.context.shape[:2] for inputs in seen] == [(1, 4), (3, 2)]
    alone = [denoiser(product_network, only(cond, k), cfg_scale=3.0)(X[k : k + 1], SIGMA) for k in (0, 1)]
    assert torch.equal(together, torch.cat(alone))


def test_positive_and_negative_can_be_asked_separately():
    seen = []
    apart = denoiser(recorder(seen), conditioning([1.0, 2.0]), cfg_scale=3.0, batch_cond_uncond=False)(X, SIGMA)
    assert [len(inputs.rows) for inputs in seen] == [2, 2]
    assert torch.equal(apart, denoiser(product_network, conditioning([1.0, 2.0]), cfg_scale=3.0)(X, SIGMA))


def test_hooks_are_called_in_order_and_may_change_what_they_see():
    order = []

    def before(step):
        order.append("before")
        assert step.x_rows.shape[0] == 2 and (step.index, step.total) == (0, 9)
        step.cond.vectors = torch.full((1, 6, 3), 2.0)

    def amend(inputs):
        order.append("inputs")
        assert inputs.step is not None
        inputs.residuals["mine"] = True
        inputs.latents = inputs.latents * 1.0

    def network(inputs):
        order.append("network" if inputs.residuals.get("mine") else "unmarked")
        return product_network(inputs)

    def after(step):
        order.append("denoised")
        step.uncond_denoised = step.cond_denoised

    def guided(step):
        order.append("guided")
        close(step.denoised, step.cond_denoised)
        step.denoised = step.denoised + 1

    hooks = StepHooks(before, amend, after, lambda step: order.append("mask"), guided)
    model = denoiser(network, conditioning([1.0]), cfg_scale=5.0, hooks=hooks, total_calls=9)
    result = model(X[:1], SIGMA)
    assert order == ["before", "inputs", "network", "inputs", "network", "denoised", "guided"]
    assert torch.equal(result, model.last_denoised) and model.calls == 1
    long = Conditioning((((1.0, constant(2.0, 6)),),), (constant(0.0, 6),))
    close(result, denoiser(product_network, long)(X[:1], SIGMA) + 1)


def test_a_stop_is_heard_before_the_network_is_asked():
    token, network = CancelToken(), GaussianNetwork()
    model = denoiser(network, conditioning([1.0, 1.0]), token=token)
    first = model(X, SIGMA)
    token.request("stop")
    with pytest.raises(Interrupted):
        model(X, SIGMA)
    assert network.calls == 1 and torch.equal(model.last_denoised, first)


def test_calls_are_told():
    told = []
    model = denoiser(product_network, conditioning([1.0, 1.0]), total_calls=2, on_call=lambda *call: told.append(call))
    model(X, SIGMA), model(X, SIGMA)
    assert told == [(0, 2), (1, 2)]


def test_texts_change_by_call():
    seen = []
    scheduled = ScheduledEncoding(((1, text(1.0)), (4, text(2.0))))
    model = denoiser(recorder(seen), Conditioning((((1.0, scheduled),),), (constant(0.0),)))
    for _ in range(4):
        model(X[:1], SIGMA)
    assert [float(inputs.context[0, 0, 0]) for inputs in seen] == [1, 1, 2, 2]


def test_the_mask_is_applied_after_guidance_and_hooks_see_both():
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    init, seen = torch.full_like(X, 7.0), []
    hooks = StepHooks(blend_mask=lambda step: seen.append((step.unblended, step.denoised)))
    model = denoiser(product_network, conditioning([1.0, 2.0]), mask=mask, init_latents=init, hooks=hooks)
    free = denoiser(product_network, conditioning([1.0, 2.0]))(X, SIGMA)
    result = model(X, SIGMA)
    assert (result[..., :2] == 7).all() and torch.equal(result[..., 2:], free[..., 2:])
    assert torch.equal(seen[0][0], free) and torch.equal(seen[0][1], result)


def test_over_timesteps_the_mask_is_applied_before_the_network():
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    init, noise, seen = torch.full_like(X, 7.0), torch.full_like(X, 2.0), []
    denoiser(recorder(seen), conditioning([1.0, 2.0]), mask=mask, init_latents=init).eps(X, 500)
    close(seen[0].latents[:2, :, :, :2], torch.full((2, 4, 4, 2), 7.0))
    close(seen[0].latents[:2, :, :, 2:], X[..., 2:])
    denoiser(recorder(seen), conditioning([1.0, 2.0]), mask=mask, init_latents=init, mask_noise=noise).eps(X, 500)
    alpha = EPS.alpha_bar(500)
    close(seen[1].latents[0, 0, 0, 0], 7 * alpha**0.5 + 2 * (1 - alpha) ** 0.5)


@pytest.mark.parametrize("t", [1, 500, 999, 498.75])
def test_noise_over_timesteps_is_what_the_network_says(t):
    seen = []
    model = denoiser(recorder(seen), conditioning([1.0, 2.0]), cfg_scale=1.0)
    eps, uncond = model.eps_pair(X, t)
    close(seen[0].latents[:2], X)
    assert seen[0].t.tolist() == [t] * 4
    output = product_network(seen[0])
    close(eps, output[:2], atol=2e-4)
    close(uncond, output[2:], atol=2e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_results_keep_the_precision_of_the_latents(dtype):
    model = denoiser(product_network, conditioning([1.0, 2.0]), cfg_scale=3.0)
    result = model(X.to(dtype), SIGMA)
    assert result.dtype == dtype
    close(result, denoiser(product_network, conditioning([1.0, 2.0]), cfg_scale=3.0)(X, SIGMA), rtol=0.02, atol=0.1)


def test_not_a_number_passes_through():
    model = denoiser(lambda inputs: inputs.latents * float("nan"), conditioning([1.0, 2.0]))
    assert model(X, SIGMA).isnan().all()
