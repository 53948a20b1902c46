"""Folders from the command line: the user's own, and those of other installations, used in place."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from atelier.base.errors import BadRequest
from atelier.base.paths import PROGRAM, Paths

# Kind of file -> folders below an A1111 or Forge installation.
A1111_FOLDERS = MappingProxyType({
    "checkpoint": ("models/Stable-diffusion",),
    "vae": ("models/VAE",),
    "lora": ("models/Lora", "models/LyCORIS"),
    "embedding": ("embeddings", "models/embeddings"),
    "hypernetwork": ("models/hypernetworks",),
    "ESRGAN": ("models/ESRGAN",),
    "RealESRGAN": ("models/RealESRGAN",),
    "SwinIR": ("models/SwinIR",),
    "DAT": ("models/DAT",),
    "GFPGAN": ("models/GFPGAN",),
    "Codeformer": ("models/Codeformer",),
    "ControlNet": ("models/ControlNet", "extensions/sd-webui-controlnet/models"),
    "ControlNetPreprocessor": ("models/ControlNetPreprocessor", "extensions/sd-webui-controlnet/annotator/downloads"),
    "adetailer": ("models/adetailer",),
    "text_encoder": ("models/text_encoder",),
})  # fmt: skip

# Kind of file -> ComfyUI's names, which are both its folders below models/ and the keys of extra_model_paths.yaml.
COMFY_FOLDERS = MappingProxyType({
    "checkpoint": ("checkpoints", "diffusion_models", "unet"),
    "vae": ("vae",),
    "lora": ("loras",),
    "embedding": ("embeddings",),
    "hypernetwork": ("hypernetworks",),
    "ESRGAN": ("upscale_models",),
    "ControlNet": ("controlnet",),
    "text_encoder": ("text_encoders", "clip"),
})  # fmt: skip

OPTION_KINDS = MappingProxyType({
    "ckpt_dir": "checkpoint", "vae_dir": "vae", "lora_dir": "lora", "lyco_dir": "lora", "embeddings_dir": "embedding",
    "hypernetwork_dir": "hypernetwork", "controlnet_dir": "ControlNet",
    "controlnet_preprocessor_models_dir": "ControlNetPreprocessor", "esrgan_models_path": "ESRGAN",
    "realesrgan_models_path": "RealESRGAN", "bsrgan_models_path": "BSRGAN", "swinir_models_path": "SwinIR",
    "scunet_models_path": "ScuNET", "ldsr_models_path": "LDSR", "dat_models_path": "DAT",
    "gfpgan_models_path": "GFPGAN", "codeformer_models_path": "Codeformer", "clip_models_path": "BLIP",
})  # fmt: skip


def paths_from(args: argparse.Namespace) -> Paths:
    """The folders that the options name. Raises `BadRequest` when --a1111-dir or --comfy-dir name no installation."""
    found: dict[str, list[Path]] = {}
    for name, kind in OPTION_KINDS.items():
        if given := getattr(args, name, None):
            found.setdefault(kind, []).append(Path(given))
    for home in getattr(args, "a1111_dir", None) or ():
        _add(found, a1111_folders(Path(home)))
    for home in getattr(args, "comfy_dir", None) or ():
        _add(found, comfy_folders(Path(home)))
    own = {kind: tuple(found.pop(kind, ())) for kind in ("checkpoint", "vae", "lora", "embedding", "hypernetwork")}
    models, settings = getattr(args, "models_dir", None), getattr(args, "ui_settings_file", None)
    return Paths(
        data=Path(args.data_dir) if getattr(args, "data_dir", None) else PROGRAM,
        models_dir=Path(models) if models else None,
        checkpoint_dirs=own["checkpoint"],
        vae_dirs=own["vae"],
        vae_file=_file(args, "vae_path"),
        checkpoint_file=_file(args, "ckpt"),
        model_config=_file(args, "config"),
        lora_dirs=own["lora"],
        embedding_dirs=own["embedding"],
        hypernetwork_dirs=own["hypernetwork"],
        styles_files=tuple(Path(p) for p in getattr(args, "styles_file", None) or ()),
        settings_file=Path(settings) if settings else None,
        extra={kind: tuple(folders) for kind, folders in found.items()},
    )


def _file(args: argparse.Namespace, name: str) -> Path | None:
    given = getattr(args, name, None)
    return Path(given) if given else None


def _add(found: dict[str, list[Path]], more: Mapping[str, Iterable[Path]]) -> None:
    for kind, folders in more.items():
        found.setdefault(kind, []).extend(folders)


def a1111_folders(home: Path) -> dict[str, list[Path]]:
    """The model folders that exist below an AUTOMATIC1111 or Forge installation."""
    return _require(
        {kind: [home / name for name in names if (home / name).is_dir()] for kind, names in A1111_FOLDERS.items()},
        "--a1111-dir", home, "models/Stable-diffusion",
    )  # fmt: skip


def comfy_folders(home: Path) -> dict[str, list[Path]]:
    """The model folders of a ComfyUI installation, with those that its extra_model_paths.yaml names."""
    found = {
        kind: [home / "models" / name for name in names if (home / "models" / name).is_dir()]
        for kind, names in COMFY_FOLDERS.items()
    }
    listing = home / "extra_model_paths.yaml"
    if listing.is_file():
        named = read_model_paths(listing.read_text("utf-8", "replace"), home)
        for kind, keys in COMFY_FOLDERS.items():
            found[kind] += [path for key in keys for path in named.get(key, ()) if path.is_dir()]
    return _require(found, "--comfy-dir", home, "models/checkpoints")


def _require(found: dict[str, list[Path]], flag: str, home: Path, example: str) -> dict[str, list[Path]]:
    if not any(found.values()):
        state = "has no model folders" if home.is_dir() else "does not exist"
        raise BadRequest(flag, f"{home} {state}.", remedy=f"Name the folder that holds {example}.")
    return {kind: folders for kind, folders in found.items() if folders}


def read_model_paths(text: str, home: Path) -> dict[str, list[Path]]:
    """Folders by key from an extra_model_paths.yaml: sections with an optional `base_path`, one path or a block each.

    Only the form that this file has is understood, since no YAML reader is at hand before the set-up.
    """
    sections: list[dict[str, list[str]]] = []
    key = ""
    for line in text.splitlines():
        line = re.sub(r"(^|\s)#.*$", "", line).rstrip()
        if not line.strip():
            continue
        entry = re.match(r"^(\s*)([\w-]+):\s*(.*)$", line)
        if entry and not entry[1]:
            sections.append({})
        elif entry and sections:
            key, value = entry[2], entry[3].strip().strip("\"'")
            sections[-1][key] = [] if value in ("", "|", ">", "|-") else [value]
        elif sections and key:
            sections[-1][key].append(line.strip().removeprefix("- ").strip("\"'"))
    found: dict[str, list[Path]] = {}
    for section in sections:
        base = home / Path((section.pop("base_path", None) or ["."])[0]).expanduser()
        section.pop("is_default", None)
        for name, folders in section.items():
            found.setdefault(name, []).extend(base / folder for folder in folders if folder)
    return found
