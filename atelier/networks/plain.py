"""Plain: a network's file as narrow matrices by layer, under kohya's names; read, joined, made narrower, written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from atelier.base.errors import BadModelFile, BadRequest
from atelier.networks.bake import UNFIT, on, reason_of
from atelier.networks.based import BaseWeights
from atelier.networks.dora import is_dora
from atelier.networks.form import Parts, flat
from atelier.networks.forms import form_of, scale_of, weight_delta
from atelier.networks.lora import LORA, PLAIN
from atelier.networks.lowrank import Narrow, RankRule, narrow_product
from atelier.networks.network import Network
from atelier.networks.whole import FULL, NORM

#: how diffusers and PEFT begin names, and kohya's way for the same
PREFIXES = (("text_encoder_2_", "lora_te2_"), ("unet_", "lora_unet_"), ("diffusion_model_", "lora_unet_"))
#: layers whose kernel has 3 x 3 places, in both namings; the flattened matrix of a file does not tell
KERNEL = re.compile(
    r".*(_resnets_\d+_conv[12]|samplers_\d+_conv|_(in_layers_2|out_layers_3)|_op|_conv_in|_conv_out"
    r"|blocks_\d+_\d+_conv|_input_blocks_0_0|_unet_out_2)"
)


@dataclass(frozen=True)
class Layer:
    """The change of one layer is scale · up · down: up [out, r], down [r, rest]; `kernel` are the sides of a kernel."""

    up: torch.Tensor
    down: torch.Tensor
    scale: float
    kernel: tuple[int, ...] = ()

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    @property
    def large(self) -> bool:
        """A convolution that sees more than one place."""
        return any(side > 1 for side in self.kernel)

    def tensors(self, name: str, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """As it stands in a file."""
        up, down = self.up, self.down
        if self.kernel:
            up = up[:, :, None, None]
            down = down.reshape(self.rank, -1, *self.kernel)
        return {
            f"{name}.lora_up.weight": up.to(dtype).contiguous(),
            f"{name}.lora_down.weight": down.to(dtype).contiguous(),
            f"{name}.alpha": torch.tensor(self.scale * self.rank, dtype=torch.float32).to(dtype),
        }


class PlainLayers:
    """A network's layers as narrow matrices. What is more than those is expanded when it is asked for, a layer at a
    time: the change of all layers would be as large as the model.

    Raises `BadRequest` where changes depend on the weights of a model and `base` is not given. `left_out` are entries
    without a matrix: norms and biases.
    """

    def __init__(self, network: Network, base: BaseWeights | None = None) -> None:
        self.network, self._base = network, base
        second = any(name.startswith("text_encoder_2_") for name in network.layers)
        self.left_out = tuple(name for name, parts in network.layers.items() if not _is_matrix(parts))
        self._sources = {
            kohya_name(name, second): name for name in network.layers if name not in set(self.left_out)
        }  # fmt: skip
        relative = next((n for n in self._sources.values() if base is None and _is_relative(network.layers[n])), None)
        if relative is not None:
            raise BadRequest(
                "base_model",
                f"{network.file.path.name} is of the form {kind_of(network.layers[relative])}, whose change depends on "
                "the weights of the model.",
                remedy="Choose the checkpoint that it was trained on.",
            )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._sources)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The forms of what is expanded."""
        return tuple(dict.fromkeys(kind_of(self._parts(name)) for name in self.names if self.is_expanded(name)))

    def is_expanded(self, name: str) -> bool:
        parts = self._parts(name)
        return form_of(parts) is not LORA or not parts.keys() <= PLAIN | {"mid"}

    def layer(self, name: str) -> Layer:
        """Raises `BadModelFile` for an entry that does not fit itself or the model."""
        parts = self._parts(name)
        if not self.is_expanded(name):
            return _narrow(parts)
        try:
            change = self._change(name, parts)
        except UNFIT as error:
            raise BadModelFile(
                f"{self.network.file.path.name} cannot be used: {self._sources[name]}: {reason_of(error)}",
                remedy="The file is damaged, or was made for another model.", path=str(self.network.file.path),
            ) from error  # fmt: skip
        matrix = flat(change)
        rows, columns = matrix.shape
        # A matrix is the product of itself and the identity; which of both is decomposed the same way later.
        up, down = (torch.eye(rows), matrix) if rows <= columns else (matrix, torch.eye(columns))
        return Layer(up, down, 1.0, tuple(change.shape[2:]))

    def _parts(self, name: str) -> Parts:
        return self.network.layers[self._sources[name]]

    def _change(self, name: str, parts: Parts) -> torch.Tensor:
        form = form_of(parts)
        if self._base is not None:
            change = self._base.change(self._sources[name], parts)
        elif form is not None and form.shape is not None:
            shape = _with_kernel(form.shape(parts), name)
            change = weight_delta(on(parts, torch.device("cpu"), torch.float32), torch.empty(shape, device="meta"))
        else:
            change = None
        if change is None:
            raise BadModelFile("it changes no weight.")
        return change


def _is_matrix(parts: Parts) -> bool:
    form = form_of(parts)
    return form is not None and form is not NORM and (form is not FULL or parts["diff"].ndim > 1)


