"""The programme: from the newest state to everything that ships, as one command that is given its minutes.

    python -m starter.programme --data DATA --minutes 180 --out DATA/shipping [--dry-run] [--only cool,inpainting]

Each line is a command of this folder and can be run alone. A stage that was stopped goes on; one that is done is done
again only when it is named. The files in the out folder lie as the program wants them: copy them over its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from atelier.base.paths import PROGRAM
from starter.progress import Progress
from starter.teach import LESSONS

SHIPPED = PROGRAM / "models/Stable-diffusion/atelier-starter.safetensors"
WORLD = MappingProxyType(
    {
        "objects": 0.28, "concepts": 0.24, "shapes": 0.06, "counts": 0.09, "pairs": 0.12,
        "tints": 0.04, "places": 0.03, "styles": 0.05, "emphasis": 0.06, "figures": 0.03,
    }
)  # fmt: skip
"""Shares of the stages in what the starter sees."""
BESIDE = MappingProxyType(
    {
        "inpainting": ("objects", "concepts", "pairs"),
        "depth": ("objects", "concepts", "counts", "pairs", "figures"),
    }
)
LESSON_FILES = MappingProxyType(
    {
        "embedding": "embeddings/atelier-polar-bear.safetensors",
        "lora": "models/Lora/atelier-raccoon.safetensors",
        "hypernetwork": "models/hypernetworks/atelier-hibiscus.pt",
    }
)
SHARES = MappingProxyType(
    {"recall": 0.15, "together": 0.45, "cool": 0.16, "inpainting": 0.1, "depth": 0.08, "lessons": 0.06}
)
"""Of the minutes; encoding and measuring come on top, together about half an hour of one core."""


@dataclass(frozen=True)
class Plan:
    """Folders and minutes of one run of the programme."""

    data: Path
    out: Path
    minutes: float

    @property
    def starter(self) -> Path:
        return self.out / "models/Stable-diffusion/atelier-starter.safetensors"

    def sibling(self, kind: str) -> Path:
        return self.starter.with_name(f"atelier-starter-{kind}.safetensors")

    def of(self, name: str) -> str:
        return f"{self.minutes * SHARES[name]:.1f}"


Command = list[str]


def _unet(plan: Plan, run: str, *more: str) -> Command:
    return ["starter.train_unet", "--data", str(plan.data), "--run", str(plan.data / run), "--draws", "1", *more]


def _base(plan: Plan, *more: str) -> Command:
    """From the run's own state, or else from the checkpoint that ships."""
    mix = ",".join(f"{stage}={share:g}" for stage, share in WORLD.items())
    steady = ["--lean", "0.25", "--memory", "0.995", "--recall", "2"]
    return _unet(plan, "run", "--start", str(SHIPPED), "--mix", mix, *steady, *more)


def encode(plan: Plan) -> list[Command]:
    rows = [["starter.latents", "--data", str(plan.data), "--stage", stage] for stage in WORLD]
    return rows + [
        ["starter.beside", "--data", str(plan.data), "--kind", kind, "--stage", stage]
        for kind, stages in BESIDE.items()
        for stage in stages
    ]


def recall(plan: Plan) -> list[Command]:
    seconds = str(round(60 * plan.minutes * SHARES["recall"]))
    return [_base(plan, "--recall-seconds", seconds, "--recall-fixed", "--rate", "1e-3", "--minutes", "1")]


def together(plan: Plan) -> list[Command]:
    return [_base(plan, "--rate", "1e-3", "--minutes", plan.of("together"))]


def cool(plan: Plan) -> list[Command]:
    return [
        _base(plan, "--rate", "1e-3", "--cool", "--minutes", plan.of("cool")),
        _export(plan, "run", plan.starter),
    ]


def _export(plan: Plan, run: str, target: Path) -> Command:
    vae = str(plan.data / "vae.safetensors")
    return ["starter.export", "--run", str(plan.data / run), "--vae", vae, "--out", str(target)]


def sibling(kind: str) -> Callable[[Plan], list[Command]]:
    def commands(plan: Plan) -> list[Command]:
        mix = ",".join(f"{stage}=1" for stage in BESIDE[kind])
        train = _unet(plan, kind, "--kind", kind, "--start", str(plan.starter), "--mix", mix, "--recall", "0")
        # With a caption the depth map says little that the starter does not know: it is learned where there is none.
        unnamed = "0.5" if kind == "depth" else "0.1"
        return [
            [*train, "--unnamed", unnamed, "--rate", "8e-4", "--cool", "--minutes", plan.of(kind)],
            _export(plan, kind, plan.sibling(kind)),
        ]

    return commands


def lessons(plan: Plan) -> list[Command]:
    each, shared = f"{plan.minutes * SHARES['lessons'] / len(LESSONS):.1f}", ["--data", str(plan.data)]
    return [
        ["starter.teach", *shared, "--checkpoint", str(plan.starter), "--kind", kind, "--minutes", each,
         "--out", str(plan.out / LESSON_FILES[kind]), "--report", str(plan.out / "report")]
        for kind in LESSONS
    ]  # fmt: skip


def measure(plan: Plan) -> list[Command]:
    report = ["--out", str(plan.out / "report"), "--data", str(plan.data)]
    siblings = [f"--{kind}={plan.sibling(kind)}" for kind in BESIDE]
    return [
        ["starter.evaluate", "--checkpoint", str(plan.starter), *report],
        ["starter.evaluate_siblings", "--base", str(plan.starter), *siblings, *report],
    ]


PARTS: MappingProxyType[str, Callable[[Plan], list[Command]]] = MappingProxyType(
    {
        "encode": encode,
        "recall": recall,
        "together": together,
        "cool": cool,
        "inpainting": sibling("inpainting"),
        "depth": sibling("depth"),
        "lessons": lessons,
        "measure": measure,
    }
)
"""In the order in which they build on each other."""


def commands(plan: Plan, parts: Sequence[str]) -> list[Command]:
    return [command for name in PARTS if name in parts for command in PARTS[name](plan)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with sprites.npz, vae.safetensors, classifier.pt"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=180.0, help="of training, all parts together")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas: " + ", ".join(PARTS))
    parser.add_argument("--dry-run", action="store_true", help="only say what would be run")
    args = parser.parse_args()
    parts = args.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    progress = Progress(args.data / "programme.log")
    for command in commands(Plan(args.data, args.out, args.minutes), parts):
        progress.say("python -m " + " ".join(command))
        if not args.dry_run:
            subprocess.run([sys.executable, "-m", *command], check=True)


if __name__ == "__main__":
    main()
