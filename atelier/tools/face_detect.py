"""Face detection: MTCNN (Zhang and others, 2016), three small networks that find faces and five points in each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from atelier.checkpoints.reader import read_state_dict
from atelier.tools.opened import Opened

#: scores that a face must have in each of the three stages; the last is higher than the paper's, against false finds
SCORES = (0.6, 0.7, 0.9)
#: each level of the pyramid is smaller by this
PYRAMID = 0.709
#: sides of what the three networks see
FIRST, SECOND, THIRD = 12, 24, 48
#: faces below this share of the picture's shorter side are not looked for, nor below 20 pixels
SMALLEST = 0.04
LONGEST = 1280


@dataclass(frozen=True)
class Face:
    """`box` is (left, top, right, bottom); `points` are eyes, nose and corners of the mouth, each left before right."""

    box: tuple[float, float, float, float]
    points: tuple[tuple[float, float], ...]
    score: float

    @property
    def centre(self) -> tuple[float, float, float]:
        """(x, y, size)"""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top)


class _Proposals(nn.Module):
    """The first network: a score and a box for every 12 x 12 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # [B, 3, H, W]
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 2, 2, ceil_mode=True)
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_1(x).softmax(dim=1)[:, 1], self.conv4_2(x)


class _Refining(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # [B, 3, 24, 24]
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = self.prelu3(self.conv3(x))
        # The published weights are of a framework that stores columns first.
        x = self.prelu4(self.dense4(x.permute(0, 3, 2, 1).flatten(1)))
        return self.dense5_1(x).softmax(dim=1)[:, 1], self.dense5_2(x)


class _Pointing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2, self.dense6_3 = nn.Linear(256, 2), nn.Linear(256, 4), nn.Linear(256, 10)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # [B, 3, 48, 48]
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu3(self.conv3(x)), 2, 2, ceil_mode=True)
        x = self.prelu4(self.conv4(x))
        x = self.prelu5(self.dense5(x.permute(0, 3, 2, 1).flatten(1)))
        return self.dense6_1(x).softmax(dim=1)[:, 1], self.dense6_2(x), self.dense6_3(x)


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pnet, self.rnet, self.onet = _Proposals(), _Refining(), _Pointing()

    def find(self, image: Image.Image, check: Callable[[], None] = lambda: None) -> list[Face]:
        """The faces, the largest first. Large pictures are looked at smaller."""
        scale = min(1.0, LONGEST / max(image.size))
        small = image.convert("RGB")
        if scale < 1:
            small = small.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
        values = torch.from_numpy(np.asarray(small, dtype=np.float32).copy()).permute(2, 0, 1)[None]
        pixels = (values - 127.5) / 128
        with torch.inference_mode():
            boxes = self._propose(pixels, check)
            boxes = self._refine(pixels, boxes)
            found = self._point(pixels, boxes)
        faces = [Face(tuple(v / scale for v in f.box), tuple((x / scale, y / scale) for x, y in f.points), f.score)
                 for f in found]  # fmt: skip
        return sorted(faces, key=lambda face: -face.centre[2])

    def _propose(self, pixels: torch.Tensor, check: Callable[[], None]) -> torch.Tensor:  # [n, 5]
        height, width = pixels.shape[-2:]
        scale = FIRST / max(20.0, SMALLEST * min(height, width))
        found = []
        while min(height, width) * scale >= FIRST:
            check()
            level = F.interpolate(pixels, (math.ceil(height * scale), math.ceil(width * scale)), mode="area")
            scores, moves = self.pnet(level)
            rows, columns = torch.nonzero(scores[0] > SCORES[0], as_tuple=True)
            corners = torch.stack([columns, rows, columns, rows], dim=1).float() * 2
            boxes = (corners + torch.tensor([0, 0, FIRST, FIRST])) / scale
            boxes = _moved(boxes, moves[0][:, rows, columns].T)
            found.append(_distinct(torch.cat([boxes, scores[0][rows, columns, None]], dim=1), 0.5))
            scale *= PYRAMID
        return _distinct(torch.cat(found) if found else torch.zeros(0, 5), 0.7)

    def _refine(self, pixels: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:  # [n, 5]
        boxes = _square(boxes)
        if not len(boxes):
            return boxes
        scores, moves = self.rnet(_pieces(pixels, boxes, SECOND))
        keep = scores > SCORES[1]
        boxes = _moved(boxes[keep, :4], moves[keep])
        return _distinct(torch.cat([boxes, scores[keep, None]], dim=1), 0.7)

    def _point(self, pixels: torch.Tensor, boxes: torch.Tensor) -> list[Face]:
        boxes = _square(boxes)
        if not len(boxes):
            return []
        scores, moves, points = self.onet(_pieces(pixels, boxes, THIRD))
        keep = scores > SCORES[2]
        boxes, moves, points, scores = boxes[keep, :4], moves[keep], points[keep], scores[keep]
        sides = boxes[:, 2:] - boxes[:, :2]
        # Five x, then five y, as shares of the box.
        places = points.reshape(-1, 2, 5).transpose(1, 2) * sides[:, None] + boxes[:, None, :2]
        boxes = torch.cat([_moved(boxes, moves), scores[:, None]], dim=1)
        order = _distinct_index(boxes, 0.6, smaller=True)
        return [
            Face(tuple(boxes[i, :4].tolist()), tuple(tuple(p) for p in places[i].tolist()), float(boxes[i, 4]))
            for i in order
        ]


def _moved(boxes: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:  # [n, 4], [n, 4]
    """Each side moved by a share of the box's width or height."""
    sides = (boxes[:, 2:4] - boxes[:, :2]).repeat(1, 2)
    return boxes[:, :4] + moves * sides


def _square(boxes: torch.Tensor) -> torch.Tensor:  # [n, 5]
    side = (boxes[:, 2:4] - boxes[:, :2]).max(dim=1, keepdim=True).values
    centre = (boxes[:, :2] + boxes[:, 2:4]) / 2
    return torch.cat([centre - side / 2, centre + side / 2, boxes[:, 4:]], dim=1)


def _pieces(pixels: torch.Tensor, boxes: torch.Tensor, side: int) -> torch.Tensor:  # [n, 3, side, side]
    """The parts of the picture in the boxes; what lies outside is black."""
    height, width = pixels.shape[-2:]
    found = []
    for left, top, right, bottom in boxes[:, :4].round().int().tolist():
        inner = pixels[:, :, max(0, top) : max(0, min(height, bottom)), max(0, left) : max(0, min(width, right))]
        margin = (max(0, -left), max(0, right - width), max(0, -top), max(0, bottom - height))
        piece = F.pad(inner, margin, value=-127.5 / 128)
        if 0 in piece.shape or 0 in inner.shape:
            piece = torch.full((1, 3, side, side), -127.5 / 128)
        found.append(F.interpolate(piece, (side, side), mode="area"))
    return torch.cat(found)


def _distinct(boxes: torch.Tensor, overlap: float) -> torch.Tensor:  # [n, 5] -> [m, 5]
    return boxes[_distinct_index(boxes, overlap)]


def _distinct_index(boxes: torch.Tensor, overlap: float, smaller: bool = False) -> list[int]:
    """The best of boxes that overlap by more than a share of their union, or with `smaller` of the smaller one."""
    areas = (boxes[:, 2] - boxes[:, 0]).clamp(0) * (boxes[:, 3] - boxes[:, 1]).clamp(0)
    order = boxes[:, 4].argsort(descending=True)
    kept: list[int] = []
    while len(order):
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        low = torch.maximum(boxes[rest, :2], boxes[best, :2])
        high = torch.minimum(boxes[rest, 2:4], boxes[best, 2:4])
        shared = (high - low).clamp(0).prod(dim=1)
        whole = torch.minimum(areas[rest], areas[best]) if smaller else areas[rest] + areas[best] - shared
        order = rest[shared <= overlap * whole.clamp(min=1e-6)]
    return kept


def open_detector(path: Path, allow_pickle: bool) -> Opened:
    """Raises `BadModelFile`."""
    state: Mapping[str, torch.Tensor] = read_state_dict(path, allow_pickle)
    with torch.device("meta"):
        detector = Detector()
    return Opened.of(detector, state, "MTCNN", half=False)
