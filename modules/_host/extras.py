"""`modules.extras`: parameters of a picture, and the configuration of a merged checkpoint, under A1111's names."""

from __future__ import annotations

import html
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from modules._host.checkpoints import CheckpointInfo
from modules._host.images import read_info_from_image

#: what `config_source` counts: A, B or C; B; C; none
SOURCES = ((0, 1, 2), (1,), (2,), ())


def run_pnginfo(image: Image.Image | None) -> tuple[str, str, str]:
    """("", parameters, all texts as HTML)."""
    if image is None:
        return "", "", ""
    info, items = read_info_from_image(image)
    texts = {"parameters": info, **items} if info else items
    shown = "".join(f"<div><p><b>{html.escape(k)}</b></p><p>{html.escape(str(v))}</p></div>" for k, v in texts.items())
    return "", info or "", shown or "<div><p>Nothing found in the image.</p></div>"


def create_config(ckpt_result: str, config_source: int, a: Any, b: Any, c: Any) -> None:
    """Copies the configuration beside the first of the chosen checkpoints that has one to beside the result."""
    chosen = SOURCES[config_source] if 0 <= config_source < len(SOURCES) else ()
    for place in chosen:
        info: CheckpointInfo | None = (a, b, c)[place]
        config = Path(info.filename).with_suffix(".yaml") if info is not None else None
        if config is not None and config.is_file():
            shutil.copyfile(config, Path(ckpt_result).with_suffix(".yaml"))
            return
