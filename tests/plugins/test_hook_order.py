"""A run fires every hook of a run, in the order of the table in docs/hooks.md."""

from __future__ import annotations

import inspect

import pytest
from PIL import Image

from atelier.params.groups import GROUPS
from atelier.params.request import GenerationRequest
from atelier.params.settings import Settings
from atelier.pipeline.hooks import PipelineHooks
from atelier.pipeline.run import generate
from atelier.plugins.hooks import hookimpl
from atelier.plugins.manager import Plugins, documented
from tests.pipeline.conftest import make_services
from tests.tiny import write_tiny_checkpoint

TABLE = list(documented(PipelineHooks))
#: fired only by a second pass, and only by a masked one
SECOND, MASKED = "before_second_pass", "blend_mask"


class Recorder:
    def __init__(self):
        self.fired = []


def _recording(name):
    def listen(self, *carriers):
        self.fired.append(name)

    # pluggy looks at the argument names, so each listener shows those of its hook.
    listen.__signature__ = inspect.signature(getattr(PipelineHooks, name))
    return hookimpl(listen)


for _name in TABLE:
    setattr(Recorder, _name, _recording(_name))


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    write_tiny_checkpoint(data / "models" / "Stable-diffusion")
    plugins = Plugins()
    plugins.add_hookspecs(PipelineHooks)
    recorder = Recorder()
    plugins.register(recorder, "recorder", guarded=False)
    services = make_services(data, hooks=plugins.relay)
    settings = Settings(data / "config.json", GROUPS)

    def run(**paths):
        recorder.fired.clear()
        small = {"size.width": 64, "size.height": 64, "sampling.steps": 2, "seed.seed": 1, "sampling.sampler": "Euler"}
        generate(GenerationRequest().with_values(**{**small, **paths}), services, settings=settings.snapshot())
        return list(recorder.fired)

    run.blobs = services.blobs
    return run


def test_txt2img(bench):
    first = list(dict.fromkeys(bench()))
    assert first == [name for name in TABLE if name not in (SECOND, MASKED)]


def test_steps_repeat_in_order(bench):
    fired = bench()
    steps = [
        name for name in fired if name in ("before_denoise", "amend_model_inputs", "after_denoise", "after_guidance")
    ]
    assert steps == ["before_denoise", "amend_model_inputs", "after_denoise", "after_guidance"] * 2


def test_a_second_pass_samples_again(bench):
    fired = bench(**{"hires.enabled": True, "hires.scale": 1.5, "hires.steps": 2})
    second = fired.index(SECOND)
    assert "before_sampling" in fired[:second] and "before_sampling" in fired[second:]
    assert fired.count("before_sampling") == 2 and fired.count("after_sampling") == 1
    assert fired[second:].index("amend_conditioning") < fired[second:].index("before_sampling")


def test_a_mask_is_blended_at_each_step(bench):
    picture = bench.blobs.put_image(Image.new("RGB", (64, 64), "green"))
    mask = Image.new("L", (64, 64))
    mask.paste(255, (16, 16, 48, 48))
    fired = bench(**{"source.images": (picture,), "mask.image": bench.blobs.put_image(mask.convert("RGB")),
                     "source.denoising_strength": 1.0, "sampling.steps": 3})  # fmt: skip
    assert fired.count(MASKED) == fired.count("after_guidance") > 0
    assert list(dict.fromkeys(fired)) == [name for name in TABLE if name != SECOND]


def test_every_batch_has_its_moments(bench):
    fired = bench(**{"batch.count": 2, "batch.size": 2})
    for name in ("before_batch", "networks_applied", "amend_batch", "after_decode"):
        assert fired.count(name) == 2, name
    assert fired.count("amend_frame") == fired.count("amend_composite") == 4
    assert fired.count("before_save") == 5, "four pictures and the grid"
    assert fired[0] == "amend_request" and fired[-1] == "after_run"
