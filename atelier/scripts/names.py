"""Names that the values of an axis stand for, checked before the first picture of a long grid is made."""

from __future__ import annotations

from typing import Any

from atelier.base.errors import BadRequest
from atelier.params.axes import GridAxis
from atelier.params.infotext import SAME_VALUES
from atelier.pipeline.hires import LATENT_MODES
from atelier.pipeline.services import Services


def check_name(services: Services, axis: GridAxis, value: Any) -> None:
    """Raises `BadRequest` or `NotFound` for a sampler, schedule, checkpoint, VAE or upscaler that is not here."""
    if not isinstance(value, str) or not value or value in ("None", "Automatic", SAME_VALUES.get(axis.target)):
        return
    if axis.choices == "samplers":
        services.catalogue.resolve(value, None)
    elif axis.choices == "schedulers":
        services.catalogue.schedules.get(value, axis.label)
    elif axis.choices == "models":
        services.shelf.find_checkpoint(value)
    elif axis.choices == "vaes":
        services.shelf.find_vae(value)
    elif axis.choices == "hires_upscalers" and value not in LATENT_MODES and value not in services.upscalers:
        raise BadRequest(
            axis.label, f"there is no upscaler named {value!r}.",
            remedy=f"Use one of: {', '.join([*LATENT_MODES, *services.upscalers.names()])}.",
        )  # fmt: skip
