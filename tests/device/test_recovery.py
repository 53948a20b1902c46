"""The out-of-memory ladder, rung by rung."""

from __future__ import annotations

import weakref

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0

from atelier.base.errors import OutOfMemory
from atelier.device.attention import AttentionChoice
from atelier.device.recovery import HALVE, RUNGS, Ladder, is_out_of_memory, rows_of
from atelier.device.residency import Residency
from atelier.sampling.step import ModelInputs, Row
from tests.device.fakes import CARD, Card, Recorder

CACHES, IDLE = "caches were dropped", "models that are not needed now left the device"
TILES, SLICES = "the picture goes through the VAE in tiles", "attention goes in slices"
BLOCKS = "the model goes through the device block by block"


class Teller:
    def __init__(self):
        self.said = []

    def comment(self, text):
        self.said.append(text)


class Fails:
    """Work that runs out of memory the first `times` times."""

    def __init__(self, times, error=None):
        self.left, self.calls = times, 0
        self.error = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    def __call__(self):
        self.calls += 1
        if self.calls <= self.left:
            raise self.error
        return "done"


@pytest.fixture
def card():
    return Card(1000)


@pytest.fixture
def ladder(card, monkeypatch):
    monkeypatch.setattr("atelier.device.recovery.free_memory", lambda device: 123)
    return Ladder(Residency(CARD, "keep", card.free))


@pytest.fixture
def with_idle(card, ladder):
    """A ladder above a card on which a module lies idle."""
    with ladder.residency.lease(card.module("text")):
        pass
    return ladder


def rungs_told(teller):
    return [next(r.name for r in RUNGS if r.name in text) for text in teller.said]


def test_without_trouble_nothing_is_said(ladder):
    teller = Teller()
    assert ladder.run("decode", lambda: 7, teller) == 7 and teller.said == []


@pytest.mark.parametrize(("stage", "expected"), [
    ("load", [CACHES, IDLE]), ("place", [CACHES, IDLE]), ("encode", [CACHES, IDLE, SLICES]),
    ("decode", [CACHES, IDLE, TILES, SLICES]), ("sample", [CACHES, IDLE, SLICES]),
])  # fmt: skip
def test_each_stage_climbs_its_own_rungs(with_idle, stage, expected):
    teller, work = Teller(), Fails(len(expected))
    assert with_idle.run(stage, work, teller) == "done"
    assert rungs_told(teller) == expected and work.calls == len(expected) + 1
    assert all("ran out of memory" in text for text in teller.said)


def test_a_rung_that_cannot_help_is_passed_over(ladder):
    teller = Teller()
    ladder.run("decode", Fails(2), teller)
    assert rungs_told(teller) == [CACHES, TILES]


def test_idle_modules_really_leave(card, with_idle):
    with_idle.run("encode", Fails(2))
    assert card.log == ["text>cuda", "text>cpu"]


def test_tiles_are_asked_for_by_the_limits(with_idle):
    with_idle.run("decode", Fails(3))
    assert with_idle.limits.tile_vae


def test_when_nothing_is_left_the_failure_says_what_and_how_much(with_idle):
    work = Fails(100)
    with pytest.raises(OutOfMemory) as caught:
        with_idle.run("decode", work)
    error = caught.value
    assert "decoding" in error.message and "Tried to allocate 2 GiB" in error.message and error.remedy
    assert error.fields["stage"] == "decode" and error.fields["free"] == 123
    assert work.calls == 5 and error.__context__ is None


def test_rungs_of_one_job_hold_until_the_next(with_idle):
    with_idle.run("decode", Fails(4))
    assert with_idle.attention.choice.kernel == "split" and with_idle.climbed
    teller = Teller()
    with pytest.raises(OutOfMemory):
        with_idle.run("decode", Fails(2), teller)
    assert teller.said == []
    with_idle.begin_job()
    assert not with_idle.limits.tile_vae and with_idle.limits.rows is None
    assert with_idle.attention.choice.kernel == "sdpa" and not with_idle.climbed
    with_idle.run("decode", Fails(1), teller)
    assert rungs_told(teller) == [CACHES]


@pytest.mark.parametrize("error", [
    torch.OutOfMemoryError("x"), MemoryError(), RuntimeError("CUDA error: out of memory"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1"),
])  # fmt: skip
def test_devices_say_it_in_many_words(with_idle, error):
    assert is_out_of_memory(error)
    assert with_idle.run("decode", Fails(1, error)) == "done"


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), ValueError("out of memory")])
def test_other_failures_pass_unchanged(with_idle, error):
    work = Fails(1, error)
    with pytest.raises(type(error)) as caught:
        with_idle.run("decode", work)
    assert caught.value is error and work.calls == 1


def test_what_the_failed_attempt_held_is_gone_before_the_next(ladder):
    held, alive = [], []

    class Big:
        pass

    def work():
        alive.extend(reference() is not None for reference in held)
        big = Big()
        held.append(weakref.ref(big))
        if len(held) == 1:
            raise MemoryError
        return "done"

    assert ladder.run("decode", work) == "done" and alive == [False]


# -- rows


def inputs(rows):
    return ModelInputs(
        latents=torch.arange(rows * 4.0).reshape(rows, 4, 1, 1),
        t=torch.arange(rows * 1.0),
        context=torch.ones(rows, 3, 2),
        rows=tuple(Row(i) for i in range(rows)), sigma=torch.ones(rows), concat=torch.zeros(rows, 5, 1, 1),
        added={"pooled": torch.arange(rows * 2.0).reshape(rows, 2), "shared": torch.ones(1, 2)},
    )  # fmt: skip


