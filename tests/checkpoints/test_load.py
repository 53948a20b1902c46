"""Loading: every variant of a checkpoint gives the same network as the modules it was made of, or nothing at all."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from atelier.base.errors import BadModelFile, ForbiddenPickle, UnknownModel
from atelier.checkpoints.load import Placement, load_checkpoint, with_vae
from atelier.checkpoints.shelf import CheckpointFile, VaeFile
from atelier.families.family import EncodeOptions
from atelier.families.ldm import TEXT_PREFIX, VAE_PREFIX
from atelier.sampling.step import ModelInputs
from tests.checkpoints.files import LORA, SDXL, write_header_only
from tests.tiny import (
    TinySizes,
    bare_vae_state,
    tiny_text_encoder,
    tiny_unet,
    tiny_vae,
    write_tiny_checkpoint,
    write_tiny_vae,
)  # fmt: skip


def file_of(path: Path) -> CheckpointFile:
    config = path.with_suffix(".yaml")
    return CheckpointFile(path.name, path, None, config if config.is_file() else None)


def inputs_for(channels=4):
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(2, 4, 8, 8, generator=generator)
    concat = torch.randn(2, channels - 4, 8, 8, generator=generator) if channels > 4 else None
    context = torch.randn(2, 77, 16, generator=generator)
    return ModelInputs(rows, torch.tensor([900.0, 30.0]), context, (), torch.ones(2), concat=concat)


def same_network(model, sizes=None):
    """The loaded networks against the modules that the file was written from."""
    sizes = sizes or TinySizes()
    inputs = inputs_for(sizes.in_channels)
    unet, vae, text = tiny_unet(sizes).half().float(), tiny_vae(sizes).half().float(), tiny_text_encoder(sizes)
    x = inputs.latents if inputs.concat is None else torch.cat([inputs.latents, inputs.concat], 1)
    with torch.no_grad():
        assert torch.allclose(model.call_denoiser(inputs), unet(x, inputs.t, inputs.context).sample, atol=1e-5)
        expected = vae.decode(inputs.latents / 0.18215).sample
        assert torch.allclose(model.decode(inputs.latents), expected, atol=1e-5)
        ids = model.tokenizer("a cat", padding="max_length", max_length=77, return_tensors="pt")["input_ids"]
        encoded = model.encode_texts(["a cat"], EncodeOptions())[0].vectors
        assert torch.allclose(encoded, text.half().float()(ids).last_hidden_state[0], atol=1e-5)
    return True


def rewritten(path: Path, change) -> Path:
    state = change(load_file(str(path)))
    save_file({k: v.contiguous() for k, v in state.items()}, str(path))
    return path


def test_a_small_model_with_its_own_yaml(tmp_path, placement):
    model = load_checkpoint(file_of(write_tiny_checkpoint(tmp_path)), placement)
    assert same_network(model)
    assert (model.family.name, model.in_channels, model.is_inpainting) == ("sd1", 4, False)
    assert (model.prediction.kind, model.latent.factor, model.latent.scale) == ("eps", 8, 0.18215)
    assert not any(p.requires_grad or p.is_meta for m in model.components().values() for p in m.parameters())
    assert not any(b.is_meta for m in model.components().values() for b in m.buffers())
    assert not any(m.training for m in model.components().values())


def test_inpainting_with_9_channels(tmp_path, placement):
    sizes = TinySizes(in_channels=9)
    model = load_checkpoint(file_of(write_tiny_checkpoint(tmp_path, sizes=sizes)), placement)
    assert model.is_inpainting and model.in_channels == 9
    assert same_network(model, sizes)


def test_v_prediction_from_the_yaml(tmp_path, placement):
    path = write_tiny_checkpoint(tmp_path, sizes=TinySizes(prediction="v"))
    assert load_checkpoint(file_of(path), placement).prediction.kind == "v"


def test_ema_copies_and_schedule_tables_are_passed_over(tmp_path, placement):
    def with_ema(state):
        ema = {f"model_ema.{k[6:].replace('.', '')}": v + 1 for k, v in state.items() if k.startswith("model.")}
        return {**state, **ema, "betas": torch.zeros(1000), "logvar": torch.zeros(1000)}

    path = rewritten(write_tiny_checkpoint(tmp_path), with_ema)
    assert same_network(load_checkpoint(file_of(path), placement))


def test_old_names_of_the_text_encoder(tmp_path, placement):
    path = rewritten(
        write_tiny_checkpoint(tmp_path), lambda state: {k.replace(".text_model.", "."): v for k, v in state.items()}
    )
    assert same_network(load_checkpoint(file_of(path), placement))


@pytest.mark.parametrize("zipped", [True, False])
def test_ckpt_files(tmp_path, placement, zipped):
    source = write_tiny_checkpoint(tmp_path)
    path = source.with_suffix(".ckpt")
    torch.save({"state_dict": load_file(str(source))}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ForbiddenPickle, match="switched off"):
        load_checkpoint(file_of(path), placement)
    assert same_network(load_checkpoint(file_of(path), placement, allow_pickle=True))


def test_without_a_vae(tmp_path, placement):
    path = write_tiny_checkpoint(tmp_path, with_vae=False)
    with pytest.raises(BadModelFile, match="no VAE") as caught:
        load_checkpoint(file_of(path), placement)
    assert "SD VAE" in caught.value.remedy
    vae = VaeFile("tiny-vae.safetensors", write_tiny_vae(tmp_path))
    model = load_checkpoint(file_of(path), placement, vae)
    assert model.vae_file == vae and same_network(model)


def test_vae_files_with_every_kind_of_names(tmp_path, placement):
    checkpoint = file_of(write_tiny_checkpoint(tmp_path))
    other = TinySizes(seed=50)
    vae = tiny_vae(other)
    bare, ours = bare_vae_state(vae), {k: v.half().contiguous() for k, v in vae.state_dict().items()}
    old = {_old(k): v for k, v in ours.items()}
    expected = vae.half().float()
    for name, state in {
        "bare": bare, "prefixed": {VAE_PREFIX + k: v for k, v in bare.items()}, "diffusers": ours, "old": old,
        "with-loss": {**bare, "loss.logvar": torch.zeros(1), "model_ema.x": torch.zeros(1)},
    }.items():  # fmt: skip
        path = tmp_path / f"{name}.safetensors"
        save_file(state, str(path))
        model = load_checkpoint(checkpoint, placement, VaeFile(path.name, path))
        latents = inputs_for().latents
        with torch.no_grad():
            assert torch.allclose(model.decode(latents), expected.decode(latents / 0.18215).sample, atol=1e-5), name
    path = tmp_path / "pickled.vae.pt"
    torch.save({"state_dict": bare}, path)
    model = load_checkpoint(checkpoint, placement, VaeFile(path.name, path), allow_pickle=True)
    assert torch.equal(model.vae.decoder.conv_in.weight, expected.decoder.conv_in.weight)


def _old(name):
    for new, old in ((".to_q.", ".query."), (".to_k.", ".key."), (".to_v.", ".value."), (".to_out.0.", ".proj_attn.")):
        name = name.replace(new, old)
    return name


def test_changing_only_the_vae_shares_the_rest(tmp_path, placement):
    model = load_checkpoint(file_of(write_tiny_checkpoint(tmp_path)), placement)
    vae = VaeFile("other", write_tiny_vae(tmp_path, "other", TinySizes(seed=9)))
    changed = with_vae(model, placement, vae)
    assert changed.denoiser is model.denoiser and changed.vae is not model.vae and model.vae_file is None
    assert not torch.equal(changed.vae.decoder.conv_in.weight, model.vae.decoder.conv_in.weight)
    assert changed.latent.preview != model.latent.preview
    back = with_vae(changed, placement, None)
    assert torch.equal(back.vae.decoder.conv_in.weight, model.vae.decoder.conv_in.weight) and back.vae_file is None


def test_precisions(tmp_path):
    placement = Placement(torch.device("cpu"), torch.bfloat16, torch.float32, torch.bfloat16)
    model = load_checkpoint(file_of(write_tiny_checkpoint(tmp_path)), placement)
    kinds = {name: {p.dtype for p in m.parameters()} for name, m in model.components().items()}
    assert kinds == {"unet": {torch.bfloat16}, "vae": {torch.float32}, "text_encoder": {torch.bfloat16}}
    assert model.call_denoiser(inputs_for()).dtype == torch.bfloat16
    assert model.encode_texts(["a"], EncodeOptions())[0].vectors.dtype == torch.float32
    model.use_vae_dtype(torch.bfloat16)
    assert model.vae_dtype == torch.bfloat16 and model.decode(inputs_for().latents).dtype == torch.float32


def test_encoding_pictures(tmp_path, placement):
    model = load_checkpoint(file_of(write_tiny_checkpoint(tmp_path)), placement)
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    mean = model.encode_images(pixels)
    assert mean.shape == (2, 4, 8, 8)
    noise = torch.randn(2, 4, 8, 8)
    drawn = model.encode_images(pixels, noise=noise)
    assert torch.allclose((drawn - mean).sign(), noise.sign())
    one = model.encode_images(pixels, torch.Generator().manual_seed(4))
    assert torch.equal(one, model.encode_images(pixels, torch.Generator().manual_seed(4)))
    assert not torch.equal(one, mean)


def missing_part(state, start, count):
    names = [k for k in sorted(state) if k.startswith(start)][-count:]
    return {k: v for k, v in state.items() if k not in names}


@pytest.mark.parametrize("start", ["model.diffusion_model.output", VAE_PREFIX + "encoder", TEXT_PREFIX])
def test_missing_tensors_are_named(tmp_path, placement, start):
    path = rewritten(write_tiny_checkpoint(tmp_path), lambda state: missing_part(state, start, 3))
    with pytest.raises(BadModelFile, match="lacks 3 tensors") as caught:
        load_checkpoint(file_of(path), placement)
    assert len(caught.value.fields["missing"]) == 3


def test_a_yaml_of_another_model(tmp_path, placement):
    path = write_tiny_checkpoint(tmp_path)
    text = path.with_suffix(".yaml").read_text()
    path.with_suffix(".yaml").write_text(text.replace("model_channels: 16", "model_channels: 32"))
    with pytest.raises(BadModelFile, match=r"is \[16, ") as caught:
        load_checkpoint(file_of(path), placement)
    assert caught.value.fields["unfit"]
    path.with_suffix(".yaml").write_text(text.replace("norm_num_groups: 8", "norm_num_groups: 7"))
    with pytest.raises(BadModelFile, match="does not describe"):
        load_checkpoint(file_of(path), placement)


def test_wrong_files_are_refused(tmp_path, placement):
    for name, shapes in {"lora": LORA, "sdxl": SDXL}.items():
        with pytest.raises(UnknownModel):
            load_checkpoint(file_of(write_header_only(tmp_path / f"{name}.safetensors", shapes)), placement)
    path = write_tiny_checkpoint(tmp_path, "cut")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadModelFile, match="cut off"):
        load_checkpoint(file_of(path), placement)
    checkpoint = replace(file_of(write_tiny_checkpoint(tmp_path, "whole")))
    lora = write_header_only(tmp_path / "as-vae.safetensors", LORA)
    with pytest.raises(BadModelFile, match="vae"):
        load_checkpoint(checkpoint, placement, VaeFile("as-vae", lora))
