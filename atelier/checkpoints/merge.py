"""Merge: checkpoints become one, tensor by tensor, read, calculated and written before the next is touched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from atelier.base.errors import BadModelFile, BadRequest
from atelier.checkpoints.block_weights import BlockWeights
from atelier.checkpoints.detect import modern_name
from atelier.checkpoints.header import Header, TensorInfo
from atelier.checkpoints.merge_formulas import METHODS, NOTHING, SUM, Method
from atelier.checkpoints.reader import TYPES, Weights, open_weights
from atelier.checkpoints.writer import FLOATS, Outgoing, narrowed, write_pickle, write_safetensors
from atelier.families.ldm import UNET_PREFIX, VAE_PREFIX

FIRST = f"{UNET_PREFIX}input_blocks.0.0.weight"
#: channels of the latents themselves; what a wider first layer reads besides stays as the first model has it
LATENT_CHANNELS = 4
#: numbers that are calculated at once
BLOCK = 1 << 19
EMA_PREFIX = "model_ema."
#: scalars and empty tensors that say what a network predicts; they are the first model's, whatever the others have
MARKERS = ("v_pred", "ztsnr", "edm_vpred.sigma_max", "edm_vpred.sigma_min", "edm_mean", "edm_std")
SAME, EIGHT_BITS = "", "float8_e4m3fn"
#: what a person may choose as type of the result, by safetensors' names
PRECISIONS: Mapping[str, str] = MappingProxyType({
    "float32": "F32", "float16": "F16", "bfloat16": "BF16", EIGHT_BITS: "F8_E4M3",
})  # fmt: skip


@dataclass(frozen=True)
class Model:
    """An opened header, by the names that newer files use. `title` is for people."""

    title: str
    path: Path
    tensors: Mapping[str, TensorInfo]

    @classmethod
    def of(cls, title: str, header: Header) -> Model:
        return cls(title, header.path, {modern_name(name): info for name, info in header.tensors.items()})


@dataclass(frozen=True)
class Merge:
    """What is to be done. `discard` drops tensors whose name it finds; `precision` is one of `PRECISIONS`, or empty
    for each tensor's own; `vae` takes the place of the autoencoder."""

    method: str
    weights: BlockWeights
    a: Model
    b: Model | None = None
    c: Model | None = None
    vae: Model | None = None
    discard: re.Pattern[str] | None = None
    precision: str = SAME


@dataclass(frozen=True)
class Piece:
    """One tensor of the result and where it comes from. `b` and `c` are None where it is taken as it is."""

    out: Outgoing
    source: Model
    a: TensorInfo
    b: TensorInfo | None = None
    c: TensorInfo | None = None


@dataclass
class MergePlan:
    """Every tensor of the result, known before a weight is read. `notes` are sentences for people."""

    merge: Merge
    pieces: dict[str, Piece] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def plan_merge(merge: Merge) -> MergePlan:
    """Raises `BadRequest` for models that are missing or stand in the wrong order, `BadModelFile` for those that are
    of different kinds."""
    method = METHODS[merge.method]
    _check_models(merge, method)
    plan = MergePlan(merge)
    alone = []
    for name, info in merge.a.tensors.items():
        partners = _partners(merge, method, name, info)
        if partners is None and method.models and info.dtype in FLOATS and not _marker(name):
            alone.append(name)
        _add(plan, name, merge.a, info, partners)
    if alone:
        plan.notes.append(
            f"{len(alone)} tensors are only in {merge.a.title}, such as {alone[0]}; they were taken as they are."
        )
    _add_missing(plan, method)
    _add_vae(plan)
    _tell_predictions(plan)
    if not plan.pieces:
        raise BadRequest("discard_weights", "nothing would be left.", remedy="Use another pattern.")
    return plan


