"""Works: the kinds of jobs that are no runs of the recipe, and what does them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from atelier.pipeline.loras import bake_loras, extract_lora, merge_loras, resize_lora
from atelier.pipeline.merging import merge_checkpoints, read_metadata
from atelier.pipeline.replay import replay
from atelier.pipeline.work import Work

WORKS: Mapping[str, Callable[[Work], dict[str, Any]]] = MappingProxyType({
    "merge": merge_checkpoints, "merge_metadata": read_metadata, "lora_merge": merge_loras,
    "lora_extract": extract_lora, "lora_resize": resize_lora, "lora_bake": bake_loras, "replay": replay,
})  # fmt: skip
