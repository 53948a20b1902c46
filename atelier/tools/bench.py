"""Workbench: the networks of tools that are open, the last few of them, and where they work."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from atelier.base.errors import BadModelFile
from atelier.base.log import fields, logger
from atelier.device.residency import Residency
from atelier.tools.opened import Opened
from atelier.tools.watch import Watch

log = logger(__name__)


class Workbench:
    """`arguments` are the command line's: `use_cpu` names tools that stay on the CPU. `allow_pickle` is a setting.

    Devices other than the CPU are not measured.
    """

    def __init__(
        self, residency: Residency, dtype: torch.dtype = torch.float32, arguments: Mapping[str, Any] | None = None,
        limit: int = 4,
    ) -> None:  # fmt: skip
        self.residency = residency
        self.dtype = dtype
        self.allow_pickle = False
        self._limit = limit
        self._cpu = {str(word).lower() for word in (arguments or {}).get("use_cpu") or ()}
        self._open: OrderedDict[tuple, Opened] = OrderedDict()

    def get(self, path: Path, tool: str, build: Callable[[Path, bool], Opened]) -> Opened:
        """The network of a file; a file that has changed is opened again. Raises what `build` raises."""
        try:
            stat = os.stat(path)
        except OSError as error:
            raise BadModelFile(f"{path.name} is not there any more.", remedy="Refresh the lists.") from error
        key = (str(path), stat.st_size, stat.st_mtime_ns, tool)
        if key not in self._open:
            while len(self._open) >= self._limit:
                _, oldest = self._open.popitem(last=False)
                self.residency.forget(oldest.module)
            found = build(path, self.allow_pickle)
            if not self._on_cpu(tool) and self.dtype != torch.float32 and found.half:
                found.module.to(self.dtype)
            log.info("tool opened: %s", fields(file=path.name, kind=found.kind, scale=found.scale))
            self._open[key] = found
        self._open.move_to_end(key)
        return self._open[key]

    def device(self, tool: str) -> torch.device:
        return torch.device("cpu") if self._on_cpu(tool) else self.residency.device

    @contextmanager
    def using(self, opened: Opened, tool: str, watch: Watch, working: int = 0) -> Iterator[torch.device]:
        """The network where it works. `working` is the bytes that the work itself will need."""
        if self._on_cpu(tool):
            yield torch.device("cpu")
        elif watch.ladder is not None:
            with watch.ladder.lease(opened.module, working=working, teller=watch.teller):
                yield self.residency.device
        else:
            with self.residency.lease(opened.module, working=working):
                yield self.residency.device

    def close(self) -> None:
        for opened in self._open.values():
            self.residency.forget(opened.module)
        self._open.clear()

    def _on_cpu(self, tool: str) -> bool:
        return bool({"all", tool} & self._cpu)
