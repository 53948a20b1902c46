"""Who is on the device, who must leave, who may come."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from atelier.device.residency import Residency, empty_cache, free_memory
from tests.device.fakes import CARD, Card, Recorder


@pytest.fixture
def card():
    return Card(1000)


@pytest.fixture
def keep(card):
    return Residency(CARD, "keep", card.free)


@pytest.fixture
def rotate(card):
    return Residency(CARD, "rotate", card.free)


def test_a_lease_brings_a_module_once(card, keep):
    unet = card.module("unet")
    for _ in range(3):
        with keep.lease(unet):
            assert unet.place == CARD
    assert card.log == ["unet>cuda"] and keep.resident_bytes == 400


def test_rotating_sends_back_what_nobody_holds(card, rotate):
    unet, vae = card.module("unet"), card.module("vae")
    with rotate.lease(unet):
        pass
    with rotate.lease(vae):
        assert unet.place.type == "cpu"
    assert card.log == ["unet>cuda", "unet>cpu", "vae>cuda", "vae>cpu"] and rotate.resident_bytes == 0


def test_rotating_waits_for_the_last_holder(card, rotate):
    unet = card.module("unet")
    with rotate.lease(unet):
        with rotate.lease(unet):
            pass
        assert unet.place == CARD
    assert card.log == ["unet>cuda", "unet>cpu"]


def test_room_is_made_by_the_one_used_longest_ago(card, keep):
    text, unet, vae = card.module("text"), card.module("unet"), card.module("vae")
    for module in (text, unet, text, vae):
        with keep.lease(module):
            pass
    assert card.log == ["text>cuda", "unet>cuda", "unet>cpu", "vae>cuda"]


def test_nobody_leaves_while_there_is_room(card, keep):
    small = [card.module(str(i), 100) for i in range(10)]
    for module in small:
        with keep.lease(module):
            pass
    assert card.log == [f"{i}>cuda" for i in range(10)]


def test_room_for_the_work_itself_is_made_too(card, keep):
    text, unet = card.module("text"), card.module("unet")
    with keep.lease(text):
        pass
    with keep.lease(unet, working=300):
        pass
    assert card.log == ["text>cuda", "text>cpu", "unet>cuda"]


def test_what_is_held_stays_whatever_happens(card, keep):
    unet, huge = card.module("unet"), card.module("huge", 4000)
    with keep.lease(unet):
        with keep.lease(huge):
            assert unet.place == CARD and huge.place == CARD
    assert "unet>cpu" not in card.log


def test_several_modules_in_one_lease_do_not_push_each_other_out(card, keep):
    text, unet, vae = card.module("text"), card.module("unet"), card.module("vae")
    with keep.lease(text, unet, vae):
        assert {m.place for m in (text, unet, vae)} == {CARD}


def test_a_failure_inside_gives_the_hold_back(card, rotate):
    unet = card.module("unet")
    with pytest.raises(RuntimeError), rotate.lease(unet):
        raise RuntimeError("boom")
    assert unet.place.type == "cpu" and rotate.resident_bytes == 0


def test_a_failure_while_bringing_holds_nothing(card, keep):
    good, bad = card.module("good"), card.module("bad")

    def refuse(device):
        raise torch.OutOfMemoryError("CUDA out of memory")

    bad.to = refuse
    with pytest.raises(torch.OutOfMemoryError), keep.lease(good, bad):
        pass
    assert keep.evict_idle() == 400 and good.place.type == "cpu"


def test_evicting_sends_away_the_idle_only(card, keep):
    text, unet = card.module("text", 200), card.module("unet")
    with keep.lease(text):
        pass
    with keep.lease(unet):
        assert keep.evict_idle() == 200
        assert unet.place == CARD and text.place.type == "cpu"
        assert keep.evict_idle() == 0


def test_a_forgotten_module_is_not_touched_again(card, keep):
    unet = card.module("unet")
    with keep.lease(unet):
        pass
    keep.forget(unet)
    keep.forget(unet)
    assert keep.resident_bytes == 0 and keep.evict_idle() == 0 and unet.place == CARD


def test_on_a_cpu_nothing_moves(card):
    for policy in ("keep", "rotate"):
        residency = Residency(torch.device("cpu"), policy, lambda device: 0)
        unet, vae = card.module("unet"), card.module("vae")
        with residency.lease(unet), residency.lease(vae):
            pass
        assert residency.evict_idle() == 0 and residency.resident_bytes == 800
    assert card.log == []


def test_buffers_count_as_well():
    residency = Residency(torch.device("cpu"))
    norm = nn.BatchNorm1d(10)
    with residency.lease(norm):
        expected = sum(t.numel() * t.element_size() for t in (*norm.parameters(), *norm.buffers()))
        assert residency.resident_bytes == expected > 0


def test_free_memory_of_each_kind(monkeypatch):
    assert 0 < free_memory(torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 50)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 20)
    # What torch keeps reserved and does not use is as good as free.
    assert free_memory(CARD) == 130
    monkeypatch.setattr(torch.xpu, "mem_get_info", lambda device: (70, 1000))
    assert free_memory(torch.device("xpu", 0)) == 70


@pytest.mark.parametrize("kind", ["cuda", "xpu", "mps"])
def test_caches_are_dropped_where_there_are_any(monkeypatch, kind):
    called = []
    for name in ("cuda", "xpu", "mps"):
        monkeypatch.setattr(getattr(torch, name), "empty_cache", lambda name=name: called.append(name))
    empty_cache(torch.device(kind))
    empty_cache(torch.device("cpu"))
    assert called == [kind]


# -- streaming, and room for work


class Blocks(Recorder):
    """A module that can be streamed: two blocks of `size` bytes each beside its own weights."""

    def __init__(self, name: str, size: int, log: list[str]) -> None:
        super().__init__(name, size, log)
        self.blocks = nn.ModuleList(Recorder(f"{name}.{i}", size, []) for i in range(2))


class FakeStream:
    """Writes down what it was asked; takes 50 bytes of the device."""

    resident_bytes = 50

    def __init__(self, module, device):
        self.module = module

    def start(self):
        self.module.log.append(f"{self.module.name} streams")
        self.module.place = CARD

    def stop(self):
        self.module.log.append(f"{self.module.name} stops")
        self.module.place = torch.device("cpu")


@pytest.fixture
def large(card, monkeypatch):
    monkeypatch.setattr("atelier.device.residency.blocks_of", lambda module: list(getattr(module, "blocks", ())))
    made = Blocks("unet", 400, card.log)
    card.modules.append(made)
    return made


def residency_for(card, policy):
    return Residency(CARD, policy, card.free, FakeStream, stream_from=1000)


def test_large_components_are_streamed_and_small_ones_rotate(card, large):
    residency, vae = residency_for(card, "stream"), card.module("vae", 100)
    with residency.lease(large):
        assert residency.resident_bytes == 50
    with residency.lease(vae):
        assert residency.resident_bytes == 100
    assert card.log == ["unet streams", "unet stops", "vae>cuda", "vae>cpu"] and residency.resident_bytes == 0


def test_a_stream_is_made_once(card, large):
    residency = residency_for(card, "stream")
    with residency.lease(large):
        first = residency._ledger[id(large)].stream
    with residency.lease(large), residency.lease(large):
        assert residency._ledger[id(large)].stream is first
    assert card.log == ["unet streams", "unet stops"] * 2


def test_another_policy_takes_hold_at_the_next_lease(card, large):
    residency = residency_for(card, "keep")
    for policy in ("keep", "stream", "keep"):
        residency.policy = policy
        with residency.lease(large):
            pass
    assert card.log == ["unet>cuda", "unet>cpu", "unet streams", "unet stops", "unet>cuda"]


def test_what_is_at_work_can_begin_to_stream(card, large):
    residency, text = residency_for(card, "keep"), card.module("text", 100)
    with residency.lease(text):
        pass
    with residency.lease(large):
        assert residency.stream_from_now() and residency.resident_bytes == 50
        assert not residency.stream_from_now()
    assert card.log == ["text>cuda", "text>cpu", "unet>cuda", "unet>cpu", "unet streams", "unet stops"]


def test_without_anything_large_streaming_is_no_help(card):
    residency = residency_for(card, "keep")
    with residency.lease(card.module("vae", 100)):
        assert not residency.stream_from_now() and residency.policy == "keep"
    assert not Residency(torch.device("cpu")).stream_from_now()


def test_a_forgotten_stream_is_stopped(card, large):
    residency = residency_for(card, "stream")
    with residency.lease(large):
        residency.forget(large)
    assert card.log[:2] == ["unet streams", "unet stops"] and residency.resident_bytes == 0


def test_room_for_work_is_made_for_what_is_there_already(card, keep):
    text, unet = card.module("text"), card.module("unet")
    for module in (text, unet):
        with keep.lease(module):
            pass
    with keep.lease(unet, working=300):
        assert text.place.type == "cpu" and keep.free() == 600
    with keep.lease(text):
        pass
    assert keep.free() == 1000, "what is idle counts as free"


def test_half_of_a_module_does_not_stay(card, keep):
    unet = card.module("unet")
    own = unet.to

    def breaks(device):
        own(device)
        if torch.device(device) == CARD:
            raise torch.OutOfMemoryError("CUDA out of memory")

    unet.to = breaks
    with pytest.raises(torch.OutOfMemoryError), keep.lease(unet):
        pass
    assert unet.place.type == "cpu" and keep.resident_bytes == 0


def test_a_part_that_changed_its_precision_is_counted_again(keep, card):
    unet = card.module("unet")
    with keep.lease(unet):
        pass
    unet.weights.data = unet.weights.data.double()
    with keep.lease(unet):
        assert keep.resident_bytes == 800
