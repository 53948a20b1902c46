"""The recorded cases of the sampling contract."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import torch


@functools.lru_cache(maxsize=1)
def cases() -> dict:
    path = Path(__file__).resolve().parents[1] / "contract" / "sampling_cases.json"
    return json.loads(path.read_text("utf-8"))


def quiet(_: object) -> None:
    """A listener that does nothing."""


def close(actual, expected, rtol=2e-5, atol=2e-6) -> None:
    actual = torch.as_tensor(actual, dtype=torch.float64)
    expected = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)
