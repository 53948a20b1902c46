"""The measurements of `full_size.py` as a test, on request: 10 GB of memory, 5 GB of disk, some minutes."""

import os

import pytest

from tests.parity.full_size import run_all


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not os.environ.get("ATELIER_FULL_SIZE"), reason="runs when ATELIER_FULL_SIZE=1")
def test_full_size_model(tmp_path):
    results = run_all(tmp_path)
    assert results["load"]["peak_over_file"] <= 1.15
    assert results["compare"]["largest"] <= 1 / 255
