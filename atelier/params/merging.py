"""What can be asked of work on weights: checkpoints merged, LoRAs merged, extracted, resized and baked in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from atelier.params.field import param, part

METHODS = ("No interpolation", "Weighted sum", "Add difference", "Train difference")
CONFIGS = ("A, B or C", "B", "C", "Don't")
PRECISIONS = ("As model A", "float32", "float16", "bfloat16", "float8_e4m3fn")
BAKED_PRECISIONS = ("As the checkpoint", *PRECISIONS[1:])
LORA_PRECISIONS = ("float16", "bfloat16", "float32")
LORA_METHODS = ("Concatenation", "SVD")
RANK_RULES = ("Fixed rank", "sv_ratio", "sv_fro", "sv_cumulative")
NONE = "None"


@part("merge", "Checkpoint Merger")
class CheckpointMerge:
    primary_model_name: str = param("", label="Primary model (A)", choices="models")
    secondary_model_name: str = param("", label="Secondary model (B)", choices="models")
    tertiary_model_name: str = param("", label="Tertiary model (C)", choices="models")
    custom_name: str = param("", label="Custom Name (Optional)", max_length=400)
    interp_amount: float = param(0.3, label="Multiplier (M)", minimum=0, maximum=1, step=0.05, hard=(-5, 5),
                                 help="0 gives model A.")
    interp_method: str = param("Weighted sum", label="Interpolation Method", choices=METHODS,
                               help="Weighted sum: A (1 - M) + B M. Add difference: A + (B - C) M. Train difference: "
                                    "the same, less where A has learned it already.")
    block_weights: str = param("", label="Block weights", max_length=2000,
                               help="One multiplier for each block in place of M: 25 numbers for Stable Diffusion 1 "
                                    "and 2, 19 for XL, one more for BASE before them; or such as IN00-IN05: 0.2, "
                                    "M00: 0.5, OUT: 1.")
    checkpoint_format: str = param("safetensors", label="Checkpoint format", choices=("ckpt", "safetensors"))
    save_as_half: bool = param(False, label="Save as float16")
    precision: str = param("As model A", label="Precision", choices=PRECISIONS,
                           help="float8 keeps 8 bits of the denoiser's matrices and halves the rest.")
    config_method: str = param("A, B or C", label="Copy config from", choices=CONFIGS)
    bake_in_vae: str = param(NONE, label="Bake in VAE", choices="vaes")
    discard_weights: str = param("", label="Discard weights with matching name", max_length=1000,
                                 help="A regular expression, such as ^model_ema.")
    save_metadata: bool = param(True, label="Save metadata")
    add_merge_recipe: bool = param(True, label="Add merge recipe metadata")
    copy_metadata_fields: bool = param(True, label="Copy metadata from merged models")
    metadata: dict[str, Any] = param(factory=dict, label="Metadata in JSON format",
                                        help="More texts for the file.")  # fmt: skip


@part("lora_merge", "Merge LoRAs")
class LoraMerge:
    networks: tuple[str, ...] = param((), label="LoRAs and weights", choices="loras",
                                      help="One a line, such as name: 0.8.")
    method: str = param("Concatenation", label="Method", choices=LORA_METHODS,
                        help="Concatenation is exact, its rank is the sum of the ranks; SVD brings the sum to the rank "
                             "below.")
    rank: int = param(16, label="Rank", minimum=1, maximum=320, step=1, hard=(1, 4096))
    conv_rank: int = param(0, label="Rank of convolutions; 0 takes the rank", minimum=0, maximum=320, step=1,
                           hard=(0, 4096))
    base_model: str = param("", label="Checkpoint that they were trained on", choices="models",
                            help="Asked for by DoRA, OFT, BOFT, GLoRA and IA3 only, whose change depends on it.")
    precision: str = param("float16", label="Precision", choices=LORA_PRECISIONS)
    custom_name: str = param("", label="Name", max_length=400)  # fmt: skip


@part("lora_extract", "Extract a LoRA")
class LoraExtract:
    base_model: str = param("", label="Original model", choices="models")
    tuned_model: str = param("", label="Tuned model", choices="models")
    rank: int = param(16, label="Rank", minimum=1, maximum=320, step=1, hard=(1, 4096))
    conv_rank: int = param(0, label="Rank of 3x3 convolutions; 0 leaves them out", minimum=0, maximum=320, step=1,
                           hard=(0, 4096))
    rule: str = param("Fixed rank", label="Rank by", choices=RANK_RULES,
                      help="sv_ratio keeps singular values above the largest divided by the parameter; sv_fro and "
                           "sv_cumulative keep that share of the change. The rank is then the most.")
    parameter: float = param(0.9, label="Parameter", minimum=0, maximum=50, step=0.01, hard=(0, 1e6))
    minimum_difference: float = param(0.01, label="Smallest difference for which the text encoder is extracted",
                                      minimum=0, maximum=0.1, step=0.001, hard=(0, 100))
    clamp_quantile: float = param(1.0, label="Clamp to this quantile; 1 is off", minimum=0.9, maximum=1, step=0.01,
                                  hard=(0.5, 1))
    precision: str = param("float16", label="Precision", choices=LORA_PRECISIONS)
    custom_name: str = param("", label="Name", max_length=400)  # fmt: skip


@part("lora_resize", "Resize a LoRA")
class LoraResize:
    network: str = param("", label="LoRA", choices="loras")
    rank: int = param(16, label="Rank", minimum=1, maximum=320, step=1, hard=(1, 4096))
    conv_rank: int = param(0, label="Rank of convolutions; 0 takes the rank", minimum=0, maximum=320, step=1,
                           hard=(0, 4096))
    rule: str = param("Fixed rank", label="Rank by", choices=RANK_RULES,
                      help="sv_ratio keeps singular values above the largest divided by the parameter; sv_fro and "
                           "sv_cumulative keep that share of the change. The rank is then the most.")
    parameter: float = param(0.9, label="Parameter", minimum=0, maximum=50, step=0.01, hard=(0, 1e6))
    base_model: str = param("", label="Checkpoint that it was trained on", choices="models",
                            help="Asked for by DoRA, OFT, BOFT, GLoRA and IA3 only, whose change depends on it.")
    precision: str = param("float16", label="Precision", choices=LORA_PRECISIONS)
    custom_name: str = param("", label="Name", max_length=400)  # fmt: skip


@part("lora_bake", "Bake LoRAs into a checkpoint")
class LoraBake:
    model: str = param("", label="Checkpoint", choices="models")
    networks: tuple[str, ...] = param((), label="LoRAs and weights", choices="loras",
                                      help="One a line, such as name: 0.8, or name: 0.8: 0.5 for text encoder and "
                                           "denoiser.")
    precision: str = param("As the checkpoint", label="Precision", choices=BAKED_PRECISIONS)
    custom_name: str = param("", label="Name", max_length=400)  # fmt: skip


#: kind of job -> what it is asked
REQUESTS: Mapping[str, Any] = MappingProxyType({
    cls.part_name: cls for cls in (CheckpointMerge, LoraMerge, LoraExtract, LoraResize, LoraBake)
})  # fmt: skip