def _is_relative(parts: Parts) -> bool:
    """Whether the change depends on the weight that it is added to."""
    form = form_of(parts)
    return is_dora(parts) or form is None or form.shape is None


def kind_of(parts: Parts) -> str:
    """The name of a form, for people."""
    form = form_of(parts)
    return "DoRA" if is_dora(parts) or form is None else form.name


def _with_kernel(shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    """Of a convolution that was flattened to [out, in * 9], the shape that its layer has."""
    if len(shape) == 2 and shape[1] % 9 == 0 and KERNEL.fullmatch(name):
        return (shape[0], shape[1] // 9, 3, 3)
    return shape


def kohya_name(name: str, second: bool = False) -> str:
    """`second`: the model has two text encoders."""
    for theirs, ours in (*PREFIXES, ("text_encoder_", "lora_te1_" if second else "lora_te_")):
        if name.startswith(theirs):
            return ours + name[len(theirs) :]
    return name


def _narrow(parts: Parts) -> Layer:
    up, down, mid = parts["up"].float(), parts["down"].float(), parts.get("mid")
    if mid is not None:
        # up · mid · down is up · (mid · down), and the rank stays.
        down = torch.einsum("n m ..., m j -> n j ...", mid.float(), flat(down))
    kernel = tuple(down.shape[2:])
    return Layer(flat(up), flat(down), scale_of(LORA, parts), kernel)


@dataclass(frozen=True)
class Share:
    """A network in a merge; `weight(name)` is its strength in a layer."""

    layers: PlainLayers
    weight: Callable[[str], float]

    def scaled(self, name: str, layer: Layer) -> Layer:
        factor = layer.scale * self.weight(name)
        root = abs(factor) ** 0.5
        # The factor is shared out, so that neither matrix leaves the range of half precision.
        return Layer(layer.up * (root if factor >= 0 else -root), layer.down * root, 1.0, layer.kernel)


@dataclass
class Kept:
    """How much of each change is kept, as a share by its Frobenius norm: of all that is cut, and of what was expanded
    by the file that it came from."""

    shares: list[float] = field(default_factory=list)
    expanded: dict[str, list[float]] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        return sum(self.shares) / len(self.shares) if self.shares else 1.0

    def cut(self, layer: Layer, rules: tuple[RankRule, RankRule], origin: str = "") -> Layer:
        """The layer at a smaller rank; its scale stays. `rules` are for linear layers and for convolutions."""
        narrow = narrow_product(layer.up, layer.down, rules[1] if layer.kernel else rules[0])
        self.shares.append(narrow.kept)
        if origin:
            self.expanded.setdefault(origin, []).append(narrow.kept)
        return layer_of(narrow, layer.kernel, layer.scale)


def joined(
    shares: Sequence[Share], rules: tuple[RankRule, RankRule], exact: bool, done: Callable[[int, int], Any]
) -> tuple[dict[str, Layer], Kept]:
    """The sum of several networks: narrow matrices side by side, whose ranks add up. With `exact` it is left at that,
    and only what had to be expanded is cut; else every sum is."""
    names = tuple(dict.fromkeys(name for share in shares for name in share.layers.names))
    found, kept = {}, Kept()
    for index, name in enumerate(names):
        parts = []
        for share in (share for share in shares if name in share.layers.names):
            layer = share.layers.layer(name)
            if exact and share.layers.is_expanded(name):
                layer = kept.cut(layer, rules, share.layers.network.file.path.name)
            parts.append(share.scaled(name, layer))
        whole = _side_by_side(name, parts)
        found[name] = whole if exact else kept.cut(whole, rules)
        done(index + 1, len(names))
    return found, kept


def _side_by_side(name: str, parts: list[Layer]) -> Layer:
    first = parts[0]
    for part in parts[1:]:
        if part.up.shape[0] != first.up.shape[0] or part.down.shape[1:] != first.down.shape[1:]:
            raise BadModelFile(
                f"The networks are for different models: {name} is {list(first.up.shape[:1] + first.down.shape[1:])} "
                f"in one and {list(part.up.shape[:1] + part.down.shape[1:])} in another.",
                remedy="Merge networks of one family only.",
            )  # fmt: skip
    kernel = max((part.kernel for part in parts), key=len)
    return Layer(torch.cat([p.up for p in parts], 1), torch.cat([p.down for p in parts]), 1.0, kernel)


def narrowed(
    layers: PlainLayers, rules: tuple[RankRule, RankRule], done: Callable[[int, int], Any]
) -> tuple[dict[str, Layer], Kept]:
    """Every layer at a smaller rank."""
    found, kept, names = {}, Kept(), layers.names
    for index, name in enumerate(names):
        origin = layers.network.file.path.name if layers.is_expanded(name) else ""
        found[name] = kept.cut(layers.layer(name), rules, origin)
        done(index + 1, len(names))
    return found, kept


def layer_of(narrow: Narrow, kernel: tuple[int, ...], scale: float = 1.0) -> Layer:
    return Layer(narrow.up, narrow.down, scale, kernel)


def state_of(layers: Mapping[str, Layer], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {key: tensor for name, layer in layers.items() for key, tensor in layer.tensors(name, dtype).items()}
