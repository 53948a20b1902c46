"""Headers: right for sound files, typed refusals with the reason for damaged ones."""

import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from atelier.base.errors import BadModelFile
from atelier.checkpoints.header import TensorInfo, read_safetensors_header
from tests.tiny import write_tiny_checkpoint


def test_header_of_a_sound_file(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.zeros(2, 3), "y": torch.ones(4, dtype=torch.bfloat16)}, str(path), metadata={"k": "v"})
    header = read_safetensors_header(path)
    assert header.shape("x") == (2, 3) and header.shape("none") is None
    assert header.tensors["y"].dtype == "BF16" and header.tensors["y"].nbytes == 8
    assert header.metadata == {"k": "v"} and "x" in header
    assert header.any_key("x") == "x" and header.any_key(part="zz") is None


def test_strided_tensors_span_more_bytes_than_they_have_numbers():
    assert TensorInfo("F32", (2, 2), 0, (8, 1)).nbytes == (8 + 1 + 1) * 4
    assert TensorInfo("F32", (0, 2), 0, (8, 1)).nbytes == 0


def reason(path):
    with pytest.raises(BadModelFile) as caught:
        read_safetensors_header(path)
    assert caught.value.fields["path"] == str(path)
    return caught.value.message


def test_cut_in_half(tmp_path):
    path = write_tiny_checkpoint(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert "cut off" in reason(path)
    path.write_bytes(data[:200])
    assert "cut off inside its header" in reason(path)


def test_empty_text_and_tiny_files(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"")
    assert "0 bytes" in reason(path)
    path.write_bytes(b"abc")
    assert "far too short" in reason(path)
    path.write_text("This is a web page that was saved under the wrong name. " * 20)
    assert "does not begin with a header" in reason(path)
    assert "cannot be read" in reason(tmp_path / "gone.safetensors")


@pytest.mark.parametrize(
    "entries",
    [
        [1, 2],
        {"x": 5},
        {"x": {"dtype": "F32", "shape": [2]}},
        {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"x": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}},
        {"x": {"dtype": "Q4", "shape": [2], "data_offsets": [0, 8]}},
        {"x": {"dtype": "F32", "shape": [2000], "data_offsets": [0, 8000]}},
    ],
)
def test_damaged_headers(tmp_path, entries):
    path = tmp_path / "a.safetensors"
    raw = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + b"\0" * 8)
    assert reason(path)


def test_header_that_is_not_json(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", 4) + b"\xff\xfe{x" + b"\0" * 8)
    assert "damaged header" in reason(path)


def test_parts_of_tensors_stay_in_the_file():
    whole = TensorInfo("F16", (6, 4), 100)
    assert whole.rows(1, 3) == TensorInfo("F16", (2, 4), 100 + 2 * 4 * 2)
    assert TensorInfo("F32", (6, 4), 0, (1, 6)).rows(2, 3) == TensorInfo("F32", (2, 4), 4 * 4, (1, 6))
    assert whole.turned() == TensorInfo("F16", (4, 6), 100, (1, 4)) and whole.turned().nbytes == whole.nbytes
    assert whole.rows(0, 4) is None and TensorInfo("F16", (6,), 0).turned() is None
