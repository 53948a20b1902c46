"""What this machine can calculate on: NVIDIA, ROCm, Intel XPU, Apple or only the CPU."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from atelier.launch.probe import Probe

SMI = ("nvidia-smi", "C:/Windows/System32/nvidia-smi.exe", "C:/Program Files/NVIDIA Corporation/NVSMI/nvidia-smi.exe")
INTEL_NAMES = re.compile(r"\barc\b|DG2|Battlemage|BMG|Lunar Lake|Data Center GPU|Ponte Vecchio|Flex Series", re.I)


@dataclass(frozen=True)
class Gpu:
    """One graphics device. `capability` is NVIDIA's compute capability, `arch` AMD's gfx name; memory in MiB."""

    name: str
    capability: tuple[int, int] | None = None
    arch: str = ""
    memory: int = 0


@dataclass(frozen=True)
class Hardware:
    """`kind` is cuda, rocm, xpu, mps or cpu. `driver` is the driver's version, `notes` what the user should know."""

    kind: str
    system: str
    machine: str
    gpus: tuple[Gpu, ...] = ()
    driver: tuple[int, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        if not self.gpus:
            return "CPU"
        more = f" and {len(self.gpus) - 1} more" if len(self.gpus) > 1 else ""
        return self.gpus[0].name + more

    @property
    def driver_text(self) -> str:
        return ".".join(str(part) for part in self.driver) or "unknown"


def detect(probe: Probe) -> Hardware:
    """The best device of this machine; NVIDIA before AMD before Intel, as torch supports them."""
    system, machine = probe.system, probe.machine
    if system == "Darwin":
        if machine == "arm64":
            chip = (probe.run(["sysctl", "-n", "machdep.cpu.brand_string"]) or "Apple silicon").strip()
            return Hardware("mps", system, machine, (Gpu(chip),))
        return Hardware("cpu", system, machine, notes=("torch has no GPU support for Macs with Intel processors",))
    gpus, driver = nvidia(probe)
    if gpus:
        return Hardware("cuda", system, machine, gpus, driver)
    amd = rocm(probe) if system == "Linux" else ()
    if amd:
        return Hardware("rocm", system, machine, amd)
    intel = xpu(probe)
    if intel:
        return Hardware("xpu", system, machine, intel)
    return Hardware("cpu", system, machine, notes=_unusable(probe))


def nvidia(probe: Probe) -> tuple[tuple[Gpu, ...], tuple[int, ...]]:
    """GPUs and driver version as nvidia-smi tells them; old drivers do not know `compute_cap`."""
    for command in SMI:
        for names in ("name,driver_version,memory.total,compute_cap", "name,driver_version,memory.total"):
            text = probe.run([command, f"--query-gpu={names}", "--format=csv,noheader,nounits"])
            if text and (found := parse_nvidia(text))[0]:
                return found
    return (), ()


def parse_nvidia(text: str) -> tuple[tuple[Gpu, ...], tuple[int, ...]]:
    gpus: list[Gpu] = []
    driver: tuple[int, ...] = ()
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) < 3 or not re.fullmatch(r"[\d.]+", cells[1]):
            continue
        driver = tuple(int(part) for part in cells[1].split("."))
        cap = re.fullmatch(r"(\d+)\.(\d+)", cells[3]) if len(cells) > 3 else None
        memory = int(cells[2]) if cells[2].isdigit() else 0
        gpus.append(Gpu(cells[0], (int(cap[1]), int(cap[2])) if cap else None, memory=memory))
    return tuple(gpus), driver


def rocm(probe: Probe) -> tuple[Gpu, ...]:
    """AMD GPUs from rocminfo, or from the kernel's own list where ROCm's tools are not installed."""
    text = probe.run(["rocminfo"])
    if text and (gpus := parse_rocminfo(text)):
        return gpus
    found = []
    for path in probe.glob("/sys/class/kfd/kfd/topology/nodes/*/properties"):
        version = re.search(r"gfx_target_version\s+(\d+)", probe.read(path) or "")
        if version and (arch := gfx_name(int(version[1]))):
            found.append(Gpu(f"AMD {arch}", arch=arch))
    return tuple(found)


def parse_rocminfo(text: str) -> tuple[Gpu, ...]:
    gpus = []
    for agent in re.split(r"\*{7}\s*Agent \d+\s*\*{7}", text)[1:]:
        arch = re.search(r"^\s*Name:\s*(gfx[0-9a-f]+)\s*$", agent, re.M)
        title = re.search(r"^\s*Marketing Name:\s*(.+?)\s*$", agent, re.M)
        if arch:
            gpus.append(Gpu(title[1] if title else f"AMD {arch[1]}", arch=arch[1]))
    return tuple(gpus)


def gfx_name(version: int) -> str:
    """gfx name of the kernel's number: 110001 is gfx1101, 90010 is gfx90a; 0 (a CPU) is empty."""
    if version == 0:
        return ""
    major, minor, step = version // 10000, version // 100 % 100, version % 100
    return f"gfx{major}{minor:x}{step:x}"


def xpu(probe: Probe) -> tuple[Gpu, ...]:
    """Intel GPUs for which torch has kernels: Arc and the data centre lines, not the older built-in ones."""
    if probe.system == "Windows":
        names = _windows_cards(probe)
        return tuple(Gpu(name) for name in names if "intel" in name.lower() and INTEL_NAMES.search(name))
    found = []
    for line in (probe.run(["lspci"]) or "").splitlines():
        card = re.search(r"(?:VGA compatible|Display|3D) controller: (Intel .+)", line)
        if card and INTEL_NAMES.search(card[1]):
            found.append(Gpu(re.sub(r"\s*\(rev \w+\)$", "", card[1])))
    return tuple(found)


def _windows_cards(probe: Probe) -> list[str]:
    query = "(Get-CimInstance Win32_VideoController).Name"
    text = probe.run(["powershell", "-NoProfile", "-Command", query]) or ""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _unusable(probe: Probe) -> tuple[str, ...]:
    """Cards that are in the machine but cannot be used as things stand."""
    if probe.system == "Windows":
        names = " ".join(_windows_cards(probe))
        if re.search(r"nvidia|geforce", names, re.I):
            return ("an NVIDIA card is built in, but its driver does not answer: install NVIDIA's driver",)
        if re.search(r"radeon", names, re.I):
            return ("an AMD card is built in; torch supports it on Linux (ROCm)",)
        return ()
    vendors = {(probe.read(path) or "").strip() for path in probe.glob("/sys/class/drm/card*/device/vendor")}
    if "0x10de" in vendors:
        return ("an NVIDIA card is built in, but its driver does not answer: install NVIDIA's driver",)
    if "0x1002" in vendors:
        return ("an AMD card is built in, but the kernel shows no compute device: install the amdgpu/ROCm driver",)
    return ()


def signature(probe: Probe) -> str:
    """A few words that change when a driver or card comes or goes; files only, since every start asks."""
    if probe.system == "Linux":
        driver = (probe.read("/proc/driver/nvidia/version") or "").splitlines()[:1]
        vendors = sorted({(probe.read(p) or "").strip() for p in probe.glob("/sys/class/drm/card*/device/vendor")})
        return f"linux {probe.machine} {driver} kfd={probe.exists('/dev/kfd')} {vendors}"
    if probe.system == "Windows":
        return f"windows {probe.machine} nvidia={any(probe.exists(path) for path in SMI[1:])}"
    return f"{probe.system.lower()} {probe.machine}"
