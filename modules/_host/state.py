"""State: `shared.state`, what A1111 extensions read and set about the job that is running."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from typing import Any

from atelier.base.cancel import CancelToken


class State:
    """The runner keeps it up to date. `interrupted` and `skipped` look at the running job's token and set it."""

    def __init__(self) -> None:
        self.job = ""
        self.job_no = 0
        self.job_count = 0
        self.processing_has_refined_job_count = False
        self.job_timestamp = "0"
        self.sampling_step = 0
        self.sampling_steps = 0
        self.current_latent: Any = None
        self.current_image: Any = None
        self.current_image_sampling_step = 0
        self.id_live_preview = 0
        self.textinfo: str | None = None
        self.time_start: float | None = None
        self.server_start = time.time()
        self.need_restart = False
        self.oom = False
        self.token: CancelToken | None = None
        self._flags = {"skip": False, "stop": False, "finish": False}
        self._command: str | None = None
        self._signal = threading.Event()

    # -- wishes ------------------------------------------------------------------------------------------------

    @property
    def interrupted(self) -> bool:
        return self._flags["stop"] or (self.token is not None and self.token.mode in ("stop", "cancel"))

    @interrupted.setter
    def interrupted(self, value: bool) -> None:
        self._wish("stop", value)

    @property
    def skipped(self) -> bool:
        return self._flags["skip"] or (self.token is not None and self.token.mode == "skip")

    @skipped.setter
    def skipped(self, value: bool) -> None:
        self._wish("skip", value)

    @property
    def stopping_generation(self) -> bool:
        return self._flags["finish"] or (self.token is not None and self.token.ending)

    @stopping_generation.setter
    def stopping_generation(self, value: bool) -> None:
        self._wish("finish", value)

    def _wish(self, mode: str, value: bool) -> None:
        self._flags[mode] = bool(value)
        if value and self.token is not None:
            self.token.request(mode)

    def interrupt(self) -> None:
        self.interrupted = True

    def skip(self) -> None:
        self.skipped = True

    def stop_generating(self) -> None:
        self.stopping_generation = True

    # -- progress ----------------------------------------------------------------------------------------------

    def begin(self, job: str = "(unknown)") -> None:
        self.job = job
        self.job_no = self.sampling_step = self.current_image_sampling_step = self.id_live_preview = 0
        self.job_count = -1
        self.processing_has_refined_job_count = False
        self.job_timestamp = datetime.now().strftime("%Y%m%d%H%M%S")
        self.current_latent = self.current_image = self.textinfo = None
        self._flags = dict.fromkeys(self._flags, False)
        self.time_start = time.time()

    def end(self) -> None:
        self.job = ""
        self.job_count = 0
        self.token = None

    def nextjob(self) -> None:
        self.job_no += 1
        self.sampling_step = self.current_image_sampling_step = 0

    def assign_current_image(self, image: Any) -> None:
        self.current_image = image
        self.id_live_preview += 1

    def set_current_image(self) -> None:
        """Live previews are made by the program itself."""

    do_set_current_image = set_current_image

    def dict(self) -> dict[str, Any]:
        return {
            "skipped": self.skipped,
            "interrupted": self.interrupted,
            "stopping_generation": self.stopping_generation,
            "job": self.job,
            "job_count": self.job_count,
            "job_timestamp": self.job_timestamp,
            "job_no": self.job_no,
            "sampling_step": self.sampling_step,
            "sampling_steps": self.sampling_steps,
        }

    # -- the server --------------------------------------------------------------------------------------------

    @property
    def server_command(self) -> str | None:
        return self._command

    @server_command.setter
    def server_command(self, value: str | None) -> None:
        self._command = value
        self._signal.set()

    def wait_for_server_command(self, timeout: float | None = None) -> str | None:
        if self._signal.wait(timeout):
            self._signal.clear()
            command, self._command = self._command, None
            return command
        return None

    def request_restart(self) -> None:
        self.interrupt()
        self.server_command = "restart"
