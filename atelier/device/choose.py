"""DeviceChoice: which device and which precision, decided once, with the reason in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch

from atelier.base.errors import BadRequest

FULL, HALF, BRAIN = torch.float32, torch.float16, torch.bfloat16

#: chips with compute capability 7.5 but without tensor cores (TU116, TU117), by their names in shops
TURING_SMALL = re.compile(r"GTX 16\d0|\bT(400|500|550|600|1000|1200|2000)\b|\bMX(450|550)\b|CMP 30HX", re.IGNORECASE)
#: AMD chips before Vega (gfx7, gfx8) and of the first Navi (gfx101x)
OLD_AMD = re.compile(r"gfx(7\d\d|8\d\d|101\d)")
#: AMD chips that calculate in bfloat16: MI200 and later, RDNA 3 and later
BRAIN_AMD = re.compile(r"gfx(90a|94\w|95\w|11|12)")


@dataclass(frozen=True)
class DeviceChoice:
    """`reason` is one line for people. Precisions are those of the denoiser, the text encoder and the VAE.

    `upcast_attention` asks for attention in float32 between layers of half precision.
    """

    device: torch.device
    name: str
    denoiser_dtype: torch.dtype
    text_dtype: torch.dtype
    vae_dtype: torch.dtype
    reason: str
    upcast_attention: bool = False

    @property
    def precision(self) -> str:
        return _word(self.denoiser_dtype)


@dataclass(frozen=True)
class Chip:
    """What is known of the device. `kind` is cuda, rocm, xpu, mps or cpu; `arch` is AMD's gfx name."""

    device: torch.device
    kind: str
    name: str
    why: str
    capability: tuple[int, int] = (0, 0)
    arch: str = ""

    @property
    def has_bfloat16(self) -> bool:
        """Whether bfloat16 is calculated by the chip and not only imitated."""
        if self.kind == "cuda":
            return self.capability >= (8, 0)
        if self.kind == "rocm":
            return BRAIN_AMD.match(self.arch) is not None
        return self.kind in ("xpu", "cpu")


@dataclass(frozen=True)
class Rule:
    """Precisions for the chips that `fits`, and why. None leaves the reason to the device itself."""

    fits: Callable[[Chip], bool]
    half: torch.dtype
    vae: torch.dtype
    reason: str


#: The first rule that fits decides. Only the CPU's was measured; the others rest on what users of such chips report.
RULES = (
    Rule(lambda c: c.kind == "cpu", FULL, FULL, "pictures would change; --precision half pays with bfloat16 chips"),
    Rule(
        lambda c: c.kind == "cuda" and c.capability < (5, 3), FULL, FULL,
        "chips before compute capability 5.3 have no float16",
    ),
    Rule(
        lambda c: c.kind == "cuda" and c.capability == (7, 5) and TURING_SMALL.search(c.name) is not None, FULL, FULL,
        "this chip has no tensor cores and is known for black pictures in float16",
    ),
    Rule(
        lambda c: c.kind == "rocm" and OLD_AMD.match(c.arch) is not None, FULL, FULL,
        "float16 is not reliable on this AMD chip",
    ),
    Rule(lambda c: c.kind == "mps", HALF, FULL, "the VAE gives black pictures in float16 on Metal"),
    Rule(lambda c: True, HALF, HALF, ""),
)  # fmt: skip

DENOISER = "denoiser_dtype"
#: options that set the precision of one part, under Forge's names; of several, the last in this order counts
PART_OPTIONS = (
    ("unet_in_fp16", DENOISER, HALF), ("unet_in_bf16", DENOISER, BRAIN), ("unet_in_fp32", DENOISER, FULL),
    ("vae_in_fp16", "vae_dtype", HALF), ("vae_in_bf16", "vae_dtype", BRAIN), ("vae_in_fp32", "vae_dtype", FULL),
    ("clip_in_fp16", "text_dtype", HALF), ("clip_in_bf16", "text_dtype", BRAIN), ("clip_in_fp32", "text_dtype", FULL),
)  # fmt: skip
PART_WORDS = MappingProxyType({DENOISER: "the denoiser", "vae_dtype": "the VAE", "text_dtype": "the text encoder"})


