"""The hooks of the program itself, for both sides: start and stop, and what an extension adds to the registries."""

from __future__ import annotations

from typing import Any

import pluggy

from atelier.params.axes import GridAxis
from atelier.params.capabilities import ScriptInfo

hookspec = pluggy.HookspecMarker("atelier")
#: what an extension marks its functions with
hookimpl = pluggy.HookimplMarker("atelier")

#: Raised when a hook changes in a way that breaks extensions; an extension states the range it was written for.
HOOK_VERSION = 1


class ProgramHooks:
    """`provide` hooks return a list and are called once, while the program starts, unless they say otherwise."""

    @hookspec
    def started(self, side: str, owner: Any) -> None:
        """A side is ready: `side` is "server" with the App as `owner`, or "engine" with the engine's Services."""

    @hookspec
    def stopping(self) -> None:
        """The program is about to end: undo what reaches outside of it."""

    @hookspec
    def provide_settings(self) -> list[type] | None:
        """More groups of settings: classes made with `atelier.params.field.part`."""

    @hookspec
    def provide_samplers(self) -> list[Any] | None:
        """More samplers, as `atelier.sampling.catalogue.Sampler`."""

    @hookspec
    def provide_schedules(self) -> list[Any] | None:
        """More schedules, as `atelier.sampling.catalogue.Schedule`."""

    @hookspec
    def provide_upscalers(self) -> list[Any] | None:
        """More upscalers, as `atelier.tools.upscale.Upscaler`."""

    @hookspec
    def provide_post_steps(self, run: Any) -> list[Any] | None:
        """More steps of a run of the Extras tab, as `atelier.pipeline.extras_steps.PostStep`; asked at each run."""

    @hookspec
    def provide_request_parts(self) -> list[type] | None:
        """Parts of a request, from `atelier.params.field.part`, in its `extras`; their values are axes of grids."""

    @hookspec
    def provide_axes(self, kind: str) -> list[GridAxis] | None:
        """More axes of the X/Y/Z plot for txt2img or img2img; asked for each grid and when the page is built."""

    @hookspec
    def describe_scripts(self) -> list[ScriptInfo] | None:
        """What the engine reports as `Capabilities.scripts`: scripts of A1111 extensions with their arguments."""
