"""Runs unmodified community extensions inside the whole program: server, page, queue, engine, a tiny model.

    python -m tests.extensions.accept FOLDER

FOLDER holds their clones: stable-diffusion-webui-wildcards, CFG-Schedule-for-Automatic1111-SD, sd-dynamic-prompts.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

import webui
from atelier.launch.arguments import parse
from atelier.params.infotext import parse_infotext
from atelier.plugins.hooks import hookimpl
from atelier.web.page import build_page
from atelier.web.server import build_server
from modules._host.attach import detach, host
from tests.tiny import write_tiny_checkpoint

WILDCARDS = "stable-diffusion-webui-wildcards"
SCHEDULE = "CFG-Schedule-for-Automatic1111-SD"
DYNAMIC = "sd-dynamic-prompts"
ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "width": 64,
    "height": 64,
    "steps": 4,
    "sampler_name": "Euler",
    "seed": 11,
    "cfg_scale": 7,
    "save_images": True,
}
ANIMALS = ("lynx", "otter", "heron")


class Scales:
    """Notes by which factor each call of the model was guided."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    @hookimpl
    def after_guidance(self, step: Any) -> None:
        cond, uncond = step.cond_denoised, step.uncond_denoised
        apart = cond - uncond
        self.seen.append(round(float(((step.denoised - uncond) * apart).sum() / (apart * apart).sum()), 2))


class Program:
    """The whole program on a data folder of its own."""

    def __init__(self, data: Path) -> None:
        argv = ["--data-dir", str(data), "--no-browser"]
        self.app = webui.assemble(parse(argv, environ={}), argv)
        self.scales = Scales()
        self.app.plugins.register(self.scales, "scales")
        self.app.start()
        self.page = build_page(self.app)
        self.client = TestClient(build_server(self.app, page=self.page), base_url="http://127.0.0.1:7860")
        self.app.executor.wait_ready(120)

    def post(self, **body: Any) -> dict[str, Any]:
        answer = self.client.post("/sdapi/v1/txt2img", json={**SMALL, **body})
        assert answer.status_code == 200, answer.text
        return {**answer.json(), "info": json.loads(answer.json()["info"])}

    def generate(self, script: str = "", args: dict[int, Any] | None = None, **values: Any) -> list[dict[str, Any]]:
        """Presses Generate on the page's server side: the controls at their values, some of them set by element id."""
        function = next(f for f in self.page.fns.values() if getattr(f.fn, "__name__", "") == "submit")
        runner = host().txt2img
        shown = []
        for control in function.inputs:
            elem_id = getattr(control, "elem_id", None)
            value = getattr(control, "value", None)
            shown.append(values.get(elem_id, value))
        start = len(shown) - len(runner.inputs)
        shown[start:] = runner.default_args()
        if script:
            shown[start] = runner.titles.index(script) + 1
        for place, value in (args or {}).items():
            shown[start + place] = value
        shown[0] = json.dumps({"client": "accept"})
        ticket = json.loads(function.fn(*shown))
        assert "id" in ticket, ticket
        row = self.app.result(ticket["id"], 120)
        return row.result["pictures"]

    def close(self) -> None:
        self.app.close()
        detach()


@contextmanager
def program(folder: Path, *names: str) -> Iterator[Program]:
    """The program with copies of the named extensions."""
    with tempfile.TemporaryDirectory() as made:
        data = Path(made)
        write_tiny_checkpoint(data / "models" / "Stable-diffusion")
        for name in names:
            shutil.copytree(folder / name, data / "extensions" / name, ignore=shutil.ignore_patterns(".git"))
        if WILDCARDS in names:
            (data / "extensions" / WILDCARDS / "wildcards").mkdir(exist_ok=True)
            (data / "extensions" / WILDCARDS / "wildcards" / "animal.txt").write_text("\n".join(ANIMALS), "utf-8")
        running = Program(data)
        try:
            broken = {e.name: e.traces for e in running.app.extensions if e.broken}
            assert not broken, broken
            yield running
            assert not host().guard.failures, [f.trace for f in host().guard.failures]
        finally:
            running.close()


def accept_wildcards(folder: Path) -> str:
    with program(folder, WILDCARDS) as running:
        info = running.post(prompt="a __animal__ in the snow", n_iter=3)["info"]
        found = [parse_infotext(text) for text in info["infotexts"][info["index_of_first_image"] :]]
        words = [f["Prompt"].split()[1] for f in found]
        assert len(words) == 3 and set(words) <= set(ANIMALS), words
        assert all(f["Wildcard prompt"] == "a __animal__ in the snow" and "Wildcard hr prompt" not in f for f in found)
        shown = running.generate(
            txt2img_prompt="a __animal__ here", txt2img_steps=2, txt2img_width=64, txt2img_height=64
        )
        assert parse_infotext(shown[0]["infotext"])["Prompt"].split()[1] in ANIMALS
        running.app.settings.update({"wildcards_write_infotext": False})
        assert "Wildcard prompt" not in running.post(prompt="a __animal__")["info"]["infotexts"][0]
    return f"wildcards: {words}"