def _check_models(merge: Merge, method: Method) -> None:
    for letter, model in (("b", merge.b), ("c", merge.c)):
        if letter.upper() in method.models and model is None:
            field = {"b": "secondary_model_name", "c": "tertiary_model_name"}[letter]
            raise BadRequest(field, f"{merge.method} needs model {letter.upper()}.", remedy="Choose a checkpoint.")
    if merge.method == SUM and merge.b is not None:
        own, other = channels(merge.a), channels(merge.b)
        if other > own >= LATENT_CHANNELS:
            raise BadRequest(
                "primary_model_name",
                f"{merge.b.title} reads {other} channels (it is an inpainting or editing model), {merge.a.title} "
                f"only {own}.", remedy="Exchange A and B, so that the model with more channels is A.",
            )  # fmt: skip


def channels(model: Model) -> int:
    """What the denoiser's first layer reads, 0 where there is none."""
    info = model.tensors.get(FIRST)
    return info.shape[1] if info is not None and len(info.shape) == 4 else 0


def _marker(name: str) -> bool:
    return name in MARKERS


def _partners(
    merge: Merge, method: Method, name: str, info: TensorInfo
) -> tuple[TensorInfo, TensorInfo | None] | None:  # fmt: skip
    """The same tensor of B and C; None where it is not merged. Raises `BadModelFile` where the sizes do not fit."""
    if not method.models or info.dtype not in FLOATS or _marker(name):
        return None
    found = []
    for model in (merge.b, merge.c)[: len(method.models)]:
        other = model.tensors.get(name) if model is not None else None
        if other is None or other.dtype not in FLOATS:
            return None
        if not _fits(name, info.shape, other.shape):
            raise BadModelFile(
                f"{model.title} does not fit {merge.a.title}: {name} is {list(other.shape)}, not {list(info.shape)}.",
                remedy="Merge models of one family only.", path=str(model.path),
            )  # fmt: skip
        found.append(other)
    return found[0], found[1] if len(found) > 1 else None


