"""Replay from end to end: saved pictures of a whole program over tiny models, made again from their own bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from atelier.app import App, build_app
from atelier.base.paths import Paths
from atelier.params.replay import recorded
from atelier.params.request import GenerationRequest
from atelier.pipeline.hooks import PipelineHooks
from atelier.plugins.manager import Plugins
from atelier.web.hooks import WebHooks
from atelier.web.reading import read_picture
from atelier.web.replaying import replay_picture
from tests.tiny import TinySizes, write_tiny_checkpoint

SMALL = {"size.width": 64, "size.height": 64, "sampling.steps": 3, "seed.seed": 7, "prompt.positive": "a cat",
         "sampling.sampler": "Euler a"}  # fmt: skip
DONE = 120


class Programme:
    """An app with the real engine."""

    def __init__(self, data: Path) -> None:
        models = data / "models"
        self.folder = models / "Stable-diffusion"
        for seed, (name, channels) in enumerate((("tiny", 4), ("other", 4), ("depth", 5), ("inpaint", 9))):
            write_tiny_checkpoint(self.folder, name, TinySizes(in_channels=channels, seed=seed))
        (models / "Lora").mkdir()
        _write_lora(models / "Lora" / "bent.safetensors")
        plugins = Plugins()
        plugins.add_hookspecs(PipelineHooks, WebHooks)
        self.app: App = build_app(Paths(data=data, program=data), {"port": 7860}, plugins)
        self.app.start()
        assert self.app.executor.wait_ready(DONE)
        self.app.settings.update({"samples_save": True, "grid_save": True}, save=False)

    def picture(self, kind: int = 0, color: str = "teal") -> Any:
        """A picture in the store; 1 is a mask of its middle."""
        image = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
        image.paste(color, (10, 10, 40, 30))
        if kind:
            image = Image.new("L", (64, 64))
            image.paste(255, (16, 16, 48, 40))
        return self.app.blobs.put_image(image)

    def make(self, **paths: Any) -> list[dict[str, Any]]:
        """The pictures of a run, as the job's result has them."""
        request = GenerationRequest().with_values(**{**SMALL, "overrides": {"sd_model_checkpoint": "tiny"}, **paths})
        ticket = self.app.submit(request)
        return self.app.result(ticket.id, DONE).result["pictures"]

    def again(self, data: bytes) -> dict[str, Any]:
        return self.app.result(replay_picture(self.app, data).id, DONE).result["replay"]

    def bytes_of(self, picture: dict[str, Any]) -> bytes:
        return Path(picture["path"]).read_bytes() if picture["path"] else self.app.blobs.bytes(picture["sha256"])

    def forget(self) -> None:
        """The records of all jobs, so that pictures have nothing but their own words."""
        for row in self.app.pictures.list(limit=1000):
            self.app.pictures.remove(row.id)


def _write_lora(path: Path) -> None:
    key = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    generator = torch.Generator().manual_seed(1)
    tensors = {f"{key}.lora_up.weight": torch.randn(16, 2, generator=generator),
               f"{key}.lora_down.weight": torch.randn(2, 16, generator=generator)}  # fmt: skip
    save_file(tensors, path, metadata={"ss_base_model_version": "sd_v1"})


@pytest.fixture(scope="module")
def programme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programme]:
    made = Programme(tmp_path_factory.mktemp("replays"))
    yield made
    made.app.close()


def with_lora(programme: Programme) -> dict[str, Any]:
    return {"prompt.positive": "a cat <lora:bent:0.8>"}


def with_refiner(programme: Programme) -> dict[str, Any]:
    return {"refiner.enabled": True, "refiner.checkpoint": "other", "refiner.switch_at": 0.5}


def img2img(programme: Programme) -> dict[str, Any]:
    return {"source.images": (programme.picture(),), "source.denoising_strength": 0.7, "source.resize_mode": 1}


def inpainting(programme: Programme) -> dict[str, Any]:
    mask = programme.picture(1)
    return {**img2img(programme), "mask.image": mask, "mask.blur_x": 3, "mask.blur_y": 3, "mask.fill": 2}


def inpainting_a_part(programme: Programme) -> dict[str, Any]:
    return {**inpainting(programme), "mask.only_masked": True, "mask.padding": 4, "mask.invert": True,
            "mask.blur_y": 5, "mask.round": False}  # fmt: skip


def softly(programme: Programme) -> dict[str, Any]:
    return {**inpainting(programme), "soft.enabled": True, "soft.mask_influence": 0.2}


def by_an_inpainting_model(programme: Programme) -> dict[str, Any]:
    return {**inpainting(programme), "overrides": {"sd_model_checkpoint": "inpaint", "inpainting_mask_weight": 0.8}}


def depth(programme: Programme) -> dict[str, Any]:
    chosen = {"overrides": {"sd_model_checkpoint": "depth"}}
    return {**img2img(programme), "source.depth": programme.picture(0, "white"), **chosen}


def depth_alone(programme: Programme) -> dict[str, Any]:
    return {"source.depth": programme.picture(0, "white"), "overrides": {"sd_model_checkpoint": "depth"}}


