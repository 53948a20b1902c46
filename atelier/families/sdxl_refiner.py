"""The refiner of Stable Diffusion XL 1.0: one text encoder, and a score of beauty in the place of the target size."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from atelier.families.clip import Tower, embedding_width, encode_tower
from atelier.families.family import (
    Blueprint,
    EncodeOptions,
    Evidence,
    Family,
    Match,
    NetworkKeys,
    NoMatch,
    PictureFacts,
)
from atelier.families.ldm import UNET_PREFIX
from atelier.families.ldm_config import bundled, merged, params_of
from atelier.families.model import Model
from atelier.families.openclip import NORM, OPEN_MARKS, openclip_component
from atelier.families.sd1 import FIRST
from atelier.families.sdxl import G_PREFIX, PENULTIMATE, empty
from atelier.families.sgm import (
    FIRST_TEXT,
    LABEL,
    LATENT,
    assembled,
    bad_configuration,
    call,
    context_width,
    encoder_params,
    unfit,
)
from atelier.families.variants import VARIANTS
from atelier.sampling.conditioning import TextEncoding

PREFIX = f"{FIRST_TEXT}model."
#: layers of attention by place in a denoiser of full size
BLOCKS = MappingProxyType({"input_blocks.4": 4, "input_blocks.8": 4, "middle_block": 4})


def match(evidence: Evidence) -> Match | NoMatch:
    shapes = evidence.shapes
    norm = shapes.get(PREFIX + NORM)
    if UNET_PREFIX + FIRST not in shapes:
        return NoMatch("it has no denoiser under the names of Stable Diffusion", (UNET_PREFIX + FIRST,))
    if LABEL not in shapes:
        return NoMatch("its denoiser is not told the size of the picture", (LABEL,))
    if norm is None or G_PREFIX + NORM in shapes:
        return NoMatch("it has not the one text encoder of a refiner", (PREFIX + NORM,))
    context = context_width(evidence)
    if context != norm[0]:
        return NoMatch(f"its denoiser reads text vectors of width {context}, its encoder gives {norm[0]}", (), 3)
    return unfit(evidence, 384, BLOCKS) or Match(VARIANTS.get(shapes[UNET_PREFIX + FIRST][1], ""))


def blueprint(evidence: Evidence) -> Blueprint:
    """Raises `BadModelFile` when the file's own configuration cannot be used."""
    params = params_of(merged(merged(bundled("sdxl"), bundled("sdxl_refiner")), evidence.config))
    try:
        encoder = openclip_component(evidence.shapes, "text_encoder", PREFIX, encoder_params(params, 0))
        return assembled(evidence, params, {"text_encoder": encoder}, numbers=5)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ZeroDivisionError) as error:
        raise bad_configuration(error) from error


def encode(model: Model, texts: Sequence[str], options: EncodeOptions) -> list[TextEncoding]:
    """As the second encoder of the base model. Of a textual inversion for both it takes its own part, the last."""
    width = embedding_width(model.text_encoder)
    if options.negative and texts and not any(texts):
        return [empty(width, model.text_encoder) for _ in texts]
    tower = Tower(model.text_encoder, PENULTIMATE, normed=False, marks=OPEN_MARKS, columns=(-width, None))
    return encode_tower(model, tower, texts, options)


def sizes(facts: PictureFacts) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Original size, crop and score: a high one for the prompt, a low one for the negative prompt."""
    told = (float(facts.height), float(facts.width), float(facts.crop_top), float(facts.crop_left))
    return (*told, facts.high_score), (*told, facts.low_score)


SDXL_REFINER = Family(
    name="sdxl_refiner",
    title="Stable Diffusion XL refiner",
    default_size=(1024, 1024),
    default_sampler="DPM++ 2M",
    default_guidance=7.0,
    latent=LATENT,
    match=match,
    blueprint=blueprint,
    encode=encode,
    call=call,
    sizes=sizes,
    network_keys=NetworkKeys(denoiser=("lora_unet_",), text_encoder=("lora_te2_",)),
)
