"""Applying what a batch asks for: networks named in the prompt, edges that tile; all undone when the batch ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

#: kinds of tags that a later part of the program or an extension applies through `provide_patches`
KNOWN_KINDS = ("lora", "lyco", "hypernet")


@contextmanager
def seamless(*networks: nn.Module) -> Iterator[None]:
    """Circular padding on every convolution, so that opposite edges of a picture fit together."""
    changed = [m for network in networks for m in network.modules() if isinstance(m, nn.Conv2d) and m.padding_mode == "zeros"]
    for conv in changed:
        conv.padding_mode = "circular"
    try:
        yield
    finally:
        for conv in changed:
            conv.padding_mode = "zeros"


def apply_networks(batch: Any, patches: ExitStack) -> None:
    """Enters the contexts that the batch's request needs. Tags that nothing can apply become comments, not errors."""
    run = batch.run
    tiling = run.request.output.tiling
    if run.settings.tiling if tiling is None else tiling:
        patches.enter_context(seamless(run.model.denoiser, run.model.vae))
    for tag in batch.tags:
        names = [*tag.positional[:1], *(value for _, value in tag.named[:1])]
        if tag.kind in KNOWN_KINDS:
            run.comment(f"<{tag.kind}:{names[0] if names else ''}> was left out: networks of this kind come with a later version.")
