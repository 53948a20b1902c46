"""What the base and the refiner of Stable Diffusion XL share: the layout of their files, and how both are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from atelier.base.errors import BadModelFile
from atelier.families.family import Blueprint, Component, Evidence, NoMatch
from atelier.families.latent import LatentSpace
from atelier.families.ldm import UNET_PREFIX, unet_names
from atelier.families.ldm_config import Config, params_of, unet_config, vae_config
from atelier.families.marks import marked_terminal, marked_velocity
from atelier.families.model import Model, place_of
from atelier.families.openclip import openclip_config
from atelier.families.sd1 import FIRST, GUIDED, VAE_WIDTHS, vae_component
from atelier.families.sd1 import call as call_unet
from atelier.families.variants import VARIANTS, variant_of
from atelier.sampling.prediction import Prediction
from atelier.sampling.step import ModelInputs

#: linear preview of this autoencoder's latents, measured by the InvokeAI project (Apache-2.0)
PREVIEW = ((0.3816, 0.4930, 0.5320), (-0.3753, 0.1631, 0.1739), (0.1770, 0.3588, -0.2048), (-0.4350, -0.2644, -0.4289))
LATENT = LatentSpace(channels=4, factor=8, scale=0.13025, preview=PREVIEW)

FIRST_TEXT = "conditioner.embedders.0."
SECOND_TEXT = "conditioner.embedders.1."
LABEL = f"{UNET_PREFIX}label_emb.0.0.weight"
#: empty tensors of models over continuous noise levels (EDM), whose schedule is another one
CONTINUOUS = ("edm_mean", "edm_std", "edm_vpred.sigma_max", "edm_vpred.sigma_min")


def own(evidence: Evidence) -> bool:
    """True when the file has a configuration of its own with sizes in it."""
    return evidence.config is not None and isinstance(params_of(evidence.config).get("network_config"), dict)


def unfit(evidence: Evidence, width: int, blocks: Mapping[str, int]) -> NoMatch | None:
    """Why a file of this family's layout cannot be used all the same. `blocks`: layers of attention by place."""
    first = evidence.shapes[UNET_PREFIX + FIRST]
    variant = variant_of(evidence, first[1])
    if isinstance(variant, NoMatch):
        return replace(variant, score=4)
    if any(name in evidence.shapes for name in CONTINUOUS):
        return NoMatch("it was trained on continuous noise levels (EDM), which is not known here", (), 4, near=True)
    if own(evidence):
        return None
    if first[0] != width:
        return NoMatch(
            "its layers are smaller or larger than usual, so it needs its configuration in a .yaml file beside it",
            (), 4, near=True,
        )  # fmt: skip
    for place, count in blocks.items():
        found = _depth(evidence, f"{UNET_PREFIX}{place}.1.transformer_blocks.")
        if found != count:
            return NoMatch(
                f"it has {found} layers of attention at {place}, not {count}: a distilled form, not known here",
                (), 4, near=True,
            )  # fmt: skip
    return None


def _depth(evidence: Evidence, start: str) -> int:
    return len({name[len(start) :].split(".", 1)[0] for name in evidence.shapes if name.startswith(start)})


def context_width(evidence: Evidence) -> int | None:
    """The width of the vectors that the denoiser reads; None without cross-attention."""
    reads = (s for k, s in evidence.shapes.items() if k.startswith(UNET_PREFIX) and k.endswith("attn2.to_k.weight"))
    return next((shape[1] for shape in reads if len(shape) == 2), None)


def encoder_params(params: Config, index: int) -> Config:
    """What the configuration says of one text encoder; empty where it says nothing."""
    models = params["conditioner_config"]["params"]["emb_models"]
    return (models[index].get("params") or {}) if index < len(models) else {}


