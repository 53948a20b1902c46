from __future__ import annotations

import sys

import pytest

from atelier.base.errors import SetupFailed
from atelier.launch.interpreter import choose, supported
from tests.launch.fakes import FakeProbe


def test_the_range() -> None:
    assert [minor for minor in range(8, 16) if supported((3, minor))] == [10, 11, 12, 13]
    assert not supported(None) and not supported((2, 7))


def test_the_running_python_is_taken_when_it_fits() -> None:
    assert choose(FakeProbe(), {}, (3, 12)) == sys.executable


def test_another_one_is_looked_for_when_it_does_not() -> None:
    runs = {"python3.12 -c import sys, struct": "3 12 64\n", "python3.12 -c": "/usr/bin/python3.12\n"}
    assert choose(FakeProbe(runs=runs), {}, (3, 14)) == "/usr/bin/python3.12"
    runs = {"py -3.11 -c import sys, struct": "3 11 64\n", "py -3.11 -c": "C:/Python311/python.exe\n"}
    assert choose(FakeProbe("Windows", "amd64", runs), {}, (3, 9)) == "C:/Python311/python.exe"


def test_a_32_bit_python_does_not_fit() -> None:
    probe = FakeProbe(runs={"python3.11 -c import sys, struct": "3 11 32\n"})
    with pytest.raises(SetupFailed, match="no other was found"):
        choose(probe, {}, (3, 9))


def test_none_says_what_to_install() -> None:
    with pytest.raises(SetupFailed, match=r"Python 3\.14") as failed:
        choose(FakeProbe(), {}, (3, 14))
    assert "Install Python 3.11 or 3.12" in failed.value.remedy and failed.value.fields["step"] == "python"


def test_one_that_is_named_is_used_or_refused() -> None:
    runs = {"/opt/py -c import sys, struct": "3 10 64", "/opt/py -c": "/opt/py"}
    assert choose(FakeProbe(runs=runs), {"PYTHON": "/opt/py"}, (3, 12)) == "/opt/py"
    with pytest.raises(SetupFailed, match="PYTHON=/opt/none"):
        choose(FakeProbe(), {"PYTHON": "/opt/none"}, (3, 12))


def test_anything_goes_when_the_check_is_skipped() -> None:
    assert choose(FakeProbe(), {}, (3, 15), anything=True) == sys.executable
