"""The engine's own part: what command line and settings say about the device reaches those who work on it."""

from __future__ import annotations

import weakref
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from atelier.base.cancel import CancelToken
from atelier.base.errors import BadRequest, ModelMissing
from atelier.base.events import ModelLoaded, StepDone
from atelier.base.paths import Paths
from atelier.engine import Engine, build
from atelier.imaging.blobs import BlobStore
from atelier.jobs.executor import EngineConfig
from atelier.jobs.job import Job
from atelier.params.extras import ExtrasRequest
from atelier.params.extras_schema import extras_to_json
from atelier.params.groups import GROUPS
from atelier.params.request import GenerationRequest
from atelier.params.schema import request_to_json
from atelier.params.settings import Settings
from atelier.pipeline.hooks import PipelineHooks
from atelier.pipeline.relay import NoHooks
from atelier.plugins.hooks import hookimpl
from atelier.plugins.manager import Plugins
from atelier.prompts.tags import extract_tags
from tests.program import data_folder
from tests.tiny import write_tiny_checkpoint
from tests.tiny_sdxl import write_tiny_xl
from tests.tools.networks import write_rrdb


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return data_folder(tmp_path_factory.mktemp("engine"))


@pytest.fixture
def engine(data):
    def build(data=data, **arguments):
        paths = Paths(data=data, program=data)
        plugins = SimpleNamespace(relay=NoHooks(), provided=lambda name: ())
        return Engine(
            EngineConfig(
                paths=paths, arguments=arguments, plugins=plugins, blobs=BlobStore(paths.blobs),
                publish=lambda event: None, watched=lambda job: False, picture_saved=lambda run, picture: None,
            )
        )  # fmt: skip

    return build


def settings(data, **values):
    return Settings(data / "config.json", GROUPS).snapshot().overlaid(values)


def job():
    small = {"size.width": 64, "size.height": 64, "sampling.steps": 2, "seed.seed": 7, "prompt.positive": "a cat"}
    return Job("txt2img", request_to_json(GenerationRequest().with_values(**small)))


def paint(engine, data, **values):
    result = engine.run(job(), CancelToken(), lambda event: None, settings(data, samples_save=False, **values))
    return np.asarray(engine.config.blobs.image(result["pictures"][-1]["sha256"])).astype(int)


def test_a_plugin_is_told_once_that_the_engine_has_started(data):
    told = []

    class Listener:
        @hookimpl
        def started(self, side, owner):
            told.append((side, owner, plugins.get("scripts") is not None))

    plugins, paths = Plugins(), Paths(data=data, program=data)
    plugins.add_hookspecs(PipelineHooks)
    plugins.register(Listener(), "listener")
    built = build(
        EngineConfig(
            paths=paths, arguments={}, plugins=plugins, blobs=BlobStore(paths.blobs), publish=lambda event: None,
            watched=lambda job: False, picture_saved=lambda run, picture: None,
        )
    )  # fmt: skip
    # Whatever the program itself brings is in force by then.
    assert told == [("engine", built.services, True)]


@pytest.mark.parametrize(("arguments", "setting", "policy"), [
    ({}, "keep", "keep"), ({}, "stream", "stream"), ({"memory_policy": "rotate"}, "keep", "rotate"),
    ({"memory_policy": None}, "rotate", "rotate"),
])  # fmt: skip
def test_the_command_lines_memory_policy_counts_before_the_setting(engine, data, arguments, setting, policy):
    made = engine(**arguments)
    made.run(Job("memory", {}), CancelToken(), lambda event: None, settings(data, memory_policy=setting))
    assert made.residency.policy == policy


def test_only_the_parts_of_sdxl_take_turns_where_that_is_asked_for(engine, tmp_path):
    data = data_folder(tmp_path)
    write_tiny_xl(data / "models" / "Stable-diffusion", "xl")
    for arguments, policy in (({"medvram_sdxl": True}, "rotate"), ({}, "keep")):
        made = engine(data, **arguments)
        other = next(f.name for f in made.services.shelf.checkpoints() if f.stem != "xl")
        for name, expected in (("xl", policy), (other, "keep")):
            made.services.library.open(name)
            made.run(Job("memory", {}), CancelToken(), lambda event: None, settings(data))
            assert made.residency.policy == expected


def test_a_rung_of_one_job_does_not_outlive_it(engine, data):
    made = engine()
    made.residency.policy = "stream"
    made.services.ladder.attention.split()
    assert made.capabilities().attention == "sdpa"
    made.run(Job("memory", {}), CancelToken(), lambda event: None, settings(data))
    assert made.residency.policy == "keep" and made.services.ladder.attention.choice.kernel == "sdpa"


def test_a_model_is_gone_before_the_one_that_takes_its_place_works(engine, tmp_path):
    data = data_folder(tmp_path)
    write_tiny_checkpoint(data / "models" / "Stable-diffusion", "other")
    made, alive, told = engine(data), [], []
    usual = next(f.name for f in made.services.shelf.checkpoints() if f.stem != "other")
    gone = weakref.ref(made.services.library.open(usual).denoiser)

    def hear(event):
        told.append(event)
        if isinstance(event, StepDone):
            alive.append(gone() is not None)

    for name, loaded in (("other", True), ("other", False), (usual, True)):
        told.clear()
        made.run(job(), CancelToken(), hear, settings(data, samples_save=False, sd_model_checkpoint=name))
        assert any(isinstance(event, ModelLoaded) for event in told) == loaded
    assert alive and not any(alive)


