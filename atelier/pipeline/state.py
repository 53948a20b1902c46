"""The carriers of a run: what steps hand to each other and what hooks may change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PIL import Image

from atelier.base.cancel import CancelToken
from atelier.base.events import Event, Notice
from atelier.base.refs import ImageRef
from atelier.imaging.color import ColorTarget
from atelier.params.request import GenerationRequest
from atelier.params.settings import SettingsSnapshot

if TYPE_CHECKING:
    import torch

    from atelier.checkpoints.load import LoadedModel
    from atelier.pipeline.services import Services
    from atelier.sampling.conditioning import Conditioning
    from atelier.sampling.noise import PictureNoise
    from atelier.sampling.session import SamplingPlan


@dataclass
class RequestDraft:
    """The request before anything was derived from it. Hooks replace `request` by a changed copy."""

    request: GenerationRequest


@dataclass(frozen=True)
class PlannedPicture:
    """One picture of a job: prompts are final texts, with styles merged and comments stripped."""

    index: int
    seed: int
    subseed: int
    prompt: str
    negative: str
    hires_prompt: str = ""
    hires_negative: str = ""


@dataclass
class PlanDraft:
    """The plan while extensions may still change it. All lists have one entry for each picture of the job."""

    prompts: list[str]
    negatives: list[str]
    seeds: list[int]
    subseeds: list[int]
    hires_prompts: list[str]
    hires_negatives: list[str]


@dataclass(frozen=True)
class Plan:
    """What a run will do, decided before the GPU is touched. Sizes are in pixels and multiples of the latent factor."""

    width: int
    height: int
    batches: tuple[tuple[PlannedPicture, ...], ...]
    hires_width: int = 0
    hires_height: int = 0

    @property
    def pictures(self) -> tuple[PlannedPicture, ...]:
        return tuple(picture for batch in self.batches for picture in batch)

    @property
    def passes(self) -> int:
        return 2 if self.hires_width else 1


@dataclass
class Run:
    """One run of the recipe. `notes` is scratch space: one entry for each extension, under its name."""

    request: GenerationRequest
    settings: SettingsSnapshot
    services: Services
    token: CancelToken
    publish: Callable[[Event], Any]
    job: str = ""
    plan: Plan | None = None
    model: LoadedModel | None = None
    #: the model of the second pass, which is usually the same
    hires_model: LoadedModel | None = None
    #: the model that takes over in the middle of a pass
    refiner: LoadedModel | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    infotext: dict[str, Any] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    timestamp: str = ""
    nested: bool = False
    #: inpainting with "only masked": the box of the picture that is worked on, (left, top, right, bottom)
    crop: tuple[int, int, int, int] | None = None
    calls_done: int = 0
    calls_total: int = 0

    @property
    def models(self) -> tuple[LoadedModel, ...]:
        """Every model that the run works with, each once."""
        found: list[LoadedModel] = []
        for model in (self.model, self.hires_model, self.refiner):
            if model is not None and all(model is not other for other in found):
                found.append(model)
        return tuple(found)

    def comment(self, message: str, source: str = "") -> None:
        """Something a person should know: shown with the result, and at once as a notice."""
        self.comments.append(message)
        self.publish(Notice(job=self.job, message=message, source=source))


@dataclass
class Batch:
    """The pictures made together. The lists have one entry for each picture and may be changed in place."""

    run: Run
    index: int
    pictures: tuple[PlannedPicture, ...]
    prompts: list[str]
    negatives: list[str]
    seeds: list[int]
    subseeds: list[int]
    hires_prompts: list[str]
    hires_negatives: list[str]
    #: network tags cut from the prompts: one tuple of `NetworkTag` of the first prompt of the batch
    tags: tuple[Any, ...] = ()
    #: those of the first prompt of the second pass
    hires_tags: tuple[Any, ...] = ()
    #: for hooks that change what the text encoder gave
    conditioning: Conditioning | None = None
    latents: torch.Tensor | None = None  # [B, C, h, w]
    #: decoded pictures, 0..1; hooks may replace the tensor, or change the list's length through `images`
    pixels: torch.Tensor | None = None  # [B, 3, H, W]
    images: list[torch.Tensor] = field(default_factory=list)  # each [3, H, W]
    frames: list[Frame] = field(default_factory=list)
    #: set by `after_sampling` hooks that decoded on their own
    already_decoded: bool = False
    #: the first pass came to its end; what is stopped later is worth saving
    whole: bool = False


@dataclass
class Pass:
    """One walk from noise to latents. `name` is "first" or "hires". `cfg_scale` may be any float-like object."""

    batch: Batch
    name: str
    width: int
    height: int
    prompts: list[str]
    negatives: list[str]
    model: LoadedModel
    plan: SamplingPlan
    noise: PictureNoise | None
    cfg_scale: Any
    steps: int
    start: torch.Tensor | None = None  # [B, C, h, w] what sampling starts from
    first_noise: torch.Tensor | None = None  # [B, C, h, w]
    source: torch.Tensor | None = None  # [B, C, h, w] latents of the picture that is changed
    keep_mask: torch.Tensor | None = None  # [1 or B, 1, h, w] 1 = keep the source
    concat: torch.Tensor | None = None  # [B, c, h, w] extra input channels: a mask, a depth map, a picture
    blank_concat: torch.Tensor | None = None  # [B, c, h, w] in their place where the picture is not to be seen
    #: further inputs of the network by name, one row a picture; the second for the negative prompt where it differs
    added: dict[str, torch.Tensor] = field(default_factory=dict)
    negative_added: dict[str, torch.Tensor] = field(default_factory=dict)
    conditioning: Conditioning | None = None
    latents: torch.Tensor | None = None  # [B, C, h, w]
    #: what after-guidance hooks and samplers may be told; free for the host of A1111 extensions
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Frame:
    """One decoded picture on its way to the disk. `index` counts over the job."""

    batch: Batch
    index: int
    position: int
    image: Image.Image
    seed: int
    subseed: int
    prompt: str
    negative: str
    infotext: dict[str, Any] = field(default_factory=dict)
    overlay: Image.Image | None = None
    mask_for_overlay: Image.Image | None = None
    #: whose colours it is to be given, in the place of those of the source and whatever the settings say
    colors: ColorTarget | None = None
    #: before colour correction, where there was one
    before_color: Image.Image | None = None


@dataclass
class PictureDraft:
    """A picture just before it is written; hooks may change image, infotext and path."""

    run: Run
    image: Image.Image
    infotext: str
    folder: str
    stem: str
    format: str
    save: bool = True
    role: str = "picture"
    frame: Frame | None = None


@dataclass(frozen=True)
class Picture:
    """One finished picture. `path` is empty when it was not saved."""

    index: int
    ref: ImageRef
    infotext: str
    seed: int
    subseed: int = -1
    path: str = ""
    role: str = "picture"
    prompt: str = ""
    negative: str = ""


@dataclass(frozen=True)
class Result:
    """What a run gave. `state` is done, stopped or cancelled; `info` is what A1111 clients read beside the pictures."""

    pictures: tuple[Picture, ...]
    state: str = "done"
    comments: tuple[str, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    #: images of the result in order, kept in memory for callers on the same thread (scripts, nested runs)
    images: tuple[Image.Image, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data for the job's record; pictures are named by their hashes."""
        return {
            "state": self.state,
            "comments": list(self.comments),
            "info": dict(self.info),
            "seconds": round(self.seconds, 3),
            "pictures": [
                {
                    "index": p.index, "sha256": p.ref.sha256, "width": p.ref.width, "height": p.ref.height,
                    "path": p.path, "infotext": p.infotext, "seed": p.seed, "subseed": p.subseed, "role": p.role,
                    "prompt": p.prompt, "negative": p.negative,
                }
                for p in self.pictures
            ],
        }  # fmt: skip
