"""The carriers of an Extras run: the run itself, and a picture on its way through the steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from PIL import Image

from atelier.base.cancel import CancelToken
from atelier.base.events import Event, Notice, StageChanged, StepDone
from atelier.params.extras import ExtrasRequest
from atelier.params.settings import SettingsSnapshot
from atelier.pipeline.services import Services
from atelier.pipeline.state import Picture
from atelier.pipeline.watching import watch_of
from atelier.tools.watch import Watch

#: in how many parts the work on one picture is told
PARTS = 100


class PostPicture:
    """A picture between the steps. A1111's extensions know it as `PostprocessedImage`; its names are theirs.

    `info` becomes the text of the result; `extra_images` are further pictures that a step made of it;
    `nametags` end the name of the file; `caption` goes into a text file beside it.
    """

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self.info: dict[str, Any] = {}
        self.shared = SimpleNamespace(target_width=None, target_height=None)
        self.extra_images: list[Any] = []
        self.nametags: list[str] = []
        self.disable_processing = False
        self.caption: str | None = None

    def create_copy(
        self, new_image: Image.Image, *, nametags: list[str] | None = None, disable_processing: bool = False
    ) -> PostPicture:
        """Another picture with the same history."""
        copy = PostPicture(new_image)
        copy.shared, copy.info = self.shared, dict(self.info)
        copy.nametags = [*self.nametags, *(nametags or ())]
        copy.disable_processing = disable_processing
        return copy

    def get_suffix(self, used_suffixes: dict[str, Any] | None = None) -> str:
        """The end of the file's name; numbered when `used_suffixes` has it already, and noted there."""
        used = {} if used_suffixes is None else used_suffixes
        suffix = "-".join(self.nametags)
        if suffix:
            suffix = f"-{suffix}"
        if suffix not in used:
            used[suffix] = 1
            return suffix
        for number in range(1, 10_000):
            numbered = f"{suffix}-{number}"
            if numbered not in used:
                used[numbered] = 1
                return numbered
        return suffix


@dataclass
class ExtrasRun:
    """One run. `count` pictures are worked on; `notes` is scratch space, one entry for each extension."""

    request: ExtrasRequest
    settings: SettingsSnapshot
    services: Services
    token: CancelToken
    publish: Callable[[Event], Any]
    job: str = ""
    keep: bool = False
    count: int = 1
    position: int = 0
    comments: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    images: list[Image.Image] = field(default_factory=list)
    infos: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    #: which part of the work on one picture the running step is: (begins at, length), of 1
    share: tuple[float, float] = (0.0, 1.0)
    told: int = 0

    def comment(self, message: str, source: str = "") -> None:
        """Something a person should know: shown with the result, and at once as a notice."""
        if message not in self.comments:
            self.comments.append(message)
            self.publish(Notice(job=self.job, message=message, source=source))

    def stage(self, words: str) -> None:
        place = f"picture {self.position + 1} of {self.count}: " if self.count > 1 else ""
        self.publish(StageChanged(job=self.job, stage=place + words))

    @contextmanager
    def part(self, index: int, parts: int) -> Iterator[None]:
        """The work inside of the block is one of so many equal parts of the work on this picture."""
        before, self.share = self.share, (index / parts, 1 / parts)
        try:
            yield
        finally:
            self.share = before
            self._tell((index + 1) / parts)

    def progress(self, done: int, total: int) -> None:
        self._tell(self.share[0] + self.share[1] * done / max(1, total))

    def _tell(self, fraction: float) -> None:
        step = min(self.count * PARTS, round((self.position + fraction) * PARTS))
        if step > self.told:
            self.told = step
            self.publish(StepDone(job=self.job, step=step, steps=self.count * PARTS))

    def watch(self) -> Watch:
        return watch_of(self, self.progress)
