"""Background removal: what a picture shows in front, as a mask, by a network of the kind of U2-Net or ISNet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from atelier.base.errors import ModelMissing
from atelier.base.paths import Paths
from atelier.tools.onnx import Session, open_session, run_one, side_of
from atelier.tools.watch import Watch

FOLDER = "background"
#: of U2-Net, whose pictures have 320 pixels a side: what it was trained with
_MEAN, _SPREAD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
U2NET_SIDE, ISNET_SIDE = 320, 1024


class Background:
    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._session: Session | None = None
        self._path: Path | None = None

    def mask(self, image: Image.Image, watch: Watch) -> Image.Image:
        """White in front, black behind, of the picture's size. Raises `ModelMissing`, `BadModelFile`."""
        watch.check()
        path = self._file()
        if self._session is None or self._path != path:
            self._session, self._path = open_session(path), path
        return foreground(self._session, image)

    def close(self) -> None:
        self._session = None

    def _file(self) -> Path:
        for folder in self._paths.folders(FOLDER):
            found = sorted(folder.glob("*.onnx")) if folder.is_dir() else []
            if found:
                return found[0]
        folder = self._paths.models / FOLDER
        raise ModelMissing(
            "Removing the background needs a model file that is not there.",
            remedy=f"Put isnet-general-use.onnx or u2net.onnx into {folder}, then try again.",
            folder=str(folder), file="isnet-general-use.onnx",
        )  # fmt: skip


def foreground(session: Session, image: Image.Image) -> Image.Image:
    side = side_of(session, ISNET_SIDE)
    small = image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    values = np.asarray(small, dtype=np.float32)
    if side <= U2NET_SIDE:
        values = (values / max(1.0, values.max()) - _MEAN) / _SPREAD
    else:
        values = values / 255 - 0.5
    found = run_one(session, values.transpose(2, 0, 1)[None].astype(np.float32))
    mask = np.asarray(found, dtype=np.float32).reshape(-1, side, side)[0]
    low, high = float(mask.min()), float(mask.max())
    # These networks give scores; the strongest is certainly in front. A flat answer says nothing of a background.
    mask = (mask - low) / (high - low) if high - low > 1e-6 else np.ones_like(mask)
    return Image.fromarray((mask * 255).round().astype(np.uint8)).resize(image.size, Image.Resampling.LANCZOS)
