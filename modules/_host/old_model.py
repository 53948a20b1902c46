"""`shared.sd_model`: the open model under the names that A1111's model object has."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch

from atelier.families.clip import core_of, tokenize_with
from atelier.families.family import EncodeOptions, PictureFacts
from atelier.prompts.chunks import Marks
from atelier.prompts.counter import count_tokens
from modules._host.checkpoints import info_of


class TextModelView:
    """`sd_model.cond_stage_model`: CLIP with its tokenizer. Of SDXL it is the first of two, with the whole text."""

    chunk_length = 75

    def __init__(self, model: Any, encoder: Any = None, pad: int | None = None) -> None:
        self._model = model
        self.tokenizer = model.tokenizer
        self.transformer = model.text_encoder if encoder is None else encoder
        self.wrapped = SimpleNamespace(tokenizer=model.tokenizer, transformer=self.transformer)
        marks = _marks(model)
        marks = marks if pad is None else marks._replace(pad=pad)
        self.comma_token, self.id_start, self.id_end, self.id_pad = marks

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        tokenize = tokenize_with(self.tokenizer)
        return [tokenize(text) for text in texts]

    def get_target_prompt_token_count(self, token_count: int) -> int:
        return max(1, -(-token_count // self.chunk_length)) * self.chunk_length

    def to(self, *args: Any, **kwargs: Any) -> TextModelView:
        self.transformer.to(*args, **kwargs)
        return self

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:  # [B, T, C]
        return encode(self._model, texts)


def conditioning_key(model: Any) -> str:
    """How the original configurations call what a network is fed beside the latents."""
    if model.varies:
        return "crossattn-adm"
    return "hybrid" if model.is_inpainting or model.takes_depth or model.edits else "crossattn"


class ModelView:
    """Made anew from the open model; setting an attribute keeps it on the view for the time the model is open."""

    is_sd3 = is_ssd = is_flux = False
    used_config = ""
    lowvram = False

    def __init__(self, model: Any) -> None:
        self._model = model
        kinds = (model.family.name.startswith(start) for start in ("sd1", "sd2", "sdxl"))
        self.is_sd1, self.is_sd2, self.is_sdxl = kinds
        self.is_sdxl_inpaint = self.is_sdxl and model.is_inpainting
        self.sd_checkpoint_info = info_of(model.file)
        self.sd_model_checkpoint = str(model.file.path)
        self.sd_model_hash = model.file.short
        self.filename = str(model.file.path)
        self.parameterization = model.prediction.kind
        self.alphas_cumprod = self.alphas_cumprod_original = model.prediction.alphas_cumprod
        self.num_timesteps = len(model.prediction.alphas_cumprod)
        self.latent_channels = model.latent.channels
        self.scale_factor = model.latent.scale
        self.first_stage_model = model.vae
        self.cond_stage_model = TextModelView(model, pad=0) if self.is_sd2 else TextModelView(model)
        self.cond_stage_key = "edit" if model.edits else "txt"
        if self.is_sdxl:
            # The OpenCLIP encoder is the last, or in the refiner the only one; it is filled up with 0.
            first = [self.cond_stage_model] if model.text_encoder_2 is not None else []
            open_clip = TextModelView(model, model.text_encoders[-1], pad=0)
            self.conditioner = SimpleNamespace(embedders=[*first, open_clip])
        self.model = SimpleNamespace(diffusion_model=model.denoiser, conditioning_key=conditioning_key(model))
        self.network_layer_mapping: dict[str, Any] = {}

    @property
    def device(self) -> torch.device:
        return self._model.device

    @property
    def dtype(self) -> torch.dtype:
        return self._model.unet_dtype

    @property
    def cond_stage_model_empty_prompt(self) -> torch.Tensor:  # [1, 77, C]
        return encode(self._model, [""])

    def get_learned_conditioning(self, texts: Sequence[str]) -> torch.Tensor | dict[str, torch.Tensor]:  # [B, T, C]
        """Of SDXL a dictionary: "crossattn", and "vector", the pooled vectors with what is told of the size."""
        if self._model.family.sizes is None:
            return encode(self._model, texts)
        options = EncodeOptions(negative=bool(getattr(texts, "is_negative_prompt", False)))
        with torch.no_grad():
            found = self._model.encode_texts(list(texts), options)
        pooled = torch.stack([e.pooled for e in found])
        width, height = getattr(texts, "width", None) or 1024, getattr(texts, "height", None) or 1024
        told, negative_told = self._model.family.sizes(PictureFacts(width, height))
        sizes = torch.tensor([negative_told if options.negative else told] * len(found))
        return {"crossattn": torch.stack([e.vectors for e in found]), "vector": told_vector(self._model, pooled, sizes)}

    def encode_first_stage(self, x: torch.Tensor) -> torch.Tensor:  # [B, 3, H, W] in -1..1 -> scaled [B, C, h, w]
        return self._model.encode_images(x)

    def get_first_stage_encoding(self, encoding: torch.Tensor) -> torch.Tensor:
        """What `encode_first_stage` gives is scaled already."""
        return encoding

    def decode_first_stage(self, z: torch.Tensor) -> torch.Tensor:  # scaled [B, C, h, w] -> [B, 3, H, W]
        return self._model.decode(z)

    def state_dict(self) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}
        for name, module in self._model.components().items():
            found |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        return found

    def named_modules(self) -> Any:
        for name, module in self._model.components().items():
            for inner, found in module.named_modules():
                yield (f"{name}.{inner}" if inner else name), found

    def to(self, *args: Any, **kwargs: Any) -> ModelView:
        """The program decides where models are; a script's wish changes nothing."""
        return self


def told_vector(model: Any, pooled: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:  # [B, P], [B, n] -> [B, V]
    """All that the network of SDXL is told beside the text's vectors, each number spread out as the network does it."""
    spread = model.denoiser.add_time_proj(sizes.flatten().to(pooled.device)).reshape(len(sizes), -1)
    return torch.cat([pooled, spread.to(pooled)], dim=1)


def encode(model: Any, texts: Sequence[str]) -> torch.Tensor:  # [B, T, C]
    with torch.no_grad():
        return torch.stack([e.vectors for e in model.encode_texts(list(texts), EncodeOptions())])


def prompt_lengths(model: Any, text: str) -> tuple[int, int]:
    """Tokens of a prompt, and the room that its chunks have."""
    return count_tokens(text, tokenize_with(model.tokenizer), _marks(model))


def _marks(model: Any) -> Marks:
    tokenizer = model.tokenizer
    comma = tokenize_with(tokenizer)(",")[0]
    return Marks(comma, tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.eos_token_id)


def layers_of(model: Any) -> list[Any]:
    """Every module of the model, as extensions walk them to change convolutions."""
    encoders = (core_of(encoder) for encoder in model.text_encoders)
    return [module for part in (model.denoiser, model.vae, *encoders) for module in part.modules()]
