"""Stable Diffusion 2.x: 512 (noise) and 768 (velocity), inpainting, depth, and variations of a picture (unCLIP)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from atelier.base.errors import BadModelFile
from atelier.families.clip import Tower, encode_tower
from atelier.families.family import (
    Blueprint,
    Component,
    EncodeOptions,
    Evidence,
    Family,
    Match,
    NetworkKeys,
    NoMatch,
)
from atelier.families.ldm import UNET_PREFIX, unet_names
from atelier.families.ldm_config import Config, bundled, merged, params_of, unet_config, vae_config
from atelier.families.midas import midas_components
from atelier.families.model import Model, place_of
from atelier.families.openclip import NORM, OPEN_MARKS, layer_count, openclip_config, openclip_names
from atelier.families.sd1 import FIRST, LATENT, call, latent_space, stated_kind, vae_component
from atelier.families.unclip import LABEL, unclip_components
from atelier.families.variants import VARIANTS, full_size, own_sizes, variant_of
from atelier.sampling.conditioning import TextEncoding
from atelier.sampling.prediction import Prediction

WIDTH = 1024
#: the second is how SD-Turbo is published
TEXT_PREFIXES = ("cond_stage_model.model.", "conditioner.embedders.0.model.")
#: the last of the 24 blocks of ViT-H is never asked, and some files lack it
LAYERS = 23
#: mean difference of output and input below which the network predicts velocity
VELOCITY = -1.0


def match(evidence: Evidence) -> Match | NoMatch:
    shapes = evidence.shapes
    first = shapes.get(UNET_PREFIX + FIRST)
    if first is None:
        return NoMatch("it has no denoiser under the names of Stable Diffusion", (UNET_PREFIX + FIRST,))
    reads = [s for k, s in shapes.items() if k.startswith(UNET_PREFIX) and k.endswith("attn2.to_k.weight")]
    context = reads[0][1] if reads and len(reads[0]) == 2 else None
    prefix = text_prefix(evidence)
    if prefix is None:
        near = context == WIDTH
        return NoMatch("it has no text encoder of OpenCLIP", (TEXT_PREFIXES[0] + NORM,), 1 + near, near=near)
    own, width = own_sizes(evidence), shapes[prefix + NORM][0]
    if context is None or context != width or (context != WIDTH and not own):
        return NoMatch(f"its denoiser reads text vectors of width {context}, its text encoder gives {width}", (), 1)
    variant = variant_of(evidence, first[1])
    if isinstance(variant, NoMatch):
        return variant
    if first[0] != 320 and not own:
        return NoMatch(
            "its layers are smaller or larger than usual, so it needs its configuration in a .yaml file beside it",
            (), 3, near=True,
        )  # fmt: skip
    return Match("variation" if LABEL in shapes else variant)


def text_prefix(evidence: Evidence) -> str | None:
    return next((prefix for prefix in TEXT_PREFIXES if prefix + NORM in evidence.shapes), None)


def blueprint(evidence: Evidence) -> Blueprint:
    """Raises `BadModelFile` when the file's own configuration cannot be used."""
    params = params_of(merged(bundled("sd2"), evidence.config))
    in_channels = evidence.shapes[UNET_PREFIX + FIRST][1]
    try:
        scale = float(params["scale_factor"])
        unet = _unet(evidence, params["unet_config"]["params"], in_channels)
        vae = vae_config(params["first_stage_config"]["params"]["ddconfig"], scale)
        text = _text(evidence, params["cond_stage_config"].get("params") or {})
        kind = _kind(evidence, in_channels)
        prediction = _prediction(params, kind or "eps")
        extra = {**unclip_components(evidence), **midas_components(evidence)}
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise BadModelFile(
            f"The configuration beside the checkpoint cannot be used: {type(error).__name__}: {error}.",
            remedy="Use the .yaml that came with the checkpoint.",
        ) from error
    if full_size(evidence):
        unet["sample_size"] = 96 if kind == "v" else 64
    components = {
        "unet": Component(
            "unet", lambda: UNet2DConditionModel(**unet),
            lambda names: unet_names(names, unet["layers_per_block"]), (UNET_PREFIX,),
        ),
        "vae": vae_component(vae),
        "text_encoder": Component(
            "text_encoder", lambda: CLIPTextModel(CLIPTextConfig(**text)), openclip_names, TEXT_PREFIXES
        ),
        **extra,
    }  # fmt: skip
    latent = latent_space(vae["block_out_channels"], vae["latent_channels"], scale)
    variant = "variation" if LABEL in evidence.shapes else VARIANTS.get(in_channels, "")
    return Blueprint(components, prediction, latent, in_channels, variant, _asker(params) if kind is None else None)


