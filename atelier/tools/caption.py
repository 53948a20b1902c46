"""Captions: a picture in a sentence by BLIP, and by CLIP the words of lists that fit it best."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError

from atelier.base.errors import BadModelFile, ModelMissing
from atelier.base.log import fields, logger
from atelier.base.paths import Paths
from atelier.checkpoints.reader import read_state_dict
from atelier.tools.bench import Workbench
from atelier.tools.opened import Opened
from atelier.tools.watch import Watch

log = logger(__name__)

_NETWORK = "BlipForConditionalGeneration"
BLIP, CLIP, LISTS = "BLIP", "CLIP", "interrogate"
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_SPREAD = (0.26862954, 0.26130258, 0.27577711)
_TOP = re.compile(r"\.top(\d+)$")
#: names in BLIP's own file -> those of the transformers package (its conversion script, Apache-2.0)
_RENAMED = (
    (r"^visual_encoder\.blocks\.", "vision_model.encoder.layers."),
    (r"^visual_encoder\.norm\.", "vision_model.post_layernorm."),
    (r"^visual_encoder\.patch_embed\.proj\.", "vision_model.embeddings.patch_embedding."),
    (r"^visual_encoder\.pos_embed$", "vision_model.embeddings.position_embedding"),
    (r"^visual_encoder\.cls_token$", "vision_model.embeddings.class_embedding"),
    (r"\.attn\.proj\.", ".self_attn.projection."), (r"\.attn\.qkv\.", ".self_attn.qkv."),
    (r"(vision_model.*)\.norm([12])\.", r"\1.layer_norm\2."),
)  # fmt: skip


@dataclass(frozen=True)
class CaptionRules:
    """A1111's settings for captions. `lines` is the most that are read of a list, 0 all."""

    beams: int = 1
    least: int = 24
    most: int = 48
    lines: int = 1500
    ranks: bool = False


