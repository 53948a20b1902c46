"""`modules.extras`: parameters of a picture, and checkpoints merged, under A1111's names."""

from __future__ import annotations

import html
import importlib
import json
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from atelier.base.cancel import CancelToken
from atelier.base.errors import BadRequest
from atelier.params.merging import CONFIGS, NONE
from modules._host.attach import host
from modules._host.checkpoints import CheckpointInfo, checkpoint_tiles
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


def run_modelmerger(
    id_task: Any, primary_model_name: str, secondary_model_name: str, tertiary_model_name: str, interp_method: str,
    multiplier: float, save_as_half: bool, custom_name: str, checkpoint_format: str, config_source: int,
    bake_in_vae: str, discard_weights: str, save_metadata: bool, add_merge_recipe: bool, copy_metadata_fields: bool,
    metadata_json: str,
) -> list[Any]:  # fmt: skip
    """Updates of four lists of checkpoints, and what became of it in words. A name that does not fit is told there."""
    asked = {
        "primary_model_name": primary_model_name or "", "secondary_model_name": secondary_model_name or "",
        "tertiary_model_name": tertiary_model_name or "", "interp_method": interp_method,
        "interp_amount": float(multiplier), "save_as_half": bool(save_as_half), "custom_name": custom_name or "",
        "checkpoint_format": checkpoint_format, "config_method": CONFIGS[int(config_source)],
        "bake_in_vae": bake_in_vae or NONE, "discard_weights": discard_weights or "", "save_metadata": save_metadata,
        "add_merge_recipe": add_merge_recipe, "copy_metadata_fields": copy_metadata_fields,
        "metadata": json.loads(metadata_json or "{}"),
    }  # fmt: skip
    try:
        told = f"Checkpoint saved to {_merged(asked)['path']}"
    except BadRequest as error:
        told = str(error)
    return [*({"choices": checkpoint_tiles(), "__type__": "update"} for _ in range(4)), told]


def _merged(asked: dict[str, Any]) -> dict[str, Any]:
    """Named and not imported: doors must be importable without torch."""
    home = host()
    work = importlib.import_module("atelier.pipeline.work").Work
    merge = importlib.import_module("atelier.pipeline.merging").merge_checkpoints
    with home.lease():
        return merge(work(asked, home.engine_services(), home.settings.snapshot(), CancelToken(), home.app.bus.publish))


def create_config(ckpt_result: str, config_source: int, a: Any, b: Any, c: Any) -> None:
    """Copies the configuration beside the first of the chosen checkpoints that has one to beside the result."""
    chosen = SOURCES[config_source] if 0 <= config_source < len(SOURCES) else ()
    for place in chosen:
        info: CheckpointInfo | None = (a, b, c)[place]
        config = Path(info.filename).with_suffix(".yaml") if info is not None else None
        if config is not None and config.is_file():
            shutil.copyfile(config, Path(ckpt_result).with_suffix(".yaml"))
            return