def _unet(evidence: Evidence, params: Config, in_channels: int) -> dict[str, Any]:
    """In half precision its attention must be calculated in float32, or single heads overflow."""
    label = evidence.shapes.get(LABEL)
    told = {} if label is None else {
        "class_embed_type": "projection", "projection_class_embeddings_input_dim": label[1],
    }  # fmt: skip
    return {**unet_config(params, in_channels), "upcast_attention": True, **told}


def _text(evidence: Evidence, params: Config) -> dict[str, Any]:
    prefix = text_prefix(evidence) or TEXT_PREFIXES[0]
    config = openclip_config(evidence.shapes, prefix, params)
    count = layer_count(evidence.shapes, prefix)
    layers = min(count, LAYERS) if config["hidden_size"] == WIDTH else max(1, count - 1)
    return {**config, "num_hidden_layers": layers}


def _kind(evidence: Evidence, in_channels: int) -> str | None:
    """What the network predicts, where the configuration, marks or the kind of the model tell; else None."""
    stated = stated_kind(evidence)
    if stated is not None:
        return stated
    title = evidence.metadata.get("modelspec.architecture", "")
    if title.startswith("stable-diffusion-v2"):
        return "v" if "-v" in title.removeprefix("stable-diffusion-v2") else "eps"
    if own_sizes(evidence):
        # A whole configuration that says nothing of it means noise.
        return "eps"
    if LABEL in evidence.shapes:
        return "v"
    return None if in_channels == LATENT.channels else "eps"


def _prediction(params: Config, kind: str) -> Prediction:
    return Prediction.scaled_linear(
        kind=kind,
        linear_start=float(params["linear_start"]),
        linear_end=float(params["linear_end"]),
        steps=int(params["timesteps"]),
        zero_terminal_snr=bool(params.get("zero_terminal_snr", False)),
    )


def _asker(params: Config) -> Callable[[nn.Module], Prediction]:
    return lambda denoiser: _prediction(params, asked_kind(denoiser))


def asked_kind(denoiser: nn.Module) -> str:
    """Files say nothing of what they predict, so the network is asked: at the highest noise level a plain input comes
    back as noise, near itself, or as a velocity, which is far below it. Marks the size that such a model was made for.
    """
    device, dtype = place_of(denoiser)
    x = torch.full((1, LATENT.channels, 8, 8), 0.5, device=device, dtype=dtype)
    context = torch.full((1, 2, denoiser.config.cross_attention_dim), 0.5, device=device, dtype=dtype)
    with torch.no_grad():
        output = denoiser(x, torch.tensor([999], device=device), encoder_hidden_states=context, return_dict=False)[0]
    kind = "v" if float((output.float() - x.float()).mean()) < VELOCITY else "eps"
    if kind == "v" and denoiser.config.sample_size == 64:
        denoiser.register_to_config(sample_size=96)
    return kind


def encode(model: Model, texts: Sequence[str], options: EncodeOptions) -> list[TextEncoding]:
    """The vectors before ViT-H's last block, through its last norm. Clip skip counts from that block, which was cut
    off when the file was read: 1 and 2 are the same."""
    tower = Tower(model.text_encoder, max(1, options.clip_skip - 1), marks=OPEN_MARKS)
    return encode_tower(model, tower, texts, options)


SD2 = Family(
    name="sd2",
    title="Stable Diffusion 2.x",
    default_size=(512, 512),
    default_sampler="DPM++ 2M",
    default_guidance=7.0,
    latent=LATENT,
    match=match,
    blueprint=blueprint,
    encode=encode,
    call=call,
    network_keys=NetworkKeys(denoiser=("lora_unet_",), text_encoder=("lora_te_",)),
    train=("unet", "text_encoder"),
)
