"""Replay: what a picture records of the conditions it was made under, and how those compare with another run's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atelier.params.infotext import parse_infotext

#: the key in infotext; its value is a list of `name: value`
KEY = "Replay"
SOURCE, MASK, DEPTH, RESIZE = "source", "mask", "depth", "resize mode"
#: of a mask, what A1111's infotext has no key for
BLUR, ROUND = "mask blur", "mask round"
#: digits of the hashes of pictures that a picture was made from
DIGITS = 16
#: settings that change pictures and that infotext has no key of its own for; told where they are not at their default
SETTINGS = (
    "img2img_fix_steps", "img2img_background_color", "overlay_inpaint",
    "comma_padding_backtrack", "enable_quantization", "use_old_karras_scheduler_sigmas", "batch_cond_uncond",
    "no_dpmpp_sde_batch_determinism", "auto_vae_precision", "hires_fix_use_firstpass_conds", "upcast_attn",
    "watermark",
)  # fmt: skip
#: what says nothing of how a picture was made
IDLE = frozenset({"User", "Batch size", "Batch pos", "Time taken"})


@dataclass(frozen=True)
class Difference:
    """A condition that is not as it was recorded. `recorded` is empty where the picture does not tell it, `now` where
    this run has no such value."""

    name: str
    recorded: str
    now: str

    @property
    def told(self) -> bool:
        """Whether the picture recorded it at all."""
        return bool(self.recorded)


def write_conditions(conditions: Mapping[str, Any]) -> str | None:
    """None for nothing. Commas and colons would end a value, so they are replaced."""
    pairs = (f"{name}: {_plain(value)}" for name, value in conditions.items() if value not in (None, ""))
    return ", ".join(pairs) or None


def _plain(value: Any) -> str:
    return " ".join(str(value).replace(",", ";").replace(":", "=").split())


def read_conditions(text: str) -> dict[str, str]:
    """Empty for a text of another form."""
    pairs = (part.partition(": ") for part in text.split(", "))
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def recorded(infotext: str) -> tuple[dict[str, str], dict[str, str]]:
    """The values of a text by key, and the conditions within."""
    values = {k: str(v) for k, v in parse_infotext(infotext, defaults=False, backcompat=False, styles="Ignore").items()}
    return values, read_conditions(values.pop(KEY, ""))


def compare(before: str, after: str) -> tuple[Difference, ...]:
    """What is told differently by the infotexts of two runs; conditions come first."""
    (old, old_conditions), (new, new_conditions) = recorded(before), recorded(after)
    return (*_differences(old_conditions, new_conditions), *_differences(_drawn(old), _drawn(new)))


def _drawn(values: Mapping[str, str]) -> dict[str, str]:
    """The values of a plot with the seeds that were drawn for it, however they were asked for."""
    fixed = {key.removeprefix("Fixed "): value for key, value in values.items() if key.startswith("Fixed ")}
    return {key: fixed.get(key, value) for key, value in values.items() if not key.startswith("Fixed ")}


def _differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[Difference]:
    names = [name for name in dict.fromkeys((*old, *new)) if name not in IDLE]
    found = (Difference(name, old.get(name, ""), new.get(name, "")) for name in names)
    return [item for item in found if not _same(item.recorded, item.now)]


def _same(one: str, other: str) -> bool:
    """7 and 7.0 are the same number."""
    if one == other:
        return True
    try:
        return float(one) == float(other)
    except ValueError:
        return False
