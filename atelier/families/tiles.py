"""Tiles: an autoencoder's work in overlapping pieces that know of each other, so that no seam shows.

What differs between pieces is what a network learns of the whole picture: the attention in its middle, and the mean
and spread by which its group norms divide. The middle works on the smallest maps and is done as a whole. Mean and
spread are taken from samples spread over the picture, all at once and no larger than one piece together, and are then
the same for every piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

#: in latent cells
TILE = 64
OVERLAP = 16
#: sides of all samples on one axis together. Two cover most of a small picture; of a larger one three see the middle
#: too, where most pictures differ from their corners. More would be so small that their own edges count too much.
SAMPLED = 64
FEW, MANY = 2, 3
LARGE = 96


@dataclass
class SharedNorms:
    """While `learning` the group norms of some layers remember mean and spread; afterwards they divide by these."""

    learning: bool = True
    _seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    @contextmanager
    def over(self, layers: list[nn.Module]) -> Iterator[SharedNorms]:
        norms = [m for layer in layers for m in layer.modules() if isinstance(m, nn.GroupNorm)]
        hooks = [norm.register_forward_hook(self._normed) for norm in norms]
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()

    def _normed(self, norm: nn.GroupNorm, args: tuple, output: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        x = args[0]
        if self.learning:
            # All samples together, as if they were one picture.
            groups = x.float().reshape(x.shape[0], norm.num_groups, -1)
            spread, mean = torch.var_mean(groups, dim=(0, 2), correction=0)
            self._seen[id(norm)] = (mean, (spread + norm.eps).rsqrt())
        mean, scale = (v.repeat_interleave(x.shape[1] // norm.num_groups) for v in self._seen[id(norm)])
        factor = scale * norm.weight.float()
        offset = norm.bias.float() - mean * factor
        return torch.addcmul(offset[:, None, None], x, factor[:, None, None]).to(output.dtype)


def decode_in_tiles(
    vae: nn.Module, raw: torch.Tensor, wrap: bool = False, tile: int = TILE, overlap: int = OVERLAP
) -> torch.Tensor:  # [1, C, h, w] -> [1, 3, H, W], float32 on the CPU
    """What `vae.decode` gives, piece by piece. `wrap` is for pictures whose opposite edges fit together."""
    decoder = vae.decoder
    if wrap:
        raw = _wrapped(raw, overlap)
    middle = decoder.mid_block(decoder.conv_in(_or_same(vae.post_quant_conv, raw)))
    layers = [*decoder.up_blocks, decoder.conv_norm_out]

    def rest(piece: torch.Tensor) -> torch.Tensor:
        for block in decoder.up_blocks:
            piece = block(piece)
        return decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(piece)))

    factor = 2 ** (len(decoder.up_blocks) - 1)
    with SharedNorms().over(layers) as norms:
        rest(_samples(middle))
        norms.learning = False
        pixels = _joined(rest, middle, tile, overlap, (factor, 1))
    return pixels[:, :, overlap * factor : -overlap * factor, overlap * factor : -overlap * factor] if wrap else pixels


def encode_in_tiles(
    vae: nn.Module, pixels: torch.Tensor, wrap: bool = False, tile: int = TILE, overlap: int = OVERLAP
) -> torch.Tensor:  # [1, 3, H, W] -> [1, 2 * C, h, w]
    """What `vae.encode` gives before it becomes a distribution, piece by piece. Sides are whole cells."""
    encoder = vae.encoder
    factor = 2 ** (len(encoder.down_blocks) - 1)
    if wrap:
        pixels = _wrapped(pixels, overlap * factor)

    def begin(piece: torch.Tensor) -> torch.Tensor:
        piece = encoder.conv_in(piece)
        for block in encoder.down_blocks:
            piece = block(piece)
        return piece

    with SharedNorms().over(list(encoder.down_blocks)) as norms:
        begin(_samples(pixels, factor))
        norms.learning = False
        middle = _joined(begin, pixels, tile * factor, overlap * factor, (1, factor)).to(pixels)
    middle = encoder.mid_block(middle)
    moments = _or_same(vae.quant_conv, encoder.conv_out(encoder.conv_act(encoder.conv_norm_out(middle))))
    return moments[:, :, overlap:-overlap, overlap:-overlap] if wrap else moments


def _wrapped(x: torch.Tensor, margin: int) -> torch.Tensor:  # [B, C, H, W] -> [B, C, H + 2 * margin, W + 2 * margin]
    """With what lies beyond each edge: the other edge, as often as it takes."""
    rows, columns = (torch.arange(-margin, length + margin, device=x.device) % length for length in x.shape[-2:])
    return x[:, :, rows][:, :, :, columns]


def _or_same(layer: nn.Module | None, x: torch.Tensor) -> torch.Tensor:
    return x if layer is None else layer(x)


def _samples(x: torch.Tensor, cell: int = 1) -> torch.Tensor:  # [1, C, H, W] -> [N, C, rows, columns]
    """Pieces spread evenly from edge to edge, in whole cells of so many numbers a side. All of x where it is small."""
    height, width = x.shape[-2:]
    if max(height, width) <= SAMPLED * cell:
        return x

    def parts(length: int) -> list[slice]:
        count = MANY if length > LARGE * cell else FEW
        side = min(SAMPLED // count, max(length // count // cell, 1)) * cell
        places = [(length - side) * k // (count - 1) // cell * cell for k in range(count)]
        return [slice(place, place + side) for place in places]

    return torch.cat([x[:, :, rows, columns] for rows in parts(height) for columns in parts(width)])


def _joined(
    work: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, tile: int, overlap: int, scale: tuple[int, int]
) -> torch.Tensor:  # [1, C, H, W] -> [1, C', H * up / down, W * up / down], float32 on the CPU
    """`work` on overlapping pieces. Of an overlap the outer quarters are dropped, the rest is a ramp to the next."""
    up, down = scale
    height, width = x.shape[-2:]
    total = weight = None
    for top in starts(height, tile, overlap):
        for left in starts(width, tile, overlap):
            piece = work(x[:, :, top : top + tile, left : left + tile]).float().cpu()
            if total is None:
                total = torch.zeros(piece.shape[0], piece.shape[1], height * up // down, width * up // down)
                weight = torch.zeros(1, 1, *total.shape[-2:])
            rows, columns = piece.shape[-2:]
            y, z = top * up // down, left * up // down
            wide = overlap * up // down
            ramp = _ramp(rows, wide, y == 0, y + rows == total.shape[-2])[:, None]
            ramp = ramp * _ramp(columns, wide, z == 0, z + columns == total.shape[-1])[None]
            total[:, :, y : y + rows, z : z + columns] += piece * ramp
            weight[:, :, y : y + rows, z : z + columns] += ramp
    return total / weight


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where pieces begin; the last ends with the whole."""
    if length <= tile:
        return [0]
    return [*range(0, length - tile, tile - overlap), length - tile]


def _ramp(length: int, overlap: int, first: bool, last: bool) -> torch.Tensor:  # [length]
    place = torch.arange(length).float() + 0.5
    weight = torch.ones(length)
    for inner, distance in ((first, place), (last, length - place)):
        if not inner:
            weight = torch.minimum(weight, ((distance - overlap / 4) / (overlap / 2)).clamp(1e-6, 1))
    return weight
