"""Every name of the measured surface that is carried resolves, and has the expected kind."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

SURFACE = json.loads((Path(__file__).parents[1] / "contract" / "a1111-surface.json").read_text("utf-8"))
PENDING = json.loads((Path(__file__).parent / "pending.json").read_text("utf-8"))
#: the fourteen that most extensions import, and those that the doors carry beside them
FOURTEEN = sorted(SURFACE["modules"], key=lambda name: -SURFACE["modules"][name])[:14]
CARRIED = tuple(name for name in SURFACE["modules"] if name not in PENDING["modules"])
METHODS = ("data", "add_option")
CONSTANTS = ("AlwaysVisible", "LANCZOS", "NEAREST", "cpu", "device", "model_hijack", "model_data")


def module_of(name: str) -> str:
    """The longest module that a dotted name begins with."""
    return max((m for m in SURFACE["modules"] if name == m or name.startswith(f"{m}.")), key=len)


def pending(name: str) -> bool:
    return name in PENDING["names"] or module_of(name) in PENDING["modules"]


NAMES = sorted(name for name in SURFACE["names"] if not pending(name) and name != module_of(name))


def resolve(name: str):
    module = module_of(name)
    found = importlib.import_module(module)
    for part in name[len(module) + 1 :].split("."):
        found = getattr(found, part)
    return found


def test_the_fourteen_most_used_modules_are_carried():
    assert not set(FOURTEEN) & set(PENDING["modules"])


@pytest.mark.parametrize("name", CARRIED)
def test_module(host, name):
    assert importlib.import_module(name).__name__ in (name, "modules.infotext_utils")


@pytest.mark.parametrize("name", NAMES)
def test_name(host, name):
    found = resolve(name)
    last = name.split(".")[-1]
    if ".opts." in name or ".cmd_opts." in name or last.endswith("_symbol"):
        assert (
            found is None
            or isinstance(found, (str, int, float, bool, list))
            or last.startswith("__")
            or last in METHODS
        )
    elif last.startswith(("on_", "get_", "create_", "parse_", "process_", "fix_", "save_", "list_", "read_", "load_")):
        assert callable(found), name
    elif last[:1].isupper() and last not in CONSTANTS:
        assert inspect.isclass(found), name
    elif last.endswith(("_dir", "_path")):
        assert isinstance(found, str), name
    elif last in ("all_samplers", "samplers", "samplers_for_img2img", "scripts_data", "sd_upscalers", "face_restorers"):
        assert isinstance(found, Sequence), name
    elif last in ("checkpoints_list", "all_samplers_map", "latent_upscale_modes", "options_templates"):
        assert isinstance(found, Mapping), name


def test_pending_names_exist_in_the_surface_and_have_a_reason():
    for name, reason in PENDING["names"].items():
        assert name in SURFACE["names"], name
        assert len(reason) > 10, name
    for name, reason in PENDING["modules"].items():
        assert name in SURFACE["modules"] and len(reason) > 10, name


def test_pending_names_are_not_there_yet(host):
    """Whoever adds a name takes it off the list."""
    for name in PENDING["names"]:
        with pytest.raises((ImportError, AttributeError)):
            resolve(name)
    for name in PENDING["modules"]:
        with pytest.raises(ImportError):
            importlib.import_module(name)


def test_names_of_other_hosts_are_absent(host):
    """Extensions look for them to tell hosts apart, and would take another path."""
    for name in ("modules_forge", "modules.devices.backend", "modules.shared.log", "modules.shared.native"):
        module, _, attribute = name.rpartition(".")
        if module:
            assert not hasattr(importlib.import_module(module), attribute), name
        else:
            with pytest.raises(ImportError):
                importlib.import_module(name)