class Captioner:
    """Networks come from folders as the transformers package writes them, or BLIP's own file with its vocabulary."""

    def __init__(self, paths: Paths, bench: Workbench) -> None:
        self._paths = paths
        self._bench = bench
        self._words: dict[Path, Any] = {}

    def caption(self, image: Image.Image, rules: CaptionRules, watch: Watch) -> str:
        """A sentence. Raises `ModelMissing`, `BadModelFile`."""
        watch.check()
        path = self._file(BLIP)
        opened = self._bench.get(path, "interrogate", open_blip)
        words = self._tokenizer(path, "BertTokenizer")
        side = opened.module.config.vision_config.image_size
        with self._bench.using(opened, "interrogate", watch) as device, torch.inference_mode():
            dtype = next(opened.module.parameters()).dtype
            made = opened.module.generate(
                pixel_values=pixels_of(image, side).to(device, dtype), num_beams=rules.beams,
                min_length=min(rules.least, rules.most), max_length=rules.most,
            )  # fmt: skip
        return words.decode(made[0], skip_special_tokens=True).strip()

    def interrogate(self, image: Image.Image, rules: CaptionRules, watch: Watch) -> str:
        """The caption, then the best of each list in the folder interrogate, where CLIP and lists are there."""
        text = self.caption(image, rules, watch)
        folders = dict.fromkeys((self._paths.data / LISTS, self._paths.program / LISTS))
        lists = [path for folder in folders for path in sorted(folder.glob("*.txt"))]
        clip = self._look(CLIP)
        if not lists or clip is None:
            return text
        opened = self._bench.get(clip, "interrogate", open_clip)
        found = [text]
        for done, path in enumerate(lists):
            watch.check()
            lines = [line.strip() for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
            best = self._best(opened, clip, image, lines[: rules.lines or None], path.stem, watch)
            found += [f"({word}:{score:.3f})" if rules.ranks else word for word, score in best]
            watch.told(done + 1, len(lists))
        return ", ".join(part for part in found if part)

    def _best(
        self, opened: Opened, path: Path, image: Image.Image, lines: list[str], name: str, watch: Watch
    ) -> list[tuple[str, float]]:
        count = int(match.group(1)) if (match := _TOP.search(name)) else 1
        if not lines:
            return []
        words = self._tokenizer(path, "CLIPTokenizer")
        side = opened.module.config.vision_config.image_size
        with self._bench.using(opened, "interrogate", watch) as device, torch.inference_mode():
            dtype = next(opened.module.parameters()).dtype
            tokens = words(lines, padding=True, truncation=True, return_tensors="pt").to(device)
            answer = opened.module(pixel_values=pixels_of(image, side).to(device, dtype), **tokens)
        scores = answer.logits_per_image[0].float().softmax(dim=-1).cpu()
        top = scores.topk(min(count, len(lines)))
        return [(lines[i], float(s) * 100) for s, i in zip(top.values, top.indices)]

    def _tokenizer(self, path: Path, kind: str) -> Any:
        folder = path if path.is_dir() else path.parent
        if folder not in self._words:
            # Without its files the package makes a tokenizer that knows no word.
            if not any((folder / name).is_file() for name in ("vocab.txt", "vocab.json", "tokenizer.json")):
                raise _no_vocabulary(path, folder)
            try:
                self._words[folder] = _transformers(kind).from_pretrained(str(folder), local_files_only=True)
            except (OSError, ValueError, TypeError) as error:
                raise _no_vocabulary(path, folder) from error
        return self._words[folder]

    def _file(self, kind: str) -> Path:
        found = self._look(kind)
        if found is None:
            folder = self._paths.models / kind
            raise ModelMissing(
                "Captions need a model that is not there.",
                remedy=f"Put the folder of a BLIP model (config.json, model.safetensors, vocab.txt) into {folder}, or "
                "model_base_caption_capfilt_large.pth with its vocab.txt.",
                folder=str(folder), file="model_base_caption_capfilt_large.pth",
            )  # fmt: skip
        return found

    def _look(self, kind: str) -> Path | None:
        """A folder with a config.json, else a file with weights."""
        for folder in self._paths.folders(kind):
            for place in (folder, *sorted(p for p in folder.glob("*") if p.is_dir())):
                if (place / "config.json").is_file():
                    return place
            weights = sorted(p for p in folder.glob("*") if p.suffix in (".pth", ".safetensors"))
            if weights:
                return weights[0]
        return None


def _no_vocabulary(path: Path, folder: Path) -> BadModelFile:
    return BadModelFile(
        f"The vocabulary beside {path.name} is missing or cannot be read.",
        remedy=f"Put vocab.txt (BLIP) or the tokenizer's files (CLIP) into {folder}.", path=str(path),
    )  # fmt: skip


def _transformers(name: str) -> Any:
    """A class of the transformers package, imported when it is needed: an engine without captions starts sooner."""
    return getattr(importlib.import_module("transformers"), name)


def open_blip(path: Path, allow_pickle: bool) -> Opened:
    if path.is_dir():
        return _from_folder(path, _NETWORK, "BLIP")
    with torch.device("meta"):
        network = _transformers(_NETWORK)(_transformers("BlipConfig")())
    state = blip_names(read_state_dict(path, allow_pickle))
    wanted = network.state_dict()
    lacking = [name for name in wanted if name not in state]
    if len(lacking) > len(wanted) // 10:
        raise BadModelFile(f"{path.name} is not a BLIP for captions.", remedy="Use a caption model.", path=str(path))
    # What remains are buffers that are counted out, and a bias that is shared with another.
    network = _transformers(_NETWORK)(_transformers("BlipConfig")())
    network.load_state_dict({k: v.float() for k, v in state.items() if k in wanted}, strict=False)
    log.info("captioner opened: %s", fields(file=path.name, left=len(lacking)))
    return Opened(network.eval(), "BLIP", half=False)


def open_clip(path: Path, allow_pickle: bool) -> Opened:
    return _from_folder(path, "CLIPModel", "CLIP")


def _from_folder(path: Path, kind: str, word: str) -> Opened:
    try:
        network = _transformers(kind).from_pretrained(str(path), local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadModelFile(f"The folder {path.name} is no {word}: {reason}", remedy="Copy it again.") from error
    return Opened(network.eval(), word, half=False)


def blip_names(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of BLIP's own file under the names of the transformers package."""
    found = {}
    for name, tensor in state.items():
        for pattern, new in _RENAMED:
            name = re.sub(pattern, new, name)
        found[name] = tensor
    return found


def pixels_of(image: Image.Image, side: int) -> torch.Tensor:  # [1, 3, side, side]
    small = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    values = torch.from_numpy(np.asarray(small, dtype=np.float32).copy() / 255)
    return ((values - torch.tensor(_MEAN)) / torch.tensor(_SPREAD)).permute(2, 0, 1)[None]
