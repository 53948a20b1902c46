"""Whole runs with little memory: streamed networks, split attention, tiles, on a device that is made up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from atelier.device.attention import AttentionChoice
from atelier.device.estimate import Estimator
from atelier.device.recovery import Ladder
from atelier.device.residency import Residency
from atelier.device.streaming import PlainMover, Stream, blocks_of

CPU, CARD = torch.device("cpu"), torch.device("cuda", 0)
#: the networks of these tests are small, and so are their blocks
SMALL = 8 << 10


class CountingMover(PlainMover):
    def __init__(self):
        super().__init__(CPU)
        self.copies = 0

    def copy(self, source, target, after):
        self.copies += 1
        super().copy(source, target, after)


@pytest.fixture
def movers(services, monkeypatch):
    """Everything is streamed to a device whose memory is the machine's own; the movers by size of the network."""
    made = []

    def stream(module, device):
        made.append(CountingMover())
        return Stream(module, CPU, made[-1], SMALL)

    monkeypatch.setattr("atelier.device.residency.blocks_of", lambda module: blocks_of(module, SMALL))
    services.residency = Residency(CARD, "stream", lambda device: 10**10, stream, stream_from=0)
    services.ladder = Ladder(services.residency)
    return made


def close(a, b):
    return np.abs(np.asarray(a).astype(int) - np.asarray(b).astype(int)).max() <= 1


def test_streaming_changes_nothing(make, movers, services):
    result = make(**{"batch.size": 2})
    assert len(movers) == 3 and all(mover.copies > 10 for mover in movers)
    assert services.residency.resident_bytes == 0 and result.comments == ()
    services.residency = Residency(CPU)
    services.ladder = Ladder(services.residency)
    for a, b in zip(result.images, make(**{"batch.size": 2}).images, strict=True):
        assert np.array_equal(np.asarray(a), np.asarray(b))


def test_streaming_is_the_last_rung_of_sampling(make, movers, services, monkeypatch):
    services.residency.policy = "keep"
    residency = services.residency
    # On the made-up device "whole" means: left where it is.
    monkeypatch.setattr(residency, "_move", lambda entry: None)
    model = type(services.library.open())
    original = model.call_denoiser

    def blocks_only(self, inputs):
        if residency.policy != "stream":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, inputs)

    monkeypatch.setattr(model, "call_denoiser", blocks_only)
    result = make()
    assert result.images and movers and any("block by block" in c for c in result.comments)


def test_attention_in_slices_makes_the_same_picture(make, services):
    expected = make().images[0]
    services.ladder.attention.choose(AttentionChoice("split", queries=3))
    assert close(make().images[0], expected)


def test_what_has_no_room_as_a_whole_is_decoded_in_tiles_and_said(make, services, monkeypatch):
    large = {"size.width": 576, "size.height": 64, "sampling.steps": 1}
    expected = make(**large)
    assert expected.comments == ()
    monkeypatch.setattr(Residency, "free", lambda self: 10**6)
    asked = []
    model = type(services.library.current)
    original = model.decode
    monkeypatch.setattr(model, "decode", lambda self, x, **how: (asked.append(how), original(self, x, **how))[1])
    tiled = make(**large)
    assert asked == [{"tiled": True, "wrap": False}] and any("in tiles" in c and "GB" in c for c in tiled.comments)
    assert np.asarray(tiled.images[0]).shape == np.asarray(expected.images[0]).shape
    # What is no larger than one tile is decoded whole, however little room there is.
    assert make().comments == ()


def test_what_has_no_room_as_a_whole_is_encoded_in_tiles(make, services, monkeypatch):
    ref = services.blobs.put_image(Image.new("RGB", (576, 64), "red"))
    wide = {"size.width": 576, "sampling.steps": 1, "source.images": (ref,)}
    asked = []
    model = type(services.library.open())
    original = model.encode_images

    def encode(self, *args, **how):
        asked.append(how["tiled"])
        return original(self, *args, **how)

    monkeypatch.setattr(model, "encode_images", encode)
    make(**wide)
    monkeypatch.setattr(Residency, "free", lambda self: 10**6)
    make(**wide)
    make(**{**wide, "size.width": 64, "source.images": (services.blobs.put_image(Image.new("RGB", (64, 64))),)})
    assert asked == [False, True, False]


def test_leases_know_how_much_room_the_work_needs(make, services, monkeypatch):
    asked = []
    original = Residency.lease

    def lease(self, *modules, working=0):
        asked.append((type(modules[0]).__name__, working))
        return original(self, *modules, working=working)

    monkeypatch.setattr(Residency, "lease", lease)
    make()
    known = dict(asked)
    assert known["UNet2DConditionModel"] > 0 and known["AutoencoderKL"] > 0


def test_peaks_are_measured_and_only_of_whole_work(make, services, monkeypatch):
    class Meter:
        starts = 0

        def start(self):
            self.starts += 1

        def peak(self):
            return 500_000

    services.estimator = Estimator(CARD, Meter())
    make()
    assert services.estimator.meter.starts == 2 and len(services.estimator._ratios) == 2
    services.estimator = Estimator(CARD, Meter())
    monkeypatch.setattr(Ladder, "climbed", True)
    make()
    assert [what.split()[0] for what in services.estimator._ratios] == ["decode"]