def accept_schedule(folder: Path) -> str:
    with program(folder, SCHEDULE) as running:
        plain = running.post(prompt="a house")
        assert running.scales.seen == [7.0] * 4, running.scales.seen
        running.scales.seen.clear()
        script = {"script_name": "CFG Scheduling", "script_args": ["0:7;1:2;2:=t*3", "", 0.5, 1, False]}
        scheduled = running.post(prompt="a house", **script)
        seen = list(running.scales.seen)
        assert seen == [7.0, 2.0, 6.0, 9.0], seen
        assert scheduled["images"] != plain["images"]
        assert "CFG Scheduler Info" in scheduled["info"]["infotexts"][0]
        running.scales.seen.clear()
        place = host().txt2img.script("CFG Scheduling").args_from
        running.generate("CFG Scheduling", {place: "0:5;2:1", place + 3: 2}, txt2img_prompt="x", txt2img_steps=4,
                         txt2img_sampling="Euler", txt2img_width=64, txt2img_height=64)  # fmt: skip
        assert running.scales.seen == [5.0, 5.0, 1.0, 1.0] * 2, running.scales.seen
        running.post(
            prompt="a house", script_name="CFG Auto", script_args=["Blur Last", 0.25, 10, 10, 10, 10, 1, False]
        )
    return f"CFG schedule: {seen}"


def accept_dynamic(folder: Path) -> str:
    with program(folder, DYNAMIC) as running:
        title = next(s["name"] for s in running.client.get("/sdapi/v1/script-info").json() if "dynamic" in s["name"])
        info = running.post(prompt="a {red|green|blue} ball", n_iter=4)["info"]
        words = [prompt.split()[1] for prompt in info["all_prompts"]]
        assert len(words) == 4 and set(words) <= {"red", "green", "blue"}, words
        every = running.post(
            prompt="a {red|green|blue} ball", alwayson_scripts={title: {"args": [True, True, 1]}}, n_iter=1
        )["info"]
        assert sorted(p.split()[1] for p in every["all_prompts"]) == ["blue", "green", "red"], every["all_prompts"]
        assert len(every["infotexts"]) - every["index_of_first_image"] == 3
        running.app.settings.update({"dp_write_raw_template": True})
        shown = running.generate(txt2img_prompt="one {cat|dog}", txt2img_steps=2, txt2img_width=64, txt2img_height=64)
        found = parse_infotext(shown[0]["infotext"])
        assert found["Prompt"] in ("one cat", "one dog") and found["Template"] == "one {cat|dog}", found
        off = running.post(prompt="a {red|green} ball", alwayson_scripts={title: {"args": [False]}})["info"]
        assert off["all_prompts"] == ["a {red|green} ball"]
        ids = [c["props"].get("elem_id") for c in running.page.get_config_file()["components"]]
        assert "tab_sddp-wildcard-manager" in ids
    return f"dynamic prompts: {words}, all of them when combinatorial"


def accept_together(folder: Path) -> str:
    with program(folder, WILDCARDS, SCHEDULE, DYNAMIC) as running:
        script = {"script_name": "CFG Scheduling", "script_args": ["0:7;1:2", "", 0.5, 2, False]}
        info = running.post(prompt="a {red|green} __animal__", **script)["info"]
        texts = info["infotexts"]
        assert len(texts) >= 2 and "{" not in "".join(parse_infotext(t)["Prompt"] for t in texts), texts
    return "all three at once"


CASES: dict[str, Callable[[Path], str]] = {
    WILDCARDS: accept_wildcards, SCHEDULE: accept_schedule, DYNAMIC: accept_dynamic, "together": accept_together,
}  # fmt: skip


def missing(folder: Path, case: str) -> str:
    """Which extension a case needs and the folder lacks."""
    needed = (WILDCARDS, SCHEDULE, DYNAMIC) if case == "together" else (case,)
    return ", ".join(name for name in needed if not (folder / name / "scripts").is_dir())


def in_own_process(folder: Path, case: str) -> subprocess.CompletedProcess[str]:
    """Modules of extensions stay in a process, with the folder that they were first found in."""
    command = [sys.executable, "-m", "tests.extensions.accept", str(folder), case]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=600)


def main(argv: list[str]) -> int:
    if not 1 <= len(argv) <= 2:
        print(__doc__)
        return 2
    folder = Path(argv[0]).resolve()
    if len(argv) == 2:
        print(f"ok {CASES[argv[1]](folder)}")
        return 0
    status = 0
    for case in CASES:
        lacking = missing(folder, case)
        if lacking:
            print(f"skipped {case}: no {lacking}", flush=True)
            continue
        done = in_own_process(folder, case)
        print(done.stdout.strip().splitlines()[-1] if done.returncode == 0 else done.stderr, flush=True)
        status = status or done.returncode
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
