"""`modules.api.api`: pictures as text; really in atelier/imaging/decode.py and writer.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType(
    {
        "decode_base64_to_image": "modules._host.api_pictures:decode_base64_to_image",
        "encode_pil_to_base64": "modules._host.api_pictures:encode_pil_to_base64",
    }
)

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
