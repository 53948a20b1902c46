"""Toolbox: the tools that work on finished pictures, on one device, each opened when it is first needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from atelier.base.errors import AtelierError, NotFound
from atelier.base.paths import Paths
from atelier.device.residency import Residency
from atelier.tools.background import Background
from atelier.tools.bench import Workbench
from atelier.tools.caption import Captioner, CaptionRules
from atelier.tools.faces import Faces
from atelier.tools.model_upscaler import model_upscalers
from atelier.tools.tags import Tagger, TagRules
from atelier.tools.upscale import Upscaler
from atelier.tools.watch import Watch

#: what `describe` may be asked for
DESCRIBERS = ("clip", "deepdanbooru", "blip")


@dataclass(frozen=True)
class DescribeRules:
    captions: CaptionRules = CaptionRules()
    tags: TagRules = TagRules()


class Toolbox:
    """Made with the services; the engine then tells it the precision and the command line."""

    def __init__(self, paths: Paths, residency: Residency) -> None:
        self.paths = paths
        self._set_up(Workbench(residency))

    def equip(self, dtype: torch.dtype, arguments: Mapping[str, Any]) -> None:
        self._set_up(Workbench(self.bench.residency, dtype, arguments))

    def _set_up(self, bench: Workbench) -> None:
        self.bench = bench
        self.faces = Faces(self.paths, bench)
        self.captioner = Captioner(self.paths, bench)
        self.tagger = Tagger(self.paths, bench)
        self.background = Background(self.paths)

    @property
    def allow_pickle(self) -> bool:
        return self.bench.allow_pickle

    @allow_pickle.setter
    def allow_pickle(self, allowed: bool) -> None:
        self.bench.allow_pickle = allowed

    def upscalers(self) -> Iterator[Upscaler]:
        """One for each file that is there now."""
        return model_upscalers(self.paths, self.bench)

    def face_restorers(self) -> tuple[tuple[str, str], ...]:
        """Names and the folders in which their files belong."""
        return self.faces.listed()

    def face_centres(self, image: Image.Image, watch: Watch) -> list[tuple[float, float, float]]:
        """(x, y, size) of every face."""
        return [face.centre for face in self.faces.find(image, watch)]

    def restore_faces(self, name: str, image: Image.Image, weight: float, watch: Watch) -> Image.Image:
        """`name` is CodeFormer or GFPGAN. Raises `ModelMissing`."""
        return self.faces.restore(name, image, weight, watch)

    def missing_restorer(self, name: str) -> AtelierError | None:
        """Why a face restorer cannot be used, or None."""
        return self.faces.missing(name)

    def foreground(self, image: Image.Image, watch: Watch) -> Image.Image:
        """What is in front, as a mask. Raises `ModelMissing`."""
        return self.background.mask(image, watch)

    def describe(self, image: Image.Image, model: str, rules: DescribeRules, watch: Watch) -> str:
        """`model` is clip, blip or deepdanbooru. Raises `ModelMissing`, `NotFound`."""
        if model == "deepdanbooru":
            return self.tagger.tags(image, rules.tags, watch)
        if model == "blip":
            return self.captioner.caption(image, rules.captions, watch)
        if model == "clip":
            return self.captioner.interrogate(image, rules.captions, watch)
        raise NotFound(f"There is no model {model!r} for descriptions.", remedy=f"Use {', '.join(DESCRIBERS)}.")

    def close(self) -> None:
        self.background.close()
        self.tagger.close()
        self.bench.close()
