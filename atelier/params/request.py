"""GenerationRequest: everything that decides a picture, in one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from atelier.base.errors import BadRequest
from atelier.params.field import Declaration, declarations_of
from atelier.params.guidance import GuidanceMethods
from atelier.params.parts import (
    PARTS,
    Batch,
    HiRes,
    Mask,
    Output,
    Prompt,
    Refiner,
    Sampling,
    Seed,
    Size,
    SoftInpainting,
    Source,
)

KINDS = ("txt2img", "img2img")
#: the entry of `extras` with the name of the user who asks
USER_PART = "user"


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """`overrides` are settings for this request only; `extras` holds the parts of extensions by name, as plain JSON."""

    prompt: Prompt = field(default_factory=Prompt)
    size: Size = field(default_factory=Size)
    batch: Batch = field(default_factory=Batch)
    seed: Seed = field(default_factory=Seed)
    sampling: Sampling = field(default_factory=Sampling)
    guidance: GuidanceMethods = field(default_factory=GuidanceMethods)
    hires: HiRes = field(default_factory=HiRes)
    refiner: Refiner = field(default_factory=Refiner)
    source: Source = field(default_factory=Source)
    mask: Mask = field(default_factory=Mask)
    soft: SoftInpainting = field(default_factory=SoftInpainting)
    output: Output = field(default_factory=Output)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.mask.image is not None and not self.source.images:
            raise BadRequest("mask.image", "a mask needs a picture.", remedy="Give source.images as well.")
        if len(self.source.images) > 1 and len(self.source.images) > self.batch.size:
            raise BadRequest(
                "source.images", f"{len(self.source.images)} pictures for a batch of {self.batch.size}.",
                remedy="Give one picture, or at most as many as batch.size.",
            )  # fmt: skip
        for name in ("overrides", "extras"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def kind(self) -> str:
        return "img2img" if self.source.images else "txt2img"

    @property
    def inpainting(self) -> bool:
        return self.mask.image is not None

    @property
    def rounds_mask(self) -> bool:
        """Whether latents are either kept or painted, nothing between."""
        return self.mask.round and not self.soft.enabled

    @property
    def refiner_checkpoint(self) -> str:
        """The checkpoint that takes over in the middle, or empty."""
        return (self.refiner.checkpoint or "") if self.refiner.enabled else ""

    def get(self, path: str) -> Any:
        """The value of a dotted name, `size.width`."""
        part, name = path.split(".", 1)
        return getattr(getattr(self, part), name)

    def with_values(self, **paths: Any) -> GenerationRequest:
        """A changed copy: `request.with_values(**{"size.width": 768})`. Raises `BadRequest` on a bad value."""
        changes: dict[str, dict[str, Any]] = {}
        for path, value in paths.items():
            part, _, name = path.partition(".")
            if path in ("overrides", "extras"):
                continue
            if find_declaration(path) is None:
                raise BadRequest(path, "there is no such value in a request.")
            changes.setdefault(part, {})[name] = value
        parts: dict[str, Any] = {part: replace(getattr(self, part), **values) for part, values in changes.items()}
        for name in ("overrides", "extras"):
            if name in paths:
                parts[name] = paths[name]
        return replace(self, **parts)

    def __reduce__(self) -> Any:
        # MappingProxyType cannot be pickled; requests travel between processes.
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values |= {"overrides": dict(self.overrides), "extras": dict(self.extras)}
        return (_rebuild, (values,))


def _rebuild(values: dict[str, Any]) -> GenerationRequest:
    return GenerationRequest(**values)


DECLARATIONS: tuple[Declaration, ...] = tuple(d for cls in PARTS for d in declarations_of(cls))


def find_declaration(path: str) -> Declaration | None:
    return next((d for d in DECLARATIONS if d.path == path), None)
