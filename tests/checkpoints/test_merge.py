"""Merging: every formula against numpy, tensor by tensor through real files; what is merged, kept, dropped, refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from atelier.base.errors import BadModelFile, BadRequest, Interrupted, SaveFailed
from atelier.checkpoints.block_weights import BlockWeights, block_names, read_block_weights
from atelier.checkpoints.header import ITEM_BYTES
from atelier.checkpoints.merge import Merge, Model, plan_merge, write_merge
from atelier.checkpoints.reader import read_header
from atelier.checkpoints.writer import NAMES, Outgoing, write_pickle, write_safetensors

UNET = "model.diffusion_model."
FIRST = f"{UNET}input_blocks.0.0.weight"
OTHER = f"{UNET}middle_block.0.in_layers.2.weight"
TEXT = "cond_stage_model.transformer.text_model.final_layer_norm.weight"
NOTHING_DONE = lambda written, total: None  # noqa: E731


def state(seed: int, channels: int = 4, dtype: torch.dtype = torch.float32, **more: torch.Tensor):
    generator = torch.Generator().manual_seed(seed)
    found = {
        FIRST: torch.randn(8, channels, 3, 3, generator=generator),
        OTHER: torch.randn(6, 5, 3, 3, generator=generator),
        TEXT: torch.randn(7, generator=generator),
    }
    return {**{k: v.to(dtype) for k, v in found.items()}, **more}


def model(folder: Path, name: str, tensors: dict[str, torch.Tensor]) -> Model:
    path = folder / f"{name}.safetensors"
    save_file(tensors, path)
    return Model.of(name, read_header(path))


def merged(folder: Path, method: str, *models: Model, weight: float = 0.3, **more) -> dict[str, torch.Tensor]:
    weights = more.pop("weights", BlockWeights(weight))
    padded = [*models, None, None][:3]
    plan = plan_merge(Merge(method, weights, *padded, **more))
    path = folder / "out.safetensors"
    write_merge(plan, path, {"format": "pt"}, NOTHING_DONE)
    return load_file(path)


def by_numpy(method: str, a, b, c, m: float) -> np.ndarray:
    a, b, c = (x.double().numpy() for x in (a, b, c))
    if method == "Weighted sum":
        return a * (1 - m) + b * m
    if method == "Add difference":
        return a + (b - c) * m
    whole = np.abs(b - c) + np.abs(b - a)
    share = np.divide(np.abs(b - a), whole, out=np.zeros_like(whole), where=whole != 0)
    return a + 1.8 * m * np.sign(b - c) * np.abs(b - c) * share


@pytest.mark.parametrize("method", ["Weighted sum", "Add difference", "Train difference"])
@pytest.mark.parametrize("m", [0.0, 0.3, 1.0, -0.5])
def test_formulas(tmp_path, method, m):
    a, b, c = state(1), state(2), state(3)
    b[OTHER][0] = c[OTHER][0]
    found = merged(tmp_path, method, *(model(tmp_path, n, s) for n, s in (("a", a), ("b", b), ("c", c))), weight=m)
    assert found.keys() == a.keys()
    for name in a:
        np.testing.assert_allclose(found[name].numpy(), by_numpy(method, a[name], b[name], c[name], m), atol=1e-6)


def test_no_interpolation_changes_nothing(tmp_path):
    a = state(1, dtype=torch.float16)
    found = merged(tmp_path, "No interpolation", model(tmp_path, "a", a))
    assert all(torch.equal(found[name], a[name]) and found[name].dtype == torch.float16 for name in a)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float16", torch.float16), ("bfloat16", torch.bfloat16), ("float32", torch.float32)]
)
def test_precision(tmp_path, precision, dtype):
    a, b = state(1), state(2)
    found = merged(tmp_path, "Weighted sum", model(tmp_path, "a", a), model(tmp_path, "b", b), precision=precision)
    for name in a:
        assert found[name].dtype == dtype
        assert torch.equal(found[name], torch.lerp(a[name], b[name], 0.3).to(dtype))


def test_eight_bits_are_for_the_matrices_of_the_denoiser(tmp_path):
    a = state(1)
    a[OTHER][0, 0, 0, 0] = 1e6
    norm = f"{UNET}middle_block.0.in_layers.0.weight"
    a[norm] = torch.ones(6)
    found = merged(tmp_path, "No interpolation", model(tmp_path, "a", a), precision="float8_e4m3fn")
    assert found[OTHER].dtype == found[FIRST].dtype == torch.float8_e4m3fn
    assert found[TEXT].dtype == found[norm].dtype == torch.float16
    assert found[OTHER][0, 0, 0, 0].float() == 448.0, "no infinity in eight bits"


def test_numbers_and_markers_stay_as_the_first_model_has_them(tmp_path):
    position = "cond_stage_model.transformer.text_model.embeddings.position_ids"
    a = state(1, **{position: torch.arange(77)[None], "v_pred": torch.tensor([0.5])})
    b = state(2, **{position: torch.arange(77)[None].float(), "ztsnr": torch.tensor([1.0])})
    plan_of = Merge("Weighted sum", BlockWeights(1.0), model(tmp_path, "a", a), model(tmp_path, "b", b))
    assert any("predict different things" in note for note in plan_merge(plan_of).notes)
    found = merged(tmp_path, "Weighted sum", model(tmp_path, "a", a), model(tmp_path, "b", b), precision="float16")
    assert found[position].dtype == torch.int64 and torch.equal(found["v_pred"], a["v_pred"])
    assert "ztsnr" not in found


@pytest.mark.parametrize("channels", [8, 9])
def test_a_wider_first_layer_is_merged_where_it_reads_latents(tmp_path, channels):
    a, b, c = state(1, channels), state(2), state(3)
    models = [model(tmp_path, n, s) for n, s in (("a", a), ("b", b), ("c", c))]
    found = merged(tmp_path, "Weighted sum", *models[:2])[FIRST]
    assert torch.allclose(found[:, :4], torch.lerp(a[FIRST][:, :4], b[FIRST], 0.3), atol=1e-6)
    assert torch.equal(found[:, 4:], a[FIRST][:, 4:])
    found = merged(tmp_path, "Add difference", *models, weight=1.0)[FIRST]
    assert torch.allclose(found[:, :4], a[FIRST][:, :4] + b[FIRST] - c[FIRST], atol=1e-6)
    with pytest.raises(BadRequest, match="Exchange A and B"):
        merged(tmp_path, "Weighted sum", models[1], models[0])


def test_missing_tensors_are_told_and_kept(tmp_path):
    decoder = "first_stage_model.decoder.conv_in.weight"
    a = state(1, only_a=torch.ones(2))
    b = state(2, **{decoder: torch.ones(3), "model_ema.decay": torch.ones(1), "betas": torch.ones(2)})
    plan = plan_merge(Merge("Weighted sum", BlockWeights(0.5), model(tmp_path, "a", a), model(tmp_path, "b", b)))
    assert [note.split(", such")[0] for note in plan.notes] == ["1 tensors are only in a", "1 tensors are only in b"]
    found = merged(tmp_path, "Weighted sum", model(tmp_path, "a", a), model(tmp_path, "b", b))
    assert torch.equal(found["only_a"], a["only_a"]) and torch.equal(found[decoder], b[decoder])
    assert "model_ema.decay" not in found and "betas" not in found


def test_old_names_of_the_text_encoder_meet_new_ones(tmp_path):
    a, b = state(1), state(2)
    b[TEXT.replace("text_model.", "")] = b.pop(TEXT)
    found = merged(tmp_path, "Weighted sum", model(tmp_path, "a", a), model(tmp_path, "b", b), weight=1.0)
    assert torch.equal(found[TEXT], b[TEXT.replace("text_model.", "")])


def test_models_of_other_sizes_are_refused(tmp_path):
    b = state(2)
    b[OTHER] = torch.zeros(6, 9, 3, 3)
    with pytest.raises(BadModelFile, match="b does not fit a"):
        merged(tmp_path, "Weighted sum", model(tmp_path, "a", state(1)), model(tmp_path, "b", b))
    with pytest.raises(BadRequest, match="tertiary_model_name"):
        merged(tmp_path, "Add difference", model(tmp_path, "a", state(1)), model(tmp_path, "c", state(2)))


def test_discarded_and_baked(tmp_path):
    key = "first_stage_model.decoder.mid.attn_1.q.weight"
    a = state(1, **{key: torch.zeros(4, 4, 1, 1), "model_ema.x": torch.ones(1)})
    vae = model(tmp_path, "vae", {"decoder.mid.attn_1.q.weight": torch.ones(4, 4), "loss.x": torch.ones(1)})
    found = merged(
        tmp_path, "No interpolation", model(tmp_path, "a", a), vae=vae, discard=re.compile("^model_ema|input_blocks")
    )
    assert found.keys() == {OTHER, TEXT, key}
    assert torch.equal(found[key], torch.ones(4, 4))
    with pytest.raises(BadModelFile, match="holds no VAE"):
        merged(tmp_path, "No interpolation", model(tmp_path, "a", a), vae=model(tmp_path, "b", state(2)))
    with pytest.raises(BadRequest, match="nothing would be left"):
        merged(tmp_path, "No interpolation", model(tmp_path, "a", a), discard=re.compile("."))


def test_block_weights(tmp_path):
    a, b = state(1), state(2)
    late = f"{UNET}out.2.weight"
    a[late], b[late] = torch.zeros(3), torch.ones(3)
    names = block_names(a)
    assert names == ("IN00", "M00")
    weights = read_block_weights("0.1, 0.2, 0.7", 0.5, names)
    found = merged(tmp_path, "Weighted sum", model(tmp_path, "a", a), model(tmp_path, "b", b), weights=weights)
    for name, weight in ((TEXT, 0.1), (FIRST, 0.2), (OTHER, 0.7), (late, 0.7)):
        assert torch.allclose(found[name], torch.lerp(a[name], b[name], weight), atol=1e-6), name


def test_block_weights_as_text():
    sd1 = (*(f"IN{i:02d}" for i in range(12)), "M00", *(f"OUT{i:02d}" for i in range(12)))
    every = read_block_weights(",".join(map(str, range(9))) + "," + "1," * 16, 0.5, sd1)
    assert every.base == 0.5 and every.blocks["IN03"] == 3 and every.of(f"{UNET}time_embed.0.weight") == 0
    assert read_block_weights(",".join(["0.25"] * 26), 0.5, sd1).base == 0.25
    named = read_block_weights("IN00-IN02: 0.2, OUT: 1\nBASE=0", 0.5, sd1)
    assert (named.base, named.blocks["IN02"], named.blocks["OUT11"]) == (0, 0.2, 1)
    assert named.of(f"{UNET}input_blocks.3.0.op.weight") == 0 and named.of(f"{UNET}out.0.weight") == 1
    assert read_block_weights(" ", 0.5, sd1).of(FIRST) == 0.5
    wrongs = {"1,2,3": "25 numbers", "IN99: 1": "no block IN99", "IN00: x": "not a number", "a: b": "cannot"}
    for wrong, told in wrongs.items():
        with pytest.raises(BadRequest, match=told):
            read_block_weights(wrong, 0.5, sd1)


def test_the_file_is_whole_or_not_there(tmp_path):
    a = model(tmp_path, "a", state(1))

    def stop(written: int, total: int) -> None:
        raise Interrupted("stop")

    with pytest.raises(Interrupted):
        write_merge(plan_merge(Merge("No interpolation", BlockWeights(1), a)), tmp_path / "out.safetensors", {}, stop)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors"]


def test_what_is_written_is_what_others_read(tmp_path):
    tensors = {
        "half": torch.randn(3, 5).half(), "byte": torch.arange(3, dtype=torch.uint8), "none": torch.zeros(0, 4),
        "one": torch.tensor(2.5), "wide": torch.randn(2, 2).double(), "brain": torch.randn(7).bfloat16(),
        "eight": torch.randn(5).to(torch.float8_e4m3fn), "Ünicode": torch.ones(1),
    }  # fmt: skip
    outgoing = [Outgoing(k, NAMES[v.dtype], tuple(v.shape)) for k, v in tensors.items()]
    seen: list[tuple[int, int]] = []
    path = tmp_path / "x.safetensors"
    write_safetensors(path, outgoing, lambda o: tensors[o.name], {"who": "me"}, lambda *told: seen.append(told))
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"who": "me"}
        for name, tensor in tensors.items():
            assert torch.equal(file.get_tensor(name).float(), tensor.float()), name
    header = read_header(path)
    assert all(info.start % ITEM_BYTES[info.dtype] == 0 for info in header.tensors.values())
    assert seen[-1][0] == seen[-1][1] and [w for w, _ in seen] == sorted(w for w, _ in seen)
    write_pickle(tmp_path / "x.ckpt", outgoing[:2], lambda o: tensors[o.name])
    assert torch.equal(torch.load(tmp_path / "x.ckpt")["state_dict"]["half"], tensors["half"])
    assert read_header(tmp_path / "x.ckpt", allow_pickle=True).shape("half") == (3, 5)


def test_a_full_disk_is_told_before_the_first_byte(tmp_path):
    with pytest.raises(SaveFailed, match="no room"):
        write_safetensors(tmp_path / "x.safetensors", [Outgoing("a", "F32", (1 << 50,))], lambda o: torch.zeros(1))
    assert not list(tmp_path.iterdir())
