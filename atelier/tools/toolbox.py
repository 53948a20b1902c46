"""Toolbox: the tools that work on finished pictures, on one device, each opened when it is first needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from atelier.base.paths import Paths
from atelier.device.residency import Residency
from atelier.tools.bench import Workbench
from atelier.tools.model_upscaler import model_upscalers
from atelier.tools.upscale import Upscaler


class Toolbox:
    """Made with the services; the engine then tells it the precision and the command line."""

    def __init__(self, paths: Paths, residency: Residency) -> None:
        self.paths = paths
        self.bench = Workbench(residency)

    def equip(self, dtype: torch.dtype, arguments: Mapping[str, Any]) -> None:
        self.bench = Workbench(self.bench.residency, dtype, arguments)

    @property
    def allow_pickle(self) -> bool:
        return self.bench.allow_pickle

    @allow_pickle.setter
    def allow_pickle(self, allowed: bool) -> None:
        self.bench.allow_pickle = allowed

    def upscalers(self) -> Iterator[Upscaler]:
        """One for each file that is there now."""
        return model_upscalers(self.paths, self.bench)

    def face_restorers(self) -> tuple[tuple[str, str], ...]:
        """Names and the folders in which their files belong."""
        return ()

    def close(self) -> None:
        self.bench.close()
