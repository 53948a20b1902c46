"""Detection: what kind of model a file is, from names and shapes alone, or a refusal that says why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atelier.base.errors import BadModelFile, UnknownModel
from atelier.checkpoints.header import Header
from atelier.families.catalogue import FAMILIES
from atelier.families.family import Evidence, Family, Match, NoMatch
from atelier.families.ldm import TEXT_PREFIX, UNET_PREFIX, VAE_PREFIX


@dataclass(frozen=True)
class Kind:
    """A kind of file that is known but is not a checkpoint of a family that can be loaded."""

    title: str
    seen: Callable[[Evidence], bool]
    remedy: str = ""


def _starts(*starts: str) -> Callable[[Evidence], bool]:
    return lambda e: any(e.any_key(start) for start in starts)


def _contains(*parts: str) -> Callable[[Evidence], bool]:
    return lambda e: any(e.any_key(part=part) for part in parts)


def _context(width: int) -> Callable[[Evidence], bool]:
    """A bare or prefixed denoiser whose first cross-attention reads text of this width."""

    def seen(evidence: Evidence) -> bool:
        shape = next((s for k, s in evidence.shapes.items() if k.endswith("attn2.to_k.weight")), ())
        return len(shape) == 2 and shape[1] == width and evidence.any_key(part="input_blocks.") is not None

    return seen


NOT_YET = "This version runs Stable Diffusion 1.x, 2.x and XL."
#: files that are not checkpoints at all, before families that are not supported: the first that fits is named
KINDS: tuple[Kind, ...] = (
    Kind("a LoRA or a similar small network", _contains("lora_unet_", "lora_te", ".lora_down.", ".lora_A.", "lora_up.",
         ".hada_w1_a", ".lokr_w1"), "Put it into models/Lora and name it in the prompt as <lora:name:1>."),
    Kind("a textual inversion", lambda e: len(e.shapes) <= 3 and any(
         k in e.shapes for k in ("emb_params", "clip_l", "clip_g", "<*>")), "Put it into the embeddings folder."),
    Kind("a ControlNet", _starts("control_model.", "controlnet_cond_embedding.", "input_hint_block."),
         "Put it into models/ControlNet."),
    Kind("an IP-Adapter", _starts("image_proj.", "ip_adapter.")),
    Kind("an AnimateDiff motion module", _contains("motion_modules.")),
    Kind("Stable Diffusion 3", _starts(f"{UNET_PREFIX}joint_blocks.", "joint_blocks."), NOT_YET),
    Kind("Flux", _contains("double_blocks.0.img_attn"), NOT_YET),
    Kind("AltDiffusion", _starts("cond_stage_model.roberta."), NOT_YET),
    Kind("a VAE", lambda e: bool(e.any_key("decoder.conv_in.") or e.any_key(VAE_PREFIX)) and not e.any_key(UNET_PREFIX),
         "Put it into models/VAE and choose it under SD VAE."),
    Kind("an upscaler", _starts("conv_first.", "model.0.weight", "model.1.sub."), "Put it into models/ESRGAN."),
    Kind("the denoiser of a Stable Diffusion 1.x checkpoint, alone", lambda e: _context(768)(e) and not e.any_key(
         UNET_PREFIX), "Get the whole checkpoint, with text encoder."),
    Kind("the denoiser of a Stable Diffusion XL checkpoint, alone", _context(2048),
         "Get the whole checkpoint, with its text encoders."),
    Kind("the denoiser of a Stable Diffusion 2.x checkpoint, alone", lambda e: _context(1024)(e) and not e.any_key(
         UNET_PREFIX), "Get the whole checkpoint, with text encoder."),
)  # fmt: skip


def evidence_of(header: Header, config: Mapping[str, Any] | None = None) -> Evidence:
    """What families look at. The oldest files name their text encoder without `text_model.`; it is put in here."""
    shapes = {modern_name(name): info.shape for name, info in header.tensors.items()}
    return Evidence(shapes, header.metadata, config)


def modern_name(name: str) -> str:
    rest = name[len(TEXT_PREFIX) :] if name.startswith(TEXT_PREFIX) else ""
    if rest.startswith(("embeddings.", "encoder.", "final_layer_norm.")):
        return f"{TEXT_PREFIX}text_model.{rest}"
    return name


def identify(
    header: Header, config: Mapping[str, Any] | None = None, families: Sequence[Family] = FAMILIES
) -> tuple[Family, Match, Evidence]:
    """The family of a checkpoint file.

    Raises `BadModelFile` for a file that is another kind of thing, and `UnknownModel`, with the closest family and
    the missing keys, for one that fits no family.
    """
    evidence = evidence_of(header, config)
    misses: list[tuple[Family, NoMatch]] = []
    for family in families:
        answer = family.match(evidence)
        if isinstance(answer, Match):
            return family, answer, evidence
        misses.append((family, answer))
    name = header.path.name
    if not header.tensors:
        raise BadModelFile(f"{name} holds no tensors.", path=str(header.path))
    kind = next((k for k in KINDS if k.seen(evidence)), None)
    if kind is not None and not any(miss.near for _, miss in misses):
        raise UnknownModel(
            f"{name} is {kind.title}, not a checkpoint that can be loaded here.",
            remedy=kind.remedy,
            path=str(header.path),
            kind=kind.title,
        )
    closest, miss = max(misses, key=lambda pair: pair[1].score)
    raise UnknownModel(
        f"{name} cannot be loaded: {miss.reason}. The closest known kind is {closest.title}.",
        path=str(header.path),
        closest=closest.name,
        missing=list(miss.missing),
    )
