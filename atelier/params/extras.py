"""ExtrasRequest: what is to be done with finished pictures: enlarged, faces repaired, cut, captioned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from atelier.base.errors import BadRequest
from atelier.base.refs import ImageRef
from atelier.params.field import Declaration, declarations_of, param, part

KIND = "extras"
SCALE_BY, SCALE_TO = 0, 1
FLIPS = ("Horizontal", "Vertical", "Both")
CAPTIONERS = ("Deepbooru", "BLIP")
OBJECTIVES = ("Maximize area", "Minimize error")


@part("input")
class ExtrasInput:
    """Pictures, or a folder of them on the server."""

    images: tuple[ImageRef, ...] = param((), label="Image", help="The pictures to work on.")
    names: tuple[str, ...] = param((), label="Names", help="File names of the pictures, for the names of the results.")
    folder: str = param("", label="Input directory", elem="batch_input_dir", max_length=4000,
                        help="A folder on the machine where the program runs.")  # fmt: skip


@part("output")
class ExtrasOutput:
    save: bool = param(True, label="Save pictures", help="Write the results to the output folder.")
    folder: str = param(
        "",
        label="Output directory",
        elem="batch_output_dir",
        max_length=4000,
        help="Leave empty for the folder chosen in Settings.",
    )
    show: bool = param(True, label="Show result images", elem="show_extras_results", api="show_extras_results",
                       help="Results of a folder are shown on the page.")  # fmt: skip


@part("upscale")
class Upscale:
    enabled: bool = param(True, label="Upscale", elem="upscale", help="Enlarge the pictures.")
    upscaler_1: str = param(
        "None",
        label="Upscaler 1",
        choices="upscalers",
        elem="upscaler_1",
        api="upscaler_1",
        max_length=200,
        help="None leaves the size as it is.",
    )
    upscaler_2: str = param(
        "None",
        label="Upscaler 2",
        choices="upscalers",
        elem="upscaler_2",
        api="upscaler_2",
        max_length=200,
        help="Blended over the first.",
    )
    visibility: float = param(
        0.0,
        label="Upscaler 2 visibility",
        minimum=0,
        maximum=1,
        step=0.001,
        elem="upscaler_2_visibility",
        api="extras_upscaler_2_visibility",
        help="0 shows the first upscaler alone, 1 the second.",
    )
    mode: int = param(
        SCALE_BY,
        label="Scale",
        choices=(SCALE_BY, SCALE_TO),
        api="resize_mode",
        help="0 scales by a factor, 1 to a size.",
    )
    scale: float = param(
        4.0,
        label="Resize",
        minimum=1,
        maximum=8,
        step=0.05,
        hard=(0.05, 16),
        elem="upscaling_resize",
        api="upscaling_resize",
        api_default=2.0,
        help="Factor.",
    )
    max_side: int = param(
        0,
        label="Max side length",
        minimum=0,
        maximum=16384,
        step=8,
        hard=(0, 65536),
        elem="upscale_max_side_length",
        api="max_side_length",
        help="The factor is made smaller so that no side is longer; 0 is no limit.",
    )
    width: int = param(
        512,
        label="Width",
        minimum=64,
        maximum=8192,
        step=8,
        hard=(1, 16384),
        elem="upscaling_resize_w",
        api="upscaling_resize_w",
        help="Width in pixels.",
    )
    height: int = param(
        512,
        label="Height",
        minimum=64,
        maximum=8192,
        step=8,
        hard=(1, 16384),
        elem="upscaling_resize_h",
        api="upscaling_resize_h",
        help="Height in pixels.",
    )
    crop: bool = param(True, label="Crop to fit", elem="upscaling_crop", api="upscaling_crop",
                       help="Cut off what does not fit into the size.")  # fmt: skip


@part("gfpgan")
class Gfpgan:
    enabled: bool = param(False, label="GFPGAN", elem="gfpgan", help="Repair faces with GFPGAN.")
    visibility: float = param(1.0, label="Visibility", minimum=0, maximum=1, step=0.001, elem="gfpgan_visibility",
                              api="gfpgan_visibility", api_default=0.0,
                              help="How much of the repaired face is seen.")  # fmt: skip


@part("codeformer")
class Codeformer:
    enabled: bool = param(False, label="CodeFormer", elem="codeformer", help="Repair faces with CodeFormer.")
    visibility: float = param(
        1.0,
        label="Visibility",
        minimum=0,
        maximum=1,
        step=0.001,
        elem="codeformer_visibility",
        api="codeformer_visibility",
        api_default=0.0,
        help="How much of the repaired face is seen.",
    )
    weight: float = param(0.0, label="Weight (0 = maximum effect, 1 = minimum effect)", minimum=0, maximum=1,
                          step=0.001, elem="codeformer_weight", api="codeformer_weight",
                          help="How closely the repaired face follows the given one.")  # fmt: skip


@part("background")
class Background:
    enabled: bool = param(False, label="Remove background", elem="background", help="Make the background transparent.")
    mask_only: bool = param(False, label="Return the mask", elem="background_mask",
                            help="Give the mask in place of the cut-out picture.")  # fmt: skip


@part("split")
class Split:
    enabled: bool = param(
        False,
        label="Split oversized images",
        elem="postprocess_split",
        help="Cut long pictures into overlapping pieces of the size of Scale to.",
    )
    threshold: float = param(
        0.5,
        label="Threshold",
        minimum=0,
        maximum=1,
        step=0.05,
        elem="split_threshold",
        help="A picture is split when its shape differs by more than this.",
    )
    overlap: float = param(0.2, label="Overlap ratio", minimum=0, maximum=0.9, step=0.05, elem="split_overlap_ratio",
                           help="How much of a piece lies in the next one too.")  # fmt: skip


@part("focal")
class Focal:
    enabled: bool = param(
        False,
        label="Auto focal point crop",
        elem="postprocess_focal_crop",
        help="Cut to the size of Scale to around what matters.",
    )
    face_weight: float = param(
        0.9,
        label="Focal point face weight",
        minimum=0,
        maximum=1,
        step=0.05,
        elem="focal_crop_face_weight",
        help="How much faces count.",
    )
    entropy_weight: float = param(
        0.15,
        label="Focal point entropy weight",
        minimum=0,
        maximum=1,
        step=0.05,
        elem="focal_crop_entropy_weight",
        help="How much busy places count.",
    )
    edges_weight: float = param(0.5, label="Focal point edges weight", minimum=0, maximum=1, step=0.05,
                                elem="focal_crop_edges_weight", help="How much edges count.")  # fmt: skip


@part("autocrop")
class AutoCrop:
    enabled: bool = param(
        False,
        label="Auto-sized crop",
        elem="postprocess_multicrop",
        help="Cut to the size, in steps of 64 pixels, that suits each picture best.",
    )
    min_side: int = param(
        384,
        label="Dimension lower bound",
        minimum=64,
        maximum=2048,
        step=8,
        elem="multicrop_mindim",
        help="No side is shorter.",
    )
    max_side: int = param(
        768,
        label="Dimension upper bound",
        minimum=64,
        maximum=2048,
        step=8,
        elem="multicrop_maxdim",
        help="No side is longer.",
    )
    min_area: int = param(
        64 * 64,
        label="Area lower bound",
        minimum=64 * 64,
        maximum=2048 * 2048,
        step=1,
        elem="multicrop_minarea",
        help="Pixels at least.",
    )
    max_area: int = param(
        640 * 640,
        label="Area upper bound",
        minimum=64 * 64,
        maximum=2048 * 2048,
        step=1,
        elem="multicrop_maxarea",
        help="Pixels at most.",
    )
    objective: str = param(
        OBJECTIVES[0],
        label="Resizing objective",
        choices=OBJECTIVES,
        elem="multicrop_objective",
        help="The largest size, or the one of the most similar shape.",
    )
    threshold: float = param(0.1, label="Error threshold", minimum=0, maximum=1, step=0.01,
                             elem="multicrop_threshold", help="How much the shape may differ.")  # fmt: skip


@part("flip")
class Flip:
    enabled: bool = param(
        False, label="Create flipped copies", elem="postprocess_flip", help="More pictures, mirrored."
    )
    ways: tuple[str, ...] = param((FLIPS[0],), label="Create flipped copies", choices=FLIPS, widget="checkboxes",
                                  elem="flip_ways", help="Which ways.")  # fmt: skip


@part("caption")
class Caption:
    enabled: bool = param(
        False,
        label="Caption",
        elem="postprocess_caption",
        help="Describe each picture, in a text file of the same name.",
    )
    by: tuple[str, ...] = param((CAPTIONERS[1],), label="Caption", choices=CAPTIONERS, widget="checkboxes",
                                elem="caption_by", help="Who describes it.")  # fmt: skip


EXTRAS_PARTS = (ExtrasInput, ExtrasOutput, Upscale, Gfpgan, Codeformer, Background, Split, Focal, AutoCrop, Flip,
                Caption)  # fmt: skip
EXTRAS_DECLARATIONS: tuple[Declaration, ...] = tuple(d for cls in EXTRAS_PARTS for d in declarations_of(cls))


@dataclass(frozen=True, kw_only=True)
class ExtrasRequest:
    """`overrides` are settings for this request only; `extras` holds the values of extensions' own steps."""

    input: ExtrasInput = field(default_factory=ExtrasInput)
    output: ExtrasOutput = field(default_factory=ExtrasOutput)
    upscale: Upscale = field(default_factory=Upscale)
    gfpgan: Gfpgan = field(default_factory=Gfpgan)
    codeformer: Codeformer = field(default_factory=Codeformer)
    background: Background = field(default_factory=Background)
    split: Split = field(default_factory=Split)
    focal: Focal = field(default_factory=Focal)
    autocrop: AutoCrop = field(default_factory=AutoCrop)
    flip: Flip = field(default_factory=Flip)
    caption: Caption = field(default_factory=Caption)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path, choices in (("flip.ways", FLIPS), ("caption.by", CAPTIONERS)):
            wrong = next((value for value in self.get(path) if value not in choices), None)
            if wrong is not None:
                raise BadRequest(path, f"{wrong!r} is not a choice.", remedy=f"Use one of: {', '.join(choices)}.")
        if self.autocrop.min_side > self.autocrop.max_side:
            raise BadRequest("autocrop.min_side", "it is above the upper bound.", remedy="Make it smaller.")
        if self.autocrop.min_area > self.autocrop.max_area:
            raise BadRequest("autocrop.min_area", "it is above the upper bound.", remedy="Make it smaller.")
        for name in ("overrides", "extras"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def kind(self) -> str:
        return KIND

    def get(self, path: str) -> Any:
        """The value of a dotted name, `upscale.scale`."""
        name, value = path.split(".", 1)
        return getattr(getattr(self, name), value)

    def with_values(self, **paths: Any) -> ExtrasRequest:
        """A changed copy: `request.with_values(**{"upscale.scale": 2})`. Raises `BadRequest` on a bad value."""
        changes: dict[str, dict[str, Any]] = {}
        whole = {name: paths.pop(name) for name in ("overrides", "extras") if name in paths}
        for path, value in paths.items():
            if find_extras_declaration(path) is None:
                raise BadRequest(path, "there is no such value in a request.")
            name, key = path.split(".", 1)
            changes.setdefault(name, {})[key] = value
        parts = {name: replace(getattr(self, name), **values) for name, values in changes.items()}
        return replace(self, **parts, **whole)


def find_extras_declaration(path: str) -> Declaration | None:
    return next((d for d in EXTRAS_DECLARATIONS if d.path == path), None)
