"""Stable Diffusion XL 1.0: base, Turbo, Lightning, v-prediction, inpainting (9 input channels) and editing (8)."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import torch
from transformers import CLIPTextConfig, CLIPTextModel

from atelier.families.clip import Tower, embedding_width, encode_tower
from atelier.families.family import (
    Blueprint,
    Component,
    EncodeOptions,
    Evidence,
    Family,
    Match,
    NetworkKeys,
    NoMatch,
    PictureFacts,
)
from atelier.families.ldm import UNET_PREFIX, text_names
from atelier.families.ldm_config import Config, bundled, clip_config, merged, params_of
from atelier.families.model import Model
from atelier.families.openclip import NORM, OPEN_MARKS, openclip_component
from atelier.families.sd1 import FIRST, TOKENS
from atelier.families.sgm import (
    FIRST_TEXT,
    LABEL,
    LATENT,
    SECOND_TEXT,
    assembled,
    bad_configuration,
    call,
    context_width,
    encoder_params,
    unfit,
)
from atelier.families.variants import VARIANTS
from atelier.sampling.conditioning import TextEncoding

L_PREFIX = f"{FIRST_TEXT}transformer."
G_PREFIX = f"{SECOND_TEXT}model."
#: both encoders are read before their last layer
PENULTIMATE = 2
#: layers of attention by place in a denoiser of full size
BLOCKS = MappingProxyType({"input_blocks.4": 2, "input_blocks.8": 10, "middle_block": 10})


def match(evidence: Evidence) -> Match | NoMatch:
    shapes = evidence.shapes
    first, second = shapes.get(f"{L_PREFIX}text_model.{TOKENS}"), shapes.get(G_PREFIX + NORM)
    if UNET_PREFIX + FIRST not in shapes:
        return NoMatch("it has no denoiser under the names of Stable Diffusion", (UNET_PREFIX + FIRST,))
    if LABEL not in shapes:
        return NoMatch("its denoiser is not told the size of the picture", (LABEL,))
    context = context_width(evidence)
    if first is None or second is None:
        missing = G_PREFIX + NORM if second is None else f"{L_PREFIX}text_model.{TOKENS}"
        # The refiner has its one encoder in the place of the first.
        near = context == 2048 and FIRST_TEXT + "model." + NORM not in shapes
        return NoMatch("it lacks one of its two text encoders", (missing,), 2 + (first is not second), near=near)
    if context != first[1] + second[0]:
        wanted = f"{first[1]} and {second[0]}"
        return NoMatch(f"its denoiser reads text vectors of width {context}, its encoders give {wanted}", (), 3)
    refusal = unfit(evidence, 320, BLOCKS)
    if refusal is not None:
        return refusal
    return Match(VARIANTS[shapes[UNET_PREFIX + FIRST][1]])


def blueprint(evidence: Evidence) -> Blueprint:
    """Raises `BadModelFile` when the file's own configuration cannot be used."""
    params = params_of(merged(bundled("sdxl"), evidence.config))
    try:
        encoders = {
            "text_encoder": _first_encoder(evidence, encoder_params(params, 0)),
            "text_encoder_2": openclip_component(
                evidence.shapes, "text_encoder_2", G_PREFIX, encoder_params(params, 1)
            ),
        }
        return assembled(evidence, params, encoders, numbers=6)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ZeroDivisionError) as error:
        raise bad_configuration(error) from error


def _first_encoder(evidence: Evidence, params: Config) -> Component:
    start = f"{L_PREFIX}text_model."
    vocabulary, width = evidence.shapes[start + TOKENS]
    layers = {name.split(".encoder.layers.")[1].split(".")[0] for name in evidence.shapes
              if name.startswith(f"{start}encoder.layers.")}  # fmt: skip
    sizes = {
        "hidden_size": width,
        "num_hidden_layers": len(layers),
        "num_attention_heads": int(params.get("heads") or max(1, width // 64)),
        "intermediate_size": evidence.shapes[f"{start}encoder.layers.0.mlp.fc1.weight"][0],
    }
    config = clip_config(sizes, vocabulary)
    return Component("text_encoder", lambda: CLIPTextModel(CLIPTextConfig(**config)), text_names, (L_PREFIX,))


def encode(model: Model, texts: Sequence[str], options: EncodeOptions) -> list[TextEncoding]:
    """Both encoders' vectors beside each other, weighted each for itself; the pooled vector is the second's.

    The first encoder follows Clip skip only where the option for it is on. A negative prompt that is exactly empty is
    not encoded: the model was trained with zeros for it.
    """
    width = embedding_width(model.text_encoder)
    if options.negative and texts and not any(texts):
        return [empty(width + embedding_width(model.text_encoder_2), model.text_encoder_2) for _ in texts]
    layer = options.clip_skip if options.clip_l_skip else PENULTIMATE
    first = Tower(model.text_encoder, layer, normed=False, columns=(0, width))
    second = Tower(model.text_encoder_2, PENULTIMATE, normed=False, marks=OPEN_MARKS, columns=(width, None))
    pairs = zip(*(encode_tower(model, tower, texts, options) for tower in (first, second)), strict=True)
    return [TextEncoding(torch.cat([one.vectors, two.vectors], dim=-1), two.pooled) for one, two in pairs]


def empty(width: int, encoder: Any) -> TextEncoding:
    """Zeros in the place of an empty negative prompt."""
    device = next(encoder.parameters()).device
    pooled = torch.zeros(encoder.config.projection_dim, device=device)
    return TextEncoding(torch.zeros(77, width, device=device), pooled)


def sizes(facts: PictureFacts) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Original size, crop and target size, for the prompt and for the negative prompt alike. Heights come first."""
    size = (float(facts.height), float(facts.width))
    told = (*size, float(facts.crop_top), float(facts.crop_left), *size)
    return told, told


SDXL = Family(
    name="sdxl",
    title="Stable Diffusion XL",
    default_size=(1024, 1024),
    default_sampler="DPM++ 2M",
    default_guidance=7.0,
    latent=LATENT,
    match=match,
    blueprint=blueprint,
    encode=encode,
    call=call,
    sizes=sizes,
    network_keys=NetworkKeys(denoiser=("lora_unet_",), text_encoder=("lora_te1_", "lora_te2_")),
    train=("unet", "text_encoder", "text_encoder_2"),
)
