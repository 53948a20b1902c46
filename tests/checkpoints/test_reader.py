"""Reading weights: every type, in the wanted precision, in our own memory."""

import pytest
import torch
from safetensors.torch import save_file

from atelier.base.errors import BadModelFile
from atelier.checkpoints.header import read_safetensors_header
from atelier.checkpoints.reader import open_weights, read_state_dict

TYPES = [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.float8_e4m3fn]


def test_every_type_comes_back(tmp_path):
    path = tmp_path / "a.safetensors"
    state = {str(t): torch.tensor([[0.0, 1.0], [1.0, 0.0]]).to(t) for t in TYPES} | {"scalar": torch.tensor(2.5)}
    save_file(state, str(path))
    read = read_state_dict(path)
    assert set(read) == set(state)
    for name, value in state.items():
        assert read[name].dtype == value.dtype and read[name].shape == value.shape
        assert torch.equal(read[name].float(), value.float())


def test_conversion_while_reading(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.tensor([1.5, -2.0], dtype=torch.float16)}, str(path))
    info = read_safetensors_header(path).tensors["x"]
    with open_weights(path) as weights:
        read = weights.read(info, torch.float32, torch.device("cpu"))
    assert read.dtype == torch.float32 and read.tolist() == [1.5, -2.0]


def test_what_was_read_survives_the_file(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.arange(1000.0)}, str(path))
    read = read_state_dict(path)
    with open(path, "r+b") as file:
        file.write(b"\xff" * 2000)
        file.truncate(10)
    assert torch.equal(read["x"], torch.arange(1000.0))


def test_a_file_that_is_gone(tmp_path):
    with pytest.raises(BadModelFile, match="cannot be read"), open_weights(tmp_path / "gone.safetensors"):
        pytest.fail("there is nothing to open")


def test_a_file_that_shrank_since_its_header_was_read(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.arange(1000.0)}, str(path))
    info = read_safetensors_header(path).tensors["x"]
    with open(path, "r+b") as file:
        file.truncate(500)
    with open_weights(path) as weights, pytest.raises(BadModelFile, match="shorter"):
        weights.read(info)
