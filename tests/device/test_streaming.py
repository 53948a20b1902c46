"""Blocks on demand: which travel, that the numbers stay the same, and that no copy runs into weights in use."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from atelier.device import streaming
from atelier.device.streaming import ALIGNMENT, CRUMB, SLOTS, CudaMover, PlainMover, Stream, blocks_of, mover_for
from tests.tiny import tiny_unet

CPU = torch.device("cpu")
SMALL = 16 << 10


class Recorder(PlainMover):
    """Memory on the CPU, with a list of what was asked for. Copies run late: only when they are waited for."""

    def __init__(self):
        super().__init__(CPU)
        self.slots, self.copies, self.log, self.clock = [], [], [], 0

    def slot(self, size):
        self.slots.append(super().slot(size).fill_(255))  # NaN, should anyone calculate with it
        return self.slots[-1]

    def copy(self, source, target, after):
        assert after is not None, "a copy that does not wait for the block that used the slot"
        number = next(i for i, slot in enumerate(self.slots) if slot.data_ptr() == target.data_ptr())
        self.log.append(f"copy {number} after {after}")
        self.copies.append((source, target))
        return len(self.copies)

    def wait(self, mark):
        while len(self.copies) > 0 and mark is not None and mark > self.clock:
            source, target = self.copies[self.clock]
            target.copy_(source)
            self.clock += 1

    def mark(self):
        self.log.append("mark")
        return len(self.log)


@pytest.fixture
def unet():
    return tiny_unet()


@pytest.fixture
def mover():
    return Recorder()


def denoise(unet, seed=3):
    generator = torch.Generator().manual_seed(seed)
    x, context = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 77, 16, generator=generator)
    with torch.no_grad():
        return unet(x, torch.tensor([500]), context, return_dict=False)[0]


def inside(tensor, memory):
    start = memory.data_ptr()
    return start <= tensor.data_ptr() < start + memory.numel()


# -- what travels


def test_lists_of_modules_travel_and_the_ends_stay(unet, monkeypatch):
    monkeypatch.setattr(streaming, "CRUMB", 1 << 30)
    blocks = blocks_of(unet, SMALL)
    streamed = {id(t) for _, tensors in blocks for t in tensors}
    assert len(streamed) == sum(len(tensors) for _, tensors in blocks)
    for name, tensor in unet.named_parameters():
        at_the_ends = name.startswith(("conv_in", "time_embedding", "conv_norm_out", "conv_out"))
        assert (id(tensor) in streamed) is not at_the_ends, name


def test_large_modules_are_divided_down_to_single_layers(unet):
    sizes = lambda limit: [sum(t.numel() * 4 for t in tensors) for _, tensors in blocks_of(unet, limit)]  # noqa: E731
    assert sum(sizes(SMALL)) <= sum(sizes(4 * SMALL)) and len(sizes(SMALL)) > len(sizes(4 * SMALL))
    assert min(sizes(SMALL)) * CRUMB > SMALL
    for module, tensors in blocks_of(unet, SMALL):
        assert sum(t.numel() * 4 for t in tensors) <= SMALL or not list(module.children())


def test_shared_weights_stay(unet):
    lists = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)])
    lists[2].weight = lists[0].weight
    ids = [id(t) for _, group in blocks_of(nn.Sequential(lists), 1) for t in group]
    assert id(lists[0].weight) not in ids and id(lists[1].weight) in ids and len(ids) == 4


def test_a_module_without_lists_has_no_blocks():
    assert blocks_of(nn.Sequential(nn.Linear(4, 4))) == []


# -- the numbers


def test_the_result_is_the_same_to_the_last_bit(unet, mover):
    expected = [denoise(unet, seed) for seed in (1, 2, 3)]
    stream = Stream(unet, CPU, mover, SMALL)
    stream.start()
    for seed, whole in zip((1, 2, 3), expected, strict=True):
        assert torch.equal(denoise(unet, seed), whole)
    stream.stop()
    assert torch.equal(denoise(unet, 1), expected[0])


def test_weights_are_in_a_slot_at_work_and_at_home_otherwise(unet, mover):
    stream = Stream(unet, CPU, mover, SMALL)
    stream.start()
    block, tensors = blocks_of(unet, SMALL)[3]
    seen = []
    hook = block.register_forward_pre_hook(lambda *_: seen.extend(inside(t, s) for s in mover.slots for t in tensors))
    denoise(unet)
    hook.remove()
    assert sum(seen) == len(tensors)
    for _, group in blocks_of(unet, SMALL):
        assert not any(inside(t, slot) for slot in mover.slots for t in group)


def test_every_precision_and_order_in_memory_survives(mover):
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList(
                [nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last), nn.BatchNorm2d(5), nn.Conv2d(5, 2, 1).half()]
            )
            self.parts[1].running_mean.fill_(0.25)

        def forward(self, x):
            x = self.parts[1](self.parts[0](x))
            return self.parts[2](x.half())

    module = Mixed().eval()
    x = torch.randn(1, 3, 6, 6)
    with torch.no_grad():
        expected = module(x)
        stream = Stream(module, CPU, mover, 1)
        stream.start()
        assert torch.equal(module(x), expected)
    assert module.parts[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert [t.dtype for t in module.parts[2].parameters()] == [torch.float16] * 2
    assert module.parts[1].num_batches_tracked.dtype == torch.int64


def test_it_also_works_in_inference_mode(unet, mover):
    expected = denoise(unet)
    stream = Stream(unet, CPU, mover, SMALL)
    stream.start()
    with torch.inference_mode():
        result = denoise(unet)
    assert torch.equal(result, expected)


# -- copies beside the calculation


def test_the_next_block_travels_while_one_works(unet, mover):
    stream = Stream(unet, CPU, mover, SMALL)
    stream.start()
    waiting = []
    for module, _ in blocks_of(unet, SMALL):
        module.register_forward_hook(lambda *_: waiting.append(len(mover.copies) - mover.clock))
    denoise(unet)
    denoise(unet)
    count = len(waiting) // 2
    assert waiting[count:] == [1] * count, "once the order is known, one copy is always on its way"
    assert len(mover.copies) <= 2 * count + SLOTS + count, "each block travels about once a pass"
    before = len(mover.copies)
    denoise(unet)
    assert len(mover.copies) - before == count


def test_a_copy_waits_for_the_block_that_used_the_slot(unet, mover):
    stream = Stream(unet, CPU, mover, SMALL)
    stream.start()
    own = mover.copy
    last_use = {}

    def checked(source, target, after):
        number = next(i for i, slot in enumerate(mover.slots) if slot.data_ptr() == target.data_ptr())
        assert after >= last_use.get(number, 0)
        assert not any(inside(t, mover.slots[number]) for _, group in blocks_of(unet, SMALL) for t in group)
        return own(source, target, after)

    mover.copy = checked
    leave = stream._leave

    def noted():
        number = None if stream._at_work is None else stream._slots.index(stream._at_work)
        leave()
        if number is not None:
            last_use[number] = stream._slots[number].used

    stream._leave = noted
    denoise(unet)
    denoise(unet)
    assert set(last_use) == {0, 1}


def test_blocks_that_come_in_another_order_are_still_right(mover):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList(nn.Linear(4, 4) for _ in range(4))

        def forward(self, x, order):
            for index in order:
                x = self.parts[index](x)
            return x

    module, x = Odd(), torch.randn(2, 4)
    orders = [(0, 1, 2, 3), (3, 2, 1, 0), (0, 0, 2), (1,), (1, 1), (2, 0, 3, 1, 2)]
    with torch.no_grad():
        expected = [module(x, order) for order in orders]
        stream = Stream(module, CPU, mover, 1)
        stream.start()
        assert all(torch.equal(module(x, order), e) for order, e in zip(orders, expected, strict=True))


# -- memory, ends, failures


def test_the_device_holds_two_blocks_and_the_ends(unet, mover):
    stream = Stream(unet, CPU, mover, SMALL)
    groups = blocks_of(unet, SMALL)
    rounded = lambda t: -(-t.numel() * 4 // ALIGNMENT) * ALIGNMENT  # noqa: E731
    largest = max(sum(map(rounded, tensors)) for _, tensors in groups)
    streamed = sum(t.numel() * 4 for _, tensors in groups for t in tensors)
    total = sum(t.numel() * 4 for t in unet.parameters())
    assert stream.resident_bytes == total - streamed + SLOTS * largest
    stream.start()
    assert [slot.numel() for slot in mover.slots] == [largest] * SLOTS


def test_stopping_takes_the_hooks_off_and_a_second_start_uses_the_same_memory(unet, mover):
    expected = denoise(unet)
    stream = Stream(unet, CPU, mover, SMALL)
    for _ in range(2):
        stream.start()
        assert torch.equal(denoise(unet), expected)
        stream.stop()
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in unet.modules())
    homes = {t.data_ptr() for _, group in blocks_of(unet, SMALL) for t in group}
    stream.start()
    assert homes == {t.data_ptr() for _, group in blocks_of(unet, SMALL) for t in group}


def test_weights_changed_at_rest_are_the_ones_that_travel(unet, mover):
    stream = Stream(unet, CPU, mover, SMALL)
    stream.start()
    stream.stop()
    with torch.no_grad():
        for parameter in unet.mid_block.parameters():
            parameter.mul_(1.5)  # in place, as a patch does
    expected = denoise(unet)
    stream.start()
    assert torch.equal(denoise(unet), expected)
    stream.stop()
    unet.to(torch.float64).to(torch.float32)  # moved, as another policy does
    unet.mid_block.resnets[0].conv1.weight.data = torch.ones_like(unet.mid_block.resnets[0].conv1.weight)
    expected = denoise(unet)
    stream.start()
    assert torch.equal(denoise(unet), expected)


def test_a_failure_inside_a_block_leaves_no_trace(unet, mover):
    expected = denoise(unet)
    stream = Stream(unet, CPU, mover, SMALL)
    stream.start()
    module = unet.mid_block.resnets[0].conv1
    hook = module.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("out of memory")))
    with pytest.raises(torch.OutOfMemoryError):
        denoise(unet)
    hook.remove()
    assert torch.equal(denoise(unet), expected)


def test_when_there_is_no_room_for_the_slots_nothing_has_changed(unet, mover, caplog):
    expected = denoise(unet)

    def full(size):
        raise torch.OutOfMemoryError("CUDA out of memory")

    mover.slot = full
    with caplog.at_level(logging.WARNING, "atelier"), pytest.raises(torch.OutOfMemoryError):
        Stream(unet, CPU, mover, SMALL).start()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in unet.modules())
    assert torch.equal(denoise(unet), expected) and "no room to stream" in caplog.text


# -- movers


def test_a_device_without_streams_copies_at_once(unet):
    expected = denoise(unet)
    mover = mover_for(CPU)
    assert isinstance(mover, PlainMover) and mover.mark() is None
    stream = Stream(unet, CPU, mover, SMALL)
    stream.start()
    assert torch.equal(denoise(unet), expected)


@pytest.fixture
def cuda(monkeypatch):
    """What CUDA was asked for, in order. Memory stays on the CPU."""
    asked = []

    class FakeStream:
        def __init__(self, name):
            self.name = name

        def wait_event(self, event):
            asked.append(f"{self.name} waits for {event}")

        def record_event(self):
            asked.append(f"{self.name} is marked")
            return f"mark {len(asked)} of {self.name}"

        def __enter__(self):
            asked.append(f"on {self.name}")

        def __exit__(self, *_):
            asked.append(f"off {self.name}")

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: FakeStream("side"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: FakeStream("main"))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    return SimpleNamespace(asked=asked)


def test_cuda_copies_on_a_stream_of_its_own(cuda):
    mover = CudaMover(CPU)
    used = mover.mark()
    source, target = torch.arange(4, dtype=torch.uint8), mover.slot(4)
    mark = mover.copy(source, target, used)
    mover.wait(mark)
    assert torch.equal(source, target)
    assert cuda.asked == [
        "main is marked", f"side waits for {used}", "on side", "side is marked", "off side", f"main waits for {mark}",
    ]  # fmt: skip


def test_a_network_streams_over_cuda(cuda, unet):
    expected = denoise(unet)
    stream = Stream(unet, CPU, CudaMover(CPU), SMALL)
    stream.start()
    assert torch.equal(denoise(unet), expected)
    stream.stop()
    blocks, waits = len(blocks_of(unet, SMALL)), sum(line.startswith("main waits") for line in cuda.asked)
    assert cuda.asked.count("on side") >= blocks and waits >= blocks


def test_memory_that_cannot_be_pinned_is_used_as_it_is(cuda, monkeypatch, caplog):
    own = torch.empty

    def empty(*args, pin_memory=False, **kwargs):
        if pin_memory:
            raise RuntimeError("CUDA error: out of memory\nmore lines")
        return own(*args, **kwargs)

    monkeypatch.setattr(streaming.torch, "empty", empty)
    with caplog.at_level(logging.WARNING, "atelier"):
        mover = CudaMover(CPU)
        assert mover.host(64).numel() == mover.host(64).numel() == 64
    said = [r.getMessage() for r in caplog.records]
    assert len(said) == 1 and "cannot be pinned" in said[0] and "more lines" not in said[0]


def test_cuda_gets_the_mover_with_streams(cuda):
    assert isinstance(mover_for(torch.device("cuda", 0)), CudaMover)
    assert isinstance(mover_for(torch.device("mps")), PlainMover)