def choose(arguments: Mapping[str, Any]) -> DeviceChoice:
    """Looks at what torch can reach: CUDA and ROCm, XPU, MPS, else the CPU. Only the CPU path was measured.

    `arguments` are the command line's: use_cpu, device_id, precision, no_half, no_half_vae, upcast_sampling, and
    Forge's unet_in_bf16 and kin. Raises `BadRequest` when `device_id` names no device.
    """
    chip = find_chip(arguments)
    half, vae, reasons = _precisions(chip, arguments)
    choice = DeviceChoice(chip.device, chip.name, half, half, vae, "")
    for option, part, dtype in PART_OPTIONS:
        if not arguments.get(option):
            continue
        if dtype is BRAIN and not chip.has_bfloat16:
            reasons.append(f"bfloat16 was asked for {PART_WORDS[part]}, but this device only imitates it")
            continue
        choice = replace(choice, **{part: dtype})
        reasons.append(f"{_word(dtype)} was asked for {PART_WORDS[part]}")
    if arguments.get("upcast_sampling"):
        # The loop around the network always counts in float32; inside of it attention is what overflows.
        useful = choice.denoiser_dtype is not FULL
        choice = replace(choice, upcast_attention=useful)
        reasons.append("attention counts in float32" if useful else "--upcast-sampling adds nothing to float32")
    if choice.vae_dtype is not choice.denoiser_dtype:
        reasons.append(f"the VAE in {_word(choice.vae_dtype)}")
    said = f"{chip.name} ({chip.device}) in {choice.precision}: {'; '.join((chip.why, *reasons))}"
    return replace(choice, reason=said)


def _precisions(chip: Chip, arguments: Mapping[str, Any]) -> tuple[torch.dtype, torch.dtype, list[str]]:
    rule = next(r for r in RULES if r.fits(chip))
    half, vae, reasons = rule.half, rule.vae, [rule.reason] if rule.reason else []
    if arguments.get("no_half") or arguments.get("precision") == "full":
        half, vae, reasons = FULL, FULL, ["full precision was asked for"]
    elif arguments.get("precision") == "half":
        # On a CPU bfloat16 is the half precision that the instruction sets know.
        half = BRAIN if chip.kind == "cpu" else HALF
        vae = vae if chip.kind in ("cpu", "mps") else half
        reasons = [*(reasons if rule.half is not half else ()), "half precision was asked for"]
    if arguments.get("no_half_vae"):
        vae = FULL
    return half, vae, reasons


def find_chip(arguments: Mapping[str, Any]) -> Chip:
    """The device to use. Raises `BadRequest` when `device_id` names none."""
    # The parts of A1111's --use-cpu that name what this engine does; tools of extensions read the others themselves.
    on_cpu = [part for part in arguments.get("use_cpu") or () if part in ("all", "sd")]
    if on_cpu:
        return _cpu(f"--use-cpu {on_cpu[0]} was given")
    if torch.cuda.is_available():
        device = torch.device("cuda", _index(arguments, torch.cuda.device_count))
        name, capability = torch.cuda.get_device_name(device), tuple(torch.cuda.get_device_capability(device))
        if getattr(torch.version, "hip", None):
            arch = str(getattr(torch.cuda.get_device_properties(device), "gcnArchName", "")).split(":")[0]
            return Chip(device, "rocm", name, "ROCm is available", capability, arch)
        return Chip(device, "cuda", name, "CUDA is available", capability)
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        device = torch.device("xpu", _index(arguments, torch.xpu.device_count))
        return Chip(device, "xpu", torch.xpu.get_device_name(device), "an Intel GPU is available")
    if torch.backends.mps.is_available():
        return Chip(torch.device("mps"), "mps", "Apple GPU", "Metal is available")
    return _cpu("no usable GPU was found")


def _cpu(why: str) -> Chip:
    return Chip(torch.device("cpu"), "cpu", f"CPU, {torch.get_num_threads()} threads", why)


def _index(arguments: Mapping[str, Any], count: Callable[[], int]) -> int:
    given = arguments.get("device_id")
    if given in (None, ""):
        return 0
    text = str(given).strip()
    if not text.isdigit() or int(text) >= count():
        remedy = f"Use a number from 0 to {count() - 1}."
        raise BadRequest("device_id", f"there is no GPU number {text}.", remedy=remedy, devices=count())
    return int(text)


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
