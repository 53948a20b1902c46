"""The whole program as a person meets it: a process with the shipped model, driven in a headless Chromium."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from atelier.launch.browser import find_browser

ROOT = Path(__file__).parents[2]
#: without --disable-gpu Chromium looks for one long before it draws by itself
ARGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
#: generous, since other work may run beside the tests; what is waited for usually comes in a fraction of it
PATIENCE = 120_000
#: what the page itself ends: streams that have told all, and everything at a reload
_ENDED = "net::ERR_ABORTED"
#: Gradio ends its streams when the page is left, and complains of the ends; nobody is there to see it
_TELLS_LEAVING = """if (window === top) {
    console.debug("atelier-page arrived");
    addEventListener("beforeunload", () => console.debug("atelier-page leaves"));
}"""


@dataclass
class Site:
    url: str
    data: Path

    def get(self, path: str) -> Any:
        return httpx.get(f"{self.url}{path}", timeout=60).json()

    def end_all(self) -> None:
        """A test that failed in the middle leaves no job to the next one, whose page would follow it."""
        for job in self.get("/atelier/v1/jobs?state=queued,running")["jobs"]:
            if job["kind"] == "load_model":
                # The program's own first job: later tests wait for the model.
                continue
            httpx.post(f"{self.url}/atelier/v1/jobs/{job['id']}/cancel", json={"mode": "stop"}, timeout=60)
        end = time.monotonic() + 60
        while self.get("/atelier/v1/health")["running"] and time.monotonic() < end:
            time.sleep(0.1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The program on a free port with a new data folder. The shipped model is found with any data folder."""
    data = tmp_path_factory.mktemp("data")
    command = [sys.executable, str(ROOT / "webui.py"), "--port", "17860", "--data-dir", str(data), "--no-browser"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines: queue.Queue[str] = queue.Queue()
    said: list[str] = []
    threading.Thread(target=lambda: [lines.put(line) for line in process.stdout], daemon=True).start()
    try:
        yield Site(_url(lines, said), data)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _url(lines: queue.Queue[str], said: list[str]) -> str:
    """The address that the program says; the port is another one where that was taken."""
    end = time.monotonic() + 180
    while time.monotonic() < end:
        try:
            said.append(lines.get(timeout=1))
        except queue.Empty:
            continue
        if found := re.search(r"Running on (http://\S+)", said[-1]):
            return found[1]
    pytest.fail("the program did not start:\n" + "".join(said))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    executable = find_browser(os.environ)
    if not executable:
        pytest.skip("no Chromium or Chrome was found; name one in ATELIER_BROWSER")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=list(ARGS))
        yield browser
        browser.close()


@pytest.fixture
def visit(site: Site, chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens the page as a new visitor. At the end no visitor may have met an error in the console."""
    contexts, errors, leaving = [], [], set()

    def told(message: Any) -> None:
        if message.text == "atelier-page leaves":
            leaving.add(message.page)
        elif message.text == "atelier-page arrived":
            leaving.discard(message.page)
        # Chromium itself writes a line for every refused request; those that are meant to be refused are tested.
        elif message.type == "error" and message.page not in leaving and "status of 422" not in message.text:
            errors.append(message.text)

    def failed(request: Any) -> None:
        if request.failure != _ENDED:
            errors.append(f"{request.failure}: {request.url}")

    def open_page(ready: bool = True, before: Callable[[Any], None] = lambda page: None, **context: Any) -> Any:
        made = chromium.new_context(
            **{"viewport": {"width": 1400, "height": 900}, "reduced_motion": "reduce", **context}
        )
        contexts.append(made)
        page = made.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: None if "AbortError" in str(error) else errors.append(str(error)))
        page.on("console", told)
        page.on("requestfailed", failed)
        page.add_init_script(_TELLS_LEAVING)
        before(page)
        page.goto(site.url)
        started(page, ready)
        return page

    yield open_page
    for context in contexts:
        context.close()
    site.end_all()
    assert errors == []


def started(page: Any, ready: bool = True) -> None:
    """The page is alive and, with `ready`, the engine as well."""
    until(page, "document.documentElement.classList.contains('atelier-started')")
    if ready:
        until(page, "atelier.status.health && atelier.status.health.engine === 'ready' && atelier.status.health.model")


def until(page: Any, condition: str) -> None:
    """Waits for a condition in JavaScript, looking by the clock: a covered page gets no frames."""
    page.wait_for_function(condition, polling=100, timeout=PATIENCE)


def idle(page: Any, tab: str = "txt2img") -> None:
    until(page, f"!atelier.panels.{tab}.running && !atelier.panels.{tab}.sending")