def assembled(evidence: Evidence, params: Config, encoders: Mapping[str, Component], numbers: int) -> Blueprint:
    """The blueprint, given the text encoders, the last of which gives the pooled vector.

    `numbers` is how many numbers beside it the denoiser is told. Raises KeyError, TypeError or ValueError for a
    configuration that cannot be used.
    """
    in_channels = evidence.shapes[UNET_PREFIX + FIRST][1]
    scale = float(params["scale_factor"])
    vae = vae_config(params["first_stage_config"]["params"]["ddconfig"], scale)
    unet = _unet(evidence, params["network_config"]["params"], in_channels, numbers, _pooled_width(evidence, encoders))
    components = {
        "unet": Component(
            "unet", lambda: UNet2DConditionModel(**unet), lambda names: unet_names(names, unet["layers_per_block"]),
            (UNET_PREFIX,),
        ),
        "vae": vae_component(vae),
        **encoders,
    }  # fmt: skip
    widths = vae["block_out_channels"]
    usual = tuple(widths) == VAE_WIDTHS
    latent = LatentSpace(vae["latent_channels"], 2 ** (len(widths) - 1), scale, preview=PREVIEW if usual else ())
    return Blueprint(components, _prediction(params, evidence), latent, in_channels, VARIANTS.get(in_channels, ""))


def _pooled_width(evidence: Evidence, encoders: Mapping[str, Component]) -> int:
    prefix = list(encoders.values())[-1].prefixes[0]
    return openclip_config(evidence.shapes, prefix)["projection_dim"]


def _unet(evidence: Evidence, params: Config, in_channels: int, numbers: int, pooled: int) -> dict[str, Any]:
    context = params["context_dim"]
    flat = {**params, "context_dim": context[0] if isinstance(context, Sequence) else context}
    told = evidence.shapes[LABEL][1]
    if told <= pooled or (told - pooled) % numbers:
        raise ValueError(f"the denoiser is told {told} numbers, of which {pooled} are the text's")
    guided = evidence.shapes.get(UNET_PREFIX + GUIDED)
    return {
        **unet_config(flat, in_channels),
        # LCM models take the strength of guidance as an input.
        "time_cond_proj_dim": None if guided is None else guided[1],
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": (told - pooled) // numbers,
        "projection_class_embeddings_input_dim": told,
    }


def _prediction(params: Config, evidence: Evidence) -> Prediction:
    """What the network predicts: the file's configuration, else marks in the file, else noise ("eps")."""
    denoiser = params["denoiser_config"]["params"]
    table = denoiser["discretization_config"]["params"]
    stated = None if evidence.config is None else _stated(params_of(evidence.config))
    return Prediction.scaled_linear(
        kind=stated or ("v" if marked_velocity(evidence) else "eps"),
        linear_start=float(table["linear_start"]),
        linear_end=float(table["linear_end"]),
        steps=int(denoiser["num_idx"]),
        zero_terminal_snr=bool(params.get("zero_terminal_snr", marked_terminal(evidence))),
    )


def _stated(params: Config) -> str | None:
    """What the file's own configuration says, if it says anything. Raises `BadModelFile` for what is not known."""
    if "parameterization" in params:
        return {"v": "v", "v_prediction": "v", "eps": "eps", "epsilon": "eps"}[str(params["parameterization"])]
    denoiser = (params.get("denoiser_config") or {}).get("params") or {}
    target = str((denoiser.get("scaling_config") or {}).get("target", ""))
    if not target:
        return None
    kind = {"EpsScaling": "eps", "VScaling": "v"}.get(target.rpartition(".")[2])
    if kind is None:
        raise BadModelFile(
            f"The configuration beside the checkpoint asks for {target}, which is not known here.",
            remedy="Models over continuous noise levels (EDM) cannot be run.",
        )
    return kind


def bad_configuration(error: Exception) -> BadModelFile:
    return BadModelFile(
        f"The configuration beside the checkpoint cannot be used: {type(error).__name__}: {error}.",
        remedy="Use the .yaml that came with the checkpoint.",
    )


def call(model: Model, inputs: ModelInputs) -> torch.Tensor:  # [N, 4, h, w]
    """As Stable Diffusion 1. `added` also holds "pooled", the text's own vector, and "sizes", the numbers beside it."""
    device, dtype = place_of(model.denoiser)
    # The numbers in full precision: half of it has no odd ones above 2048.
    told = {"text_embeds": inputs.added["pooled"].to(device, dtype), "time_ids": inputs.added["sizes"].to(device)}
    return call_unet(model, inputs, added_cond_kwargs=told)
