"""The benchmark's command line: `python -m bench [options]`, or `python launch.py bench -- [options]`."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import diffusers
import torch
import transformers

from atelier.base.paths import PROGRAM
from bench import machine
from bench.checkpoints import write_random_checkpoint, write_random_xl
from bench.loading import measure_loading
from bench.networks import measure_networks
from bench.overhead import measure_overhead
from bench.pipeline import measure_pipeline
from bench.report import Figure, table, write_report
from bench.start import measure_start
from bench.studio import Scene, Studio
from bench.timing import Effort
from bench.variants import measure_variants

STARTER = PROGRAM / "models" / "Stable-diffusion" / "atelier-starter.safetensors"
#: pictures of the starter's own size, and small ones of a full-size model, so that a run ends in minutes
SMALL, FULL = Scene(side=256, steps=20), Scene(side=256, steps=4)
LARGE = Scene(side=256, steps=2)


@dataclass(frozen=True)
class Bench:
    """What the measures share. `work` holds the large random checkpoints and data folders."""

    work: Path
    quick: bool
    rounds: int | None

    def effort(self, full: bool) -> Effort:
        least = self.rounds or (5 if full or self.quick else 20)
        most = self.rounds or (least + 2 if self.quick else least * 2)
        return Effort(least, most, tolerance=0.01 if full else 0.02)

    def models(self) -> Iterator[tuple[str, Studio, Scene, bool]]:
        """The models to measure with, each open while it is in use: name, studio, scene, whether of full size."""
        yield from self._open("small", STARTER, SMALL, False)
        if not self.quick:
            yield from self._open("full", self.large(torch.float32), FULL, True)

    def _open(self, name: str, path: Path, scene: Scene, full: bool) -> Iterator[tuple[str, Studio, Scene, bool]]:
        studio = Studio(self.work / f"data-{name}", path)
        try:
            yield name, studio, scene, full
        finally:
            studio.close()

    def large_xl(self) -> Path:
        """The same of Stable Diffusion XL, in half precision: 6.9 GB."""
        path = self.work / "models-xl" / "random-xl.safetensors"
        return path if path.exists() else write_random_xl(path)

    def large(self, dtype: torch.dtype) -> Path:
        """A full-size random checkpoint, made once and kept in the work folder for the next time."""
        path = self.work / "models" / f"random-{str(dtype).removeprefix('torch.')}.safetensors"
        return path if path.exists() else write_random_checkpoint(path, dtype)


def overhead(bench: Bench) -> Iterator[Figure]:
    for name, studio, scene, full in bench.models():
        yield from measure_overhead(studio, scene, bench.effort(full), f"overhead.{name}", full)


def pipeline(bench: Bench) -> Iterator[Figure]:
    for name, studio, scene, full in bench.models():
        yield from measure_pipeline(studio, scene, bench.effort(full), f"diffusers.{name}")


def variants(bench: Bench) -> Iterator[Figure]:
    for name, studio, scene, full in bench.models():
        yield from measure_variants(studio, scene, bench.effort(full), f"variants.{name}")


def loading(bench: Bench) -> Iterator[Figure]:
    rounds = bench.rounds or (1 if bench.quick else 3)
    if bench.quick:
        yield from measure_loading(STARTER, "float32", rounds, "loading.small")
        return
    for stored, dtype in ((torch.float32, "float32"), (torch.float16, "float16"), (torch.float16, "float32")):
        name = f"loading.{str(stored).removeprefix('torch.')}.as.{dtype}"
        yield from measure_loading(bench.large(stored), dtype, rounds, name)


def networks(bench: Bench) -> Iterator[Figure]:
    for name, studio, _, full in bench.models():
        folder = studio.engine.services.paths.models / "Lora"
        yield from measure_networks(studio, folder, bench.effort(full), f"networks.{name}", full)


def sdxl(bench: Bench) -> Iterator[Figure]:
    """In half precision throughout, since twice that would be 14 GB. Nothing with --quick."""
    if bench.quick:
        return
    yield from measure_loading(bench.large_xl(), "float16", bench.rounds or 1, "loading.sdxl")
    studio = Studio(bench.work / "data-xl", bench.large_xl(), "half")
    try:
        yield from measure_pipeline(studio, LARGE, Effort(bench.rounds or 3, bench.rounds or 5), "diffusers.sdxl")
    finally:
        studio.close()


def start(bench: Bench) -> Iterator[Figure]:
    yield from measure_start(bench.work, bench.rounds or (2 if bench.quick else 5))


MEASURES: MappingProxyType[str, Callable[[Bench], Iterator[Figure]]] = MappingProxyType({
    "overhead": overhead, "diffusers": pipeline, "variants": variants, "loading": loading, "networks": networks,
    "sdxl": sdxl, "start": start,
})  # fmt: skip


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m bench", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measures Atelier's speed. Everything is a comparison within one run, rounds in turn, with the "
                    "median and the inner half of the rounds.\n\n"
                    "overhead   Atelier over a bare loop of the same modules\n"
                    "diffusers  Atelier over diffusers' own pipeline\n"
                    "variants   memory formats, precisions, attention kernels\n"
                    "loading    time and peak memory of opening a checkpoint\n"
                    "networks   applying and removing a LoRA over one read of its weights\n"
                    "sdxl       a full-size SDXL: opening it, and Atelier over diffusers' own pipeline\n"
                    "start      from the command line to the first page and picture",
    )  # fmt: skip
    made.add_argument("--quick", action="store_true", help="only the small model, in about two minutes")
    made.add_argument("--only", action="append", choices=tuple(MEASURES), metavar="NAME",
                      help=f"measure this alone; may be given again: {', '.join(MEASURES)}")  # fmt: skip
    made.add_argument("--json", "--output", type=Path, metavar="FILE", help="where results go (default: bench/results)")
    made.add_argument("--threads", type=int, metavar="N", help="threads of torch (default: as many as there are cores)")
    made.add_argument("--rounds", type=int, metavar="N", help="rounds of each comparison (default: until they agree)")
    made.add_argument("--work-dir", type=Path, metavar="DIR",
                      help="keep the random full-size checkpoints (14 GB) here for the next time")  # fmt: skip
    return made


def run(bench: Bench, names: Sequence[str]) -> list[Figure]:
    figures: list[Figure] = []
    for name in names:
        print(f"Measuring: {name} (load {machine.load()})", flush=True)
        for found in MEASURES[name](bench):
            figures.append(found)
            print("  " + table([found]).splitlines()[2], flush=True)
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    if args.rounds is not None and args.rounds < 1 or args.threads is not None and args.threads < 1:
        parser().error("--rounds and --threads must be at least 1")
    if args.threads:
        torch.set_num_threads(args.threads)
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
    logging.getLogger("atelier").setLevel(logging.ERROR)
    about = machine.describe()
    with tempfile.TemporaryDirectory(prefix="atelier-bench-") as temporary:
        bench = Bench(args.work_dir or Path(temporary), args.quick, args.rounds)
        figures = run(bench, args.only or tuple(MEASURES))
    about["load_after"] = machine.load()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = args.json or Path(__file__).parent / "results" / f"{stamp}{'-quick' if args.quick else ''}.json"
    write_report(path, about, figures)
    print(f"\n{table(figures)}\n\n{machine.sentence(about)}\nWritten: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
