"""The community extensions of accept.py, where ATELIER_EXTENSIONS names a folder with their clones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.extensions.accept import CASES, in_own_process, missing

FOLDER = os.environ.get("ATELIER_EXTENSIONS", "")


@pytest.mark.parametrize("case", CASES)
def test_unmodified_extension(case):
    if not FOLDER:
        pytest.skip(f"{case}: ATELIER_EXTENSIONS names no folder with community extensions")
    lacking = missing(Path(FOLDER), case)
    if lacking:
        pytest.skip(f"{case}: {FOLDER} has no {lacking}")
    done = in_own_process(Path(FOLDER).resolve(), case)
    assert done.returncode == 0, done.stderr
