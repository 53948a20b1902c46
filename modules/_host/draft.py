"""The way between a frozen request and A1111's mutable `p`, through the `a1111` names of the declarations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from PIL import Image

from atelier.base.refs import ImageRef
from atelier.imaging.blobs import BlobStore
from atelier.params.field import Declaration
from atelier.params.request import DECLARATIONS, GenerationRequest
from modules._host.processing import (
    StableDiffusionProcessing,
    StableDiffusionProcessingImg2Img,
    StableDiffusionProcessingTxt2Img,
)

NAMED: tuple[Declaration, ...] = tuple(d for d in DECLARATIONS if d.param.a1111)
IMG2IMG_PARTS = frozenset(("source", "mask"))
#: what A1111's lists offer for "as in the first pass"
SAME = frozenset(("Use same checkpoint", "Use same sampler", "Use same scheduler", "None", ""))
SAME_PATHS = frozenset(("hires.checkpoint", "hires.sampler", "hires.scheduler", "refiner.checkpoint"))
#: texts and numbers that may be lists on `p`, one value for each picture
LISTED = frozenset(
    ("prompt.positive", "prompt.negative", "seed.seed", "seed.subseed", "hires.prompt", "hires.negative")
)


def belongs(declaration: Declaration, img2img: bool) -> bool:
    if declaration.part in IMG2IMG_PARTS:
        return img2img
    return not (img2img and declaration.part == "hires")


def draft_of(request: GenerationRequest, blobs: BlobStore) -> StableDiffusionProcessing:
    """A new `p` with everything that the request says; pictures are opened."""
    img2img = request.kind == "img2img"
    p: Any = StableDiffusionProcessingImg2Img() if img2img else StableDiffusionProcessingTxt2Img()
    for declaration in NAMED:
        if belongs(declaration, img2img):
            value = request.get(declaration.path)
            setattr(p, declaration.param.a1111, list(value) if isinstance(value, tuple) else value)
    p.inpainting_mask_invert = int(request.mask.invert) if img2img else None
    if not request.refiner.enabled:
        p.refiner_checkpoint = p.refiner_switch_at = None
    p.override_settings = dict(request.overrides)
    p.do_not_save_samples = p.do_not_save_grid = not request.output.save_images
    if img2img:
        p.init_images = [_open(p, ref, blobs) for ref in request.source.images]
        p.image_mask = p.mask = None if request.mask.image is None else _open(p, request.mask.image, blobs)
    else:
        del p.inpainting_mask_invert
        p.denoising_strength = request.hires.denoising_strength
        p.firstpass_image = None if request.hires.image is None else _open(p, request.hires.image, blobs)
    return p


def request_of(p: StableDiffusionProcessing, base: GenerationRequest, blobs: BlobStore) -> GenerationRequest:
    """`base` with everything that `p` says differently. Raises `BadRequest` naming the value that cannot be used."""
    img2img = isinstance(p, StableDiffusionProcessingImg2Img)
    values: dict[str, Any] = {}
    for declaration in NAMED:
        if belongs(declaration, img2img):
            given = _given(p, declaration)
            if given is not _UNSAID and _differs(given, base.get(declaration.path)):
                values[declaration.path] = given
    if not p.refiner_checkpoint and not base.refiner.enabled:
        # A `p` has no switch: what stands on controls that are switched off is left alone.
        values.pop("refiner.checkpoint", None)
        values.pop("refiner.switch_at", None)
    elif bool(p.refiner_checkpoint) != base.refiner.enabled:
        values["refiner.enabled"] = bool(p.refiner_checkpoint)
    values |= _pictures(p, base, blobs) if img2img else {**_strength(p, base), **_first_pass(p, base, blobs)}
    save = not p.do_not_save_samples
    if save != base.output.save_images:
        values["output.save_images"] = save
    overrides = _overrides(p, save)
    if overrides != dict(base.overrides):
        values["overrides"] = overrides
    return base.with_values(**values) if values else base


_UNSAID = object()


def _given(p: Any, declaration: Declaration) -> Any:
    value = getattr(p, declaration.param.a1111, None)
    path = declaration.path
    if path in LISTED and isinstance(value, (list, tuple)):
        value = value[0] if value else None
    if path in ("seed.seed", "seed.subseed"):
        return -1 if value in (None, "") else int(float(value)) if isinstance(value, (str, float)) else value
    if path in SAME_PATHS and value in SAME:
        return None
    if value is None and not declaration.optional:
        return _UNSAID
    if isinstance(value, list):
        return tuple(value)
    if declaration.kind == "bool" and isinstance(value, int):
        return bool(value)
    return value


def _differs(given: Any, before: Any) -> bool:
    # An object that only looks like a number equals the number it stands for, and must still get through.
    return type(given) is not type(before) or given != before


def _strength(p: Any, base: GenerationRequest) -> dict[str, Any]:
    strength = getattr(p, "denoising_strength", None)
    if strength is None or strength == base.hires.denoising_strength:
        return {}
    return {"hires.denoising_strength": strength}


def _overrides(p: Any, save: bool) -> dict[str, Any]:
    overrides = dict(p.override_settings or {})
    if p.do_not_save_grid:
        overrides |= {"grid_save": False, "return_grid": False}
    given = getattr(p, "outpath_samples", None)
    if save and given and given != getattr(p, "_outpath_given", None):
        overrides["outdir_samples"] = str(given)
    return overrides


# -- pictures --------------------------------------------------------------------------------------------------


def _open(p: Any, ref: ImageRef, blobs: BlobStore) -> Image.Image:
    image = blobs.image(ref, "source.images")
    _known(p)[id(image)] = (image, ref)
    return image


def _known(p: Any) -> dict[int, tuple[Image.Image, ImageRef]]:
    """Pictures of `p` that are in the blob store, so that they are not encoded again at every moment."""
    return vars(p).setdefault("_pictures_known", {})


def _ref(p: Any, image: Any, blobs: BlobStore) -> ImageRef:
    known = _known(p).get(id(image))
    if known is not None:
        return known[1]
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    if picture.mode not in ("RGB", "RGBA", "L"):
        picture = picture.convert("RGBA" if "A" in picture.getbands() else "RGB")
    ref = blobs.put_image(picture)
    _known(p)[id(image)] = (image, ref)
    return ref


def _first_pass(p: Any, base: GenerationRequest, blobs: BlobStore) -> dict[str, Any]:
    """The finished picture that hires fix enlarges in the place of one that it would make first."""
    image = getattr(p, "firstpass_image", None)
    ref = None if image is None else _ref(p, image, blobs)
    return {} if ref == base.hires.image else {"hires.image": ref}


def _pictures(p: Any, base: GenerationRequest, blobs: BlobStore) -> dict[str, Any]:
    images: Iterable[Any] = p.init_images or ()
    refs = tuple(_ref(p, image, blobs) for image in images if image is not None)
    values: dict[str, Any] = {} if refs == base.source.images else {"source.images": refs}
    mask = p.image_mask if p.image_mask is not None else p.mask
    # After `init`, A1111 keeps a tensor in `mask`; the picture is then in `image_mask`.
    mask = mask if isinstance(mask, Image.Image) else None
    ref = None if mask is None else _ref(p, mask, blobs)
    return values if ref == base.mask.image else {**values, "mask.image": ref}
