"""Start: from the command line to the first page and picture, and the launcher's look at a second start."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from atelier.base.paths import PROGRAM
from bench.report import Figure, figure
from bench.timing import spread

#: a slow machine needs minutes to import everything for the first time
PATIENCE = 600.0
MOST_CHECK_SECONDS = 1.0
REQUEST = MappingProxyType({
    "prompt": "a panda on a blue background", "steps": 8, "width": 256, "height": 256, "seed": 1,
    "sampler_name": "Euler",
})  # fmt: skip


@dataclass(frozen=True)
class Start:
    """Seconds since the process was begun."""

    page: float
    engine: float
    picture: float


class Server:
    """`python webui.py` in a process of its own, on a free port and a data folder of its own."""

    def __init__(self, data: Path, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = log
        self._began = time.perf_counter()
        command = [sys.executable, "webui.py", "--port", str(port), "--data-dir", str(data), "--no-browser"]
        with open(log, "wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, cwd=PROGRAM)

    def page(self) -> float:
        """Seconds to the first answer that is a whole page of HTML."""
        return self._wait("/", None, lambda body: b"<html" in body.lower() and b"</html>" in body.lower())

    def engine(self) -> float:
        """Seconds to the first list of samplers, which the engine gives when it is ready."""
        return self._wait("/sdapi/v1/samplers", None, lambda body: bool(json.loads(body)))

    def picture(self) -> float:
        """Seconds to the first picture from the HTTP API."""
        body = json.dumps(dict(REQUEST)).encode()
        return self._wait("/sdapi/v1/txt2img", body, lambda answer: bool(json.loads(answer)["images"]))

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait(self, path: str, body: bytes | None, good: Callable[[bytes], bool]) -> float:
        """Raises `RuntimeError` when the server ended, refused for good, or took longer than anybody would wait."""
        last = "no answer"
        while time.perf_counter() - self._began < PATIENCE:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended: {self._tail()}")
            try:
                request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"})
                with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                    if answer.status == 200 and good(answer.read()):
                        return time.perf_counter() - self._began
                last = "an answer without what was asked for"
            except urllib.error.HTTPError as error:
                # 503 while the engine warms up.
                if error.code != 503:
                    raise RuntimeError(f"{path} answered {error.code}: {error.read()[:500]!r}") from error
                last = "503"
            except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
                last = str(error)
            time.sleep(0.02)
        raise RuntimeError(f"{path} gave {last} for {PATIENCE:.0f} seconds: {self._tail()}")

    def _tail(self) -> str:
        return self._log.read_text("utf-8", "replace")[-2000:]


def start_once(data: Path) -> Start:
    server = Server(data, data / "bench-server.log")
    try:
        return Start(server.page(), server.engine(), server.picture())
    finally:
        server.stop()


def measure_start(work: Path, rounds: int) -> Iterator[Figure]:
    """After one uncounted start, so that the program's files are in the system's memory."""
    data = work / "start"
    data.mkdir(parents=True, exist_ok=True)
    start_once(data)
    found = [start_once(data) for _ in range(rounds)]
    moments = {
        "page": "the first page", "engine": "an engine that is ready",
        "picture": "the first picture (256 x 256, 8 steps)",
    }  # fmt: skip
    for moment, words in moments.items():
        seconds = spread([getattr(once, moment) for once in found])
        yield figure(f"start.{moment}", f"python webui.py to {words}", "s", seconds)
    yield from measure_setup_check(work, rounds)


def measure_setup_check(work: Path, rounds: int) -> Iterator[Figure]:
    """The set-up of an environment in which nothing is to be done, as the whole process `launch.py prepare`.

    Measured on the environment that runs the benchmark, where the launcher has made it.
    """
    name, what = "start.setup", "launch.py: the set-up check of a second start"
    if not (Path(sys.prefix) / "atelier-setup.json").exists():
        note = "not measured: start with python launch.py bench"
        yield Figure(name, what, "s", limit=MOST_CHECK_SECONDS, note=note)
        return
    python = shutil.which("python3") or sys.executable
    command = [python, "launch.py", "prepare", "--offline", "--venv-dir", sys.prefix, "--data-dir", str(work / "start")]
    seconds = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        done = subprocess.run(command, cwd=PROGRAM, capture_output=True, text=True, check=False)
        seconds.append(time.perf_counter() - began)
        if done.returncode or "nothing to do" not in done.stdout:
            last = (done.stdout + done.stderr).strip().splitlines()[-1:]
            note = f"not measured: the set-up is not complete: {last}"
            yield Figure(name, what, "s", limit=MOST_CHECK_SECONDS, note=note)
            return
    yield figure(name, what, "s", spread(seconds[1:]), limit=MOST_CHECK_SECONDS)
