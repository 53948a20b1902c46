"""Stable Diffusion XL against the pipelines of diffusers on reduced models: the decoded pixels agree."""

from dataclasses import replace

import pytest
import torch

from atelier.checkpoints.load import Placement, load_checkpoint
from atelier.checkpoints.shelf import CheckpointFile
from tests.parity.xl import TaskXL, joined, ours, theirs
from tests.tiny_sdxl import TinyXL, write_tiny_xl

BASE = TinyXL(seed=40)


def loaded(folder, sizes, **how):
    path = write_tiny_xl(folder, sizes=sizes, **how)
    return load_checkpoint(
        CheckpointFile(path.name, path, None, path.with_suffix(".yaml")), Placement(torch.device("cpu"))
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return loaded(tmp_path_factory.mktemp("xl"), BASE)


def test_half_precision_stays_near(tmp_path, base):
    path = write_tiny_xl(tmp_path, sizes=BASE, dtype=torch.float16)
    half = torch.bfloat16
    model = load_checkpoint(
        CheckpointFile(path.name, path, None, path.with_suffix(".yaml")),
        Placement(torch.device("cpu"), half, half, half),
    )
    task = TaskXL(guidance=2.0)
    apart = (ours(model, task) - ours(base, task)).abs()
    assert torch.isfinite(apart).all() and apart.mean() < 4 / 255


def agree(mine, other, limit=1e-4):
    assert mine.shape == other.shape and mine.std() > 0.005
    assert (mine - other).abs().max() < limit


@pytest.mark.parametrize("task", [
    TaskXL(), TaskXL(negative=""), TaskXL(prompts=("a red circle", "a blue square")), TaskXL(crop=(40, 300)),
    TaskXL(strength=0.6),
])  # fmt: skip
def test_pixels_agree(base, task):
    agree(ours(base, task), theirs(BASE, task))


def test_a_long_prompt_is_its_chunks_behind_each_other(base):
    task = TaskXL(prompts=("cat " * 80,), guidance=1.0)
    pieces = joined(["cat " * 75, "cat " * 5], BASE, task)
    agree(ours(base, task), theirs(BASE, replace(task, theirs=pieces)))


def test_velocity_and_zero_terminal_signal_by_marks_in_the_file(tmp_path):
    sizes = TinyXL(seed=41)
    marks = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    model = loaded(tmp_path, sizes, more=marks)
    assert model.prediction.kind == "v" and model.prediction.sigma_max > 1000
    task = TaskXL(prediction="v", zero_snr=True)
    # The first level is 4518, where single precision has few digits left behind the point.
    agree(ours(model, task), theirs(sizes, task), limit=1 / 255)


def test_velocity_by_the_configuration(tmp_path):
    sizes = TinyXL(seed=42, prediction="v")
    task = TaskXL(prediction="v")
    agree(ours(loaded(tmp_path, sizes), task), theirs(sizes, task))


def test_the_refiner(tmp_path):
    sizes = TinyXL(refiner=True, seed=43)
    model = loaded(tmp_path, sizes)
    assert model.family.name == "sdxl_refiner" and model.text_encoder_2 is None
    task = TaskXL(strength=0.6, scores=(7.5, 1.5))
    agree(ours(model, task), theirs(sizes, task))
    agree(ours(model, replace(task, negative="")), theirs(sizes, replace(task, negative="")))


def test_inpainting(tmp_path):
    sizes = TinyXL(in_channels=9, seed=44)
    model = loaded(tmp_path, sizes)
    assert model.is_inpainting
    task = TaskXL()
    agree(ours(model, task), theirs(sizes, task))


@pytest.fixture(scope="module")
def editing(tmp_path_factory):
    sizes = TinyXL(in_channels=8, seed=45)
    return sizes, loaded(tmp_path_factory.mktemp("edit"), sizes)


@pytest.mark.parametrize("task", [
    TaskXL(), TaskXL(image_guidance=1.0), TaskXL(image_guidance=2.5, negative=""),
    TaskXL(prompts=("make it a red circle", "make it blue"), crop=(40, 300)),
])  # fmt: skip
def test_instruct_pix2pix(editing, task):
    sizes, model = editing
    assert model.edits and model.blueprint.variant == "edit"
    agree(ours(model, task), theirs(sizes, task))


def test_an_edit_depends_on_the_picture_and_its_strength(editing):
    """Otherwise agreement would say nothing of the fourth to eighth channel."""
    model, task = editing[1], TaskXL()
    first = ours(model, task)
    stronger = ours(model, replace(task, image_guidance=2.5))
    assert (first - stronger).abs().max() > 100 * 1e-4
