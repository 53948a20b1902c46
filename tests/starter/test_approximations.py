"""The stand-ins for the autoencoder: the names of their layers, the matrix, and that they learn."""

import json

import pytest
import torch

from starter import approximations as approx
from starter import train_approximations
from starter.progress import Progress
from starter.scene import Item, Scene


def test_layers_are_numbered_as_in_taesd():
    decoder, encoder = set(approx.TinyDecoder(8).state_dict()), set(approx.TinyEncoder(8).state_dict())
    assert {
        "1.weight",
        "1.bias",
        "3.conv.0.weight",
        "5.conv.4.bias",
        "7.weight",
        "18.conv.0.weight",
        "19.bias",
    } <= decoder
    assert "7.bias" not in decoder and "2.bias" not in encoder
    assert {"0.weight", "1.conv.2.weight", "2.weight", "13.conv.4.weight", "14.bias"} <= encoder


def test_sizes_and_ranges():
    with torch.no_grad():
        assert approx.TinyDecoder(8)(torch.randn(2, 4, 5, 6)).shape == (2, 3, 40, 48)
        assert approx.TinyEncoder(8)(torch.rand(2, 3, 40, 48)).shape == (2, 4, 5, 6)


def test_matrix_finds_a_linear_map():
    torch.manual_seed(0)
    weight, bias, latents = torch.randn(3, 4), torch.randn(3), torch.randn(2, 4, 8, 8)
    colours = approx.apply_matrix(latents, weight, bias)
    found, offset = approx.fit_matrix(latents, colours.repeat_interleave(8, 2).repeat_interleave(8, 3))
    assert torch.allclose(found, weight, atol=1e-4) and torch.allclose(offset, bias, atol=1e-4)


def test_a_saved_network_is_read_in_its_width(tmp_path):
    decoder = approx.TinyDecoder(8)
    assert approx.save(tmp_path / "d.safetensors", decoder.state_dict(), "x") < 100_000
    again = approx.load_network(tmp_path / "d.safetensors", approx.TinyDecoder)
    x = torch.randn(1, 4, 4, 4)
    with torch.no_grad():
        assert torch.allclose(again(x), decoder(x), atol=0.01)


@pytest.fixture
def pairs(tmp_path):
    rows = [Scene("shapes", "blue", (Item("circle", "red", size=0.6),), held=i > 3) for i in range(6)]
    place = tmp_path / "latents/shapes"
    place.mkdir(parents=True)
    (place / "scenes.json").write_text(json.dumps([row.to_json() for row in rows]))
    torch.save(torch.randn(6, 4, 32, 32).half(), place / "000000.pt")
    (tmp_path / "sprites.npz").write_bytes(b"")
    return tmp_path


def test_pieces_of_latents_and_pictures_belong_together(pairs, monkeypatch):
    monkeypatch.setattr(train_approximations, "Sprites", lambda path: None)
    rows = train_approximations.Pairs(pairs, ("shapes",), 0)
    latents, pictures = rows.pieces(7, 12)
    assert latents.shape == (7, 4, 12, 12) and pictures.shape == (7, 3, 96, 96)
    network = approx.TinyDecoder(8)
    before = network[1].weight.detach().clone()
    options = train_approximations.Options(0.0, cells=8, batch=3, width=8)
    train_approximations._train(network, rows, options, 0.5, Progress(pairs / "log"))
    assert not torch.equal(before, network[1].weight)
    assert rows.whole(9)[0].shape == (2, 4, 32, 32)


def test_psnr_of_a_known_error():
    one = torch.zeros(1, 3, 8, 8)
    assert train_approximations.psnr(one, one + 0.2) == pytest.approx(20.0, abs=1e-3)
