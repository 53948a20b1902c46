"""CodeFormer: faces rebuilt from a learned book of details (Zhou and others, 2022), under the names of its file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from atelier.base.errors import UnknownModel
from atelier.checkpoints.reader import read_state_dict
from atelier.tools.opened import Opened

EPS = 1e-6
GROUPS = 32
#: widths of the levels, from the picture's own size to the smallest, as multiples of the first
WIDTHS = (1, 2, 2, 4, 4, 8)
BLOCKS = 2
HEADS = 8
#: levels, counted from the largest, at which the given picture may show through
FUSED = (1, 2, 3, 4)


@dataclass(frozen=True)
class Shape:
    """`base` is the width of the first level, `codes` and `code` size of the book, `side` that of the latents."""

    base: int
    code: int
    codes: int
    width: int
    layers: int
    side: int

    @property
    def levels(self) -> tuple[int, ...]:
        return tuple(self.base * factor for factor in WIDTHS)


class ResBlock(nn.Module):
    def __init__(self, ins: int, outs: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(GROUPS, ins, EPS), nn.Conv2d(ins, outs, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(GROUPS, outs, EPS), nn.Conv2d(outs, outs, 3, padding=1)
        self.conv_out = nn.Conv2d(ins, outs, 1) if ins != outs else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (x if self.conv_out is None else self.conv_out(x))


class AttentionBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels, EPS)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, h, w]
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2).transpose(1, 2) for layer in (self.q, self.k, self.v))  # [B, h * w, C]
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        return x + self.proj_out(h)


class Down(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Up(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Steps(nn.Module):
    """The layers of encoder or generator; `marks` holds, by level, the number of the layer that is fused."""

    def __init__(self, blocks: list[nn.Module], marks: Mapping[int, int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.marks = {number: level for level, number in marks.items()}


def encoder(shape: Shape) -> Steps:
    blocks: list[nn.Module] = [nn.Conv2d(3, shape.base, 3, padding=1)]
    marks, now = {}, shape.base
    for level, width in enumerate(shape.levels):
        last = level == len(shape.levels) - 1
        for _ in range(BLOCKS):
            blocks.append(ResBlock(now, width))
            now = width
            if last:
                blocks.append(AttentionBlock(now))
        marks[level] = len(blocks) - 1
        if not last:
            blocks.append(Down(now))
    blocks += [ResBlock(now, now), AttentionBlock(now), ResBlock(now, now)]
    blocks += [nn.GroupNorm(GROUPS, now, EPS), nn.Conv2d(now, shape.code, 3, padding=1)]
    return Steps(blocks, marks)


def generator(shape: Shape) -> Steps:
    now = shape.levels[-1]
    blocks: list[nn.Module] = [nn.Conv2d(shape.code, now, 3, padding=1)]
    blocks += [ResBlock(now, now), AttentionBlock(now), ResBlock(now, now)]
    marks: dict[int, int] = {}
    for level, width in reversed(tuple(enumerate(shape.levels))):
        for _ in range(BLOCKS):
            blocks.append(ResBlock(now, width))
            now = width
            # The given picture shows through after the first block of a level, not after the last.
            marks.setdefault(level, len(blocks) - 1)
            if level == len(shape.levels) - 1:
                blocks.append(AttentionBlock(now))
        if level:
            blocks.append(Up(now))
    blocks += [nn.GroupNorm(GROUPS, now, EPS), nn.Conv2d(now, 3, 3, padding=1)]
    return Steps(blocks, marks)


class Layer(nn.Module):
    """One layer of the transformer that reads the page of the book for each place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, HEADS)
        self.linear1, self.linear2 = nn.Linear(width, width * 2), nn.Linear(width * 2, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:  # [n, B, width]
        h = self.norm1(x)
        x = x + self.self_attn(h + places, h + places, h, need_weights=False)[0]
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))


