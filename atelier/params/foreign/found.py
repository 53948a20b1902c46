"""Found: what another program's texts say of a picture, and the infotext that says the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from atelier.params.infotext import write_infotext

#: samplers as other programs call them, in small letters without spaces; A1111's name, and its schedule where told
SAMPLERS: Mapping[str, str] = MappingProxyType({
    "euler": "Euler", "euler_a": "Euler a", "euler_ancestral": "Euler a", "heun": "Heun", "heunpp2": "HeunPP2",
    "dpm_2": "DPM2", "kdpm_2": "DPM2", "dpm2": "DPM2", "dpm_2_ancestral": "DPM2 a", "kdpm_2_a": "DPM2 a",
    "dpm2_a": "DPM2 a", "lms": "LMS", "dpm_fast": "DPM fast", "dpm_adaptive": "DPM adaptive",
    "dpmpp_2s": "DPM++ 2S a", "dpmpp_2s_ancestral": "DPM++ 2S a", "dpmpp_sde": "DPM++ SDE", "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE", "dpmpp_2m_sde_heun": "DPM++ 2M SDE Heun", "dpmpp_3m": "DPM++ 3M SDE",
    "dpmpp_3m_sde": "DPM++ 3M SDE", "ddpm": "DDPM", "lcm": "LCM", "ipndm": "IPNDM", "ipndm_v": "IPNDM_V",
    "deis": "DEIS", "ddim": "DDIM", "ddim_v3": "DDIM", "uni_pc": "UniPC", "unipc": "UniPC", "uni_pc_bh2": "UniPC",
    "plms": "PLMS", "pndm": "PLMS", "restart": "Restart", "res_multistep": "Res Multistep", "er_sde": "ER SDE",
    "tcd": "TCD", "euler_cfg_pp": "Euler CFG++", "euler_ancestral_cfg_pp": "Euler a CFG++",
})  # fmt: skip
SCHEDULES: Mapping[str, str] = MappingProxyType({
    "normal": "Normal", "karras": "Karras", "exponential": "Exponential", "polyexponential": "Polyexponential",
    "sgm_uniform": "SGM Uniform", "simple": "Simple", "ddim_uniform": "DDIM", "beta": "Beta", "native": "Automatic",
    "linear_quadratic": "Linear Quadratic", "kl_optimal": "KL Optimal", "align_your_steps": "Align Your Steps",
    "ays": "Align Your Steps", "turbo": "Turbo", "uniform": "Uniform",
})  # fmt: skip


@dataclass
class Found:
    """`values` are infotext's keys. None and empty texts are not written. `program` is its name for people."""

    program: str
    prompt: str = ""
    negative: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def infotext(self) -> str:
        told = {key: value for key, value in self.values.items() if value is not None and value != ""}
        return write_infotext(self.prompt, self.negative, told)

    def add_networks(self, networks: list[tuple[str, Any]]) -> None:
        """LoRAs by name and weight become tags at the end of the prompt."""
        tags = "".join(f"<lora:{file_stem(name)}:{short(weight)}>" for name, weight in networks)
        self.prompt = f"{self.prompt} {tags}".strip() if tags else self.prompt


def sampler_of(name: Any) -> str:
    """A1111's name of a sampler; an unknown one as it is."""
    text = str(name or "")
    key = text.lower().replace("++", "pp").replace(" ", "_").removeprefix("k_").removesuffix("_gpu")
    return SAMPLERS.get(key, text)


def schedule_of(name: Any) -> str:
    text = str(name or "")
    return SCHEDULES.get(text.lower().replace(" ", "_"), text)


def file_stem(name: Any) -> str:
    """The name of a model file without folders and extension."""
    base = str(name or "").replace("\\", "/").rsplit("/", 1)[-1]
    head, dot, ending = base.rpartition(".")
    known = ("safetensors", "ckpt", "pt", "pth", "bin", "gguf", "sft")
    return head if dot and ending.lower() in known else base


def short(number: Any) -> str:
    """A number as people write it."""
    return f"{number:g}" if isinstance(number, (int, float)) and not isinstance(number, bool) else str(number)


def size_of(width: Any, height: Any) -> str | None:
    """None unless both are numbers."""
    try:
        return f"{int(width)}x{int(height)}"
    except (TypeError, ValueError):
        return None


def json_object(text: Any) -> dict[str, Any]:
    """Empty for what is no JSON object. NaN, which some programs write, is read."""
    if isinstance(text, Mapping):
        return dict(text)
    if not isinstance(text, str) or not text.lstrip().startswith("{"):
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
