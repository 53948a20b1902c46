"""The benchmark's command line: `python -m bench [options]`, or `python launch.py bench -- [options]`."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType

import diffusers
import torch
import transformers

from atelier.base.paths import PROGRAM
from bench import machine
from bench.checkpoints import write_random_checkpoint, write_random_vae, write_random_xl
from bench.decoding import measure_large, measure_tiles
from bench.loading import measure_loading
from bench.networks import measure_networks
from bench.overhead import measure_overhead
from bench.pipeline import measure_pipeline
from bench.previews import PreviewStudio, measure_previews, write_small_decoder
from bench.report import Figure, table, write_report
from bench.start import measure_start
from bench.studio import Scene, Studio
from bench.swaps import measure_swaps, write_pair
from bench.texts import measure_texts
from bench.timing import Effort
from bench.variants import measure_variants

STARTER = PROGRAM / "models" / "Stable-diffusion" / "atelier-starter.safetensors"
#: pictures of the starter's own size, and small ones of a full-size model, so that a run ends in minutes
SMALL, FULL = Scene(side=256, steps=20), Scene(side=256, steps=4)
#: the size at which a full-size model's steps are told; two, since between them is the preview of the first
USUAL = Scene(side=512, steps=2)
#: pixels: a picture that is decoded in tiles, the same for a quick look, and one that is also decoded as a whole
LARGE_SIDE, QUICK_SIDE, BOTH_SIDE = 2048, 1600, 768


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

    def few(self) -> Effort:
        """For what takes minutes and differs by far more than it scatters."""
        return Effort(self.rounds or 3, self.rounds or 3, warmup=0)

    def models(self) -> Iterator[tuple[str, Studio, Scene, bool]]:
        """The models to measure with, each open while it is in use: name, studio, scene, whether of full size."""
        yield from self._open("small", STARTER, SMALL, False)
        if not self.quick:
            yield from self._open("full", self.large(torch.float32), FULL, True)

    def halves(self) -> Iterator[tuple[str, Studio, Scene, bool]]:
        """The model of full size in half precision. Nothing with --quick."""
        if not self.quick:
            yield from self._open("half", self.large(torch.float16), FULL, True, "half")

    def _open(
        self, name: str, path: Path, scene: Scene, full: bool, precision: str = "full"
    ) -> Iterator[tuple[str, Studio, Scene, bool]]:
        studio = Studio(self.work / f"data-{name}", path, precision)
        try:
            yield name, studio, scene, full
        finally:
            studio.close()

    def large_xl(self) -> Path:
        """The same of Stable Diffusion XL, in half precision: 6.9 GB."""
        path = self.work / "models-xl" / "random-xl.safetensors"
        return path if path.exists() else write_random_xl(path)

    def large(self, dtype: torch.dtype, seed: int = 0) -> Path:
        """A full-size random checkpoint, made once and kept in the work folder for the next time."""
        other = f"-{seed}" if seed else ""
        path = self.work / "models" / f"random-{str(dtype).removeprefix('torch.')}{other}.safetensors"
        return path if path.exists() else write_random_checkpoint(path, dtype, seed=seed)

    def large_vae(self) -> Path:
        """A checkpoint whose autoencoder alone has its full size."""
        path = self.work / "models-vae" / "random-vae.safetensors"
        return path if path.exists() else write_random_vae(path)


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
    for name, studio, _, full in chain(bench.models(), bench.halves()):
        folder = studio.engine.services.paths.models / "Lora"
        yield from measure_networks(studio, folder, bench.effort(full), f"networks.{name}", full)


def sdxl(bench: Bench) -> Iterator[Figure]:
    """In half precision throughout, since twice that would be 14 GB. Nothing with --quick."""
    if bench.quick:
        return
    yield from measure_loading(bench.large_xl(), "float16", bench.rounds or 1, "loading.sdxl")
    studio = Studio(bench.work / "data-xl", bench.large_xl(), "half")
    try:
        yield from measure_pipeline(studio, FULL, Effort(bench.rounds or 3, bench.rounds or 5), "diffusers.sdxl")
    finally:
        studio.close()


def start(bench: Bench) -> Iterator[Figure]:
    yield from measure_start(bench.work, bench.rounds or (2 if bench.quick else 5))


def swaps(bench: Bench) -> Iterator[Figure]:
    """In half precision, as on most devices, so that two of full size need no more memory than one would in full."""
    folder = bench.work / "data-swaps"
    if bench.quick:
        yield from measure_swaps(write_pair(STARTER, bench.work / "models-swaps"), folder, "half", "swaps.small")
        return
    pair = bench.large(torch.float16), bench.large(torch.float16, seed=1)
    yield from measure_swaps(pair, folder, "half", "swaps.full")


def decode(bench: Bench) -> Iterator[Figure]:
    name, path = ("small", STARTER) if bench.quick else ("full", bench.large_vae())
    folder, name = bench.work / f"data-decode-{name}", f"decode.{name}"
    side = QUICK_SIDE if bench.quick else LARGE_SIDE
    yield from measure_large(path, folder, side, name, full=not bench.quick)
    studio = Studio(folder, path)
    try:
        yield from measure_tiles(studio, BOTH_SIDE, bench.few(), name)
    finally:
        studio.close()


def previews(bench: Bench) -> Iterator[Figure]:
    name, path, scene = ("small", STARTER, SMALL) if bench.quick else ("full", bench.large(torch.float32), USUAL)
    folder = bench.work / f"data-previews-{name}"
    if not bench.quick:
        write_small_decoder(folder / "models")
    painter = PreviewStudio(folder, path, scene)
    try:
        yield from measure_previews(painter, bench.few(), f"previews.{name}", full=not bench.quick)
    finally:
        painter.close()


def texts(bench: Bench) -> Iterator[Figure]:
    for name, studio, scene, full in bench.models():
        yield from measure_texts(studio, scene, bench.effort(full), f"texts.{name}", full)


MEASURES: MappingProxyType[str, Callable[[Bench], Iterator[Figure]]] = MappingProxyType({
    "overhead": overhead, "diffusers": pipeline, "variants": variants, "loading": loading, "networks": networks,
    "swaps": swaps, "decode": decode, "previews": previews, "texts": texts, "sdxl": sdxl, "start": start,
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
                    "swaps      memory after changing the checkpoint fifty times\n"
                    "decode     peak memory of decoding 2048 x 2048 in tiles; tiles over the whole\n"
                    "previews   live previews over the steps that they show, by method\n"
                    "texts      conditioning of equal prompts over that of new ones\n"
                    "sdxl       a full-size SDXL: opening it, and Atelier over diffusers' own pipeline\n"
                    "start      from the command line to the first page and picture",
    )  # fmt: skip
    made.add_argument("--quick", action="store_true", help="only the small model, in about four minutes")
    made.add_argument("--only", action="append", choices=tuple(MEASURES), metavar="NAME",
                      help=f"measure this alone; may be given again: {', '.join(MEASURES)}")  # fmt: skip
    made.add_argument("--json", "--output", type=Path, metavar="FILE", help="where results go (default: bench/results)")
    made.add_argument("--threads", type=int, metavar="N", help="threads of torch (default: as many as there are cores)")
    made.add_argument("--rounds", type=int, metavar="N", help="rounds of each comparison (default: until they agree)")
    made.add_argument("--work-dir", type=Path, metavar="DIR",
                      help="keep the random full-size checkpoints (17 GB) here for the next time")  # fmt: skip
    return made


def run(bench: Bench, names: Sequence[str]) -> list[Figure]:
    figures: list[Figure] = []
    for name in names:
        print(f"Measuring: {name} (load {machine.load()})", flush=True)
        for found in MEASURES[name](bench):
            figures.append(found)
            print("  " + table([found]).splitlines()[2], flush=True)
    return figures


@contextmanager
def _errors_only() -> Iterator[None]:
    """The program's own log would stand between the figures."""
    log = logging.getLogger("atelier")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    if args.rounds is not None and args.rounds < 1 or args.threads is not None and args.threads < 1:
        parser().error("--rounds and --threads must be at least 1")
    if args.threads:
        torch.set_num_threads(args.threads)
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
    about = machine.describe()
    with _errors_only(), tempfile.TemporaryDirectory(prefix="atelier-bench-") as temporary:
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
