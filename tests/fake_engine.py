"""An engine without a device, for tests of everything around it. Known by name: `tests.fake_engine:build`.

What it does is decided by the first word of the prompt: `fail`, `bug`, `exit`, `oom`, `lost`, `die` (ends the process),
`dieafter` (the same after one picture), `hold` (sets `arguments["held"]`, then waits for `arguments["gate"]` at each
step), anything else makes plain pictures. `arguments["step_seconds"]` slows it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from PIL import Image

from atelier.base.cancel import CancelToken
from atelier.base.errors import BadModelFile, BadRequest, DeviceLost, Interrupted, OutOfMemory
from atelier.base.events import Event, ModelLoaded, PictureReady, PreviewReady, StageChanged, StepDone
from atelier.jobs.executor import EngineConfig
from atelier.jobs.job import Job
from atelier.params.capabilities import (
    Capabilities,
    EmbeddingInfo,
    FileInfo,
    ModelInfo,
    NetworkInfo,
    SamplerInfo,
    SchedulerInfo,
    ScriptInfo,
    UpscalerInfo,
)

SAMPLERS = tuple(
    SamplerInfo(name, aliases, options)
    for name, aliases, options in (
        ("DPM++ 2M", ("k_dpmpp_2m",), {"scheduler": "karras"}),
        ("DPM++ 2M SDE", ("k_dpmpp_2m_sde",), {}),
        ("Euler a", ("k_euler_a", "k_euler_ancestral"), {}),
        ("Euler", ("k_euler",), {}),
        ("DDIM", ("ddim",), {}),
    )
)
SCHEDULERS = tuple(
    SchedulerInfo(name, label, aliases)
    for name, label, aliases in (
        ("automatic", "Automatic", ()), ("uniform", "Uniform", ()), ("karras", "Karras", ()),
        ("exponential", "Exponential", ()), ("sgm_uniform", "SGM Uniform", ("SGMUniform",)), ("simple", "Simple", ()),
    )
)  # fmt: skip
MODELS = (
    ModelInfo(
        "tiny.safetensors [0123456789]", "tiny", "/models/tiny.safetensors", "0123456789", "0123456789" + "a" * 54
    ),
    ModelInfo("sub/other.safetensors", "sub_other", "/models/sub/other.safetensors"),
    ModelInfo("broken.safetensors", "broken", "/models/broken.safetensors"),
)
SCRIPTS = (
    ScriptInfo("ControlNet", True, False, ({"label": "Enable", "value": False},)),
    ScriptInfo("ControlNet", True, True),
    ScriptInfo("Prompt matrix", False, False, ({"label": "put at start", "value": False},)),
    ScriptInfo("Loopback", False, True),
)


def build(config: EngineConfig) -> FakeEngine:
    if config.arguments.get("build_fails"):
        raise OSError("no device")
    gate = config.arguments.get("build_gate")
    if gate is not None:
        gate.wait(20)
    return FakeEngine(config)


class FakeEngine:
    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.model = MODELS[0].title
        self.closed = False
        self.seen: list[Job] = config.arguments.get("seen") if config.arguments.get("seen") is not None else []

    def capabilities(self) -> Capabilities:
        return Capabilities(
            device="cpu", model=self.model, samplers=SAMPLERS, schedulers=SCHEDULERS,
            upscalers=(UpscalerInfo("None"), UpscalerInfo("Lanczos"), UpscalerInfo("Nearest")),
            latent_upscale_modes=("Latent", "Latent (nearest)"), models=MODELS,
            vaes=(FileInfo("soft.vae.pt", "/models/VAE/soft.vae.pt"),),
            embeddings=(EmbeddingInfo("good", 2, 768, 100), EmbeddingInfo("wide", 1, 1024, usable=False)),
            loras=(NetworkInfo("ink", "/models/Lora/ink.safetensors", "ink drawing", metadata={"ss_steps": "10"}),),
            scripts=SCRIPTS,
        )  # fmt: skip

    def close(self) -> None:
        self.closed = True

    def run(self, job: Job, token: CancelToken, publish: Callable[[Event], Any], settings: Any) -> dict[str, Any]:
        self.seen.append(job)
        if job.kind == "load_model":
            return self._load(job, publish)
        if job.kind == "memory":
            return {"cuda": {"system": {"free": 1, "used": 2, "total": 3}}}
        if job.kind not in ("txt2img", "img2img"):
            return {"state": "done"}
        return self._pictures(job, token, publish)

    def _load(self, job: Job, publish: Callable[[Event], Any]) -> dict[str, Any]:
        if "broken" in job.payload["checkpoint"]:
            raise BadModelFile("The file is cut in half.", remedy="Download it again.")
        self.model = job.payload["checkpoint"]
        publish(ModelLoaded(job=job.id, title=self.model))
        return {"state": "done", "model": self.model}

    def _pictures(self, job: Job, token: CancelToken, publish: Callable[[Event], Any]) -> dict[str, Any]:
        asked = job.payload
        prompt = asked.get("prompt", {}).get("positive", "")
        word = (prompt.split() or [""])[0]
        self._break(word)
        count = asked.get("batch", {}).get("count", 1)
        steps = asked.get("sampling", {}).get("steps", 20)
        publish(StageChanged(job=job.id, stage="sampling"))
        pictures: list[dict[str, Any]] = []
        for index in range(count):
            if token.ending:
                break
            token.clear_skip()
            try:
                for step in range(steps):
                    if word == "hold":
                        self.config.arguments["held"].set()
                        self.config.arguments["gate"].wait(20)
                    token.check()
                    time.sleep(self.config.arguments.get("step_seconds", 0.0))
                    publish(StepDone(job=job.id, step=index * steps + step + 1, steps=count * steps))
                    if self.config.watched(job.id):
                        publish(PreviewReady(job=job.id, data="AAAA", index=index))
            except Interrupted as wish:
                if wish.mode == "cancel":
                    raise
                if wish.mode == "skip":
                    continue
            pictures.append(self._picture(job, index, publish))
            if word == "dieafter":
                die()
        info = {"prompt": prompt, "all_prompts": [prompt], "infotexts": [p["infotext"] for p in pictures]}
        info |= {"index_of_first_image": 0, "seed": asked.get("seed", {}).get("seed", -1)}
        state = "stopped" if token.mode == "stop" else "done"
        return {"state": state, "comments": [], "info": info, "seconds": 0.1, "pictures": pictures}

    def _break(self, word: str) -> None:
        if word == "fail":
            raise BadRequest("sampling.sampler", "it cannot do that.", remedy="Choose another.")
        if word == "bug":
            raise RuntimeError("a bug")
        if word == "exit":
            raise SystemExit(3)
        if word == "oom":
            raise OutOfMemory("The device has no room.", remedy="Make it smaller.", needed=2, free=1)
        if word == "lost":
            raise DeviceLost("The device is gone.")
        if word == "die":
            die()

    def _picture(self, job: Job, index: int, publish: Callable[[Event], Any]) -> dict[str, Any]:
        size = job.payload.get("size", {})
        width, height = size.get("width", 512), size.get("height", 512)
        infotext = f"{job.payload.get('prompt', {}).get('positive', '')}\nSteps: 20, Sampler: Euler, Seed: {index}"
        image = Image.new("RGB", (min(width, 64), min(height, 64)), (index * 20 % 255, 90, 120))
        ref = self.config.blobs.put_image(image, infotext)
        publish(
            PictureReady(
                job=job.id,
                index=index,
                sha256=ref.sha256,
                infotext=infotext,
                seed=index,
                width=ref.width,
                height=ref.height,
            )
        )
        return {
            "index": index, "sha256": ref.sha256, "width": ref.width, "height": ref.height, "path": "", "seed": index,
            "infotext": infotext, "subseed": -1, "role": "picture", "prompt": "", "negative": "",
        }  # fmt: skip


def die() -> None:
    """As hard as the system allows, in the middle of whatever the other threads do."""
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(30)
    os._exit(9)
