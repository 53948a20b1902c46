"""The proof that the device works: a small kernel, run by the environment's Python."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from atelier.launch.torch_table import Choice

# Runs in the environment, where torch is; the launcher itself may not import it. Prints one line of JSON.
PROGRAM = """
import json, sys, time
answer = {"python": sys.version.split()[0], "device": "cpu", "name": "CPU", "error": ""}
import torch
answer["torch"] = torch.__version__
answer["threads"] = torch.get_num_threads()

def kernel(device):
    start = time.perf_counter()
    torch.manual_seed(0)
    left, right = torch.randn(64, 64), torch.randn(64, 64)
    with torch.no_grad():
        there = torch.nn.functional.gelu(left.to(device) @ right.to(device)).float().cpu()
    here = torch.nn.functional.gelu(left @ right)
    difference = (there - here).abs().max().item()
    if not difference < 0.1:
        raise RuntimeError(f"the kernel's result differs by {difference}")
    return round((time.perf_counter() - start) * 1000, 1)

wanted = sys.argv[1]
try:
    if wanted in ("cuda", "rocm") and torch.cuda.is_available():
        found = torch.cuda.get_device_properties(0)
        answer.update(name=found.name, memory=found.total_memory, capability=[found.major, found.minor])
        answer["bf16"] = torch.cuda.is_bf16_supported()
        answer["milliseconds"] = kernel("cuda")
        answer["device"] = wanted
    elif wanted == "xpu" and torch.xpu.is_available():
        found = torch.xpu.get_device_properties(0)
        answer.update(name=found.name, memory=found.total_memory, bf16=True)
        answer["milliseconds"] = kernel("xpu")
        answer["device"] = "xpu"
    elif wanted == "mps" and torch.backends.mps.is_available():
        answer["milliseconds"] = kernel("mps")
        answer.update(device="mps", name="Apple GPU")
    elif wanted != "cpu":
        answer["error"] = f"this torch sees no {wanted} device"
except Exception as error:
    answer["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
if answer["device"] == "cpu":
    answer["milliseconds"] = kernel("cpu")
print(json.dumps(answer))
"""


@dataclass(frozen=True)
class Proof:
    """What the kernel showed. `error` says why the wanted device was not used."""

    device: str
    name: str
    torch: str
    milliseconds: float
    threads: int = 1
    capability: tuple[int, ...] = ()
    error: str = ""


def read(text: str) -> Proof:
    """The proof from the program's output. Raises `ValueError` when there is none."""
    lines = [line for line in text.splitlines() if line.startswith("{")]
    if not lines:
        raise ValueError("no answer")
    said: dict[str, Any] = json.loads(lines[-1])
    return Proof(
        said["device"], said["name"], said["torch"], said["milliseconds"], said.get("threads", 1),
        tuple(said.get("capability", ())), said.get("error", ""),
    )  # fmt: skip


def sentence(proof: Proof, choice: Choice) -> str:
    """One line: what was chosen and why; a fall back to the CPU is said aloud."""
    tried = f"a test kernel ran in {proof.milliseconds:g} ms"
    if proof.device != "cpu":
        capability = f" (compute capability {'.'.join(map(str, proof.capability))})" if proof.capability else ""
        return f"Device: {proof.name}{capability} with torch {proof.torch}, because {choice.why}; {tried}."
    why = choice.why
    if proof.error:
        why = f"the {choice.kind} device could not be used ({proof.error})"
    return (
        f"Device: CPU ({proof.threads} threads) with torch {proof.torch}, because {why}; {tried}. "
        "Pictures take minutes instead of seconds on a CPU."
    )
