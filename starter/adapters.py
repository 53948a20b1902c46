"""The three small networks that teach a checkpoint one thing, each attached by hooks and saved as the community does.

Textual inversion (Gal et al. 2022), LoRA (Hu et al. 2021) with kohya's key names, hypernetwork in A1111's layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextModel

from starter.layout import TEXT, text_key
from starter.models import TEXT_WIDTH


class Adapter(Protocol):
    """What a lesson trains. `attached` changes both networks while the block runs and leaves them as they were."""

    def parameters(self) -> list[nn.Parameter]: ...

    def attached(self, unet: UNet2DConditionModel, text: CLIPTextModel) -> contextmanager: ...

    def save(self, path: Path) -> int: ...


@contextmanager
def _hooks(handles: list[torch.utils.hooks.RemovableHandle]) -> Iterator[None]:
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class Inversion:
    """Vectors for `slots`, token numbers that nothing else uses; the prompt holds them in place of a name."""

    def __init__(self, slots: list[int], like: torch.Tensor) -> None:
        """`like` [V, 128]: the embeddings that the vectors begin as, one for each slot."""
        self.slots, self.vectors = slots, nn.Parameter(like.clone().float())

    def parameters(self) -> list[nn.Parameter]:
        return [self.vectors]

    def attached(self, unet: UNet2DConditionModel, text: CLIPTextModel) -> contextmanager:
        table = next(m for name, m in text.named_modules() if name.endswith("token_embedding"))

        def replace(_module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
            for slot, vector in zip(self.slots, self.vectors):
                output = torch.where((inputs[0] == slot)[..., None], vector, output)
            return output

        return _hooks([table.register_forward_hook(replace)])

    def save(self, path: Path) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"emb_params": self.vectors.detach().half().contiguous()}, path)
        return path.stat().st_size


class Lora:
    """Two thin layers beside every linear layer and convolution of the attention blocks, and of the text encoder."""

    def __init__(self, unet: UNet2DConditionModel, text: CLIPTextModel, rank: int = 8) -> None:
        self.rank = rank
        self.pairs: dict[str, tuple[nn.Module, nn.Module]] = {}
        self._targets: dict[str, nn.Module] = {}
        for prefix, name, layer in self._layers(unet, text):
            key = prefix + name.replace(".", "_")
            if isinstance(layer, nn.Conv2d):
                down: nn.Module = nn.Conv2d(
                    layer.in_channels, rank, layer.kernel_size, layer.stride, layer.padding, bias=False
                )
                up: nn.Module = nn.Conv2d(rank, layer.out_channels, 1, bias=False)
            else:
                down, up = (
                    nn.Linear(layer.in_features, rank, bias=False),
                    nn.Linear(rank, layer.out_features, bias=False),
                )
            nn.init.zeros_(up.weight)
            self.pairs[key], self._targets[key] = (down, up), layer

    @staticmethod
    def _layers(unet: UNet2DConditionModel, text: CLIPTextModel) -> Iterator[tuple[str, str, nn.Module]]:
        for name, module in unet.named_modules():
            attends = "attentions" in name and isinstance(module, (nn.Linear, nn.Conv2d))
            if attends or (name.endswith((".conv1", ".conv2")) and "resnets" in name):
                yield "lora_unet_", name, module
        for name, module in text.named_modules():
            if isinstance(module, nn.Linear) and "layers" in name:
                yield "lora_te_", text_key(name).removeprefix(TEXT), module

    def parameters(self) -> list[nn.Parameter]:
        return [p for pair in self.pairs.values() for layer in pair for p in layer.parameters()]

    def attached(self, unet: UNet2DConditionModel, text: CLIPTextModel) -> contextmanager:
        handles = []
        for key, layer in self._targets.items():
            down, up = self.pairs[key]

            def add(_module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor, d=down, u=up):
                return output + u(d(inputs[0]))

            handles.append(layer.register_forward_hook(add))
        return _hooks(handles)

    def tensors(self) -> dict[str, torch.Tensor]:
        out = {}
        for key, (down, up) in self.pairs.items():
            out[f"{key}.lora_down.weight"] = down.weight.detach().half().contiguous()
            out[f"{key}.lora_up.weight"] = up.weight.detach().half().contiguous()
            out[f"{key}.alpha"] = torch.tensor(float(self.rank))
        return out

    def save(self, path: Path) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        notes = {"ss_network_dim": str(self.rank), "ss_network_alpha": str(float(self.rank))}
        save_file(self.tensors(), path, metadata={"format": "pt", "ss_network_module": "networks.lora", **notes})
        return path.stat().st_size


class Hypernetwork:
    """A pair of small networks for each width that attention reads; they change what keys and values are made of."""

    structure, activation = (1, 2, 1), "relu"

    def __init__(self, unet: UNet2DConditionModel, name: str) -> None:
        self.name = name
        projections = [m for n, m in unet.named_modules() if n.endswith(("to_k", "to_v"))]
        self.pairs = {width: (self._network(width), self._network(width)) for width in
                      sorted({layer.in_features for layer in projections} | {TEXT_WIDTH})}  # fmt: skip

    def _network(self, width: int) -> nn.Sequential:
        first, last = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        nn.init.normal_(first.weight, std=0.02)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(first.bias)
        nn.init.zeros_(last.bias)
        return nn.Sequential(first, nn.ReLU(), last)

    def parameters(self) -> list[nn.Parameter]:
        return [p for pair in self.pairs.values() for network in pair for p in network.parameters()]

    def attached(self, unet: UNet2DConditionModel, text: CLIPTextModel) -> contextmanager:
        handles = []
        for side, suffix in enumerate(("to_k", "to_v")):
            for layer in (m for n, m in unet.named_modules() if n.endswith(suffix)):

                def change(
                    _module: nn.Module, inputs: tuple[torch.Tensor, ...], net=self.pairs[layer.in_features][side]
                ):
                    return (inputs[0] + net(inputs[0]), *inputs[1:])

                handles.append(layer.register_forward_pre_hook(change))
        return _hooks(handles)

    def save(self, path: Path) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {
            "step": 0,
            "name": self.name,
            "layer_structure": list(self.structure),
            "activation_func": self.activation,
            "is_layer_norm": False,
            "use_dropout": False,
            "activate_output": False,
        }
        pairs = {width: tuple(self._tensors(network) for network in pair) for width, pair in self.pairs.items()}
        torch.save({**pairs, **about}, path)
        return path.stat().st_size

    @staticmethod
    def _tensors(network: nn.Sequential) -> dict[str, torch.Tensor]:
        """The linear layers stand at the places 0 and 2, the activation between them."""
        return {f"linear.{key}": value.detach().half() for key, value in network.state_dict().items()}
