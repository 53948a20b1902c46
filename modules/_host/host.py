"""Host: what the A1111 side of the program owns, wired here; one plugin of the core."""

from __future__ import annotations

import argparse
import importlib
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from atelier.base.errors import NotReady
from atelier.base.events import FINAL, Event, ModelLoaded, Notice, PictureReady, SettingsChanged
from atelier.base.log import fields, logger
from atelier.params.axes import GridAxis
from atelier.params.capabilities import ScriptInfo
from atelier.params.request import GenerationRequest
from atelier.pipeline.state import PictureDraft
from atelier.plugins.hooks import hookimpl
from modules._host.args import ObjectShelf, Packer
from modules._host.attach import attach
from modules._host.axis_option import AxisOptions
from modules._host.callback_params import ImageSaveParams
from modules._host.callbacks import Callbacks
from modules._host.door import assigned
from modules._host.generate import DOOR, process_images
from modules._host.load import ScriptLoader
from modules._host.networks import NetworkRegistry, data_of
from modules._host.options import Options
from modules._host.page import PageHooks
from modules._host.postprocessing import PostScripts
from modules._host.runner import RunHooks
from modules._host.runner_steps import StepHooks
from modules._host.script_runner import ScriptRunner
from modules._host.state import State
from modules._host.ticket import Ticket, Tickets

log = logger(__name__)

#: how long the engine waits for the controls of scripts before it reports without them
PREPARED_WITHIN = 120.0


