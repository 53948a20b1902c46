"""A model as a folder in diffusers layout: model_index.json and one folder for each component."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    DPTConfig,
    DPTForDepthEstimation,
)

from atelier.base.errors import BadModelFile, UnknownModel
from atelier.checkpoints.fill import Source
from atelier.checkpoints.header import TensorInfo
from atelier.checkpoints.reader import read_header
from atelier.families.family import Blueprint, Component, Family
from atelier.families.latent import LatentSpace
from atelier.families.sd1 import SD1, latent_space
from atelier.families.sd2 import SD2
from atelier.families.sdxl import SDXL
from atelier.families.sdxl_refiner import SDXL_REFINER
from atelier.families.unclip import NoiseStatistics
from atelier.families.variants import VARIANTS
from atelier.sampling.prediction import Prediction

INDEX = "model_index.json"
REMEDY = "Copy the whole folder again."
PIPELINES = ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline",
             "StableDiffusionInpaintPipelineLegacy", "StableDiffusionDepth2ImgPipeline",
             "StableDiffusionInstructPix2PixPipeline", "StableUnCLIPImg2ImgPipeline", "LatentConsistencyModelPipeline",
             "LatentConsistencyModelImg2ImgPipeline")  # fmt: skip
#: with two text encoders, or with the second alone: the refiner
XL_PIPELINES = ("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline",
                "StableDiffusionXLInstructPix2PixPipeline")  # fmt: skip
#: names of the file with weights in a component's folder, the full precision first
WEIGHTS = ("diffusion_pytorch_model.safetensors", "model.safetensors", "diffusion_pytorch_model.fp16.safetensors",
           "model.fp16.safetensors", "diffusion_pytorch_model.bin", "pytorch_model.bin")  # fmt: skip


def is_model_folder(path: Path) -> bool:
    return (path / INDEX).is_file()


def open_folder(path: Path, allow_pickle: bool = False) -> tuple[Family, Blueprint, dict[str, Source]]:
    """Raises `UnknownModel` for a pipeline of another family, `BadModelFile` for missing or damaged parts."""
    kind = str(_json(path / INDEX).get("_class_name"))
    if kind not in (*PIPELINES, *XL_PIPELINES):
        raise UnknownModel(
            f"{path.name} is a folder for {kind}, which this version cannot run.",
            path=str(path), closest=SD1.name, missing=[],
        )  # fmt: skip
    unet, vae = _json(path / "unet" / "config.json"), _json(path / "vae" / "config.json")
    channels = int(unet.get("in_channels", 4))
    if channels not in VARIANTS:
        raise UnknownModel(f"{path.name} has {channels} input channels, which this version cannot run.", path=str(path))
    components = {
        "unet": Component("unet", lambda: _made(UNet2DConditionModel, unet), _same, ("",)),
        "vae": Component("vae", lambda: _made(AutoencoderKL, vae), _same, ("",)),
    }
    family, places = SD2 if unet.get("use_linear_projection") else SD1, {"text_encoder": "text_encoder"}
    if kind in XL_PIPELINES:
        both = (path / "text_encoder").is_dir()
        family = SDXL if both else SDXL_REFINER
        places = {**places, "text_encoder_2": "text_encoder_2"} if both else {"text_encoder": "text_encoder_2"}
    for name, place in places.items():
        components[name] = _encoder(name, _json(path / place / "config.json"), place == "text_encoder_2")
    if kind == "StableUnCLIPImg2ImgPipeline":
        components |= _picture_parts(path)
        places = {**places, "noise_statistics": "image_normalizer"}
    if (path / "depth_estimator").is_dir():
        eye = _json(path / "depth_estimator" / "config.json")
        components["depth"] = Component("depth", lambda: DPTForDepthEstimation(DPTConfig(**eye)), _same, ("",))
        places = {**places, "depth": "depth_estimator"}
    sources = {name: _source(path / places.get(name, name), name, allow_pickle) for name in components}
    blueprint = Blueprint(components, _prediction(path), _latent(family, vae), channels, VARIANTS[channels])
    return family, blueprint, sources


def _encoder(name: str, config: dict[str, Any], projected: bool) -> Component:
    kind = CLIPTextModelWithProjection if projected else CLIPTextModel
    return Component(name, lambda: kind(CLIPTextConfig(**config)), _same, ("",))


def _latent(family: Family, vae: dict[str, Any]) -> LatentSpace:
    """The scale is the autoencoder's own word, else the family's."""
    scale = float(vae.get("scaling_factor", family.latent.scale))
    space = latent_space(vae["block_out_channels"], int(vae.get("latent_channels", 4)), scale)
    return replace(space, preview=family.latent.preview) if space.preview else space


def _picture_parts(path: Path) -> dict[str, Component]:
    """What an image variation model has beside the rest: an eye, and the scale of what it sees."""
    config = _json(path / "image_encoder" / "config.json")
    width = int(config["projection_dim"])
    return {
        "image_encoder": Component(
            "image_encoder", lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(**config)), _same, ("",)
        ),
        "noise_statistics": Component("noise_statistics", lambda: NoiseStatistics(width), _same, ("",)),
    }


def _made(kind: Any, config: dict[str, Any]) -> nn.Module:
    return kind.from_config(config)


def _same(names: Iterable[str]) -> dict[str, str]:
    return {name: name for name in names}


def _json(path: Path) -> dict[str, Any]:
    try:
        parsed = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadModelFile(f"{path} is missing or damaged.", remedy=REMEDY, path=str(path)) from error
    if not isinstance(parsed, dict):
        raise BadModelFile(f"{path} is damaged.", remedy=REMEDY, path=str(path))
    return parsed


def _source(path: Path, component: str, allow_pickle: bool) -> Source:
    file = next((path / name for name in WEIGHTS if (path / name).is_file()), None)
    if file is None:
        raise BadModelFile(f"{path} has no file with weights.", remedy=REMEDY, path=str(path))
    tensors = dict(read_header(file, allow_pickle).tensors)
    return Source(file, _both_names(tensors) if component.startswith("text_encoder") else tensors)


def _both_names(tensors: dict[str, TensorInfo]) -> dict[str, TensorInfo]:
    """Text encoders are saved with or without `text_model.`, and built with or without it; both are found."""
    head = "text_model."
    bare = {name.removeprefix(head): info for name, info in tensors.items()}
    return {**{head + name: info for name, info in bare.items()}, **bare}


def _prediction(path: Path) -> Prediction:
    config = _json(path / "scheduler" / "scheduler_config.json")
    kind = {"epsilon": "eps", "v_prediction": "v"}.get(str(config.get("prediction_type", "epsilon")))
    if kind is None or config.get("beta_schedule", "scaled_linear") != "scaled_linear":
        raise UnknownModel(f"{path.name} was trained with a schedule that is not known here.", path=str(path))
    return Prediction.scaled_linear(
        kind=kind,
        linear_start=float(config.get("beta_start", 0.00085)),
        linear_end=float(config.get("beta_end", 0.012)),
        steps=int(config.get("num_train_timesteps", 1000)),
        zero_terminal_snr=bool(config.get("rescale_betas_zero_snr", False)),
    )
