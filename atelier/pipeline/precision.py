"""Precision: work that gave NaN in half precision is done again with more digits, and the model keeps them."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import torch

from atelier.base.errors import NumericFailure
from atelier.checkpoints.load import LoadedModel
from atelier.pipeline.state import Run

HALF = (torch.float16, torch.bfloat16)
WORDS = MappingProxyType({
    torch.float16: "float16", torch.bfloat16: "bfloat16", torch.float32: "float32",
})  # fmt: skip


def has_nan(tensor: torch.Tensor) -> bool:
    return bool(torch.isnan(tensor).any())


def of_vae(run: Run, model: LoadedModel, work: Callable[[], torch.Tensor]) -> torch.Tensor:
    """The result of a VAE's work, done again in bfloat16 and in float32 where settings allow and NaN makes it needed.

    The VAE stays in the precision that gave numbers. Raises `NumericFailure` when none did.
    """
    result = work()
    while has_nan(result):
        dtype = _next_of_vae(run, model)
        if dtype is None:
            raise NumericFailure(
                "The VAE gave NaN (not a number) instead of a picture.", remedy="Choose another VAE in Settings."
            )
        run.comment(f"The VAE gave NaN in {WORDS[model.vae_dtype]}; it was switched to {WORDS[dtype]}.")
        model.use_vae_dtype(dtype)
        result = work()
    return result


def _next_of_vae(run: Run, model: LoadedModel) -> torch.dtype | None:
    settings, now = run.settings, next(model.vae.parameters()).dtype
    if now == torch.float16 and settings.auto_vae_precision_bfloat16:
        return torch.bfloat16
    return torch.float32 if now in HALF and settings.auto_vae_precision else None


class HalfFailed(NumericFailure):
    """A network in half precision gave NaN; the pass is to be walked again with more digits."""


def check_output(run: Run, model: LoadedModel, output: torch.Tensor) -> torch.Tensor:
    """Raises `HalfFailed` at the first NaN of a network in half precision; others are looked at when they are done."""
    looked_for = model.unet_dtype in HALF and not run.services.arguments.get("disable_nan_check")
    if looked_for and has_nan(output):
        raise HalfFailed("The model gave NaN (not a number) in half precision.")
    return output


def raise_denoiser(run: Run, model: LoadedModel) -> None:
    """The network computes in float32 from now on. It must not be on lease."""
    run.comment(f"The model gave NaN in {WORDS[model.unet_dtype]}; it was switched to float32 and the pass repeated.")
    model.denoiser.to(dtype=torch.float32)
    model.unet_dtype = torch.float32
