"""A running program for tests: webui.py in a process of its own, on a free port, with a tiny model."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.tiny import write_tiny_checkpoint

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 180


def data_folder(folder: Path) -> Path:
    models = folder / "models" / "Stable-diffusion"
    models.mkdir(parents=True, exist_ok=True)
    write_tiny_checkpoint(models)
    return folder


class Program:
    """`with Program(data) as program:` gives a server whose engine is ready. `output` is all it printed."""

    def __init__(self, data: Path, *options: str, port: int = 0, page: bool = False) -> None:
        self.data = data
        options = (*options, "--data-dir", str(data), "--port", str(port or 17860), "--no-browser")
        self._command = [sys.executable, str(ROOT / "webui.py"), *options, *(() if page else ("--nowebui",))]
        self.output = ""
        self.url = ""

    def start(self) -> Program:
        self.process = subprocess.Popen(
            self._command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._until(lambda: bool(self.url) or self.process.poll() is not None)
        if not self.url:
            self._reader.join(5)
        return self

    def ready(self) -> Program:
        self._until(lambda: self.get("/atelier/v1/health")[1]["engine"] in ("ready", "failed"))
        health = self.get("/atelier/v1/health")[1]
        assert health["engine"] == "ready", f"{health['message']}\n{self.output[-3000:]}"
        return self

    def _read(self) -> None:
        for line in self.process.stdout:
            self.output += line
            found = re.search(r"Running on (\S+)", line)
            if found:
                self.url = found.group(1)

    def _until(self, done: Any) -> None:
        end = time.monotonic() + START_SECONDS
        while not done():
            assert time.monotonic() < end, f"it took too long\n{self.output[-3000:]}"
            time.sleep(0.1)

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def get(self, path: str) -> tuple[int, Any]:
        return self.call("GET", path)

    def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        return self.call("POST", path, {} if body is None else body)

    def submit(self, **request: Any) -> str:
        status, answer = self.post("/atelier/v1/jobs", {"kind": "txt2img", "request": request})
        assert status == 202, answer
        return answer["id"]

    def job(self, id: str) -> dict[str, Any]:
        return self.get(f"/atelier/v1/jobs/{id}")[1]

    def wait(self, id: str, *states: str) -> dict[str, Any]:
        wanted = states or ("done", "stopped", "cancelled", "failed")
        self._until(lambda: self.job(id)["state"] in wanted)
        return self.job(id)

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def __enter__(self) -> Program:
        try:
            self.start()
            assert self.url, self.output[-3000:]
            return self.ready()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.kill()