WAYS = (with_lora, with_refiner, img2img, inpainting, inpainting_a_part, softly, by_an_inpainting_model, depth,
        depth_alone)  # fmt: skip


@pytest.mark.parametrize("words_alone", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_saved_picture_comes_out_again_to_the_bit(programme, way, words_alone):
    made = programme.make(**way(programme))[0]
    plain = programme.make()[0]
    assert made["sha256"] != plain["sha256"]
    if words_alone:
        programme.forget()
    # Nothing of this run may be left over from the one before.
    programme.make(**{"overrides": {"sd_model_checkpoint": "other"}})
    report = programme.again(programme.bytes_of(made))
    assert report["conditions"] == [] and report["notes"] == []
    assert report["largest"] == 0, report


def test_the_depth_map_is_recorded(programme):
    asked = depth(programme)
    made = programme.make(**asked)[0]
    told = recorded(read_picture(programme.bytes_of(made), "image")[1].infotext)[1]
    assert told["depth"] == asked["source.depth"].sha256[:16] and told["source"]
    plain = programme.make(**{**asked, "overrides": {"sd_model_checkpoint": "tiny"}})[0]
    assert "depth" not in recorded(plain["infotext"])[1], "a model that takes none was not told"


def test_a_lora_that_has_changed_is_named(programme):
    made = programme.make(**with_lora(programme))[0]
    assert programme.again(programme.bytes_of(made))["largest"] == 0
    path = programme.folder.parent / "Lora" / "bent.safetensors"
    before = path.read_bytes()
    try:
        key = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_k"
        save_file({f"{key}.lora_up.weight": torch.ones(16, 2), f"{key}.lora_down.weight": torch.ones(2, 16)}, path)
        programme.app.result(programme.app.submit_job("refresh", {}).id, DONE)
        report = programme.again(programme.bytes_of(made))
        assert "Lora hashes" in {item["name"] for item in report["conditions"]} and report["largest"] > 0
    finally:
        path.write_bytes(before)
        programme.app.result(programme.app.submit_job("refresh", {}).id, DONE)


PLOT = {"name": "X/Y/Z plot", "values": {"x_type": "Steps", "x_values": "2, 3", "y_type": "Seed", "y_values": "5, -1",
                                         "include_lone_images": True, "margin_size": 4}}  # fmt: skip


def test_a_plot_is_made_again_cell_by_cell(programme):
    pictures = programme.make(extras={"script": PLOT})
    assert [p["role"] for p in pictures] == ["grid", *["picture"] * 4]
    report = programme.again(programme.bytes_of(pictures[0]))
    assert report["largest"] == 0 and report["sizes"][0] == report["sizes"][1] and report["conditions"] == []
    assert [(c["place"], c["role"], c["largest"]) for c in report["cells"]] == [
        (0, "grid", 0), (1, "picture", 0), (2, "picture", 0), (3, "picture", 0), (4, "picture", 0)
    ]  # fmt: skip
    job = programme.app.pictures.by_path(pictures[0]["path"]).job
    assert any(job in note for note in report["notes"])
    lone = programme.again(programme.bytes_of(pictures[3]))
    assert (lone["largest"], lone["notes"], lone["cells"]) == (0, [], [])


def test_a_plot_without_its_job_is_made_again_from_its_own_words(programme):
    values = {k: v for k, v in PLOT["values"].items() if k not in ("include_lone_images", "margin_size")}
    grid = programme.make(extras={"script": {**PLOT, "values": values}})[0]
    programme.forget()
    report = programme.again(programme.bytes_of(grid))
    assert report["largest"] == 0 and report["cells"] == [] and "from its own words" in report["notes"][0]


def test_the_grid_of_a_batch_is_made_again(programme):
    pictures = programme.make(**{"batch.count": 2, "batch.size": 1, "seed.seed": -1})
    assert [p["role"] for p in pictures] == ["grid", "picture", "picture"]
    report = programme.again(programme.bytes_of(pictures[0]))
    assert report["largest"] == 0 and [c["largest"] for c in report["cells"]] == [0, 0]


def test_pictures_of_other_scripts_are_made_with_their_job(programme):
    script = {"name": "Prompt matrix", "values": {}}
    grid = programme.make(**{"prompt.positive": "a cat|red|blue", "seed.seed": -1}, extras={"script": script})[0]
    assert grid["role"] == "grid" and programme.again(programme.bytes_of(grid))["largest"] == 0
    loop = {"name": "Loopback", "values": {"loops": 2}}
    made = programme.make(**img2img(programme), extras={"script": loop})
    assert programme.again(programme.bytes_of(made[-1]))["largest"] == 0


def test_what_is_no_finished_picture_is_said(programme):
    hires = {"hires.enabled": True, "hires.scale": 2.0, "hires.upscaler": "Latent", "source.denoising_strength": 0.5}
    programme.make(**hires, **{"overrides": {"save_images_before_highres_fix": True, "sd_model_checkpoint": "tiny"}})
    row = next(r for r in programme.app.pictures.list(limit=5) if r.role == "before-highres-fix")
    report = programme.again(Path(row.path).read_bytes())
    assert "before-highres-fix" in report["notes"][0] and report["sizes"] == [[64, 64], [128, 128]]
