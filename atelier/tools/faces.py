"""Face restorers: faces are found, turned upright, repaired by a network, and put back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from atelier.base.errors import AtelierError, ModelMissing, UnknownModel
from atelier.base.paths import Paths
from atelier.checkpoints.walk import walk
from atelier.tools.architectures import open_network
from atelier.tools.bench import Workbench
from atelier.tools.codeformer import open_codeformer
from atelier.tools.face_align import alignment, cut_out, put_back
from atelier.tools.face_detect import Face, open_detector
from atelier.tools.opened import Opened
from atelier.tools.watch import Watch

DETECTOR = "face-detection"
ENDINGS = (".safetensors", ".pth", ".pt", ".ckpt")


@dataclass(frozen=True)
class Restorer:
    """`kind` is its folder below models/, `file` the name under which its authors share it."""

    name: str
    kind: str
    file: str
    open: Callable[[Path, bool], Opened]
    #: (network, aligned face in -1..1, weight) -> the same, repaired
    repair: Callable[[Opened, torch.Tensor, float], torch.Tensor]


def _open_gan(path: Path, allow_pickle: bool) -> Opened:
    opened = open_network(path, allow_pickle)
    if opened.kind not in ("GFPGAN", "RestoreFormer"):
        raise UnknownModel(f"{path.name} does not restore faces.", remedy="Use GFPGANv1.4.pth.", path=str(path))
    return opened


def _repair_gan(opened: Opened, face: torch.Tensor, weight: float) -> torch.Tensor:
    if opened.kind == "GFPGAN":
        # Its noise is taken from the file and not drawn: the same face gives the same result.
        return opened.module(face, randomize_noise=False)[0]
    return opened.module(face)[0]


RESTORERS = (
    Restorer("CodeFormer", "Codeformer", "codeformer-v0.1.0.pth", open_codeformer,
             lambda opened, face, weight: opened.module(face, weight)),
    Restorer("GFPGAN", "GFPGAN", "GFPGANv1.4.pth", _open_gan, _repair_gan),
)  # fmt: skip


def _named(name: str) -> Restorer:
    found = next((r for r in RESTORERS if r.name.lower() == name.lower()), None)
    if found is None:
        raise UnknownModel(f"There is no face restorer {name}.", remedy="Choose CodeFormer or GFPGAN in Settings.")
    return found


class Faces:
    def __init__(self, paths: Paths, bench: Workbench) -> None:
        self._paths = paths
        self._bench = bench

    def find(self, image: Image.Image, watch: Watch) -> list[Face]:
        """The faces of a picture, the largest first. Raises `ModelMissing`."""
        path = self._file(DETECTOR, "mtcnn.safetensors", "the face detector")
        # Small networks in many small calls: they are quicker on the CPU than on their way to a device.
        return self._bench.get(path, "faces", open_detector).module.find(image, watch.check)

    def restore(self, name: str, image: Image.Image, weight: float, watch: Watch) -> Image.Image:
        """The picture with its faces repaired. Raises `ModelMissing`, `UnknownModel`, `Interrupted`."""
        restorer = _named(name)
        path = self._file(restorer.kind, restorer.file, restorer.name)
        faces = self.find(image, watch)
        tool = restorer.name.lower()
        opened = self._bench.get(path, tool, restorer.open)
        result = image
        for done, face in enumerate(faces):
            watch.check()
            matrix = alignment(face.points)
            repaired = self._repaired(restorer, opened, cut_out(image, matrix), weight, watch)
            result = put_back(result, repaired, matrix)
            watch.told(done + 1, len(faces))
        return result

    def missing(self, name: str) -> AtelierError | None:
        """Why a restorer cannot be used, or None when its files are there."""
        try:
            restorer = _named(name)
            self._file(restorer.kind, restorer.file, restorer.name)
            self._file(DETECTOR, "mtcnn.safetensors", "the face detector")
        except (ModelMissing, UnknownModel) as error:
            return error
        return None

    def listed(self) -> tuple[tuple[str, str], ...]:
        """Names and the folders in which their files belong."""
        return tuple((r.name, str(self._paths.models / r.kind)) for r in RESTORERS)

    def _repaired(
        self, restorer: Restorer, opened: Opened, face: Image.Image, weight: float, watch: Watch
    ) -> Image.Image:
        values = torch.from_numpy(np.asarray(face, dtype=np.float32).copy()).permute(2, 0, 1)[None] / 127.5 - 1

        def work() -> torch.Tensor:
            with self._bench.using(opened, restorer.name.lower(), watch, working=1 << 30) as device:
                dtype = next(opened.module.parameters()).dtype
                return restorer.repair(opened, values.to(device, dtype), weight).float().cpu()

        with torch.inference_mode():
            made = work() if watch.ladder is None else watch.ladder.run("upscale", work, watch.teller)
        pixels = ((made[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())

    def _file(self, kind: str, usual: str, what: str) -> Path:
        found = self._look(kind)
        if found is None:
            folder = self._paths.models / kind
            raise ModelMissing(
                f"{what} needs a model file that is not there.",
                remedy=f"Put {usual} into {folder}, then try again.", folder=str(folder), file=usual,
            )  # fmt: skip
        return found

    def _look(self, kind: str) -> Path | None:
        # A1111 keeps the networks of its own detector in the same folder.
        others = ("detection_", "parsing_", "dlib")
        for folder in self._paths.folders(kind):
            for path in walk(folder):
                if path.suffix.lower() in ENDINGS and not path.name.startswith(others):
                    return path
        return None
