"""A1111's classes of upscalers, face restorers and describers, over the engine's tools."""

from __future__ import annotations

import contextlib
import importlib
import re
from typing import Any

import numpy as np
from PIL import Image

from atelier.params.settings import SettingsSnapshot
from modules._host.attach import host
from modules._host.shared_pieces import UpscalerData as UpscalerData

LANCZOS = Image.Resampling.LANCZOS
NEAREST = Image.Resampling.NEAREST
re_special = re.compile(r"([\\()])")


class Upscaler:
    """What an extension's upscaler inherits from: it overrides `do_upscale`, which enlarges by the model's factor."""

    name: str | None = None
    model_path: str | None = None
    model_name: str | None = None
    model_url: str | None = None
    enable = True
    scale = 1
    filter: Any = None
    model: Any = None
    user_path: str | None = None
    scalers: list[Any]

    def __init__(self, create_dirs: bool = False) -> None:
        self.mod_pad_h: int | None = None
        self.tile_size = host().options.ESRGAN_tile
        self.tile_pad = host().options.ESRGAN_tile_overlap
        self.scalers = []

    def do_upscale(self, img: Image.Image, selected_model: str) -> Image.Image:
        return img

    def upscale(self, img: Image.Image, scale: float, selected_model: str | None = None) -> Image.Image:
        """At most three times, then to the exact size, cut down to multiples of 8."""
        width, height = int(img.width * scale) // 8 * 8, int(img.height * scale) // 8 * 8
        for _ in range(3):
            if img.width >= width and img.height >= height:
                break
            before = img.size
            img = self.do_upscale(img, selected_model or "")
            if img.size == before:
                break
        return img if img.size == (width, height) else img.resize((width, height), LANCZOS)

    def load_model(self, path: str) -> Any:
        return None

    def find_models(self, ext_filter: Any = None) -> list[str]:
        return []


class UpscalerNone(Upscaler):
    name = "None"


class UpscalerLanczos(Upscaler):
    name = "Lanczos"

    def do_upscale(self, img: Image.Image, selected_model: str | None = None) -> Image.Image:
        return img.resize((img.width * self.scale, img.height * self.scale), LANCZOS)


class UpscalerNearest(Upscaler):
    name = "Nearest"

    def do_upscale(self, img: Image.Image, selected_model: str | None = None) -> Image.Image:
        return img.resize((img.width * self.scale, img.height * self.scale), NEAREST)


class FaceRestoration:
    """What an extension's restorer inherits from; pictures are arrays of bytes, [H, W, 3]."""

    def name(self) -> str:
        return "None"

    def restore(self, np_image: np.ndarray) -> np.ndarray:
        return np_image


class ToolRestorer(FaceRestoration):
    """One of the engine's restorers. Raises `ModelMissing` when its file is not there."""

    def __init__(self, name: str) -> None:
        self._name = name

    def name(self) -> str:
        return self._name

    def restore(self, np_image: np.ndarray, w: float | None = None) -> np.ndarray:
        weight = host().options.code_former_weight if w is None else w
        image = Image.fromarray(np.asarray(np_image, dtype=np.uint8))
        with _device():
            return np.asarray(_tools().restore_faces(self._name, image, float(weight), _watch()))


def face_restorers() -> list[FaceRestoration]:
    return [ToolRestorer("CodeFormer"), ToolRestorer("GFPGAN")]


def restore_faces(np_image: np.ndarray) -> np.ndarray:
    """By the restorer that the settings name; without its file the picture stays as it is, as in A1111."""
    name = host().options.face_restoration_model
    if name in (None, "", "None") or _tools().missing_restorer(name) is not None:
        return np_image
    return ToolRestorer(name).restore(np_image)


def gfpgan_fix_faces(np_image: np.ndarray) -> np.ndarray:
    return ToolRestorer("GFPGAN").restore(np_image)


codeformer = ToolRestorer("CodeFormer")
gfpgan_face_restorer = ToolRestorer("GFPGAN")


def setup_model(dirname: str = "") -> None:
    """Files are found by the engine when they are needed."""


class InterrogateModels:
    """`shared.interrogator`. Raises `ModelMissing` when a model's file is not there."""

    def __init__(self, content_dir: str = "") -> None:
        self.content_dir = content_dir

    def load(self) -> None:
        """Models are opened when they are needed, and the last two stay open."""

    unload = send_blip_to_ram = send_clip_to_ram = load

    def interrogate(self, pil_image: Image.Image) -> str:
        return _described(pil_image, "clip")

    def generate_caption(self, pil_image: Image.Image) -> str:
        return _described(pil_image, "blip")


class DeepDanbooru:
    """`modules.deepbooru.model`."""

    model: Any = None

    def load(self) -> None:
        """Opened when it is needed."""

    start = stop = load

    def tag(self, pil_image: Image.Image) -> str:
        return _described(pil_image, "deepdanbooru")

    def tag_multi(self, pil_image: Image.Image, force_disable_ranks: bool = False) -> str:
        return self.tag(pil_image)


model = DeepDanbooru()
interrogator = InterrogateModels()


def _described(image: Image.Image, name: str) -> str:
    from_engine = host().engine_services()
    rules = _module("atelier.pipeline.describe").rules_of(_settings())
    with _device():
        return from_engine.tools.describe(image, name, rules, _watch())


def _tools() -> Any:
    return host().engine_services().tools


def _settings() -> SettingsSnapshot:
    run = host().tickets.run
    return run.settings if run is not None else host().settings.snapshot()


def _watch() -> Any:
    # Named and not imported: the server side must not load torch for this.
    return _module("atelier.tools.watch").Watch()


def _module(name: str) -> Any:
    return importlib.import_module(name)


def _device() -> Any:
    """Inside of a run the device is ours already; on any other thread it is waited for."""
    return contextlib.nullcontext() if host().tickets.run is not None else host().lease()
