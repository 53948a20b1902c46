"""Our loop against the pipeline of diffusers on a reduced model: the decoded pixels agree."""

import pytest
import torch

from atelier.checkpoints.load import Placement, load_checkpoint
from atelier.checkpoints.shelf import CheckpointFile
from tests.parity.loops import Task, ours, theirs
from tests.tiny import TinySizes, write_tiny_checkpoint

TASKS = [Task(), Task(prediction="v"), Task(negative=""), Task(steps=20, guidance=1.5, side=128)]


@pytest.mark.parametrize("task", TASKS)
def test_pixels_agree(tmp_path, task):
    sizes = TinySizes(prediction=task.prediction, seed=40)
    path = write_tiny_checkpoint(tmp_path, sizes=sizes, dtype=torch.float32)
    file = CheckpointFile(path.name, path, None, path.with_suffix(".yaml"))
    model = load_checkpoint(file, Placement(torch.device("cpu")))
    mine, other = ours(model, task), theirs(sizes, task)
    assert mine.shape == other.shape and mine.std() > 0.005
    assert (mine - other).abs().max() < 1e-4
