"""Files of other programs, as bytes: their texts are found wherever they keep them, and understood."""

from __future__ import annotations

import gzip
import io
import json

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from atelier.imaging.metadata import exif_block
from atelier.web.reading import read_picture

GRAPH = {
    "1": {"class_type": "KSampler", "inputs": {"seed": 3, "steps": 9, "cfg": 5, "sampler_name": "euler",
          "scheduler": "karras", "denoise": 1, "positive": ["2", 0], "negative": ["2", 0]}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["9", 1]}},
}  # fmt: skip
FOOOCUS = {"metadata_scheme": "fooocus", "prompt": "a fox", "steps": 30, "sampler": "euler", "seed": "1",
           "resolution": "(8, 8)", "guidance_scale": 4}  # fmt: skip


def png(packed: bool = False, **texts: str) -> bytes:
    chunks, out = PngInfo(), io.BytesIO()
    for key, text in texts.items():
        chunks.add_itxt(key, text, zip=True) if packed else chunks.add_text(key, text)
    Image.new("RGB", (64, 32)).save(out, "PNG", pnginfo=chunks)
    return out.getvalue()


def test_comfyui_in_plain_and_packed_texts():
    for packed in (False, True):
        found, told, _ = read_picture(png(packed, prompt=json.dumps(GRAPH), workflow="{}"))
        assert told.program == "ComfyUI" and told.infotext.startswith("a cat\nNegative prompt: a cat\nSteps: 9,")
        assert "Size: 64x32" in told.infotext and found.items["prompt"] in told.original


def test_fooocus_in_png_jpeg_and_webp():
    for data in (png(parameters=json.dumps(FOOOCUS), fooocus_scheme="fooocus"), saved("JPEG"), saved("WEBP")):
        told = read_picture(data)[1]
        assert told.program == "Fooocus" and told.infotext.startswith("a fox\nSteps: 30, Sampler: Euler, CFG scale: 4")


def saved(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, kind, exif=exif_block(json.dumps(FOOOCUS)))
    return out.getvalue()


def test_novelai_hidden_in_alpha():
    comment = {"steps": 28, "sampler": "k_euler", "seed": 2, "scale": 5, "uc": "bad", "prompt": "x"}
    hidden = {"Software": "NovelAI", "Description": "{a cat}", "Comment": json.dumps(comment)}
    payload = gzip.compress(json.dumps(hidden).encode())
    data = b"stealth_pngcomp" + (len(payload) * 8).to_bytes(4, "big") + payload
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    alpha = np.full((64, 64), 254, np.uint8).T.reshape(-1)
    alpha[: bits.size] |= bits
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :, 3] = alpha.reshape(64, 64).T
    out = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(out, "PNG")
    told = read_picture(out.getvalue())[1]
    assert told.program == "NovelAI" and told.infotext.startswith("(a cat:1.05)\nNegative prompt: bad\nSteps: 28")
