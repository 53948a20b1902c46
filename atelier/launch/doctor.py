"""The doctor: what is installed, what the device can do, what is wrong and how to mend it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from atelier.base.files import write_text
from atelier.base.paths import PROGRAM
from atelier.launch import hardware, proof, torch_table
from atelier.launch.browser import find_browser
from atelier.launch.environment import REQUIREMENTS, SUPPORTED
from atelier.launch.interpreter import supported
from atelier.launch.legacy import commit_hash
from atelier.launch.options import OPTIONS
from atelier.launch.pins import pins_of, unmet
from atelier.launch.steps import Setup

MODEL_ENDINGS = (".safetensors", ".ckpt", ".gguf")


@dataclass(frozen=True)
class Finding:
    """One line of the report. `level` is good, note or bad; `remedy` says how to mend what is not good."""

    level: str
    subject: str
    text: str
    remedy: str = ""


def report(setup: Setup) -> int:
    """Says what was found; the exit status is 1 when something is bad."""
    signs = {"good": "ok  ", "note": "note", "bad": "BAD "}
    findings = examine(setup)
    for finding in findings:
        setup.console.say(f"{signs[finding.level]}  {finding.subject:<12} {finding.text}")
        if finding.remedy:
            setup.console.say(f"{'':<19}-> {finding.remedy}")
    bad = sum(finding.level == "bad" for finding in findings)
    setup.console.say(f"{bad} thing{'s' if bad != 1 else ''} to mend." if bad else "Nothing to mend.")
    return 1 if bad else 0


def examine(setup: Setup) -> list[Finding]:
    """Every finding, from the program down to the port."""
    return [
        *_program(setup), *_environment(setup), *_device(setup), *_data(setup), *_models(setup), *_extensions(setup),
        *_port(setup), *_extras(setup),
    ]  # fmt: skip


def write_sysinfo(setup: Setup) -> Path:
    """Writes what was found, and the packages, as JSON into the data folder. Passwords are left out."""
    path = setup.environment.paths.data / time.strftime("sysinfo-%Y-%m-%d-%H-%M.json")
    secret = {"gradio_auth", "api_auth", "ngrok", "proxy", "gradio_auth_path"}
    content = {
        "findings": [asdict(finding) for finding in examine(setup)],
        "packages": setup.environment.installed(),
        "options": {o.dest: getattr(setup.args, o.dest) for o in OPTIONS if o.dest not in secret},
    }
    write_text(path, json.dumps(content, indent=1, default=str))
    return path


def _program(setup: Setup) -> list[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    found = [Finding("good", "program", f"{PROGRAM}, commit {commit_hash()[:10]}"), Finding("good", "system", system)]
    if supported(sys.version_info[:2]):
        return [*found, Finding("good", "python", f"{version} at {sys.executable}")]
    first, last = (".".join(map(str, v)) for v in SUPPORTED)
    return [*found, Finding("note", "python", f"{version} is outside {first} to {last}",
                            "Another one is looked for at the set-up; Python 3.11 is the best tried.")]  # fmt: skip


def _environment(setup: Setup) -> list[Finding]:
    environment = setup.environment
    if not environment.intact:
        state = "is incomplete" if environment.folder and environment.folder.exists() else "does not exist yet"
        return [Finding("bad", "environment", f"{environment.folder} {state}", "Run: python launch.py prepare")]
    version = environment.version or sys.version_info[:2]
    place = environment.folder or "the running Python"
    found = [Finding("good", "environment", f"Python {version[0]}.{version[1]} in {place}")]
    installed = environment.installed()
    for step, files in (("torch", [REQUIREMENTS / "torch.txt"]), ("requirements", environment.requirement_files())):
        try:
            pins = pins_of(files, version)
        except ValueError as error:
            found.append(Finding("note", step, str(error)))
            continue
        missing = unmet(pins, installed)
        if missing:
            names = ", ".join(f"{p.name} {installed.get(p.name, 'missing')} (wanted {p.version})" for p in missing)
            found.append(Finding("bad", step, names, f"Run: python launch.py prepare --step {step}"))
        else:
            found.append(Finding("good", step, f"all {len(pins)} pinned packages are there"))
    return found


def _device(setup: Setup) -> list[Finding]:
    machine = hardware.detect(setup.probe)
    choice = torch_table.choose(machine)
    facts = [f"driver {machine.driver_text}"] if machine.driver else []
    for gpu in machine.gpus:
        capability = f"compute capability {gpu.capability[0]}.{gpu.capability[1]}" if gpu.capability else ""
        memory = f"{gpu.memory} MiB" if gpu.memory else ""
        facts.append(", ".join(filter(None, (gpu.name, capability, gpu.arch, memory))))
    seen = "; ".join(facts) or f"no graphics device; {os.cpu_count()} CPU threads"
    found = [Finding("note" if choice.warning else "good", "hardware", seen, choice.warning)]
    if "torch" not in setup.environment.installed():
        return found
    variables = {**setup.environment.variables(), **dict(choice.environment)}
    ended = setup.runner.capture([str(setup.environment.python), "-c", proof.PROGRAM, choice.kind], variables)
    try:
        shown = proof.read(ended.tail)
    except (ValueError, KeyError):
        last = (ended.tail.strip().splitlines() or ["no output"])[-1]
        return [*found, Finding("bad", "device", f"torch does not start: {last}",
                                "Run: python launch.py prepare --reinstall-torch")]  # fmt: skip
    line = proof.sentence(shown, choice).removeprefix("Device: ")
    if not shown.error:
        return [*found, Finding("good", "device", line)]
    installed = setup.environment.installed()["torch"]
    remedy = "Update the driver; then run: python launch.py prepare --reinstall-torch"
    if choice.tag and not installed.endswith(choice.tag):
        remedy = f"torch {installed} is not the {choice.tag} build. Run: python launch.py prepare --reinstall-torch"
    return [*found, Finding("bad", "device", line, remedy)]


def _data(setup: Setup) -> list[Finding]:
    folder = setup.environment.paths.data
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free / 1e9
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".atelier-"):
            found = [Finding("good", "data folder", f"{folder} can be written")]
    except OSError as error:
        remedy = "Make it writable, or choose another one with --data-dir."
        found = [Finding("bad", "data folder", f"{folder}: {error.strerror or error}", remedy)]
    level = "bad" if free < 0.5 else "note" if free < 5 else "good"
    remedy = "" if level == "good" else "Free some room, or move the data folder with --data-dir."
    return [*found, Finding(level, "disk", f"{free:.1f} GB free", remedy)]


def _models(setup: Setup) -> list[Finding]:
    folders = setup.environment.paths.folders("checkpoint")
    files = {f for folder in folders if folder.is_dir() for f in folder.rglob("*") if f.suffix in MODEL_ENDINGS}
    if files:
        count = sum(folder.is_dir() for folder in folders)
        return [Finding("good", "checkpoints", f"{len(files)} in {count} folder{'s' if count != 1 else ''}")]
    return [Finding("note", "checkpoints", "none found",
                    f"Put a .safetensors file into {folders[0]}, or name a folder with --ckpt-dir, --a1111-dir or "
                    "--comfy-dir.")]  # fmt: skip


def _extensions(setup: Setup) -> list[Finding]:
    folders = setup.installers.folders()
    failed = setup.environment.state.result("extensions").get("failed", [])
    if failed:
        remedy = f"The reason stands in {setup.environment.log or 'the console'}."
        return [Finding("note", "extensions", f"install.py failed: {', '.join(failed)}", remedy)]
    return [Finding("good", "extensions", f"{len(folders)} enabled")]


def _port(setup: Setup) -> list[Finding]:
    port = setup.args.port or 7860
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return [Finding("note", "port", f"{port} is taken", "The next free one is used, or choose with --port.")]
    return [Finding("good", "port", f"{port} is free")]


def _extras(setup: Setup) -> list[Finding]:
    git = setup.environment.environ.get("GIT", "git")
    found = [Finding("good", "git", shutil.which(git) or "")] if shutil.which(git) else [
        Finding("note", "git", "not found", "Install git to install and update extensions from the page.")]  # fmt: skip
    browser = find_browser(setup.environment.environ)
    text = browser or "none found; only the browser tests need one"
    return [*found, Finding("good" if browser else "note", "browser", text)]
