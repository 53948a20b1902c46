"""PictureBatch: img2img over many pictures, given or in a folder, with masks and parameters from files beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from atelier.base.errors import BadRequest
from atelier.base.refs import ImageRef
from atelier.params.field import param, part
from atelier.params.part_json import part_from_json, part_to_json
from atelier.params.request import GenerationRequest
from atelier.params.value_json import image_from

#: the name in `request.extras`
EXTRA = "picture_batch"
#: what may be taken from the parameters in a file: name on the page -> dotted name of a value, empty for the model
TAKEN = MappingProxyType({
    "Prompt": "prompt.positive", "Negative prompt": "prompt.negative", "Seed": "seed.seed",
    "CFG scale": "sampling.cfg_scale", "Sampler": "sampling.sampler", "Steps": "sampling.steps", "Model hash": "",
})  # fmt: skip
#: these are put behind the page's own text instead of replacing it
ADDED = ("Prompt", "Negative prompt")

_PATH = 4000


@part("picture_batch")
class PictureBatch:
    """`images` with their `names`, or every picture of `folder`."""

    images: tuple[ImageRef, ...] = param((), label="Image")
    names: tuple[str, ...] = param((), label="Names", help="File names of the pictures, for the names of the results.")
    folder: str = param("", label="Input directory", elem="batch_input_dir", max_length=_PATH,
                        help="A folder on the machine where the program runs.")
    output_folder: str = param("", label="Output directory", elem="batch_output_dir", max_length=_PATH,
                               help="Results are named as their sources here; empty saves them as usual.")
    mask_folder: str = param("", label="Inpaint batch mask directory (required for inpaint batch processing only)",
                             elem="batch_inpaint_mask_dir", max_length=_PATH,
                             help="A mask for each picture, of the same name, or one mask for all.")
    use_png_info: bool = param(False, label="Append png info to prompts", elem="batch_use_png_info",
                               help="Take parameters from the pictures themselves.")
    png_info_folder: str = param("", label="PNG info directory", elem="batch_png_info_dir", max_length=_PATH,
                                 help="Take parameters from pictures of the same name in this folder instead.")
    png_info_fields: tuple[str, ...] = param((), label="Parameters to take from png info",
                                             elem="batch_png_info_props", choices=tuple(TAKEN))
    scale: float = param(0.0, label="Resize by", hard=(0, 16),
                         help="Results in this proportion to their source; 0 takes the request's size.")  # fmt: skip


#: the fields that name folders: (name, whether it has to exist)
FOLDERS = (("folder", True), ("mask_folder", True), ("png_info_folder", True), ("output_folder", False))


@dataclass(frozen=True)
class AskedBatch:
    """A batch with its checked values. `resume` is a job whose finished pictures are taken over."""

    values: PictureBatch
    resume: str = ""

    def to_extra(self) -> dict[str, Any]:
        return {**part_to_json(self.values), **({"resume": self.resume} if self.resume else {})}


def asked_batch(request: GenerationRequest) -> AskedBatch | None:
    """The batch that a request asks for, or None. Raises `BadRequest` with the name of the value."""
    given = request.extras.get(EXTRA)
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise BadRequest(EXTRA, "expected an object.", remedy="Write names and values.")
    values = {name: value for name, value in given.items() if value is not None}
    resume = str(values.pop("resume", ""))
    return AskedBatch(_read(values), resume)


def _read(values: dict[str, Any]) -> PictureBatch:
    images = values.get("images", ())
    if not isinstance(images, (list, tuple)):
        raise BadRequest(f"{EXTRA}.images", "expected a list of pictures.")
    values["images"] = tuple(image_from(image, f"{EXTRA}.images.{k}") for k, image in enumerate(images))
    batch = part_from_json(PictureBatch, values)
    if bool(batch.folder) == bool(batch.images):
        raise BadRequest(f"{EXTRA}.images", "give either pictures or a folder.", remedy="Leave one of them empty.")
    unknown = [name for name in batch.png_info_fields if name not in TAKEN]
    if unknown:
        raise BadRequest(
            f"{EXTRA}.png_info_fields", f"{unknown[0]!r} cannot be taken.", remedy=f"Use: {', '.join(TAKEN)}."
        )
    if batch.output_folder and batch.output_folder in (batch.folder, batch.mask_folder, batch.png_info_folder):
        raise BadRequest(
            f"{EXTRA}.output_folder", "results would replace the pictures that they are made from.",
            remedy="Choose another output directory.",
        )  # fmt: skip
    return batch


def resumed_batch(request: GenerationRequest, job: str) -> GenerationRequest:
    """The request of an ended job once more; a batch takes over what that job had finished."""
    asked = asked_batch(request)
    if asked is None:
        return request
    return request.with_values(extras={**request.extras, EXTRA: replace(asked, resume=job).to_extra()})


def without_batch(request: GenerationRequest) -> GenerationRequest:
    return request.with_values(extras={name: part for name, part in request.extras.items() if name != EXTRA})
