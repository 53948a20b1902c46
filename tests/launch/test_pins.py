from __future__ import annotations

import sys
from pathlib import Path

import pytest

from atelier.launch.environment import REQUIREMENTS
from atelier.launch.pins import Pin, installed_in, marker_holds, pins_of, unmet

FILES = [REQUIREMENTS.parent / "requirements.txt", *sorted(REQUIREMENTS.glob("*.txt"))]


def test_markers() -> None:
    assert marker_holds('python_version < "3.11"', (3, 10)) and not marker_holds('python_version < "3.11"', (3, 11))
    assert marker_holds('python_version >= "3.9" and python_version < "3.13"', (3, 12))
    assert marker_holds(f'sys_platform == "{sys.platform}"', (3, 12))
    with pytest.raises(ValueError, match="implementation_name"):
        marker_holds('implementation_name == "cpython"', (3, 12))


def test_lines(tmp_path: Path) -> None:
    file = tmp_path / "r.txt"
    file.write_text('# words\n-c other.txt\nThing_One[extra]==1.0  # why\nb==2; python_version < "3.11"\n\n')
    assert pins_of([file], (3, 12)) == (Pin("thing-one", "1.0"),)
    assert pins_of([file], (3, 10)) == (Pin("thing-one", "1.0"), Pin("b", "2"))
    file.write_text("loose>=1\n")
    with pytest.raises(ValueError, match="r.txt:1"):
        pins_of([file], (3, 12))


def test_a_build_tag_does_not_count_against_a_version() -> None:
    pins = (Pin("torch", "2.13.0"), Pin("numpy", "2.4.6"), Pin("gone", "1"))
    assert unmet(pins, {"torch": "2.13.0+cu130", "numpy": "2.5.0"}) == pins[1:]


def test_installed_packages_are_read_from_folder_names(tmp_path: Path) -> None:
    for name in ("Pillow-12.3.0.dist-info", "typing_extensions-4.16.0.dist-info", "pillow", "x.pth"):
        (tmp_path / name).mkdir()
    assert installed_in([tmp_path, tmp_path / "none"]) == {"pillow": "12.3.0", "typing-extensions": "4.16.0"}


@pytest.mark.parametrize("python", [(3, 10), (3, 11), (3, 12), (3, 13)])
def test_our_own_files_pin_each_package_once_on_every_python(python: tuple[int, int]) -> None:
    names = [pin.name for pin in pins_of(FILES, python)]
    assert len(names) == len(set(names))
    assert {"torch", "gradio", "diffusers", "transformers", "numpy", "pytest"} <= set(names)
    assert not {"torchvision", "xformers", "accelerate"} & set(names)


def test_every_direct_dependency_is_justified() -> None:
    text = (REQUIREMENTS.parent / "docs" / "dependencies.md").read_text("utf-8").lower()
    direct = [*FILES[:1], REQUIREMENTS / "torch.txt", *sorted(REQUIREMENTS.glob("[!c]*.txt"))]
    missing = {pin.name for pin in pins_of(direct, (3, 12)) if f"| {pin.name} |" not in text}
    assert missing == set()
