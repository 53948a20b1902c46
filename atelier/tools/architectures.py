"""Architectures: weights of a file become the network that they belong to: our own few, or one of spandrel's."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import torch

from atelier.base.errors import BadModelFile, UnknownModel
from atelier.checkpoints.reader import read_state_dict
from atelier.tools.compact import compact
from atelier.tools.opened import Opened
from atelier.tools.rrdb import rrdb

OWN = (rrdb, compact)
INSTALL = "Install spandrel and einops: pip install --no-deps -r requirements/spandrel.txt"


def open_network(path: Path, allow_pickle: bool = False) -> Opened:
    """Raises `BadModelFile`, `ForbiddenPickle`, or `UnknownModel` when nothing here knows such weights."""
    state = read_state_dict(path, allow_pickle)
    for own in OWN:
        found = own(state)
        if found is not None:
            return found
    return _from_spandrel(path, state)


def has_spandrel() -> bool:
    return importlib.util.find_spec("spandrel") is not None


def _from_spandrel(path: Path, state: Mapping[str, torch.Tensor]) -> Opened:
    if not has_spandrel():
        raise UnknownModel(
            f"{path.name} is neither of ESRGAN's nor of the Compact kind, and spandrel is not installed.",
            remedy=INSTALL, path=str(path),
        )  # fmt: skip
    with _without_torchvision():
        spandrel = importlib.import_module("spandrel")
    try:
        model = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(state))
    except spandrel.UnsupportedModelError as error:
        raise UnknownModel(
            f"{path.name} holds weights of no architecture that is known for upscaling.",
            remedy="Use a model of a kind that spandrel lists, such as ESRGAN, SwinIR, DAT or HAT.", path=str(path),
        ) from error  # fmt: skip
    except (RuntimeError, KeyError, ValueError, AssertionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise BadModelFile(
            f"{path.name} does not fit its architecture: {reason}", remedy="Download the file again.", path=str(path)
        ) from error
    return _opened(path, model)


def _opened(path: Path, model: Any) -> Opened:
    if model.purpose not in ("SR", "FaceSR", "Restoration"):
        raise UnknownModel(
            f"{path.name} is a model for {model.purpose.lower()}.", remedy="Choose an upscaler.", path=str(path)
        )
    model.eval()
    for parameter in model.model.parameters():
        parameter.requires_grad_(False)
    return Opened(
        model.model, model.architecture.id, scale=model.scale, channels=model.input_channels,
        half=model.supports_half, call=model.__call__,
    )  # fmt: skip


class _Interpolation(Enum):
    BILINEAR = "bilinear"


def _normalize(tensor: torch.Tensor, mean: Any, std: Any, inplace: bool = False) -> torch.Tensor:  # [.., C, H, W]
    """(tensor - mean) / std by channel."""
    mean, std = (torch.as_tensor(v, dtype=tensor.dtype, device=tensor.device)[:, None, None] for v in (mean, std))
    return tensor.sub_(mean).div_(std) if inplace else (tensor - mean) / std


def _rotate(*values: Any, **more: Any) -> torch.Tensor:
    raise NotImplementedError("Turning needs torchvision; only LaMa asks for it, which is not an upscaler.")


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """spandrel names torchvision in two of its forty architectures, for three small functions.

    While it is imported, and only then, a module with these three stands in the place of torchvision, which is not
    required here and in many installations does not fit torch.
    """
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    if any(name in sys.modules for name in (*names, "spandrel")):
        yield
        return
    stand_in = {name: types.ModuleType(name) for name in names}
    vars(stand_in[names[-1]]).update(InterpolationMode=_Interpolation, rotate=_rotate, normalize=_normalize)
    sys.modules.update(stand_in)
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)
