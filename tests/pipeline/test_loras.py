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
from atelier.networks.forms import weight_delta
from atelier.networks.plain import KERNEL, kohya_name
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


def random(seed: int, **shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(*shape, generator=generator) * 0.3 for name, shape in shapes.items()}


def loha(seed: int) -> dict[str, dict[str, torch.Tensor]]:
    """Of rank 2, whose changes have rank 4; the convolution's factors are flattened, as LyCORIS writes them."""
    sizes = {ATTENTION: (16, 16), PROJECTION: (16, 16), CONVOLUTION: (16, 16 * 9), TEXT: (16, 16)}
    made = {}
    for place, (name, (rows, columns)) in enumerate(sizes.items()):
        made[name] = random(seed + place, hada_w1_a=(rows, 2), hada_w1_b=(2, columns), hada_w2_a=(rows, 2),
                            hada_w2_b=(2, columns))  # fmt: skip
        made[name]["alpha"] = torch.tensor(1.0)
    return made


def lokr(seed: int) -> dict[str, dict[str, torch.Tensor]]:
    """The small factor whole, the large one of rank 1 or, in the convolution, whole too."""
    narrow = random(seed, lokr_w1=(4, 4), lokr_w2_a=(4, 1), lokr_w2_b=(1, 4)) | {"alpha": torch.tensor(0.5)}
    return {ATTENTION: narrow, CONVOLUTION: random(seed + 1, lokr_w1=(2, 2), lokr_w2=(8, 8, 3, 3))}


def dora(seed: int) -> dict[str, dict[str, torch.Tensor]]:
    plain = lora(seed)
    made = {name: {part: plain[f"{name}.lora_{part}.weight"] for part in ("up", "down")} for name in FILE}
    lengths = {ATTENTION: (1, 16), PROJECTION: (1, 16, 1, 1), CONVOLUTION: (16, 1, 1, 1), TEXT: (16, 1)}
    for name, shape in lengths.items():
        made[name]["dora_scale"] = random(seed, length=shape)["length"].abs() + 0.5
    return made


