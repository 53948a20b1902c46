"""The teaching of one thing that the starter has never seen, by an embedding, a LoRA or a hypernetwork, and its proof.

python -m starter.teach --data DATA --checkpoint FILE.safetensors --kind lora --out models/Lora/NAME.safetensors
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from PIL import Image

from starter import classifier
from starter.adapters import Adapter, Hypernetwork, Inversion, Lora
from starter.captions import article
from starter.concepts import colour
from starter.models import alphas_cumprod, encode, to_input
from starter.pool import Pool
from starter.progress import Progress
from starter.sampling import Painter, sheet
from starter.scene import Item
from starter.sprites import icon_of, render

LESSONS = MappingProxyType({"embedding": "polar bear", "lora": "raccoon", "hypernetwork": "hibiscus"})
"""What each kind teaches: drawings of Noto that no stage of the world shows."""
SEEN = ("white", "red", "yellow", "green", "blue", "purple")
UNSEEN = ("orange", "pink", "gray")
_SLOTS = (49400, 49401, 49402, 49403)
_KNOWN = ("panda", "banana", "rocket", "star", "heart", "pizza", "owl", "cactus")


@dataclass(frozen=True)
class Options:
    """`kept`: share of a batch that shows the world as it was, so that nothing else changes."""

    minutes: float = 2.0
    batch: int = 8
    rate: float = 1e-3
    kept: float = 0.5
    seed: int = 0


class Lesson:
    """The pictures of one thing on backgrounds, its captions, and the tokens that stand for its name."""

    def __init__(self, painter: Painter, data: Path, name: str, slots: Sequence[int] = ()) -> None:
        self.painter, self.name, self.slots = painter, name, list(slots)
        sprite = render(icon_of(data / "npm/node_modules", "noto", name.replace(" ", "-")))
        side = round(Item(name).size * 256)
        self._sprite = sprite.resize((side, side), Image.Resampling.LANCZOS)
        self.latents = encode(painter.vae, to_input(torch.from_numpy(np.stack([self.picture(b) for b in SEEN]))))

    def picture(self, background: str) -> np.ndarray:  # [256, 256, 3] uint8
        page = Image.new("RGBA", (256, 256), (*colour(background), 255))
        page.alpha_composite(self._sprite, ((256 - self._sprite.width) // 2,) * 2)
        return np.asarray(page.convert("RGB"))

    def caption(self, background: str) -> str:
        where = "" if background == "white" else f" on {article(background)} background"
        return ("a <>" if self.slots else article(self.name)) + where

    def ids(self, sentences: Sequence[str]) -> torch.Tensor:  # [B, 77]
        """`<>` in a sentence is the name that is being taught."""
        rows = []
        for sentence in sentences:
            head, mark, tail = sentence.partition("<>")
            pieces = self.painter.tokens.pieces
            rows.append(pieces(head) + (self.slots if mark else []) + (pieces(tail) if tail else []))
        return self.painter.rows(rows)


def _step(lesson: Lesson, pool: Pool, options: Options, rng: random.Random, spread: torch.Tensor) -> torch.Tensor:
    """The loss of one batch: v-prediction on the lesson's pictures and on some of the world's."""
    painter, old = lesson.painter, round(options.batch * options.kept)
    words, latents = pool.draw(old) if old else ([], torch.zeros(0, 4, 32, 32))
    chosen = [rng.randrange(len(SEEN)) for _ in range(options.batch - old)]
    ids = lesson.ids([*words, *(lesson.caption(SEEN[i]) for i in chosen)])
    clean = torch.cat([latents, lesson.latents[chosen]])
    times = ((spread + torch.randperm(options.batch) / options.batch) % 1 * 1000).long()
    alpha, noise = alphas_cumprod()[times][:, None, None, None], torch.randn_like(clean)
    noisy = (alpha.sqrt() * clean + (1 - alpha).sqrt() * noise).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        output = painter.unet(noisy, times, painter.text(ids).last_hidden_state).sample
    return (output.float() - (alpha.sqrt() * noise - (1 - alpha).sqrt() * clean)).pow(2).mean()


def teach(lesson: Lesson, adapter: Adapter, pool: Pool, options: Options, progress: Progress) -> int:
    """Trains the adapter alone, for the options' minutes; returns the number of steps."""
    painter, limit = lesson.painter, options.minutes * 60
    for network in (painter.unet, painter.text):
        network.requires_grad_(False)
    torch.manual_seed(options.seed)
    rng, parameters = random.Random(options.seed), adapter.parameters()
    optimizer = torch.optim.AdamW(parameters, lr=options.rate, betas=(0.9, 0.98), weight_decay=0.0)
    begun, step, total = time.monotonic(), 0, 0.0
    with adapter.attached(painter.unet, painter.text):
        while (passed := time.monotonic() - begun) < limit:
            begun += progress.wait_while_paused()
            for group in optimizer.param_groups:
                group["lr"] = options.rate * min(1, (step + 1) / 20) * (1 - 0.95 * passed / limit)
            loss = _step(lesson, pool, options, rng, torch.rand(1))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            step, total = step + 1, total + float(loss.detach())
            progress.every(20, "lesson", name=lesson.name, step=step, loss=total / step)
    return step


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of two pictures, 0..255."""
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


def paint(lesson: Lesson, sentences: Sequence[str], seeds: Sequence[int], cfg: float) -> np.ndarray:
    return lesson.painter.paint_ids(lesson.ids(sentences), seeds, cfg=cfg)


def prove(lesson: Lesson, adapter: Adapter, judge: classifier.Classifier, cfg: float) -> tuple[dict, np.ndarray]:
    """How far pictures are from the thing, and what becomes of known things, without and with the adapter."""
    painter, backgrounds = lesson.painter, ("white", *UNSEEN)
    sentences = [lesson.caption(b).replace("<>", lesson.name) for b in backgrounds]
    known = [article(name) for name in _KNOWN]
    labels = torch.tensor([classifier.CLASSES.index(name) for name in _KNOWN])
    before, known_before = paint(lesson, sentences, range(4), cfg), paint(lesson, known, range(10, 18), cfg)
    with adapter.attached(painter.unet, painter.text):
        after = paint(lesson, [lesson.caption(b) for b in backgrounds], range(4), cfg)
        known_after = paint(lesson, known, range(10, 18), cfg)
    real = [lesson.picture(b) for b in backgrounds]

    def named(pictures: np.ndarray) -> float:
        return float((judge.judge(pictures).argmax(1) == labels).float().mean())

    report = {
        "thing": lesson.name,
        "distance before": float(np.mean([apart(a, b) for a, b in zip(before, real)])),
        "distance after": float(np.mean([apart(a, b) for a, b in zip(after, real)])),
        "known things named before": named(known_before),
        "known things named after": named(known_after),
    }
    return report, np.concatenate([np.stack(real), before, after])


def make(kind: str, painter: Painter, name: str) -> Adapter:
    if kind == "embedding":
        table = next(v for k, v in painter.text.state_dict().items() if k.endswith("token_embedding.weight"))
        pieces = painter.tokens.pieces("bear face white animal")[: len(_SLOTS)]
        return Inversion(list(_SLOTS), table[(pieces * len(_SLOTS))[: len(_SLOTS)]])
    return Lora(painter.unet, painter.text) if kind == "lora" else Hypernetwork(painter.unet, name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with npm/, latents/ and classifier.pt")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--kind", choices=sorted(LESSONS), required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, help="folder for KIND.json and KIND.png")
    parser.add_argument("--minutes", type=float, default=Options.minutes)
    parser.add_argument("--rate", type=float, help="default: 2e-3, an embedding 2e-2")
    parser.add_argument("--cfg", type=float, default=3.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    painter, progress = Painter(args.checkpoint), Progress(args.data / "teach.log")
    lesson = Lesson(painter, args.data, LESSONS[args.kind], _SLOTS if args.kind == "embedding" else ())
    adapter = make(args.kind, painter, args.out.stem)
    rate = args.rate or (2e-2 if args.kind == "embedding" else 2e-3)
    options = Options(args.minutes, rate=rate, kept=0.0 if args.kind == "embedding" else 0.5)
    steps = teach(lesson, adapter, Pool(args.data, {"objects": 1.0}, 1), options, progress)
    size = adapter.save(args.out)
    report, pictures = prove(lesson, adapter, classifier.load(args.data), args.cfg)
    report |= {"steps": steps, "kilobytes": size / 1e3}
    progress.say(args.kind, **report)
    if args.report:
        args.report.mkdir(parents=True, exist_ok=True)
        (args.report / f"{args.kind}.json").write_text(json.dumps(report, indent=1))
        sheet(pictures, 4, 128).save(args.report / f"{args.kind}.png")


if __name__ == "__main__":
    main()
