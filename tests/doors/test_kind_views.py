"""What extensions of A1111 are told of models that are fed more than latents and a text."""

import pytest
import torch

from atelier.checkpoints.load import Placement, load_checkpoint
from atelier.checkpoints.shelf import CheckpointFile
from modules._host.old_model import ModelView
from tests.tiny import TinySizes, write_tiny_checkpoint
from tests.tiny_sd2 import PROJECTION, sd2_sizes, write_tiny_sd2


def view(path):
    file = CheckpointFile(path.name, path, "0" * 64, path.with_suffix(".yaml"))
    return ModelView(load_checkpoint(file, Placement(torch.device("cpu"))))


@pytest.mark.parametrize(("channels", "key", "stage"), [
    (4, "crossattn", "txt"), (5, "hybrid", "txt"), (8, "hybrid", "edit"), (9, "hybrid", "txt"),
])  # fmt: skip
def test_kinds_of_version_1(tmp_path, channels, key, stage):
    model = view(write_tiny_checkpoint(tmp_path, sizes=TinySizes(in_channels=channels)))
    assert (model.model.conditioning_key, model.cond_stage_key, model.is_sd1) == (key, stage, True)


def test_version_2_and_its_image_variation(tmp_path):
    model = view(write_tiny_sd2(tmp_path, sizes=sd2_sizes(labels=2 * PROJECTION, prediction="v")))
    assert (model.is_sd1, model.is_sd2, model.parameterization) == (False, True, "v")
    assert model.model.conditioning_key == "crossattn-adm" and model.cond_stage_model.id_pad == 0
    assert model.get_learned_conditioning(["a cat"]).shape == (1, 77, 16)
