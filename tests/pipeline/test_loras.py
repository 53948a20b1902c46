"""Work on LoRA files over tiny models: merged, extracted, resized, baked; each against what a model becomes by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from atelier.base.cancel import CancelToken
from atelier.base.errors import BadModelFile, BadRequest
from atelier.networks.active import ActiveNetworks
from atelier.networks.plain import kohya_name
from atelier.params.settings import Settings
from atelier.pipeline.loras import bake_loras, extract_lora, merge_loras, resize_lora
from atelier.pipeline.services import Services
from atelier.pipeline.work import Work
from tests.tiny import write_tiny_checkpoint

ATTENTION = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
PROJECTION = "lora_unet_down_blocks_0_attentions_0_proj_in"
CONVOLUTION = "lora_unet_down_blocks_0_resnets_0_conv1"
TEXT = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
#: where those lie in a checkpoint
FILE = {
    ATTENTION: "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight",
    PROJECTION: "model.diffusion_model.input_blocks.1.1.proj_in.weight",
    CONVOLUTION: "model.diffusion_model.input_blocks.1.0.in_layers.2.weight",
    TEXT: "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight",
}


def lora(seed: int, rank: int = 3, alpha: float | None = 2.0, size: float = 0.3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    random = lambda *shape: torch.randn(*shape, generator=generator) * size  # noqa: E731
    shapes = {
        ATTENTION: ((16, rank), (rank, 16)), PROJECTION: ((16, rank, 1, 1), (rank, 16, 1, 1)),
        CONVOLUTION: ((16, rank, 1, 1), (rank, 16, 3, 3)), TEXT: ((16, rank), (rank, 16)),
    }  # fmt: skip
    state = {}
    for name, (up, down) in shapes.items():
        state[f"{name}.lora_up.weight"], state[f"{name}.lora_down.weight"] = random(*up), random(*down)
        if alpha is not None:
            state[f"{name}.alpha"] = torch.tensor(alpha)
    return state


def deltas(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The change of each layer as a matrix, by the formula."""
    found = {}
    for name in {key.split(".")[0] for key in state}:
        up, down = state[f"{name}.lora_up.weight"].float(), state[f"{name}.lora_down.weight"].float()
        scale = float(state.get(f"{name}.alpha", down.shape[0])) / down.shape[0]
        found[name] = up.flatten(1) @ down.flatten(1) * scale
    return found


@pytest.fixture
def work(services: Services, settings: Settings) -> Callable[..., Work]:
    folder = services.paths.folders("lora")[0]
    folder.mkdir(parents=True, exist_ok=True)
    save_file(lora(1), folder / "one.safetensors", metadata={"ss_base_model_version": "sd_v1"})
    save_file(lora(2, rank=4, alpha=None), folder / "two.safetensors", metadata={"ss_base_model_version": "sd_v1"})

    def make(**asked: Any) -> Work:
        return Work({"precision": "float32", **asked}, services, settings.snapshot(), CancelToken(), lambda event: None)

    return make


def test_concatenation_is_exact(work):
    made = merge_loras(work(networks=["one: 0.5", "two: -1: 2"]))
    found, one, two = deltas(load_file(made["path"])), deltas(lora(1)), deltas(lora(2, 4, None))
    for name in one:
        second = -1 if name == TEXT else 2
        assert torch.allclose(found[name], 0.5 * one[name] + second * two[name], atol=1e-5), name
    assert made["facts"]["rank"] == "7" and Path(made["path"]).name == "one + two.safetensors"


def test_merging_by_svd_gives_the_best_of_a_rank(work):
    made = merge_loras(work(networks=["one", "two"], method="SVD", rank=5, conv_rank=7))
    found, one, two = deltas(load_file(made["path"])), deltas(lora(1)), deltas(lora(2, 4, None))
    for name in one:
        whole = one[name] + two[name]
        left, values, right = torch.linalg.svd(whole)
        rank = 5 if name in (ATTENTION, TEXT) else 7
        best = (left[:, :rank] * values[:rank]) @ right[:rank]
        assert torch.allclose(found[name], best, atol=1e-4), name