def test_the_choice_of_attention_is_made_and_told(engine, data):
    made = engine(opt_split_attention=True)
    assert made.capabilities().attention == "split"
    made.run(Job("memory", {}), CancelToken(), lambda event: None, settings(data, cross_attention_optimization="sdp"))
    assert made.capabilities().attention == "sdpa"
    made.run(Job("memory", {}), CancelToken(), lambda event: None, settings(data))
    assert made.capabilities().attention == "split"
    # On a CPU xformers cannot be used; that is no failure.
    values = settings(data, cross_attention_optimization="xformers")
    made.run(Job("memory", {}), CancelToken(), lambda event: None, values)
    assert made.capabilities().attention == "sdpa"


def test_pictures_come_out_with_each_kernel(engine, data):
    made = engine()
    whole, sliced = paint(made, data), paint(made, data, cross_attention_optimization="split")
    assert whole.std() > 0 and np.abs(whole - sliced).max() <= 1


def test_an_unknown_kernel_is_refused_by_name(data):
    with pytest.raises(BadRequest) as caught:
        settings(data, cross_attention_optimization="Doggettx")
    assert "cross_attention_optimization" in caught.value.field


def test_small_networks_are_listed_and_leave_a_model_that_is_closed(engine, tmp_path):
    data = data_folder(tmp_path)
    lora, hypernetwork = data / "models" / "Lora", data / "models" / "hypernetworks"
    for folder in (lora, hypernetwork):
        folder.mkdir(parents=True, exist_ok=True)
    metadata = {"ss_output_name": "my style", "ss_base_model_version": "sd_v1", "modelspec.trigger_phrase": "mystyle"}
    layer = "lora_unet_conv_out"
    save_file({f"{layer}.diff_b": torch.ones(4)}, str(lora / "style.safetensors"), metadata)
    (hypernetwork / "face.pt").write_bytes(b"x")
    made = engine(data=data)
    (found,) = made.capabilities().loras
    assert (found.name, found.alias, found.family, found.trigger) == ("style", "my style", "sd1", "mystyle")
    assert found.metadata["ss_output_name"] == "my style" and found.filename == str(lora / "style.safetensors")
    assert [h.name for h in made.capabilities().hypernetworks] == ["face"]
    assert made.capabilities().choices("default_loras") == ("None", "style")
    model = made.services.library.open()
    before = model.denoiser.conv_out.bias.detach().clone()
    made.services.networks.apply(model, extract_tags("<lora:my style>")[1])
    assert torch.equal(model.denoiser.conv_out.bias, before + 1)
    made.services.library.unload()
    assert torch.equal(model.denoiser.conv_out.bias, before)


def test_embeddings_are_told_with_what_their_file_says_once_a_model_is_open(engine, tmp_path):
    data = data_folder(tmp_path)
    made = engine(data=data)
    assert made.capabilities().embeddings == ()
    width = made.services.library.open().text_encoder.config.hidden_size
    (data / "embeddings").mkdir(exist_ok=True)
    told = {"name": "x", "string_to_param": {"*": torch.ones(2, width)}, "step": 9, "sd_checkpoint": "abcd",
            "sd_checkpoint_name": "base"}  # fmt: skip
    torch.save(told, data / "embeddings" / "style.pt")
    save_file({"emb_params": torch.ones(1, width + 1)}, str(data / "embeddings" / "other.safetensors"))
    made.services.shelf.scan()
    made.services.shelf.allow_pickle = True
    style, other = made.capabilities().embeddings
    assert (style.name, style.vectors, style.shape, style.step, style.usable) == ("style", 2, width, 9, True)
    assert (style.checkpoint, style.checkpoint_name) == ("abcd", "base")
    assert (other.name, other.usable) == ("other", False)


def test_extras_on_the_same_engine(engine, data):
    """Upscalers are listed at every refresh; a job enlarges; what is missing is a typed failure."""
    made = engine()
    known = [u.name for u in made.capabilities().upscalers]
    assert known[:4] == ["None", "Lanczos", "Nearest", "Bicubic"]
    write_rrdb(data / "models" / "ESRGAN", "added-2x", ups=1)
    nothing = lambda event: None  # noqa: E731
    made.run(Job("refresh", {}), CancelToken(), nothing, settings(data))
    lists = made.capabilities()
    added = next(u for u in lists.upscalers if u.name == "added-2x")
    assert added.scale == 2 and "added-2x" in lists.choices("hires_upscalers")
    assert [f.name for f in lists.face_restorers] == ["CodeFormer", "GFPGAN"]
    ref = made.config.blobs.put_image(Image.new("RGB", (24, 16), "red"))
    asked = {"input.images": (ref,), "upscale.upscaler_1": "added-2x", "upscale.scale": 2.0, "output.save": False}
    payload = extras_to_json(ExtrasRequest().with_values(**asked))
    result = made.run(Job("extras", payload), CancelToken(), nothing, settings(data))
    (picture,) = result["pictures"]
    assert (picture["width"], picture["height"], picture["path"]) == (48, 32, "")
    assert result["info"]["html_info"] == "<p>Postprocess upscale by: 2, Postprocess upscaler: added-2x</p>"
    with pytest.raises(ModelMissing):
        made.run(Job("interrogate", {"image": asdict(ref), "model": "clip"}), CancelToken(), nothing, settings(data))