class Fuse(nn.Module):
    """What the encoder saw scales and shifts what the generator draws, by a weight."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.encode_enc = ResBlock(2 * channels, channels)
        for name in ("scale", "shift"):
            layers = (nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(0.2),
                      nn.Conv2d(channels, channels, 3, padding=1))  # fmt: skip
            setattr(self, name, nn.Sequential(*layers))

    def forward(self, seen: torch.Tensor, drawn: torch.Tensor, weight: float) -> torch.Tensor:
        h = self.encode_enc(torch.cat([seen, drawn], dim=1))
        return drawn + weight * (drawn * self.scale(h) + self.shift(h))


class CodeFormer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.encoder, self.generator = encoder(shape), generator(shape)
        self.quantize = nn.Module()
        self.quantize.embedding = nn.Embedding(shape.codes, shape.code)
        self.position_emb = nn.Parameter(torch.zeros(shape.side**2, shape.width))
        self.feat_emb = nn.Linear(shape.code, shape.width)
        self.ft_layers = nn.ModuleList(Layer(shape.width) for _ in range(shape.layers))
        self.idx_pred_layer = nn.Sequential(
            nn.LayerNorm(shape.width), nn.Linear(shape.width, shape.codes, bias=False)
        )  # fmt: skip
        side = shape.side * 2 ** (len(WIDTHS) - 1)
        self.fuse_convs_dict = nn.ModuleDict({str(side >> level): Fuse(shape.levels[level]) for level in FUSED})

    def forward(self, x: torch.Tensor, weight: float = 0.5) -> torch.Tensor:  # [B, 3, H, W] in -1..1, H = W = 512
        """`weight` 0 trusts the book alone, 1 keeps nearest to the given face."""
        seen: dict[int, torch.Tensor] = {}
        for number, block in enumerate(self.encoder.blocks):
            x = block(x)
            level = self.encoder.marks.get(number)
            if level in FUSED:
                seen[level] = x
        drawn = self._from_book(x)
        for number, block in enumerate(self.generator.blocks):
            drawn = block(drawn)
            level = self.generator.marks.get(number)
            if level in FUSED and weight > 0:
                drawn = self.fuse_convs_dict[str(drawn.shape[-1])](seen[level], drawn, weight)
        return drawn

    def _from_book(self, latents: torch.Tensor) -> torch.Tensor:  # [B, code, h, w]
        batch, _, height, width = latents.shape
        places = self.position_emb[:, None]
        query = self.feat_emb(latents.flatten(2).permute(2, 0, 1))  # [n, B, width]
        for layer in self.ft_layers:
            query = layer(query, places)
        pages = self.idx_pred_layer(query).argmax(dim=-1).T  # [B, n]
        read = self.quantize.embedding(pages).reshape(batch, height, width, -1).permute(0, 3, 1, 2)
        return restyled(read, latents)


def restyled(content: torch.Tensor, style: torch.Tensor) -> torch.Tensor:  # [B, C, h, w]
    """Each channel with the mean and spread that it has in `style` (adaptive instance normalisation)."""

    def facts(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        flat = x.flatten(2)
        return flat.mean(-1)[..., None, None], (flat.var(-1) + 1e-5).sqrt()[..., None, None]

    (mean, spread), (wanted_mean, wanted_spread) = facts(content), facts(style)
    return (content - mean) / spread * wanted_spread + wanted_mean


def open_codeformer(path: Path, allow_pickle: bool) -> Opened:
    """Raises `BadModelFile`, `ForbiddenPickle`, `UnknownModel`."""
    state = read_state_dict(path, allow_pickle)
    needed = ("position_emb", "quantize.embedding.weight", "feat_emb.weight", "encoder.blocks.0.weight")
    if any(name not in state for name in needed):
        raise UnknownModel(f"{path.name} is not a CodeFormer.", remedy="Use codeformer-v0.1.0.pth.", path=str(path))
    codes, code = state["quantize.embedding.weight"].shape
    layers = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("ft_layers."))
    shape = Shape(
        state["encoder.blocks.0.weight"].shape[0], code, codes, state["feat_emb.weight"].shape[0], layers,
        math.isqrt(state["position_emb"].shape[0]),
    )  # fmt: skip
    with torch.device("meta"):
        network = CodeFormer(shape)
    # The file of the authors also carries the book's training statistics.
    known = network.state_dict().keys()
    return Opened.of(network, {k: v for k, v in state.items() if k in known}, "CodeFormer", half=False)