def _fits(name: str, own: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Equal, or equal but for sides of length 1, or a first layer that reads more or fewer channels."""
    if own == other or [n for n in own if n != 1] == [n for n in other if n != 1]:
        return True
    return name == FIRST and len(own) == len(other) == 4 and own[:1] + own[2:] == other[:1] + other[2:]


def _add(
    plan: MergePlan, name: str, source: Model, info: TensorInfo,
    partners: tuple[TensorInfo, TensorInfo | None] | None = None,
) -> None:  # fmt: skip
    discard = plan.merge.discard
    if discard is not None and discard.search(name):
        plan.pieces.pop(name, None)
        return
    out = Outgoing(name, type_of(name, info, plan.merge.precision), info.shape)
    plan.pieces[name] = Piece(out, source, info, *(partners or (None, None)))


def type_of(name: str, info: TensorInfo, precision: str) -> str:
    """Eight bits are for matrices and kernels of the denoiser only; everything else would suffer, and is half."""
    if info.dtype not in FLOATS or not precision or _marker(name):
        return info.dtype
    if precision == EIGHT_BITS and not (name.startswith(UNET_PREFIX) and len(info.shape) >= 2):
        return PRECISIONS["float16"]
    return PRECISIONS[precision]


def _add_missing(plan: MergePlan, method: Method) -> None:
    """What B has and A lacks, such as an autoencoder, comes from B; averages of its training do not."""
    model = plan.merge.b
    if not method.models or model is None:
        return
    found = [
        name for name in model.tensors
        if "model" in name and not name.startswith(EMA_PREFIX) and name not in plan.merge.a.tensors
    ]  # fmt: skip
    for name in found:
        _add(plan, name, model, model.tensors[name])
    if found:
        plan.notes.append(f"{len(found)} tensors are only in {model.title}, such as {found[0]}; they were taken over.")


def _add_vae(plan: MergePlan) -> None:
    vae = plan.merge.vae
    if vae is None:
        return
    prefixed = any(name.startswith(VAE_PREFIX) for name in vae.tensors)
    taken = 0
    for name, info in vae.tensors.items():
        bare = name.removeprefix(VAE_PREFIX)
        if (prefixed and bare == name) or not bare.startswith(("encoder.", "decoder.", "quant_conv", "post_quant_")):
            continue
        key = VAE_PREFIX + bare
        own = plan.merge.a.tensors.get(key)
        if own is not None and not _fits(key, own.shape, info.shape):
            raise BadModelFile(
                f"{vae.title} does not fit {plan.merge.a.title}: {bare} is {list(info.shape)}, not {list(own.shape)}.",
                remedy="Choose another VAE.", path=str(vae.path),
            )  # fmt: skip
        _add(plan, key, vae, info)
        taken += 1
    if not taken:
        raise BadModelFile(
            f"{vae.title} holds no VAE under the names of Stable Diffusion.", remedy="Choose another VAE.",
            path=str(vae.path),
        )  # fmt: skip


def _tell_predictions(plan: MergePlan) -> None:
    merge = plan.merge
    own = "v_pred" in merge.a.tensors
    for model in (merge.b, merge.c):
        if model is not None and METHODS[merge.method].models and ("v_pred" in model.tensors) != own:
            plan.notes.append(
                f"{merge.a.title} and {model.title} predict different things (noise, velocity); pictures of the "
                "result may be spoiled."
            )


@contextmanager
def opened(plan: MergePlan) -> Iterator[Callable[[Outgoing], torch.Tensor]]:
    """Gives the function that calculates one tensor of the result."""
    merge = plan.merge
    models = {m.path: m for m in (merge.a, merge.b, merge.c, merge.vae) if m is not None}
    with ExitStack() as stack:
        files = {path: stack.enter_context(open_weights(path)) for path in models}
        yield lambda out: _made(merge, plan.pieces[out.name], files)


def write_merge(plan: MergePlan, path: Path, metadata: Mapping[str, str], done: Callable[[int, int], Any]) -> None:
    """Writes the result, which appears whole or not at all. `done(written, total)` may raise to give up."""
    outgoing = [piece.out for piece in plan.pieces.values()]
    with opened(plan) as make, torch.no_grad():
        if path.suffix == ".ckpt":
            write_pickle(path, outgoing, make, done)
        else:
            write_safetensors(path, outgoing, make, metadata, done)


def _made(merge: Merge, piece: Piece, files: Mapping[Path, Weights]) -> torch.Tensor:
    own = files[piece.source.path].read(piece.a)
    if piece.b is None or merge.b is None or merge.method == NOTHING:
        return own
    b = files[merge.b.path].read(piece.b)
    c = b if piece.c is None or merge.c is None else files[merge.c.path].read(piece.c)
    formula, weight = METHODS[merge.method].formula, merge.weights.of(piece.out.name)
    if own.numel() == b.numel() == c.numel():
        return _in_blocks(lambda x, y, z: formula(x, y, z, weight), (own, b, c), piece.out.dtype)
    # Models read different things beside the latents: only what they share is merged.
    shared = (slice(None), slice(0, LATENT_CHANNELS))
    result = own.float()
    result[shared] = formula(result[shared].clone(), b[shared].float(), c[shared].float(), weight)
    return result


def _in_blocks(
    formula: Callable[..., torch.Tensor], tensors: tuple[torch.Tensor, ...], dtype: str
) -> torch.Tensor:  # fmt: skip
    """A few numbers at a time in float32: what is between lies in the processor's cache, and needs no memory."""
    flat = [tensor.reshape(-1) for tensor in tensors]
    result = torch.empty(flat[0].numel(), dtype=TYPES[dtype])
    for start in range(0, result.numel(), BLOCK):
        part = slice(start, start + BLOCK)
        result[part] = narrowed(formula(*(tensor[part].float() for tensor in flat)), dtype)
    return result.reshape(tensors[0].shape)