class Host:
    """Made by `attach_host`. `app` needs settings, paths, blobs, bus, executor, plugins, extensions and arguments."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.settings = app.settings
        self.paths = app.paths
        self.blobs = app.blobs
        self.guard = app.plugins.guard
        self.extensions = tuple(app.extensions)
        self.cmd_opts = argparse.Namespace(**dict(app.arguments))
        self.tickets = Tickets()
        self.loader = ScriptLoader(self.extensions, self.paths.program)
        self.callbacks = Callbacks(self.loader, self.guard)
        self.options = Options(self.settings, self._run_settings, self.guard)
        self.state = State()
        self.networks = NetworkRegistry(self.guard.call)
        self.shelf = ObjectShelf()
        self.packer = Packer(self.blobs, self.shelf)
        self.axes = AxisOptions(self)
        self.txt2img = ScriptRunner(self.loader, self.guard, "txt2img")
        self.img2img = ScriptRunner(self.loader, self.guard, "img2img")
        self.post = PostScripts(self.loader, self.guard, self.packer)
        #: the runner whose tab is being built
        self.building: ScriptRunner | None = None
        self.prepared = threading.Event()
        self.services: Any = None
        self.demo: Any = None
        self._view: Any = None

    def _run_settings(self) -> Any:
        run = self.tickets.run
        return None if run is None else run.settings

    # -- runs --------------------------------------------------------------------------------------------------

    def runner(self, kind: str) -> ScriptRunner:
        return self.img2img if kind == "img2img" else self.txt2img

    def lease(self) -> AbstractContextManager[None]:
        """The device for the calling thread, once no job uses it."""
        return self.app.executor.lease()

    def engine_services(self) -> Any:
        """Raises `NotReady` until the engine has started."""
        if self.services is None:
            raise NotReady("The engine is not ready yet.", remedy="Wait until the page says that it is.")
        return self.services

    def process_images(self, p: Any) -> Any:
        return (assigned(DOOR, "process_images") or process_images)(p)

    def takes(self, p: Any) -> bool:
        """Whether a selected script, or an assigned-over function, decides what is made, and not the recipe."""
        replaced = assigned(DOOR, "process_images_inner") or assigned(DOOR, "process_images")
        if p.scripts is None:
            return replaced is not None
        return replaced is not None or "run" in vars(p.scripts) or p.scripts.selected(p.script_args) is not None

    def known_overrides(self, request: GenerationRequest, p: Any) -> GenerationRequest:
        """Without the options of A1111 that an extension overrides and nothing here declares."""
        unknown = [k for k in request.overrides if k not in self.settings.declarations]
        if not unknown or not p.override_settings:
            return request
        log.info("options of a script have no effect here: %s", fields(keys=",".join(unknown)))
        kept = {k: v for k, v in request.overrides.items() if k not in unknown}
        return request.with_values(overrides=kept)

    def network_data(self, tags: Iterable[Any]) -> dict[str, Any]:
        return data_of(tags)

    def before_save(self, ticket: Ticket, draft: PictureDraft) -> None:
        ticket.last_saved = draft
        if not draft.save or not self.callbacks.listening("before_image_saved"):
            return
        path = Path(draft.folder) / f"{draft.stem}.{draft.format}"
        params = ImageSaveParams(draft.image, ticket.p, str(path), {"parameters": draft.infotext})
        self.callbacks.fire("before_image_saved", params)
        draft.image = params.image
        draft.infotext = str(params.pnginfo.get("parameters") or "")
        given = Path(params.filename)
        if given != path:
            draft.folder, draft.stem = str(given.parent), given.stem
            draft.format = given.suffix.lstrip(".") or draft.format

    def picture_ready(self, ticket: Ticket, event: PictureReady) -> None:
        if event.path and self.callbacks.listening("image_saved"):
            image = ticket.last_saved.image if ticket.last_saved is not None else None
            params = ImageSaveParams(image, ticket.p, event.path, {"parameters": event.infotext})
            self.callbacks.fire("image_saved", params)

    # -- the model ---------------------------------------------------------------------------------------------

    @property
    def sd_model(self) -> Any:
        """The open `LoadedModel`, or None."""
        return None if self.services is None else self.services.library.current

    def model_view(self) -> Any:
        """The open model as A1111's extensions know it, or None; one view for as long as it is open."""
        model = self.sd_model
        if model is None:
            self._view = None
        elif self._view is None or self._view._model is not model:
            # Named and not imported: the server side must not load torch for this.
            self._view = importlib.import_module("modules._host.old_model").ModelView(model)
        return self._view

    # -- the program -------------------------------------------------------------------------------------------

    @hookimpl
    def started(self, side: str, owner: Any) -> None:
        if side == "engine":
            self.services = owner

    @hookimpl
    def stopping(self) -> None:
        self.callbacks.fire("script_unloaded")

    @hookimpl
    def describe_scripts(self) -> list[ScriptInfo]:
        if not self.prepared.wait(PREPARED_WITHIN):
            log.warning("the controls of scripts are not there yet")
        return [*self.txt2img.describe(), *self.img2img.describe()]

    @hookimpl
    def provide_post_steps(self, run: Any) -> list[Any]:
        self.prepared.wait(PREPARED_WITHIN)
        return self.post.steps(run)

    @hookimpl
    def provide_axes(self, kind: str) -> list[GridAxis]:
        return self.axes.grid_axes(kind)

    def heard(self, event: Event) -> None:
        if event.kind in FINAL:
            self._job_ended(event.job)
        elif isinstance(event, SettingsChanged):
            self.options.changed(event.keys)
        elif isinstance(event, ModelLoaded) and event.title:
            self.callbacks.fire("model_loaded", self.model_view())

    def _job_ended(self, job: str) -> None:
        """A run that was cancelled or failed has not said so to the scripts' side. Events come on the job's thread."""
        run = self.tickets.run
        if run is not None and run.job == job:
            self.tickets.pop_to(None)
            self.state.end()


def attach_host(app: Any) -> Host:
    """Makes the doors work for this program: registers the host, then imports the scripts of all extensions.

    Called once, after the app was built and before the page is.
    """
    host = attach(Host(app))
    guard = host.guard
    guard.limit = lambda: host.settings.get("extensions_max_failures")
    guard.find_run = lambda: host.tickets.run
    if guard.report is None:
        guard.report = lambda failure: app.bus.publish(Notice(message=failure.sentence, source=failure.extension))
    for name, plugin in (
        ("a1111", host), ("a1111-run", RunHooks(host)), ("a1111-steps", StepHooks(host)),
        ("a1111-page", PageHooks(host)),
    ):  # fmt: skip
        # Every call of an extension is guarded by itself; what remains are failures that end a run rightly.
        app.plugins.register(plugin, name, guarded=False)
    app.bus.listen(host.heard)
    host.loader.load()
    loaded = [e.name for e in host.extensions if e.enabled]
    log.info("scripts imported: %s", fields(extensions=len(loaded), scripts=len(host.loader.scripts)))
    return host
