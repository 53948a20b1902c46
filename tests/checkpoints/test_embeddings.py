"""Textual inversions out of every container."""

import base64
import json
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin
from safetensors.torch import save_file

from atelier.base.errors import BadModelFile
from atelier.checkpoints.embeddings import read_embedding
from atelier.checkpoints.library import Library
from atelier.families.family import EncodeOptions
from tests.tiny import write_tiny_checkpoint, write_tiny_embedding

VECTORS = torch.arange(32.0).reshape(2, 16)
OLD = {"string_to_token": {"*": 265}, "string_to_param": {"*": VECTORS}, "name": "inside", "step": 7,
       "sd_checkpoint": "abc", "sd_checkpoint_name": "model"}  # fmt: skip


def test_pickled_forms(tmp_path):
    path = tmp_path / "style.pt"
    torch.save(OLD, path)
    found = read_embedding(path, allow_pickle=True)
    assert torch.equal(found.tensors[""], VECTORS) and (found.name, found.step) == ("style", 7)
    assert (found.checkpoint, found.checkpoint_name) == ("abc", "model")
    assert (found.vectors, found.width, len(found.short)) == (2, 16, 12)
    parameters = torch.nn.ParameterDict({"*": torch.nn.Parameter(VECTORS)})
    torch.save({**OLD, "string_to_param": parameters}, path)
    assert torch.equal(read_embedding(path, allow_pickle=True).tensors[""], VECTORS)
    torch.save({"<token>": VECTORS[0]}, tmp_path / "learned_embeds.bin")
    assert torch.equal(read_embedding(tmp_path / "learned_embeds.bin", allow_pickle=True).tensors[""], VECTORS[:1])


def test_safetensors_forms(tmp_path):
    for name, state in {"a": {"emb_params": VECTORS}, "b": {"<x>": VECTORS[0]}}.items():
        save_file(state, str(tmp_path / f"{name}.safetensors"))
        assert read_embedding(tmp_path / f"{name}.safetensors").width == 16
    save_file({"clip_l": torch.zeros(3, 768), "clip_g": torch.zeros(3, 1280)}, str(tmp_path / "xl.safetensors"))
    found = read_embedding(tmp_path / "xl.safetensors")
    assert (found.width, found.vectors, set(found.tensors)) == (2048, 3, {"clip_l", "clip_g"})
    for state in ({"clip_l": torch.zeros(3, 768), "clip_g": torch.zeros(2, 1280)}, {"a": VECTORS, "b": VECTORS + 1},
                  {"a": torch.zeros(2, 2, 2)}):  # fmt: skip
        save_file(state, str(tmp_path / "bad.safetensors"))
        with pytest.raises(BadModelFile):
            read_embedding(tmp_path / "bad.safetensors")


def as_text(value):
    if isinstance(value, torch.Tensor):
        return {"TORCHTENSOR": value.tolist()}
    return {k: as_text(v) for k, v in value.items()} if isinstance(value, dict) else value


def test_picture_with_a_text_chunk(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("sd-ti-embedding", base64.b64encode(json.dumps(as_text(OLD)).encode()).decode())
    Image.new("RGB", (8, 8)).save(tmp_path / "renamed.png", pnginfo=info)
    found = read_embedding(tmp_path / "renamed.png")
    assert found.name == "inside" and torch.equal(found.tensors[""], VECTORS)


def card(value, black_border=0):
    """A picture with its data in strips, written from the description of the format."""
    data = np.frombuffer(zlib.compress(json.dumps(as_text(value)).encode()), np.uint8)
    height = 40
    width = -(-len(data) // (3 * height))
    padded = np.zeros(height * width * 3, np.uint8)
    padded[: len(data)] = data
    stream, state = np.empty(len(padded), np.uint8), 0
    for index in range(len(padded)):
        state = (state * 1664525 + 1013904223) % 2**32
        stream[index] = (state % 255) & 0x0F
    # The upper half of each byte of the picture is free; a card shows something there.
    low, high = (((half ^ stream) | 0x50).reshape(height, width, 3) for half in (padded & 15, padded >> 4))
    line, middle = np.zeros((height, 1, 3), np.uint8), np.full((height, 30, 3), 200, np.uint8)
    whole = np.concatenate([low, line, middle, line, high], axis=1)
    return Image.fromarray(np.pad(whole, ((black_border, black_border), (black_border, black_border), (0, 0))))


@pytest.mark.parametrize("border", [0, 5])
def test_picture_with_data_strips(tmp_path, border):
    card(OLD, border).save(tmp_path / "card.png")
    assert torch.equal(read_embedding(tmp_path / "card.png").tensors[""], VECTORS)


def test_pictures_without_an_embedding(tmp_path):
    Image.new("RGB", (20, 20), (200, 10, 10)).save(tmp_path / "plain.png")
    Image.new("RGB", (20, 20)).save(tmp_path / "black.png")
    (tmp_path / "text.png").write_text("no picture")
    for name in ("plain", "black", "text"):
        with pytest.raises(BadModelFile, match="without an embedding"):
            read_embedding(tmp_path / f"{name}.png")


def test_the_shelf_sorts_them_by_width_and_says_why_not(models, shelf, placement, paths):
    write_tiny_checkpoint(models, "one")
    write_tiny_embedding(paths.embeddings, "fits")
    write_tiny_embedding(paths.embeddings / "sub", "wide", width=768)
    torch.save(OLD, paths.embeddings / "pickled.pt")
    (paths.embeddings / "damaged.safetensors").write_bytes(b"12345678901234567890")
    (paths.embeddings / "empty.pt").write_bytes(b"")
    card(OLD).save(paths.embeddings / "fits.preview.png")
    model = Library(shelf, placement).open("one")
    found = shelf.embeddings(model)
    assert set(found.loaded) == {"fits"} and set(found.skipped) == {"wide", "pickled", "damaged"}
    assert "768" in found.skipped["wide"] and "switched off" in found.skipped["pickled"]
    shelf.allow_pickle = True
    assert set(shelf.embeddings(model).loaded) == {"fits", "pickled"}
    tensors = shelf.embeddings_for(model)
    plain, styled = (model.encode_texts(["a fits thing"], EncodeOptions(embeddings=e))[0] for e in ({}, tensors))
    assert not torch.allclose(plain.vectors, styled.vectors)
