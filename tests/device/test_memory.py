"""What devices say about their memory, through fakes."""

from __future__ import annotations

import sys

import psutil
import pytest
import torch

from atelier.device.memory import free_memory, give_back, is_out_of_memory, meter_for
from tests.device.fakes import CARD


def test_the_peak_of_some_work_on_cuda(monkeypatch):
    told = {"memory_allocated": 1000, "max_memory_allocated": 5000}
    reset = []
    for name, value in told.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset.append)
    meter = meter_for(CARD)
    meter.start()
    assert meter.peak() == 4000 and reset == [CARD]


def test_other_devices_cannot_tell():
    assert [meter_for(torch.device(kind)) for kind in ("cpu", "mps", "xpu")] == [None] * 3


@pytest.mark.parametrize(("allowed", "used", "expected"), [(10, 4, 6), (2**60, 0, None)])
def test_an_apple_gpu_gets_a_part_of_what_the_machine_has(monkeypatch, allowed, used, expected):
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: allowed)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: used)
    free = free_memory(torch.device("mps"))
    assert free == expected if expected else 0 < free <= psutil.virtual_memory().total


def test_other_errors_are_not_taken_for_it():
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert is_out_of_memory(RuntimeError("XPU out of memory. Tried to allocate 2.00 GiB"))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take freed memory back by themselves")
def test_what_was_freed_in_pieces_goes_back_to_the_system():
    # Every second one stays, so that no end of the heap becomes free.
    pieces = [torch.ones(16_000) for _ in range(2000)]  # 64 kB each
    full = psutil.Process().memory_info().rss
    kept = pieces[::2]
    del pieces
    give_back()
    assert full - psutil.Process().memory_info().rss > 40e6 and len(kept) == 1000
