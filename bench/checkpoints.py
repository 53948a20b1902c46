"""Random checkpoints of the real layout and size, written tensor by tensor, so that making one takes no memory."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import yaml

from atelier.base.files import atomic_writer, write_text
from atelier.families.family import Blueprint, Cut, Evidence
from atelier.families.ldm import TEXT_PREFIX, UNET_PREFIX
from atelier.families.sd1 import CONTEXT, FIRST, SD1, TOKENS
from atelier.families.sdxl import G_PREFIX, L_PREFIX, SDXL
from atelier.families.sgm import LABEL

VOCABULARY = 49408
#: a Stable Diffusion 1.x of which the autoencoder alone has its full size
VAE_ALONE = MappingProxyType({"model": {"params": {
    "unet_config": {"params": {"model_channels": 32, "channel_mult": [1], "num_res_blocks": 1, "context_dim": 16,
                               "attention_resolutions": [1], "num_heads": 2}},
    "cond_stage_config": {"params": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                                     "intermediate_size": 32}},
}}})  # fmt: skip
TYPES = MappingProxyType({torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"})


def write_random_checkpoint(
    path: Path, dtype: torch.dtype = torch.float32, config: Mapping[str, Any] | None = None, seed: int = 0
) -> Path:
    """A Stable Diffusion 1.x file with random weights, of full size (1.07 billion numbers) or as `config`, an LDM
    configuration, says. The same seed gives the same numbers, rounded to `dtype`."""
    evidence = Evidence({UNET_PREFIX + FIRST: (320, 4, 3, 3), TEXT_PREFIX + "text_model." + TOKENS: (VOCABULARY, 768),
                         UNET_PREFIX + CONTEXT: (320, 768)}, config=config)  # fmt: skip
    return _write(path, dict(_tensors(SD1.blueprint(evidence))), dtype, seed)


def write_random_vae(path: Path, dtype: torch.dtype = torch.float32) -> Path:
    """The same with hardly anything beside the autoencoder (84 million numbers), and its configuration."""
    write_text(path.with_suffix(".yaml"), yaml.safe_dump(dict(VAE_ALONE)))
    return write_random_checkpoint(path, dtype, VAE_ALONE)


def write_random_xl(path: Path, dtype: torch.dtype = torch.float16, seed: int = 0) -> Path:
    """The same of Stable Diffusion XL's base model: 3.47 billion numbers."""
    return _write(path, dict(_tensors(SDXL.blueprint(Evidence(dict(_decisive()))))), dtype, seed)


def _decisive() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Shapes that tell the sizes of SDXL's text encoders, and what its denoiser is told."""
    first = f"{L_PREFIX}text_model."
    yield UNET_PREFIX + FIRST, (320, 4, 3, 3)
    yield LABEL, (1280, 1280 + 6 * 256)
    yield first + TOKENS, (VOCABULARY, 768)
    yield from ((f"{first}encoder.layers.{n}.mlp.fc1.weight", (3072, 768)) for n in range(12))
    yield f"{G_PREFIX}token_embedding.weight", (VOCABULARY, 1280)
    yield f"{G_PREFIX}positional_embedding", (77, 1280)
    yield f"{G_PREFIX}text_projection", (1280, 1280)
    yield from ((f"{G_PREFIX}transformer.resblocks.{n}.mlp.c_fc.weight", (5120, 1280)) for n in range(32))


def _write(path: Path, shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype, seed: int) -> Path:
    header, place = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": TYPES[dtype], "shape": list(shape), "data_offsets": [place, place + size]}
        place += size
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    text += b" " * (-len(text) % 8)
    generator = torch.Generator().manual_seed(seed)
    with atomic_writer(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            file.write(_random(name, shape, generator).to(dtype).contiguous().view(torch.uint8).numpy().data)
    return path


def _tensors(blueprint: Blueprint) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names in the file and shapes, as the family itself builds them."""
    for component in blueprint.components.values():
        with torch.device("meta"):
            module = component.build()
        shapes = {name: tuple(t.shape) for name, t in module.state_dict().items() if not name.endswith("position_ids")}
        for ours, place in component.names(shapes).items():
            cut = place if isinstance(place, Cut) else Cut(place)
            shape = (shapes[ours][0] * cut.of, *shapes[ours][1:]) if shapes[ours] else ()
            yield component.prefixes[0] + cut.name, shape[::-1] if cut.turned else shape


def _random(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Weights that keep the size of what flows through them, so that nothing overflows in any precision."""
    if len(shape) == 1:
        return torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
    inputs = 1 if "embedding" in name else math.prod(shape[1:])
    return torch.randn(shape, generator=generator) / math.sqrt(inputs)
