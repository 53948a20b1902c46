"""Told: which values of a request are worth a place in the infotext; one that has no effect is not told."""

from __future__ import annotations

from atelier.params.request import GenerationRequest


def told(path: str, request: GenerationRequest) -> bool:
    """`path` is the dotted name of a declared value."""
    part, _, name = path.partition(".")
    hires, mask, seed = request.hires, request.mask, request.seed
    if part == "prompt" or path == "batch.size":
        return False
    if path in ("seed.subseed", "seed.subseed_strength"):
        return seed.subseed_strength != 0
    if path in ("seed.resize_from_w", "seed.resize_from_h"):
        return seed.resize_from_w > 0 and seed.resize_from_h > 0
    if part == "hires":
        resized = hires.resize_x > 0 or hires.resize_y > 0
        same = {"prompt": request.prompt.positive, "negative": request.prompt.negative, "steps": 0,
                "sampler": request.sampling.sampler, "scheduler": request.sampling.scheduler,
                "cfg_scale": 0}  # fmt: skip
        if not hires.enabled or request.kind != "txt2img":
            return False
        if name in ("scale", "resize_x", "resize_y"):
            return resized == (name != "scale")
        return request.get(path) not in (same.get(name), "", None)
    if part == "refiner":
        return bool(request.refiner_checkpoint) and request.get(path) is not None
    if part == "soft":
        return request.inpainting and request.soft.enabled
    if part == "source":
        return request.kind == "img2img" and request.get(path) is not None
    if part == "mask":
        needed = {"padding": mask.only_masked, "blur_x": mask.blur_x == mask.blur_y}
        return request.inpainting and needed.get(name, True)
    if part == "guidance":
        return request.guidance.told(name)
    if path == "output.tiling":
        return bool(request.output.tiling)
    return request.get(path) is not None
