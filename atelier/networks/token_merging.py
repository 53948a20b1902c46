"""Token merging: similar places of a picture share one query, key and value; a context that undoes itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn

from atelier.networks.patch import Patch


@dataclass(frozen=True)
class Merge:
    """Which tokens of a map are one for the time of an attention: `sources` join `goals`, the others stay alone."""

    kept: Tensor  # [N, K] tokens that are not merged
    sources: Tensor  # [N, R]
    goals: Tensor  # [N, R] places among `targets`
    targets: Tensor  # [D]

    def merged(self, tokens: Tensor) -> Tensor:  # [N, T, C] -> [N, K + D, C]
        """A goal and what joins it become their mean."""
        goals = tokens[:, self.targets]
        joined = goals.scatter_reduce(1, _wide(self.goals, tokens), _take(tokens, self.sources), reduce="mean")
        return torch.cat([_take(tokens, self.kept), joined], dim=1)

    def spread(self, tokens: Tensor, total: int) -> Tensor:  # [N, K + D, C] -> [N, T, C]
        """What was merged gets the same value again."""
        kept, joined = tokens.split([self.kept.shape[1], len(self.targets)], dim=1)
        out = tokens.new_empty(tokens.shape[0], total, tokens.shape[2])
        out[:, self.targets] = joined
        out.scatter_(1, _wide(self.kept, tokens), kept)
        out.scatter_(1, _wide(self.sources, tokens), _take(joined, self.goals))
        return out


def merge_of(tokens: Tensor, height: int, width: int, ratio: float) -> Merge | None:  # [N, T, C]
    """Bipartite soft matching over a picture (Bolya and Hoffman 2023, the variant without chance).

    The first token of every 2 x 2 square is a goal; of the others, the share `ratio` of all that is most like its
    nearest goal joins it. None where nothing would be merged.
    """
    place = torch.arange(height * width, device=tokens.device).reshape(height, width)
    goal = torch.zeros(height, width, dtype=torch.bool, device=tokens.device)
    goal[: height // 2 * 2 : 2, : width // 2 * 2 : 2] = True
    targets, others = place[goal], place[~goal]
    count = min(int(height * width * ratio), len(others))
    if count <= 0 or len(targets) == 0:
        return None
    unit = torch.nn.functional.normalize(tokens, dim=-1)
    likeness, nearest = (unit[:, others] @ unit[:, targets].transpose(1, 2)).max(dim=-1)
    order = likeness.argsort(dim=-1, descending=True)
    joining, alone = order[:, :count], order[:, count:]
    return Merge(others[alone], others[joining], nearest.gather(1, joining), targets)


def _take(tokens: Tensor, places: Tensor) -> Tensor:  # [N, T, C], [N, K] -> [N, K, C]
    return tokens.gather(1, _wide(places, tokens))


def _wide(places: Tensor, tokens: Tensor) -> Tensor:  # [N, K] -> [N, K, C]
    return places.unsqueeze(-1).expand(-1, -1, tokens.shape[-1])


@contextmanager
def token_merging(unet: nn.Module, ratio: float) -> Iterator[None]:
    """Self-attention on the largest maps works on fewer tokens: `ratio` of them (0 to 0.75) are merged before, and get
    their value back after it. 0 changes nothing."""
    if ratio <= 0:
        yield
        return
    size: list[int] = [0, 0]

    def measure(unet: nn.Module, inputs: Any, given: dict[str, Any]) -> None:
        size[:] = (inputs[0] if inputs else given["sample"]).shape[-2:]

    with Patch() as patch:
        patch.hook(unet.register_forward_pre_hook(measure, with_kwargs=True))
        for block in unet.modules():
            if isinstance(block, BasicTransformerBlock):
                _hook(block, size, ratio, patch)
        yield


def _hook(block: nn.Module, size: list[int], ratio: float, patch: Patch) -> None:
    found: list[tuple[Merge, int] | None] = [None]

    def match(block: nn.Module, inputs: Any, given: dict[str, Any]) -> None:
        tokens = inputs[0] if inputs else given["hidden_states"]
        merge = merge_of(tokens, *size, ratio) if tokens.shape[1] == size[0] * size[1] else None
        found[0] = None if merge is None else (merge, tokens.shape[1])

    def before(attn: nn.Module, inputs: Any, given: dict[str, Any]) -> Any:
        if found[0] is None:
            return None
        if inputs:
            return (found[0][0].merged(inputs[0]), *inputs[1:]), given
        return inputs, {**given, "hidden_states": found[0][0].merged(given["hidden_states"])}

    def after(attn: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return output if found[0] is None else found[0][0].spread(output, found[0][1])

    patch.hook(block.register_forward_pre_hook(match, with_kwargs=True))
    patch.hook(block.attn1.register_forward_pre_hook(before, with_kwargs=True))
    patch.hook(block.attn1.register_forward_hook(after))
