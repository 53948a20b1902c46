"""Folders in diffusers layout load by the same path."""

import json

import pytest
import torch
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer

from atelier.base.errors import BadModelFile, UnknownModel
from atelier.checkpoints.load import load_checkpoint
from atelier.checkpoints.shelf import CheckpointFile
from tests.checkpoints.test_load import same_network
from tests.families.test_midas import small
from tests.tiny import TinySizes, tiny_text_encoder, tiny_unet, tiny_vae
from tests.tiny_sd2 import PROJECTION, image_module, sd2_sizes, text_module
from tests.tiny_sdxl import TinyXL, write_tiny_xl, xl_first, xl_second, xl_unet, xl_vae


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "my-model"
    sizes = TinySizes()
    tiny_unet(sizes).half().save_pretrained(path / "unet")
    tiny_vae(sizes).half().save_pretrained(path / "vae")
    tiny_text_encoder(sizes).half().save_pretrained(path / "text_encoder")
    (path / "scheduler").mkdir()
    scheduler = {"prediction_type": "v_prediction", "beta_schedule": "scaled_linear", "beta_start": 0.00085}
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    (path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    return path


def load(path, placement):
    return load_checkpoint(CheckpointFile(path.name, path), placement)


def test_a_folder_loads(folder, placement):
    model = load(folder, placement)
    assert same_network(model)
    assert model.prediction.kind == "v" and model.latent.factor == 8
    assert torch.isfinite(model.decode(torch.randn(1, 4, 8, 8))).all()


@pytest.mark.parametrize("refiner", [False, True])
def test_folders_of_sdxl_give_what_the_single_file_gives(tmp_path, placement, refiner):
    sizes, path = TinyXL(refiner=refiner), tmp_path / "xl"
    xl_unet(sizes).save_pretrained(path / "unet")
    xl_vae(sizes).save_pretrained(path / "vae")
    xl_second(sizes).save_pretrained(path / "text_encoder_2")
    if not refiner:
        xl_first(sizes).save_pretrained(path / "text_encoder")
    (path / "scheduler").mkdir()
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps({"prediction_type": "epsilon"}))
    name = "StableDiffusionXLImg2ImgPipeline" if refiner else "StableDiffusionXLPipeline"
    (path / "model_index.json").write_text(json.dumps({"_class_name": name}))
    found = load(path, placement)
    single = write_tiny_xl(tmp_path, sizes=sizes)
    other = load_checkpoint(CheckpointFile(single.name, single, None, single.with_suffix(".yaml")), placement)
    assert found.family is other.family and found.latent.scale == 0.13025
    for name, module in other.components().items():
        mine = found.components()[name].state_dict()
        assert mine.keys() == module.state_dict().keys()
        assert all(torch.equal(mine[key], value) for key, value in module.state_dict().items())


def test_the_shelf_shows_it_as_one(models, shelf, folder, placement):
    folder.rename(models / "my-model")
    file = shelf.find_checkpoint("my-model")
    assert [f.name for f in shelf.checkpoints()] == ["my-model"]
    assert file.stem == "my-model" and same_network(load_checkpoint(file, placement))
    assert len(shelf.hashed(file).short) == 10


def test_other_pipelines_and_missing_parts(folder, placement):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(BadModelFile, match="no file with weights"):
        load(folder, placement)
    (folder / "vae" / "config.json").write_text("{")
    with pytest.raises(BadModelFile, match="damaged"):
        load(folder, placement)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusion3Pipeline"}))
    with pytest.raises(UnknownModel, match="StableDiffusion3Pipeline"):
        load(folder, placement)


@pytest.fixture
def variation(tmp_path):
    """A folder of an image variation model of Stable Diffusion 2."""
    path, sizes = tmp_path / "my-variation", sd2_sizes(labels=2 * PROJECTION)
    tiny_unet(sizes).half().save_pretrained(path / "unet")
    tiny_vae(sizes).half().save_pretrained(path / "vae")
    text_module(sizes).half().save_pretrained(path / "text_encoder")
    image_module().half().save_pretrained(path / "image_encoder")
    normalizer = StableUnCLIPImageNormalizer(PROJECTION)
    torch.nn.init.constant_(normalizer.std, 2.0)
    normalizer.save_pretrained(path / "image_normalizer")
    (path / "scheduler").mkdir()
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps({"prediction_type": "v_prediction"}))
    (path / "model_index.json").write_text(json.dumps({"_class_name": "StableUnCLIPImg2ImgPipeline"}))
    return path


def test_an_image_variation_folder_brings_its_eye(variation, placement):
    model = load(variation, placement)
    assert (model.family.name, model.prediction.kind, model.varies) == ("sd2", "v", True)
    assert model.extras["noise_statistics"].std.mean() == 2 and "image_encoder" in model.components()
    own = image_module().state_dict()
    assert all(torch.allclose(v, own[k], atol=1e-3) for k, v in model.extras["image_encoder"].state_dict().items())


def test_a_depth_folder_brings_its_estimator(tmp_path, placement):
    path, sizes, eye = tmp_path / "my-depth", TinySizes(in_channels=5), small()
    tiny_unet(sizes).half().save_pretrained(path / "unet")
    tiny_vae(sizes).half().save_pretrained(path / "vae")
    tiny_text_encoder(sizes).half().save_pretrained(path / "text_encoder")
    eye.save_pretrained(path / "depth_estimator")
    (path / "scheduler").mkdir()
    (path / "scheduler" / "scheduler_config.json").write_text("{}")
    (path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionDepth2ImgPipeline"}))
    model = load(path, placement)
    assert model.takes_depth and model.extras["depth"].config.image_size == 64
    own = eye.state_dict()
    assert all(torch.equal(v, own[k]) for k, v in model.extras["depth"].state_dict().items())
