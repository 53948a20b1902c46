"""`modules.safe`: tensors out of pickles that may hold nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def load(filename: Any, *args: Any, **kwargs: Any) -> Any:
    """As `torch.load`, for tensors and plain values only. Raises `pickle.UnpicklingError` for anything else."""
    return torch.load(filename, *args, **{**kwargs, "weights_only": True})


class Extra:
    """In A1111 `handler` names further classes that may be read; here torch's own list counts."""

    def __init__(self, handler: Callable[[str, str], Any]) -> None:
        self.handler = handler

    def __enter__(self) -> Extra:
        return self

    def __exit__(self, *exc: Any) -> None:
        """Nothing was changed."""
