"""Stable Diffusion 1.x with its kinds of models, of the usual size or with its own configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from atelier.base.errors import BadModelFile
from atelier.families.clip import encode_texts
from atelier.families.family import Blueprint, Component, Evidence, Family, Match, NetworkKeys, NoMatch
from atelier.families.latent import LatentSpace
from atelier.families.ldm import TEXT_PREFIX, UNET_PREFIX, VAE_PREFIX, text_names, unet_names, vae_names
from atelier.families.ldm_config import Config, bundled, clip_config, merged, params_of, unet_config, vae_config
from atelier.families.marks import marked_terminal, marked_velocity
from atelier.families.midas import midas_components
from atelier.families.model import Model, place_of
from atelier.families.variants import VARIANTS, full_size, own_sizes, variant_of
from atelier.sampling.prediction import Prediction
from atelier.sampling.step import ModelInputs

#: linear preview of the usual autoencoder's latents, measured by the InvokeAI project (Apache-2.0)
PREVIEW = ((0.3444, 0.1385, 0.0670), (0.1247, 0.4027, 0.1494), (-0.3192, 0.2513, 0.2103), (-0.1307, -0.1874, -0.7445))
VAE_WIDTHS = (128, 256, 512, 512)
LATENT = LatentSpace(channels=4, factor=8, scale=0.18215, preview=PREVIEW)

WIDTH = 768
FIRST = "input_blocks.0.0.weight"
CONTEXT = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
TOKENS = "embeddings.token_embedding.weight"
#: of models that take the strength of guidance as an input (LCM)
GUIDED = "time_embed.cond_proj.weight"
KINDS = MappingProxyType({"v": "v", "v_prediction": "v", "eps": "eps", "epsilon": "eps"})


def match(evidence: Evidence) -> Match | NoMatch:
    shapes = evidence.shapes
    first = shapes.get(UNET_PREFIX + FIRST)
    if first is None:
        return NoMatch("it has no denoiser under the names of Stable Diffusion", (UNET_PREFIX + FIRST,))
    reads = [s for k, s in shapes.items() if k.startswith(UNET_PREFIX) and k.endswith("attn2.to_k.weight")]
    context = reads[0] if reads else None
    if context is None:
        return NoMatch("its denoiser has no cross-attention", (UNET_PREFIX + CONTEXT,), 1)
    text = any(k.startswith("cond_stage_model.transformer.") for k in shapes)
    width = _context_width(evidence)
    if context[1] != width:
        return NoMatch(f"its denoiser reads text vectors of width {context[1]}, not {width}", (), 1 + text)
    if not text:
        return NoMatch("it has no text encoder", (TEXT_PREFIX + "text_model." + TOKENS,), 2, near=True)
    variant = variant_of(evidence, first[1])
    if isinstance(variant, NoMatch):
        return variant
    if first[0] != 320 and not own_sizes(evidence):
        return NoMatch(
            "its layers are smaller or larger than usual, so it needs its configuration in a .yaml file beside it",
            (), 3, near=True,
        )  # fmt: skip
    return Match(variant)


def _context_width(evidence: Evidence) -> int:
    if not own_sizes(evidence):
        return WIDTH
    params = params_of(evidence.config)["unet_config"].get("params")
    width = params.get("context_dim", WIDTH) if isinstance(params, dict) else WIDTH
    if not isinstance(width, int):
        raise BadModelFile(f"The configuration beside the checkpoint has context_dim {width!r}, not a number.")
    return width


def blueprint(evidence: Evidence) -> Blueprint:
    """Raises `BadModelFile` when the file's own configuration cannot be used."""
    params = params_of(merged(bundled("sd1"), evidence.config))
    try:
        in_channels = evidence.shapes[UNET_PREFIX + FIRST][1]
        scale = float(params["scale_factor"])
        unet = _unet(evidence, params["unet_config"]["params"], in_channels)
        vae = vae_config(params["first_stage_config"]["params"]["ddconfig"], scale)
        text = clip_config(params["cond_stage_config"]["params"], _vocabulary(evidence))
        prediction = _prediction(params, evidence)
        extra = midas_components(evidence)
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise BadModelFile(
            f"The configuration beside the checkpoint cannot be used: {type(error).__name__}: {error}.",
            remedy="Use the .yaml that came with the checkpoint.",
        ) from error
    latent = latent_space(vae["block_out_channels"], vae["latent_channels"], scale)
    components = {
        "unet": Component("unet", _maker(UNet2DConditionModel, unet), _unet_names(unet), (UNET_PREFIX,)),
        "vae": vae_component(vae),
        "text_encoder": Component(
            "text_encoder", lambda: CLIPTextModel(CLIPTextConfig(**text)), text_names, (TEXT_PREFIX,)
        ),
        **extra,
    }
    return Blueprint(components, prediction, latent, in_channels, VARIANTS.get(in_channels, ""))