def test_resizing_keeps_the_scale(work, services):
    made = resize_lora(work(network="two", rank=2))
    state = load_file(made["path"])
    assert state[f"{ATTENTION}.lora_down.weight"].shape == (2, 16) and float(state[f"{ATTENTION}.alpha"]) == 2
    whole = deltas(lora(2, 4, None))[CONVOLUTION]
    left, values, right = torch.linalg.svd(whole)
    assert torch.allclose(deltas(state)[CONVOLUTION], (left[:, :2] * values[:2]) @ right[:2], atol=1e-4)
    kept = resize_lora(work(network="one", rank=32, rule="sv_fro", parameter=0.999999, custom_name="same"))
    assert torch.allclose(deltas(load_file(kept["path"]))[TEXT], deltas(lora(1))[TEXT], atol=1e-4)
    assert services.shelf.networks.find_lora("same").family == "sd1"
    with pytest.raises(BadRequest, match="parameter"):
        resize_lora(work(network="one", rule="sv_ratio", parameter=0))


def test_extraction_gives_a_known_difference_back(work, services):
    folder = services.paths.folders("checkpoint")[0]
    write_tiny_checkpoint(folder, "base", dtype=torch.float32)
    tuned = load_file(folder / "base.safetensors")
    wanted = deltas(lora(5))
    for name, key in FILE.items():
        tuned[key] = tuned[key] + wanted[name].reshape(tuned[key].shape)
    save_file(tuned, folder / "tuned.safetensors")
    (folder / "tuned.yaml").write_text((folder / "base.yaml").read_text())
    made = extract_lora(work(base_model="base", tuned_model="tuned", rank=3, conv_rank=3))
    found = deltas(load_file(made["path"]))
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert torch.allclose(found[name], wanted[name], atol=1e-4), name
    plain = extract_lora(work(base_model="base", tuned_model="tuned", rank=3, minimum_difference=100, custom_name="x"))
    assert {key.split(".")[0] for key in load_file(plain["path"])} == {ATTENTION, PROJECTION}
    with pytest.raises(BadRequest, match="the same"):
        extract_lora(work(base_model="base", tuned_model="base"))


def test_baking_is_what_a_prompt_does(work, services):
    folder = services.paths.folders("checkpoint")[0]
    write_tiny_checkpoint(folder, "base", dtype=torch.float32)
    made = bake_loras(work(model="base", networks=["one: 0.5: 0.8", "two: 0.25"], precision="As the checkpoint"))
    base, found = load_file(folder / "base.safetensors"), load_file(made["path"])
    one, two = deltas(lora(1)), deltas(lora(2, 4, None))
    for name, key in FILE.items():
        first = 0.5 if name == TEXT else 0.8
        wanted = base[key] + (first * one[name] + 0.25 * two[name]).reshape(base[key].shape)
        assert torch.allclose(found[key], wanted, atol=1e-5), name
    same = [key for key in base if key not in FILE.values()]
    assert found.keys() == base.keys() and all(torch.equal(found[key], base[key]) for key in same)
    baked = services.library.open(made["model"], "Automatic")
    assert isinstance(services.networks, ActiveNetworks) and baked.file.path == Path(made["path"])


def test_what_cannot_be_used_is_named(work, services):
    folder = services.paths.folders("lora")[0]
    save_file({f"{ATTENTION}.hada_w1_a": torch.ones(16, 2), f"{ATTENTION}.hada_w1_b": torch.ones(2, 16),
               f"{ATTENTION}.hada_w2_a": torch.ones(16, 2), f"{ATTENTION}.hada_w2_b": torch.ones(2, 16)},
              folder / "loha.safetensors")  # fmt: skip
    other = {"lora_up.weight": torch.ones(2, 1), "lora_down.weight": torch.ones(1, 2)}
    save_file({f"lora_unet_nowhere.{key}": value for key, value in other.items()}, folder / "other.safetensors")
    services.shelf.scan()
    with pytest.raises(BadModelFile, match="of the form LoHa"):
        merge_loras(work(networks=["loha"]))
    with pytest.raises(BadModelFile, match="none of its layers"):
        bake_loras(work(model="tiny", networks=["other"], precision="As the checkpoint"))
    for lines, told in ((["one: x"], "cannot be read"), (["nobody"], "nobody"), ([], "no LoRA")):
        with pytest.raises(BadRequest, match=told):
            merge_loras(work(networks=lines))


def test_names_of_diffusers_become_kohyas():
    assert kohya_name("unet_down_blocks_0_attn1_to_q") == "lora_unet_down_blocks_0_attn1_to_q"
    assert kohya_name("text_encoder_text_model_x") == "lora_te_text_model_x"
    assert kohya_name("text_encoder_text_model_x", second=True) == "lora_te1_text_model_x"
    assert kohya_name("text_encoder_2_text_model_x", second=True) == "lora_te2_text_model_x"
    assert kohya_name("lora_unet_x") == "lora_unet_x"