class Network:
    """Has room for `most` rows at once."""

    def __init__(self, most):
        self.most, self.calls = most, []

    def __call__(self, given):
        self.calls.append(given.latents.shape[0])
        if given.latents.shape[0] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        assert given.t.shape[0] == given.context.shape[0] == len(given.rows) == given.latents.shape[0]
        return given.latents * 2 + given.t.reshape(-1, 1, 1, 1)


@pytest.mark.parametrize(("rows", "most"), [(1, 1), (8, 8), (8, 4), (8, 3), (7, 2), (2, 1), (16, 4)])
def test_pieces_together_are_the_whole(ladder, rows, most):
    whole = inputs(rows)
    network = Network(most)
    given = ladder.rows(network, whole)
    assert torch.equal(given, Network(rows)(whole))
    assert network.calls[-1] <= most and max(network.calls) == rows


def test_pieces_stay_small_for_the_rest_of_the_job(ladder):
    ladder.rows(Network(2), inputs(8))
    network = Network(2)
    ladder.rows(network, inputs(8))
    assert network.calls == [2, 2, 2, 2]
    ladder.begin_job()
    again = Network(8)
    ladder.rows(again, inputs(8))
    assert again.calls == [8]


def test_one_row_that_does_not_fit_is_given_up(ladder):
    with pytest.raises(OutOfMemory) as caught:
        ladder.rows(Network(0), inputs(4))
    assert caught.value.fields["stage"] == "sample"


def test_the_part_of_some_rows():
    part = rows_of(inputs(4), 1, 3)
    assert part.t.tolist() == [1.0, 2.0] and [row.image for row in part.rows] == [1, 2]
    assert part.added["pooled"].tolist() == [[2.0, 3.0], [4.0, 5.0]]
    assert part.added["shared"].shape == (1, 2) and part.concat.shape == (2, 5, 1, 1)


def test_lists_of_tensors_are_cut_by_what_they_hold():
    whole = inputs(3)
    whole.residuals = {"down": tuple(torch.arange(3.0)[:, None] for _ in range(3)), "middle": torch.arange(3.0)}
    part = rows_of(whole, 1, 2)
    assert [t.tolist() for t in part.residuals["down"]] == [[[1.0]]] * 3 and part.residuals["middle"].tolist() == [1.0]


# -- leases, and the last rung


class Blocks(Recorder):
    """Large enough to be streamed, unless `room` says that even this does not fit."""

    def __init__(self, card, room=True):
        super().__init__("unet", 400, card.log)
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(2, 2)])
        self.room = room
        card.modules.append(self)

    def to(self, device):
        if torch.device(device) == CARD:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return super().to(device)


class FakeStream:
    resident_bytes = 10

    def __init__(self, module, device):
        self.module = module

    def start(self):
        if not self.module.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 10 MiB")
        self.module.log.append("unet streams")

    def stop(self):
        self.module.log.append("unet stops")


@pytest.fixture
def streaming(card, monkeypatch):
    monkeypatch.setattr("atelier.device.recovery.free_memory", lambda device: 123)
    monkeypatch.setattr("atelier.device.residency.blocks_of", lambda module: list(getattr(module, "blocks", ())))
    return Ladder(Residency(CARD, "keep", card.free, FakeStream, stream_from=300))


def test_a_model_that_does_not_fit_goes_block_by_block(card, streaming):
    teller = Teller()
    with streaming.lease(Blocks(card), teller=teller):
        assert card.log[-1] == "unet streams"
    assert rungs_told(teller) == [CACHES, BLOCKS] and card.log[-1] == "unet stops"
    assert all("bringing the model" in text for text in teller.said)


def test_a_model_that_does_not_fit_at_all_is_given_up(card, streaming):
    with pytest.raises(OutOfMemory) as caught, streaming.lease(Blocks(card, room=False)):
        pass
    assert caught.value.fields["stage"] == "place" and "10 MiB" in caught.value.message


def test_sampling_ends_with_the_last_rung(card, streaming):
    teller, unet = Teller(), Blocks(card)
    unet.to = lambda device: unet
    network = Network(0)

    def call(given):
        if streaming.residency.policy == "stream":
            network.most = 1
        return network(given)

    with streaming.lease(unet):
        streaming.rows(call, inputs(4), teller)
    assert rungs_told(teller) == [CACHES, SLICES, HALVE, BLOCKS]
    assert network.calls == [4, 4, 4, 2, 1, 1, 1, 1, 1]


def test_a_lease_gives_the_chosen_attention(ladder):
    seen = []

    class Net(torch.nn.Module):
        attn_processors = property(lambda self: {"a.processor": AttnProcessor2_0()})

        def set_attn_processor(self, given):
            seen.append(type(given["a.processor"]).__name__)

        def to(self, device):
            return self

    ladder.attention.choose(AttentionChoice("split"))
    with ladder.lease(Net()):
        assert seen == ["SlicedProcessor"]
    assert seen == ["SlicedProcessor", "AttnProcessor2_0"]


def test_relief_is_tried_again_when_memory_runs_out_again(with_idle, card):
    teller = Teller()
    with_idle.run("encode", Fails(2), teller)
    with with_idle.residency.lease(card.module("vae")):
        pass
    with_idle.run("encode", Fails(2), teller)
    assert card.log[-1] == "vae>cpu" and rungs_told(teller) == [CACHES, IDLE], "each is told once"
