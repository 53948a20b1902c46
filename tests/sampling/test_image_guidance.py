import pytest
import torch

from atelier.sampling.guidance import ClassifierFree
from atelier.sampling.image_guidance import ImageGuidance
from tests.sampling.toys import conditioning, denoiser

SIGMA = torch.tensor(2.0)
X = torch.full((2, 4, 2, 2), 3.0)


def network(inputs):
    """Noise that says what the row was fed: its text, and what stands beside it."""
    seen = inputs.concat.mean(dim=1, keepdim=True)
    return inputs.latents * 0 + inputs.context.mean(dim=(1, 2)).reshape(-1, 1, 1, 1) + 10 * seen


def made(guidance, blank=True, images=2):
    cond = conditioning([1.0] * images, -1.0)
    picture = torch.linspace(1, 2, images).reshape(-1, 1, 1, 1).expand(images, 4, 2, 2)
    object.__setattr__(cond, "concat", picture)
    object.__setattr__(cond, "blank_concat", torch.zeros_like(picture) if blank else None)
    return denoiser(network, cond, guidance=guidance), picture


def test_three_guesses_make_two_directions():
    model, picture = made(ImageGuidance(ClassifierFree(7.5), 1.5))
    out = model(X, SIGMA)
    both, image, none = (X - SIGMA * eps for eps in (1 + 10 * picture, -1 + 10 * picture, -1 + 0 * picture))
    expected = none + 1.5 * (image - none) + 7.5 * (both - image)
    torch.testing.assert_close(out, expected)


def test_a_strength_of_one_is_plain_guidance_with_the_picture_everywhere():
    model, _ = made(ImageGuidance(ClassifierFree(7.5), 1.0))
    plain, _ = made(ClassifierFree(7.5), blank=False)
    torch.testing.assert_close(model(X, SIGMA), plain(X, SIGMA))


def test_the_negative_may_be_left_out():
    rows = []
    model, picture = made(ImageGuidance(ClassifierFree(7.5, skip_early=1.0), 1.5))
    model.total_calls, inner = 1, model.call
    model.call = lambda inputs: rows.append(inputs.latents.shape[0]) or inner(inputs)
    torch.testing.assert_close(model(X, SIGMA), X - SIGMA * (1 + 10 * picture))
    assert rows == [2]


@pytest.mark.parametrize("apart", [True, False])
def test_rows_and_their_replacement(apart):
    model, _ = made(ImageGuidance(ClassifierFree(7.5), 1.5))
    model.batch_cond_uncond = not apart
    steps, calls, inner = [], [], model.call
    model.call = lambda inputs: calls.append(inputs.latents.shape[0]) or inner(inputs)

    def after(step):
        steps.append(step)
        assert [row.part for row in step.rows] == [0, 0, -1, -1, -2, -2]
        assert step.uncond_denoised.shape == step.blank_denoised.shape == X.shape
        blank = step.blank_denoised.clone()
        step.uncond_denoised = step.uncond_denoised + 1
        assert torch.equal(step.blank_denoised, blank)

    object.__setattr__(model.hooks, "after_denoise", after)
    plain, _ = made(ImageGuidance(ClassifierFree(7.5), 1.5))
    # One more in the guess with the picture alone counts 1.5 - 7.5 times.
    torch.testing.assert_close(model(X, SIGMA), plain(X, SIGMA) - 6)
    assert steps and sorted(calls) == ([2, 2, 2] if apart else [6])