def whole(entries: dict[str, dict[str, torch.Tensor]], base: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What prompts would add to each layer of a checkpoint, as matrices."""
    names = {"up": "up", "down": "down"}
    return {
        name: weight_delta({names.get(part, part): value for part, value in parts.items()}, base[FILE[name]]).flatten(1)
        for name, parts in entries.items()
    }


def put(folder: Path, name: str, entries: dict[str, dict[str, torch.Tensor]], **more: torch.Tensor) -> None:
    kohya = {"up": "lora_up.weight", "down": "lora_down.weight"}
    state = {f"{layer}.{kohya.get(part, part)}": v for layer, parts in entries.items() for part, v in parts.items()}
    save_file({**state, **more}, folder / f"{name}.safetensors", metadata={"ss_base_model_version": "sd_v1"})


@pytest.fixture
def shapes(work: Any, services: Services) -> dict[str, torch.Tensor]:
    """A checkpoint, and files of every form that has to be expanded."""
    folder = services.paths.folders("checkpoint")[0]
    write_tiny_checkpoint(folder, "base", dtype=torch.float32)
    loras = services.paths.folders("lora")[0]
    put(loras, "loha", loha(11))
    put(loras, "lokr", lokr(12))
    put(loras, "dora", dora(13), **{f"{NORM}.w_norm": torch.ones(16), f"{NORM}.b_norm": torch.ones(16)})
    services.shelf.scan()
    return load_file(folder / "base.safetensors")


NORM = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_norm1"


def test_other_forms_are_expanded_and_merged(work, shapes):
    """LoHa of rank 2 is of rank 4, LoKr here of 4 and 16: nothing is lost where that much is asked for."""
    made = merge_loras(work(networks=["loha: 0.5", "lokr: -1", "one"], rank=4, conv_rank=16))
    found, one = deltas(load_file(made["path"])), deltas(lora(1))
    first, second = whole(loha(11), shapes), whole(lokr(12), shapes)
    for name in FILE:
        wanted = 0.5 * first[name] + one[name] - second.get(name, torch.zeros(()))
        assert torch.allclose(found[name], wanted, atol=1e-5), name
    assert load_file(made["path"])[f"{CONVOLUTION}.lora_down.weight"].shape[1:] == (16, 3, 3)
    assert [note.partition(":")[0] for note in made["comments"]] == [
        "loha.safetensors is of the form LoHa and became a plain LoRA",
        "lokr.safetensors is of the form LoKr and became a plain LoRA",
    ]
    assert "100.0%" in made["comments"][0]
    summed = merge_loras(work(networks=["loha", "lokr"], method="SVD", rank=16, custom_name="summed"))
    sums = deltas(load_file(summed["path"]))
    assert torch.allclose(sums[ATTENTION], first[ATTENTION] + second[ATTENTION], atol=1e-5)


def test_what_is_lost_by_a_smaller_rank_is_told(work, shapes):
    made = resize_lora(work(network="loha", rank=2))
    state, wanted = load_file(made["path"]), whole(loha(11), shapes)
    found, shares = deltas(state), []
    for name, change in wanted.items():
        values = torch.linalg.svdvals(change)
        assert float((found[name] - change).norm()) == pytest.approx(float(values[2:].norm()), rel=1e-3), name
        shares.append(float(values[:2].norm() / values.norm()))
    assert f"{sum(shares) / 4:.1%} of the change of its layers is kept, {min(shares):.1%}" in made["comments"][0]
    assert made["facts"]["kept of the change"] == f"{sum(shares) / 4:.1%}"


def test_dora_is_relative_to_a_checkpoint_that_is_asked_for(work, shapes):
    for asked in (lambda **more: resize_lora(work(network="dora", rank=16, **more)),
                  lambda **more: merge_loras(work(networks=["dora"], rank=16, custom_name="m", **more))):  # fmt: skip
        with pytest.raises(BadRequest, match="DoRA") as error:
            asked()
        assert error.value.field == "base_model" and "trained on" in error.value.remedy
        made = asked(base_model="base")
        found, wanted = deltas(load_file(made["path"])), whole(dora(13), shapes)
        assert found.keys() == wanted.keys()
        for name in wanted:
            assert torch.allclose(found[name], wanted[name], atol=1e-4), name
        assert "1 norms and biases" in made["comments"][1]


def test_a_checkpoint_of_another_kind_is_refused(work, shapes, services):
    put(services.paths.folders("lora")[0], "far", {"lora_unet_nowhere": dora(1)[TEXT]})
    put(services.paths.folders("lora")[0], "torn", {ATTENTION: {"hada_w1_a": torch.ones(16, 2),
        "hada_w2_a": torch.ones(16, 2), "hada_w1_b": torch.ones(2, 16), "hada_w2_b": torch.ones(3, 9)}})  # fmt: skip
    services.shelf.scan()
    with pytest.raises(BadModelFile, match="has no layer lora_unet_nowhere"):
        resize_lora(work(network="far", base_model="base"))
    with pytest.raises(BadModelFile, match=f"torn.safetensors cannot be used: {ATTENTION}"):
        resize_lora(work(network="torn"))


def test_what_cannot_be_used_is_named(work, services):
    folder = services.paths.folders("lora")[0]
    other = {"lora_up.weight": torch.ones(2, 1), "lora_down.weight": torch.ones(1, 2)}
    save_file({f"lora_unet_nowhere.{key}": value for key, value in other.items()}, folder / "other.safetensors")
    services.shelf.scan()
    with pytest.raises(BadModelFile, match="none of its layers"):
        bake_loras(work(model="tiny", networks=["other"], precision="As the checkpoint"))
    for lines, told in ((["one: x"], "cannot be read"), (["nobody"], "nobody"), ([], "no LoRA")):
        with pytest.raises(BadRequest, match=told):
            merge_loras(work(networks=lines))


@pytest.mark.parametrize("name", [
    "lora_unet_down_blocks_0_resnets_1_conv2", "lora_unet_up_blocks_0_upsamplers_0_conv", "lora_unet_conv_in",
    "lora_unet_down_blocks_1_downsamplers_0_conv", "lora_unet_input_blocks_1_0_in_layers_2",
    "lora_unet_input_blocks_3_0_op", "lora_unet_output_blocks_5_2_conv", "lora_unet_middle_block_2_out_layers_3",
    "lora_unet_input_blocks_0_0", "lora_unet_out_2",
])  # fmt: skip
def test_layers_with_a_kernel_of_nine_are_known_by_name(name):
    assert KERNEL.fullmatch(name)


@pytest.mark.parametrize("name", [
    ATTENTION, PROJECTION, TEXT, "lora_unet_down_blocks_0_resnets_0_conv_shortcut",
    "lora_unet_input_blocks_1_0_emb_layers_1", "lora_unet_input_blocks_4_0_skip_connection",
    "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0",
])  # fmt: skip
def test_others_are_not_taken_for_such(name):
    assert KERNEL.fullmatch(name) is None


def test_names_of_diffusers_become_kohyas():
    assert kohya_name("unet_down_blocks_0_attn1_to_q") == "lora_unet_down_blocks_0_attn1_to_q"
    assert kohya_name("text_encoder_text_model_x") == "lora_te_text_model_x"
    assert kohya_name("text_encoder_text_model_x", second=True) == "lora_te1_text_model_x"
    assert kohya_name("text_encoder_2_text_model_x", second=True) == "lora_te2_text_model_x"
    assert kohya_name("lora_unet_x") == "lora_unet_x"
