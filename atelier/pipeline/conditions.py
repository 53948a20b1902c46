"""The conditions of a run: what decides the last bits of its pictures and has no place in the request."""

from __future__ import annotations

from typing import Any

import torch

from atelier.device.eight_bits import working_type
from atelier.params.replay import BLUR, DEPTH, DIGITS, MASK, RESIZE, ROUND, SETTINGS, SOURCE, write_conditions
from atelier.pipeline.state import PlannedPicture, Run


def conditions_text(run: Run, picture: PlannedPicture) -> str | None:
    """What infotext tells under `Replay`; None where the setting says so."""
    if not run.settings.add_replay_to_infotext:
        return None
    # Pictures that are calculated together may differ from single ones in the last bit.
    together = sum(len(batch) for batch in run.plan.batches if any(p.index == picture.index for p in batch))
    batch = {"batch": together if together > 1 else None}
    return write_conditions({**_device(run), **batch, **_pictures(run, picture), **_settings(run)})


def _device(run: Run) -> dict[str, Any]:
    model, device = run.model, run.model.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    text = working_type(model.text_encoder)
    return {
        "device": name, "precision": _word(model.unet_dtype), "text encoder": _word(text),
        "vae": _word(model.vae_dtype), "attention": run.services.ladder.attention.chosen.kernel,
        "torch": torch.__version__.partition("+")[0],
    }  # fmt: skip


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _pictures(run: Run, picture: PlannedPicture) -> dict[str, Any]:
    """The source of this picture, its mask and a given depth map, by the hashes of their files."""
    source, mask = run.request.source, run.request.mask.image
    depth = {DEPTH: source.depth.sha256[:DIGITS]} if source.depth is not None and run.model.takes_depth else {}
    if not source.images:
        return depth
    own = source.images[picture.index % max(1, run.request.batch.size) % len(source.images)]
    return {
        **depth, SOURCE: own.sha256[:DIGITS], MASK: mask.sha256[:DIGITS] if mask is not None else None,
        RESIZE: source.resize_mode or None, **(_mask(run) if mask is not None else {}),
    }  # fmt: skip


def _mask(run: Run) -> dict[str, Any]:
    mask = run.request.mask
    blur = f"{mask.blur_x}x{mask.blur_y}" if mask.blur_x != mask.blur_y else None
    return {BLUR: blur, ROUND: None if mask.round else False}


def _settings(run: Run) -> dict[str, Any]:
    known, settings = run.services.declarations, run.settings
    return {name: settings[name] for name in SETTINGS if name in known and settings[name] != known[name].default}