def _unet(evidence: Evidence, params: Config, in_channels: int) -> dict[str, Any]:
    """The original configurations speak of a size of 32, which nobody uses. LCM models take guidance as an input."""
    usual = {"sample_size": 64} if full_size(evidence) else {}
    guided = evidence.shapes.get(UNET_PREFIX + GUIDED)
    return {
        **unet_config(params, in_channels), **usual, "time_cond_proj_dim": None if guided is None else guided[1],
    }  # fmt: skip


def latent_space(widths: Sequence[int], channels: int, scale: float) -> LatentSpace:
    """For an autoencoder with these channels a level; one of other sizes gets its preview matrix when it is loaded."""
    usual = tuple(widths) == VAE_WIDTHS
    return LatentSpace(channels, 2 ** (len(widths) - 1), scale, preview=PREVIEW if usual else ())


def vae_component(config: dict[str, Any]) -> Component:
    """The autoencoder, in a checkpoint or in a file of its own (no prefix)."""
    levels = len(config["block_out_channels"])
    return Component("vae", _maker(AutoencoderKL, config), lambda names: vae_names(names, levels), (VAE_PREFIX, ""))


def _maker(kind: type, config: dict[str, Any]) -> Callable[[], torch.nn.Module]:
    return lambda: kind(**config)


def _unet_names(config: dict[str, Any]) -> Callable[[Any], dict[str, str]]:
    return lambda names: unet_names(names, config["layers_per_block"])


def _vocabulary(evidence: Evidence) -> int:
    return next(s[0] for k, s in evidence.shapes.items() if k.endswith(TOKENS))


def stated_kind(evidence: Evidence) -> str | None:
    """What the configuration says of what is predicted, else marks in the file. Raises KeyError for other words."""
    stated = None if evidence.config is None else params_of(evidence.config).get("parameterization")
    if stated is not None:
        return KINDS[str(stated)]
    if marked_velocity(evidence):
        return "v"
    told = (evidence.metadata.get(key) for key in ("modelspec.prediction_type", "prediction_type"))
    return "eps" if any(word in ("eps", "epsilon") for word in told) else None


def _prediction(params: Config, evidence: Evidence) -> Prediction:
    """What the network predicts: the file's configuration, else marks in the file, else noise ("eps")."""
    return Prediction.scaled_linear(
        kind=stated_kind(evidence) or "eps",
        linear_start=float(params["linear_start"]),
        linear_end=float(params["linear_end"]),
        steps=int(params["timesteps"]),
        zero_terminal_snr=bool(params.get("zero_terminal_snr", marked_terminal(evidence))),
    )


#: further inputs by name -> what diffusers calls them
TOLD = MappingProxyType({"image": "class_labels", "guidance": "timestep_cond"})


def call(model: Model, inputs: ModelInputs, **extra: Any) -> torch.Tensor:  # [N, 4, h, w]
    """The network's raw output, in its own precision. `concat` is put behind the latents on the channel axis.

    `added` may hold "image", what an image variation is told of its picture, and "guidance", the embedded strength of
    guidance; `extra` is what other families tell beside that. `residuals` holds nothing, or "down" (a tensor for each
    skip connection) and "middle" (one tensor).
    """
    device, dtype = place_of(model.denoiser)
    latents = inputs.latents if inputs.concat is None else torch.cat([inputs.latents, inputs.concat], dim=1)
    if inputs.residuals:
        extra["down_block_additional_residuals"] = tuple(r.to(device, dtype) for r in inputs.residuals["down"])
        extra["mid_block_additional_residual"] = inputs.residuals["middle"].to(device, dtype)
    for name, argument in TOLD.items():
        if name in inputs.added:
            extra[argument] = inputs.added[name].to(device, dtype)
    return model.denoiser(
        latents.to(device, dtype),
        inputs.t.to(device),
        encoder_hidden_states=inputs.context.to(device, dtype),
        return_dict=False,
        **extra,
    )[0]


SD1 = Family(
    name="sd1",
    title="Stable Diffusion 1.x",
    default_size=(512, 512),
    default_sampler="DPM++ 2M",
    default_guidance=7.0,
    latent=LATENT,
    match=match,
    blueprint=blueprint,
    encode=encode_texts,
    call=call,
    network_keys=NetworkKeys(denoiser=("lora_unet_",), text_encoder=("lora_te_",)),
    train=("unet", "text_encoder"),
)
