"""Plain: a LoRA's file as narrow matrices by layer, under kohya's names; read, joined, made narrower, written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from atelier.base.errors import BadModelFile
from atelier.networks.form import Parts, flat
from atelier.networks.forms import form_of, scale_of
from atelier.networks.lora import LORA, PLAIN
from atelier.networks.lowrank import Narrow, RankRule, narrow_product
from atelier.networks.network import Network

#: how diffusers and PEFT begin names, and kohya's way for the same
PREFIXES = (("text_encoder_2_", "lora_te2_"), ("unet_", "lora_unet_"), ("diffusion_model_", "lora_unet_"))
REMEDY = "Bake it into a checkpoint and extract a LoRA from that."


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


def plain_layers(network: Network) -> dict[str, Layer]:
    """Raises `BadModelFile` for a file with layers that are more than two narrow matrices."""
    second = any(name.startswith("text_encoder_2_") for name in network.layers)
    return {kohya_name(name, second): _layer(network, name, parts) for name, parts in network.layers.items()}


def kohya_name(name: str, second: bool = False) -> str:
    """`second`: the model has two text encoders."""
    for theirs, ours in (*PREFIXES, ("text_encoder_", "lora_te1_" if second else "lora_te_")):
        if name.startswith(theirs):
            return ours + name[len(theirs) :]
    return name


def _layer(network: Network, name: str, parts: Parts) -> Layer:
    form = form_of(parts)
    if form is not LORA or not parts.keys() <= PLAIN | {"mid"}:
        kind = form.name if form is not None and form is not LORA else "DoRA or another extended LoRA"
        raise BadModelFile(
            f"{network.file.path.name} cannot be used for this: {name} is of the form {kind}.", remedy=REMEDY,
            path=str(network.file.path),
        )  # fmt: skip
    up, down, mid = parts["up"].float(), parts["down"].float(), parts.get("mid")
    if mid is not None:
        # up · mid · down is up · (mid · down), and the rank stays.
        down = torch.einsum("n m ..., m j -> n j ...", mid.float(), flat(down))
    kernel = tuple(down.shape[2:])
    return Layer(flat(up), flat(down), scale_of(LORA, parts), kernel)


def joined(weighted: Sequence[tuple[Mapping[str, Layer], Callable[[str], float]]]) -> dict[str, Layer]:
    """The sum of several networks, exactly: narrow matrices side by side. The ranks add up. `weight(name)` is each
    network's for a layer."""
    found: dict[str, list[Layer]] = {}
    for layers, weight in weighted:
        for name, layer in layers.items():
            factor = layer.scale * weight(name)
            root = abs(factor) ** 0.5
            # The factor is shared out, so that neither matrix leaves the range of half precision.
            own = Layer(layer.up * (root if factor >= 0 else -root), layer.down * root, 1.0, layer.kernel)
            found.setdefault(name, []).append(own)
    return {name: _side_by_side(name, parts) for name, parts in found.items()}


def _side_by_side(name: str, parts: list[Layer]) -> Layer:
    first = parts[0]
    for part in parts[1:]:
        if part.up.shape[0] != first.up.shape[0] or part.down.shape[1:] != first.down.shape[1:]:
            raise BadModelFile(
                f"The networks are for different models: {name} is {list(first.up.shape[:1] + first.down.shape[1:])} "
                f"in one and {list(part.up.shape[:1] + part.down.shape[1:])} in another.",
                remedy="Merge networks of one family only.",
            )  # fmt: skip
    return Layer(torch.cat([p.up for p in parts], 1), torch.cat([p.down for p in parts]), 1.0, first.kernel)


def narrowed(layers: Mapping[str, Layer], rules: tuple[RankRule, RankRule], done: Callable[[int, int], Any]) -> (
    tuple[dict[str, Layer], float]
):  # fmt: skip
    """Every layer at a smaller rank, and how much of the change is kept on average. The scale of a layer stays as it
    is. `rules` are for linear layers and for convolutions."""
    found, kept = {}, []
    for index, (name, layer) in enumerate(layers.items()):
        narrow = narrow_product(layer.up, layer.down, rules[1] if layer.kernel else rules[0])
        found[name] = layer_of(narrow, layer.kernel, layer.scale)
        kept.append(narrow.kept)
        done(index + 1, len(layers))
    return found, sum(kept) / max(1, len(kept))


def layer_of(narrow: Narrow, kernel: tuple[int, ...], scale: float = 1.0) -> Layer:
    return Layer(narrow.up, narrow.down, scale, kernel)


def state_of(layers: Mapping[str, Layer], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {key: tensor for name, layer in layers.items() for key, tensor in layer.tensors(name, dtype).items()}
