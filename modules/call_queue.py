"""`modules.call_queue`: the device's lock; really in atelier/jobs and modules/_host/queue.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "queue_lock": "modules._host.queue:queue_lock", "wrap_queued_call": "modules._host.queue:wrap_queued_call",
    "wrap_gradio_call": "modules._host.queue:wrap_gradio_call",
    "wrap_gradio_gpu_call": "modules._host.queue:wrap_gradio_gpu_call",
    "wrap_gradio_call_no_job": "modules._host.queue:wrap_gradio_call_no_job",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
