"""Model upscalers: the files in the folders of A1111, each an upscaler that works in tiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from atelier.base.log import fields, logger
from atelier.base.paths import Paths
from atelier.checkpoints.walk import natural, walk
from atelier.imaging.resize import lanczos
from atelier.tools.architectures import open_network
from atelier.tools.bench import Workbench
from atelier.tools.opened import Opened
from atelier.tools.tiles import in_tiles
from atelier.tools.upscale import UNWATCHED, Upscaler
from atelier.tools.watch import Watch

log = logger(__name__)

#: folders below models/, as A1111 and its extensions call them
FOLDERS = ("ESRGAN", "RealESRGAN", "BSRGAN", "SwinIR", "ScuNET", "DAT", "HAT", "upscale_models")
ENDINGS = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")
TOOL = "esrgan"
#: files that A1111 downloads, and the names under which it lists them
A1111_NAMES = MappingProxyType({
    "realesrgan_x4plus": "R-ESRGAN 4x+", "realesrgan_x4plus_anime_6b": "R-ESRGAN 4x+ Anime6B",
    "realesrgan_x2plus": "R-ESRGAN 2x+", "realesr-general-x4v3": "R-ESRGAN General 4xV3",
    "realesr-general-wdn-x4v3": "R-ESRGAN General WDN 4xV3", "realesr-animevideov3": "R-ESRGAN AnimeVideo",
    "esrgan": "ESRGAN_4x", "dat_x2": "DAT x2", "dat_x3": "DAT x3", "dat_x4": "DAT x4",
    "scunet_color_real_gan": "ScuNET GAN", "scunet_color_real_psnr": "ScuNET PSNR",
    "003_realsr_bsrgan_dfowmfc_s64w8_swinir-l_x4_gan": "SwinIR_4x",
})  # fmt: skip
#: how often a model may be applied to reach a size
PASSES = 3
_SCALE = re.compile(r"(\d)x|x(\d)", re.IGNORECASE)


def model_upscalers(paths: Paths, bench: Workbench) -> Iterator[Upscaler]:
    """One upscaler for each file, in natural order. No weights are read; the scale is told by the name, else 4."""
    seen: set[str] = {"none", "lanczos", "nearest", "bicubic"}
    for path in _files(paths):
        name = A1111_NAMES.get(path.stem.lower(), path.stem)
        if name.lower() in seen:
            log.warning("left out, another upscaler has this name: %s", fields(path=path))
            continue
        seen.add(name.lower())
        work = _ModelUpscaler(path, bench)
        yield Upscaler(name, work.enlarge, named_scale(path.stem), path.stem, str(path), work.watched)


def _files(paths: Paths) -> list[Path]:
    found: dict[Path, None] = {}
    for kind in FOLDERS:
        for folder in paths.folders(kind):
            files = (p for p in walk(folder) if p.is_file() and p.suffix.lower() in ENDINGS)
            found.update(dict.fromkeys(sorted(files, key=lambda p: natural(p.name))))
    return list(found)


def named_scale(name: str) -> float:
    match = _SCALE.search(name)
    factor = int(match.group(1) or match.group(2)) if match else 4
    return float(factor or 4)


class _ModelUpscaler:
    def __init__(self, path: Path, bench: Workbench) -> None:
        self._path = path
        self._bench = bench

    def enlarge(self, image: Image.Image, width: int, height: int) -> Image.Image:
        return self.watched(image, width, height, UNWATCHED)

    def watched(self, image: Image.Image, width: int, height: int, watch: Watch) -> Image.Image:
        """The model is applied until the size is reached, at most three times; then the picture is resized to it."""
        alpha = image.getchannel("A") if "A" in image.getbands() else None
        current = image.convert("RGB")
        opened = self._bench.get(self._path, TOOL, open_network)
        for _ in range(PASSES):
            if current.width >= width and current.height >= height:
                break
            before = current.size
            current = through_network(current, opened, self._bench, watch)
            if current.size == before:
                break
        current = lanczos(current, width, height)
        if alpha is not None:
            current.putalpha(lanczos(alpha, width, height))
        return current


def through_network(image: Image.Image, opened: Opened, bench: Workbench, watch: Watch) -> Image.Image:
    """One pass of a picture through a network, in tiles. Raises `Interrupted`, `OutOfMemory`."""
    side, overlap = watch.tile(opened.kind)
    pixels = to_tensor(image, opened.channels)

    def work() -> torch.Tensor:
        limit = watch.ladder.limits.tile_tools if watch.ladder is not None else None
        now = side if limit is None else min(side or limit, limit)
        working = _working(opened, image, now)
        with bench.using(opened, TOOL, watch, working) as device:
            return in_tiles(pixels, lambda tile: _call(opened, tile, device), opened.scale, (now, overlap), watch)

    with torch.inference_mode():
        result = work() if watch.ladder is None else watch.ladder.run("upscale", work, watch.teller)
    return to_image(result)


def _call(opened: Opened, tile: torch.Tensor, device: torch.device) -> torch.Tensor:  # [1, C, h, w]
    height, width = tile.shape[-2:]
    down, right = -height % opened.multiple, -width % opened.multiple
    if down or right:
        tile = F.pad(tile, (0, right, 0, down), mode="replicate")
    weight = next(opened.module.parameters(), None)
    result = opened.run(tile.to(device, torch.float32 if weight is None else weight.dtype))
    result = result[:, :, : height * opened.scale, : width * opened.scale].clamp(0, 1)
    return result.expand(-1, 3, -1, -1) if result.shape[1] == 1 else result


def to_tensor(image: Image.Image, channels: int = 3) -> torch.Tensor:  # [1, C, H, W] in 0..1
    values = np.asarray(image.convert("L" if channels == 1 else "RGB"), dtype=np.float32) / 255
    tensor = torch.from_numpy(values)
    return tensor[None, None] if channels == 1 else tensor.permute(2, 0, 1)[None]


def to_image(pixels: torch.Tensor) -> Image.Image:  # [1, 3, H, W] in 0..1
    values = (pixels[0].clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())


def _working(opened: Opened, image: Image.Image, side: int) -> int:
    """Bytes that one tile takes beside the weights: a rule of thumb, not measured on GPUs."""
    tall, wide = (min(length, side) if side else length for length in (image.height, image.width))
    return tall * wide * 64 * 4 * (8 + 2 * opened.scale**2)
