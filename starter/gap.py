"""The conditional gap: how much worse pictures are guessed when captions are shuffled. No gap, no text learned."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel

from starter.models import alphas_cumprod
from starter.tokens import emphasised

TIMES = (980, 900, 700, 500, 200)


def clean_guess(output: torch.Tensor, noisy: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:  # [B, 4, h, w]
    """The clean latents that a v-prediction implies (Salimans and Ho 2022): x0 = sqrt(a) x - sqrt(1 - a) v."""
    return alpha.sqrt() * noisy - (1 - alpha).sqrt() * output


@torch.no_grad()
def measure(
    unet: UNet2DConditionModel,
    text: CLIPTextModel,
    ids: torch.Tensor,
    weights: torch.Tensor,
    latents: torch.Tensor,
    times: Sequence[int] = TIMES,
) -> dict[int, tuple[float, float]]:  # ids and weights [B, 77], latents [B, 4 or more, h, w]
    """Time to (error with the right caption, error with another row's caption); mean squared error of clean latents."""
    device, beside, latents = latents.device, latents[:, 4:], latents[:, :4]
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(5)).to(device)
    alphas, out = alphas_cumprod().to(device), {}
    with torch.autocast(device.type, torch.bfloat16):
        words = emphasised(text(ids).last_hidden_state, weights)
        for time in times:
            alpha = alphas[time]
            noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
            moments = torch.full((len(latents),), time, device=device)
            errors = []
            for hidden in (words, words.roll(7, 0)):
                output = unet(torch.cat([noisy, beside], 1), moments, hidden).sample
                guess = clean_guess(output.float(), noisy, alpha)
                errors.append(float((guess - latents).pow(2).mean()))
            out[time] = (errors[0], errors[1])
    return out


def as_line(gap: dict[int, tuple[float, float]]) -> str:
    return " ".join(f"t{time}:{right:.4f}/{shuffled:.4f}" for time, (right, shuffled) in gap.items())
