"""The judge: a small network that names a picture's object, trained on real renders alone, never on generated ones.

python -m starter.classifier --data DATA --minutes 8
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from starter.checkpoint import load_vae
from starter.concepts import BACKGROUNDS, COLOURS, OBJECTS, SHAPES
from starter.models import decode, encode, to_input
from starter.progress import Progress
from starter.scene import Composer, Item, Scene
from starter.sprites import Sprites
from starter.world import SHAPE_SIZE, scenes

CLASSES = (*OBJECTS, *SHAPES)
_VIEW = 64


class Classifier(torch.nn.Sequential):
    """[B, 3, 64, 64] in -1..1 to [B, classes]."""

    def __init__(self) -> None:
        nn, layers = torch.nn, []
        for before, after in ((3, 32), (32, 64), (64, 128), (128, 256)):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1024, len(CLASSES)))

    @torch.no_grad()
    def judge(self, pictures: np.ndarray) -> torch.Tensor:  # [B, H, W, 3] uint8 -> [B, classes]
        self.eval()
        return self(view(pictures))


def view(pictures: np.ndarray) -> torch.Tensor:  # [B, H, W, 3] uint8 -> [B, 3, 64, 64]
    return F.interpolate(to_input(torch.from_numpy(np.ascontiguousarray(pictures))), size=_VIEW, mode="area")


def _renders(composer: Composer, rng: random.Random, per_class: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Views and class numbers: each class on several backgrounds, shapes in all colours."""
    pictures, labels = [], []
    for label, name in enumerate(CLASSES):
        for _ in range(per_class * (2 if name in SHAPES else 1)):
            shade = rng.choice(list(COLOURS)) if name in SHAPES else None
            background = rng.choice([b for b in BACKGROUNDS + ("white",) * 4 if b != shade])
            size = SHAPE_SIZE if name in SHAPES else 0.84
            pictures.append(composer.draw(Scene("judge", background, (Item(name, shade, size=size),)), 2 * _VIEW))
            labels.append(label)
    return torch.cat([view(np.stack(pictures[i : i + 256])) for i in range(0, len(pictures), 256)]), torch.tensor(
        labels
    )


def _spoiled(views: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """Moved, scaled, blurred, shaded and noisy: what a weak generator does, without ever seeing one."""
    scale, n = rng.uniform(0.75, 1.15), len(views)
    move = torch.tensor([[scale, 0, rng.uniform(-0.15, 0.15)], [0, scale, rng.uniform(-0.15, 0.15)]]).expand(n, 2, 3)
    views = F.grid_sample(
        views, F.affine_grid(move, list(views.shape), align_corners=False), padding_mode="border", align_corners=False
    )
    if rng.random() < 0.6:
        small = F.interpolate(views, size=rng.choice((24, 32, 40)), mode="area")
        views = F.interpolate(small, size=_VIEW, mode="bilinear")
    views = views * (1 + 0.15 * torch.randn(n, 1, 1, 1)) + 0.1 * torch.randn(n, 3, 1, 1)
    return views + 0.08 * torch.randn(n, 1, 1, 1) * torch.randn_like(views)


def train(data: Path, minutes: float, seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    rng, progress = random.Random(seed), Progress(data / "classifier.log")
    views, labels = _renders(Composer(Sprites(data / "sprites.npz")), rng, 6)
    model, begun, limit, step = Classifier(), time.monotonic(), minutes * 60, 0
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
    while (passed := time.monotonic() - begun) < limit:
        begun += progress.wait_while_paused()
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - 0.98 * min(1.0, passed / limit))
        rows = torch.randint(len(views), (96,))
        loss = F.cross_entropy(model(_spoiled(views[rows], rng)), labels[rows], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        progress.every(20, "classifier", step=step, loss=float(loss.detach()))
    torch.save(model.state_dict(), data / "classifier.pt")
    return model


def load(data: Path) -> Classifier:
    model = Classifier()
    model.load_state_dict(torch.load(data / "classifier.pt"))
    return model.eval()


def accuracy(model: Classifier, data: Path, vae_file: Path, number: int = 160) -> dict[str, float]:
    """Share named right on renders of held-out combinations, and on the same pictures through the autoencoder."""
    composer, vae = Composer(Sprites(data / "sprites.npz")), load_vae(vae_file)
    rows = [s for stage in ("objects", "concepts") for s in scenes(stage) if s.held]
    rows = random.Random(0).sample(rows, min(number, len(rows)))
    labels = torch.tensor([CLASSES.index(s.items[0].name) for s in rows])
    pictures = np.stack([composer.draw(s, 256) for s in rows])
    passed = []
    for i in range(0, len(pictures), 8):
        with torch.autocast("cpu", torch.bfloat16):
            passed.append(decode(vae, encode(vae, to_input(torch.from_numpy(pictures[i : i + 8])))).numpy())
    out = {}
    for name, shown in (("renders", pictures), ("reconstructions", np.concatenate(passed))):
        out[name] = float((model.judge(shown).argmax(1) == labels).float().mean())
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = train(args.data, args.minutes)
    Progress(args.data / "classifier.log").say(
        "classifier accuracy", **accuracy(model, args.data, args.data / "vae.safetensors")
    )


if __name__ == "__main__":
    main()
