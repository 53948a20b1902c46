"""Tags: the words of an image board that fit a picture, by DeepDanbooru or by a WD14 tagger with its list of tags."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from atelier.base.errors import BadModelFile, ModelMissing
from atelier.base.paths import Paths
from atelier.imaging.decode import flatten
from atelier.imaging.resize import FILL, resize
from atelier.tools.bench import Workbench
from atelier.tools.deep_danbooru import open_deep_danbooru
from atelier.tools.onnx import Session, open_session, run_one, side_of
from atelier.tools.watch import Watch

#: below models/: A1111's folder of DeepDanbooru, and two others in use
FOLDERS = ("torch_deepdanbooru", "deepbooru", "tagger")
LIST = "selected_tags.csv"
SIDE = 448
RATING = 9
#: DeepDanbooru's own side, the beginning of its words that rate a picture, and which tool it counts as
OWN_SIDE, RATES, TOOL = 512, "rating:", "interrogate"
_BRACKETS = re.compile(r"([\\()])")


@dataclass(frozen=True)
class TagRules:
    """A1111's settings for tags."""

    threshold: float = 0.5
    alphabetically: bool = True
    spaces: bool = True
    escape: bool = True
    ranks: bool = False
    left_out: frozenset[str] = frozenset()


class Tagger:
    """DeepDanbooru where its file is there, else a WD14 tagger."""

    def __init__(self, paths: Paths, bench: Workbench) -> None:
        self._paths = paths
        self._bench = bench
        self._open: tuple[Path, Session, list[str]] | None = None

    def tags(self, image: Image.Image, rules: TagRules, watch: Watch) -> str:
        """Tags separated by commas. Raises `ModelMissing`, `BadModelFile`, `ForbiddenPickle`."""
        watch.check()
        path = self._file()
        scored = self._by_danbooru(path, image, watch) if path.suffix == ".pt" else self._by_session(path, image)
        return written(scored, rules)

    def close(self) -> None:
        self._open = None

    def _by_danbooru(self, path: Path, image: Image.Image, watch: Watch) -> list[tuple[str, float]]:
        opened = self._bench.get(path, TOOL, open_deep_danbooru)
        square = np.array(resize(flatten(image), OWN_SIDE, OWN_SIDE, FILL), dtype=np.float32) / 255
        pixels = torch.from_numpy(square).permute(2, 0, 1)[None]
        with self._bench.using(opened, TOOL, watch) as device, torch.inference_mode():
            scores = opened.run(pixels.to(device, next(opened.module.parameters()).dtype))[0].float().tolist()
        return [(name, score) for name, score in zip(opened.module.names, scores) if not name.startswith(RATES)]

    def _by_session(self, path: Path, image: Image.Image) -> list[tuple[str, float]]:
        if self._open is None or self._open[0] != path:
            self._open = (path, open_session(path), read_list(path.with_name(LIST)))
        _, session, names = self._open
        scores = run_one(session, prepared(image, side_of(session, SIDE)))[0]
        if len(scores) != len(names):
            raise BadModelFile(
                f"{path.name} knows {len(scores)} tags, and {LIST} beside it lists {len(names)}.",
                remedy="Take both files from the same download.", path=str(path),
            )  # fmt: skip
        return list(zip(names, scores))

    def _file(self) -> Path:
        """Pickles that may not be opened are passed over while there is another file."""
        found = list(self._files())
        own = [path for path in found if path.suffix == ".pt"]
        others = [path for path in found if path.suffix != ".pt"]
        if found:
            return next(iter((*own, *others) if self._bench.allow_pickle else (*others, *own)))
        folder = self._paths.models / FOLDERS[0]
        raise ModelMissing(
            "Tags need a model file that is not there.",
            remedy=f"Put model-resnet_custom_v3.pt of DeepDanbooru, or model.onnx and {LIST} of a WD14 tagger, into "
            f"{folder}, then try again.",
            folder=str(folder), file="model-resnet_custom_v3.pt",
        )  # fmt: skip

    def _files(self) -> Iterator[Path]:
        for kind in FOLDERS:
            for folder in self._paths.folders(kind):
                yield from sorted(folder.rglob("*.pt"))
                yield from (path for path in sorted(folder.rglob("*.onnx")) if path.with_name(LIST).is_file())


def read_list(path: Path) -> list[str]:
    """The tags in order; those that rate a picture are empty, since they describe nothing."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return ["" if row.get("category") == str(RATING) else row["name"] for row in rows if "name" in row]


def prepared(image: Image.Image, side: int) -> np.ndarray:  # [1, side, side, 3], blue first, 0..255
    flat = flatten(image)
    square = Image.new("RGB", (max(flat.size), max(flat.size)), "white")
    square.paste(flat, ((square.width - flat.width) // 2, (square.height - flat.height) // 2))
    small = square.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(small, dtype=np.float32)[None, :, :, ::-1].copy()


def written(scored: Sequence[tuple[str, float]], rules: TagRules) -> str:
    """As A1111 writes them: above the threshold, by name or by score."""
    kept = [(name, float(score)) for name, score in scored if name and score >= rules.threshold]
    kept = [(n, s) for n, s in kept if n.replace("_", " ") not in rules.left_out and n not in rules.left_out]
    kept.sort(key=(lambda t: t[0]) if rules.alphabetically else (lambda t: -t[1]))
    words = []
    for name, score in kept:
        word = name.replace("_", " ") if rules.spaces else name
        word = _BRACKETS.sub(r"\\\1", word) if rules.escape else word
        words.append(f"({word}:{score:.3f})" if rules.ranks else word)
    return ", ".join(words)
