import pytest
import torch

from atelier.sampling.prediction import ConsistencyPrediction, Prediction
from tests.sampling.cases import cases, close

EPS = Prediction.scaled_linear()


def test_the_table_of_stable_diffusion():
    known = cases()["sd_alphas"]
    assert EPS.sigma_min == pytest.approx(known["sigma_min"], rel=1e-6)
    assert EPS.sigma_max == pytest.approx(known["sigma_max"], rel=1e-6)
    for index, alpha in known["alphas_cumprod"].items():
        assert float(EPS.alphas_cumprod[int(index)]) == pytest.approx(alpha, rel=1e-7)


def test_sigma_and_timestep_are_inverse():
    t = torch.tensor([0.0, 0.5, 17.25, 500.0, 998.9, 999.0])
    close(EPS.sigma_to_t(EPS.t_to_sigma(t)), t, atol=2e-3)
    close(EPS.sigma_to_t(torch.tensor([1e-5, 100.0])), [0.0, 999.0])
    assert EPS.with_quantize(True).sigma_to_t(EPS.t_to_sigma(torch.tensor([17.3]))).tolist() == [17.0]


def test_alpha_between_entries_is_linear_in_its_logarithm():
    assert EPS.alpha_bar(500) == pytest.approx(float(EPS.alphas_cumprod[500]))
    middle = (EPS.alphas_cumprod[500] * EPS.alphas_cumprod[501]).sqrt()
    assert EPS.alpha_bar(500.5) == pytest.approx(float(middle), rel=1e-6)
    assert EPS.alpha_bar(2000) == pytest.approx(float(EPS.alphas_cumprod[-1]))


@pytest.mark.parametrize("kind", ["eps", "v"])
def test_a_perfect_network_gives_back_the_picture(kind):
    prediction = Prediction.scaled_linear(kind)
    x0, noise = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8)
    t = torch.tensor([10, 500, 990])
    sigma = prediction.t_to_sigma(t)
    x = x0 + sigma.reshape(-1, 1, 1, 1) * noise
    denoised = prediction.denoised(x, prediction.target(x0, noise, t), sigma)
    close(denoised, x0, atol=3e-5)
    close(prediction.eps_from_denoised(x, denoised, sigma), noise, atol=1e-3)


def test_zero_terminal_snr_ends_dark_and_keeps_the_first_level():
    zero = Prediction.scaled_linear("v", zero_terminal_snr=True)
    assert float(zero.alphas_cumprod[-1]) == pytest.approx(4.8973451890853435e-08)
    assert float(zero.alphas_cumprod[0]) == pytest.approx(float(EPS.alphas_cumprod[0]), rel=1e-6)
    assert zero.sigma_max > 4000 and torch.isfinite(zero.sigmas).all()
    assert (zero.sigmas.diff() > 0).all()


def test_half_alphas_change_the_table_a_little():
    half = Prediction.scaled_linear(half_alphas=True)
    assert 0 < (half.sigmas - EPS.sigmas).abs().max() < 0.1


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="flowing"):
        Prediction("flowing", EPS.alphas_cumprod)


def test_a_consistency_model_knows_fifty_timesteps():
    lcm = ConsistencyPrediction("eps", EPS.alphas_cumprod)
    assert len(lcm.sigmas) == 50 and lcm.sigma_max == EPS.sigma_max
    assert lcm.sigma_to_t(torch.tensor([100.0, lcm.sigma_min, 0.001])).tolist() == [999.0, 19.0, 19.0]
    close(lcm.t_to_sigma(torch.tensor([19.0, 999.0])), [lcm.sigma_min, lcm.sigma_max])
    x, eps, sigma = torch.randn(1, 4, 4, 4), torch.randn(1, 4, 4, 4), torch.tensor([lcm.sigma_max])
    close(lcm.denoised(x, eps, sigma), x - sigma * eps, atol=1e-4)


def test_levels_can_be_changed_for_one_pass():
    eps = Prediction.scaled_linear()
    terminal = eps.with_levels(zero_snr=True)
    close(terminal.alphas_cumprod, Prediction.scaled_linear(zero_terminal_snr=True).alphas_cumprod)
    assert terminal.with_levels(zero_snr=True) is terminal and eps.with_levels(zero_snr=False) is eps
    half = eps.with_levels(False, half_alphas=True)
    close(half.alphas_cumprod, Prediction.scaled_linear(half_alphas=True).alphas_cumprod)
