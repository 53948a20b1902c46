"""`modules.sd_vae_taesd`: the small autoencoder; really in atelier/checkpoints/approx.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType(
    {
        "decoder_model": "modules._host.approximations:decoder_model",
        "encoder_model": "modules._host.approximations:encoder_model",
    }
)

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
