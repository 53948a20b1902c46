"""Model files made for tests: headers of models that are too large to build, and pickles of every kind."""

import json
import struct
from pathlib import Path

ITEM = {"F16": 2, "F32": 4}


def write_header_only(path: Path, shapes: dict[str, tuple[int, ...]], dtype: str = "F16", metadata=None) -> Path:
    """A safetensors file with true header and length whose data is a hole: full-size shapes, no bytes on disk."""
    entries, offset = {}, 0
    for name, shape in shapes.items():
        size = ITEM[dtype]
        for n in shape:
            size *= n
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    if metadata:
        entries["__metadata__"] = metadata
    header = json.dumps(entries).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + offset)
    return path


UNET = "model.diffusion_model."
SDXL = {
    f"{UNET}input_blocks.0.0.weight": (320, 4, 3, 3),
    f"{UNET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
    f"{UNET}label_emb.0.0.weight": (1280, 2816),
    "conditioner.embedders.1.model.ln_final.weight": (1280,),
}
LORA = {
    "lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (4, 320),
    "lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight": (320, 4),
    "lora_te_text_model_encoder_layers_0_mlp_fc1.alpha": (),
}


def sd1_shapes(channels: int = 4, width: int = 320) -> dict[str, tuple[int, ...]]:
    """The decisive part of a Stable Diffusion 1.x header."""
    return {
        f"{UNET}input_blocks.0.0.weight": (width, channels, 3, 3),
        f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (49408, 768),
        "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
    }
