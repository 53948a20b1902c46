"""App: what the server owns, wired here; submits requests and changes settings. Knows no device and no page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from atelier.base.errors import (
    AtelierError,
    BadRequest,
    Conflict,
    NotAllowed,
    NotReady,
    QueueFull,
    StoreFailed,
    failure_from_json,
)
from atelier.base.events import Event, EventBus, JobFailed, JobFinished, SettingsChanged
from atelier.base.log import fields, logger
from atelier.base.paths import Paths
from atelier.imaging.blobs import BlobStore
from atelier.jobs.endings import Endings
from atelier.jobs.executor import GENERATION, URGENT, EngineConfig, Executor
from atelier.jobs.job import Job, Ticket
from atelier.jobs.local import LocalExecutor
from atelier.jobs.progress import ProgressBook
from atelier.params.capabilities import Capabilities
from atelier.params.extras import ExtrasRequest
from atelier.params.extras_schema import extras_to_json
from atelier.params.groups import GROUPS
from atelier.params.infotext import PasteRules
from atelier.params.names import AUTOMATIC, SAME, find_model, get_model, get_vae, resolve_sampler, unknown
from atelier.params.picture_batch import asked_batch, resumed_batch
from atelier.params.request import USER_PART, GenerationRequest
from atelier.params.schema import request_from_json, request_to_json
from atelier.params.scripts import asked_script, resumed
from atelier.params.settings import Settings
from atelier.plugins.discover import Extension
from atelier.plugins.manager import Plugins
from atelier.prompts.styles import StyleBook
from atelier.store.database import Database, set_aside
from atelier.store.folderlock import DataFolderLock
from atelier.store.jobs import WAITING, JobRecords, JobRow
from atelier.store.notes import StoredNotes
from atelier.store.pictures import PictureIndex, PictureRow
from atelier.store.presets import Presets
from atelier.store.sessions import Sessions

log = logger(__name__)

ENGINE = "atelier.engine:build"
_MONTH = 30 * 86400.0


@dataclass(frozen=True)
class OptionsChange:
    """`changed` keys have new values, `skipped` may not be changed this way; `ticket` is a job that loads a model."""

    changed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    ticket: Ticket | None = None


@dataclass
class App:
    """Made by `build_app`. `exit(how)` is set by the program: how is stop, kill or restart."""

    paths: Paths
    arguments: Mapping[str, Any]
    settings: Settings
    executor: Executor
    bus: EventBus
    records: JobRecords
    pictures: PictureIndex
    sessions: Sessions
    presets: Presets
    blobs: BlobStore
    plugins: Plugins
    styles: StyleBook
    progress: ProgressBook
    endings: Endings
    database: Database
    lock: DataFolderLock
    extensions: tuple[Extension, ...] = ()
    exit: Callable[[str], None] | None = None
    #: settings to return to when a model cannot be loaded, by job
    _loads: dict[str, dict[str, Any]] = field(default_factory=dict)

    def start(self) -> None:
        """Takes up the saved queue and begins to build the engine; returns at once."""
        # In this order: who waits for a model is told when the settings have been set back.
        self.bus.listen(self._heard)
        self.bus.listen(self.endings.heard)
        self.records.prune(_MONTH)
        self.sessions.prune(_MONTH)
        self.executor.start()
        self.plugins.relay.started(side="server", owner=self)

    def close(self) -> None:
        self.plugins.relay.stopping()
        self.executor.stop()
        self.database.close()
        self.lock.release()

    # -- jobs

    def submit(
        self, request: GenerationRequest, *, client: str = "", priority: int = 0, job_id: str = "", user: str = ""
    ) -> Ticket:
        """Checks the request as far as the server can, and queues it. `user` is who signed in.

        Raises `BadRequest`, `QueueFull`, `Conflict`.
        """
        request = self.checked(request)
        if user or USER_PART in request.extras:
            # Only the server knows who asks.
            others = {name: part for name, part in request.extras.items() if name != USER_PART}
            request = request.with_values(extras={**others, USER_PART: user} if user else others)
        return self._queue(Job(request.kind, request_to_json(request), job_id, priority, client))

    def submit_extras(self, request: ExtrasRequest, *, client: str = "", priority: int = 0, job_id: str = "") -> Ticket:
        """The same for work on finished pictures. Raises `BadRequest`, `QueueFull`, `Conflict`."""
        changes: dict[str, Any] = {"overrides": self._overrides(request.overrides)}
        lists = self.capabilities()
        if lists is not None:
            changes |= _known_upscalers(request, lists)
        request = request.with_values(**changes)
        return self._queue(Job(request.kind, extras_to_json(request), job_id, priority, client))

    def _queue(self, job: Job) -> Ticket:
        client, job_id = job.client, job.id
        limit = self.settings.get("jobs_per_client")
        if self.records.count(states=WAITING, client=client) >= limit:
            raise QueueFull(f"{limit} jobs wait already.", remedy="Wait, or cancel some of them.", limit=limit)
        if job_id:
            self._free_id(job_id)
        return self.executor.submit(job)

    def resume(self, job_id: str, client: str = "") -> Ticket:
        """Queues what an ended job asked for once more; a script takes over the pictures that it had finished.

        Raises `NotFound`, `Conflict` while the job waits or runs, and as `submit`.
        """
        row = self.executor.row(job_id)
        if row.kind not in GENERATION:
            raise BadRequest("id", f"a job of the kind {row.kind} makes no pictures.", remedy="Send it again.")
        if not row.final:
            raise Conflict(f"The job {job_id} has not ended: {row.state}.", remedy="Wait for its end.", job=job_id)
        request = resumed_batch(resumed(request_from_json(row.payload), job_id), job_id)
        return self.submit(request, client=client or row.client, priority=row.priority)

    def submit_job(self, kind: str, payload: Mapping[str, Any], *, client: str = "", priority: int = URGENT) -> Ticket:
        """Any other work for the engine: load_model, unload_model, refresh, memory."""
        return self.executor.submit(Job(kind, dict(payload), "", priority, client))

    def result(self, job_id: str, timeout: float | None = None) -> JobRow:
        """Waits for the end of a job. Raises the job's own failure, or `NotReady` when it will not end."""
        done = threading.Event()
        with self.endings.telling(job_id, done.set) as told:
            if not told and not self.executor.ended(job_id) and not self.executor.engine_state.dead:
                done.wait(timeout)
        return self.outcome(job_id)

    def outcome(self, job_id: str) -> JobRow:
        """The row of a job that has ended; its failure is raised."""
        row = self.executor.row(job_id)
        if row.state == "failed":
            raise failure_from_json(row.error or {})
        if not row.final:
            message = self.executor.engine_state.message or f"The job {job_id} has not ended yet."
            raise NotReady(message, remedy="The job stays in the queue; ask for it later.", job=job_id)
        return row

    def _free_id(self, job_id: str) -> None:
        """Clients that choose the id of a job use some of them again and again: what ended makes room."""
        row = self.records.find(job_id)
        if row is not None and row.final:
            self.records.delete(job_id)

    # -- what a request asks for, against what there is

    def capabilities(self) -> Capabilities | None:
        return self.executor.capabilities()

    def checked(self, request: GenerationRequest) -> GenerationRequest:
        """The request with names as the engine knows them. Raises `BadRequest` that names the value.

        Before the engine is ready its lists are not known: then it checks the names itself when the job runs.
        """
        asked_script(request)
        asked_batch(request)
        overrides = self._overrides(request.overrides)
        changes: dict[str, Any] = {}
        lists = self.capabilities()
        if lists is not None:
            overrides = _known_models(overrides, lists, "settings.")
            changes = _known_names(request, lists)
        return request.with_values(**changes, overrides=overrides)

    def _overrides(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Settings for one request, without those that a request may not change. Raises `BadRequest`."""
        declared = self.settings.declarations
        restricted = [k for k in given if k in declared and declared[k].param.restrict_api]
        if restricted:
            log.warning("settings that a request may not change, ignored: %s", fields(keys=",".join(restricted)))
        overrides = {k: v for k, v in given.items() if v is not None and k not in restricted}
        self.settings.snapshot().overlaid(overrides)
        return overrides

    def paste_rules(self, kind: str) -> PasteRules:
        """How infotext meets this program's settings, samplers and models."""
        lists = self.capabilities() or Capabilities()

        def model(name: str, digest: str) -> str | None:
            found = find_model(lists, digest) or find_model(lists, name)
            return found.title if found is not None else None

        def sampler(name: str, schedule: str) -> tuple[str, str]:
            return resolve_sampler(lists, name, schedule, strict=False) if lists.samplers else (name, schedule)

        return PasteRules(
            kind=kind, settings=self.settings.snapshot(), declarations=tuple(self.settings.declarations.values()),
            resolve_sampler=sampler, resolve_model=model,
        )  # fmt: skip

    # -- settings

    def set_options(self, values: Mapping[str, Any], *, api: bool = False) -> OptionsChange:
        """Checks all, then sets all. A new checkpoint or VAE is loaded by a job; if that fails the settings return.

        With `api`, settings that are not for the API are skipped. Raises `BadRequest`, `NotAllowed`, `NotReady`.
        """
        declared = self.settings.declarations
        skipped = tuple(k for k in values if api and k in declared and declared[k].param.restrict_api)
        wanted = {k: v for k, v in values.items() if k not in skipped}
        self._refuse_frozen({k: v for k, v in wanted.items() if k in declared and self.settings.get(k) != v})
        lists = self.capabilities()
        models = {k: wanted[k] for k in ("sd_model_checkpoint", "sd_vae") if wanted.get(k)}
        if models and lists is None:
            raise NotReady("The models are not known yet.", remedy="Wait until the engine is ready, then try again.")
        if lists is not None:
            wanted = _known_models(wanted, lists, "")
        before = {k: self.settings.get(k) for k in ("sd_model_checkpoint", "sd_vae")}
        changed = self.settings.update(wanted)
        chosen = wanted.get("sd_model_checkpoint")
        other = bool(chosen) and lists is not None and lists.model != chosen
        ticket = None
        if other or "sd_vae" in changed:
            ticket = self._load(before)
        return OptionsChange(changed, skipped, ticket)

    def _load(self, before: dict[str, Any]) -> Ticket:
        payload = {"checkpoint": self.settings.get("sd_model_checkpoint"), "vae": self.settings.get("sd_vae")}
        job = Job("load_model", payload, priority=URGENT)
        self._loads[job.id] = before
        try:
            return self.executor.submit(job)
        except AtelierError:
            self._loads.pop(job.id, None)
            raise

    def _heard(self, event: Event) -> None:
        if isinstance(event, (JobFailed, JobFinished)):
            before = self._loads.pop(event.job, None)
            if before is not None and (isinstance(event, JobFailed) or event.state == "cancelled"):
                try:
                    self.settings.update(before)
                except AtelierError as error:
                    log.error("settings could not be set back: %s", fields(reason=str(error)))

    def _refuse_frozen(self, values: Mapping[str, Any]) -> None:
        frozen = _words(self.arguments.get("freeze_specific_settings"))
        sections = _words(self.arguments.get("freeze_settings_in_sections"))
        titles = {d.name: g.part_title for g in self.settings.groups for d in g.part_declarations}
        for key in values:
            if self.arguments.get("freeze_settings") or key in frozen or titles.get(key, "") in sections:
                raise NotAllowed(f"The setting {key} is frozen.", remedy="Start without --freeze-settings.", field=key)


def build_app(
    paths: Paths, arguments: Mapping[str, Any], plugins: Plugins, *,
    engine: str = ENGINE, extensions: tuple[Extension, ...] = (),
) -> App:  # fmt: skip
    """Takes possession of the data folder. Raises `DataFolderBusy`, `StoreFailed`, `SaveFailed`.

    Every hook specification must have been added to `plugins` and every extension registered before.
    """
    lock = DataFolderLock(paths.lock)
    lock.acquire(arguments.get("port") or 0)
    try:
        database = _open_database(paths)
    except AtelierError:
        lock.release()
        raise
    records = JobRecords(database)
    bus = EventBus(_recorder(records))
    groups = (*GROUPS, *plugins.provided("provide_settings"))
    settings = Settings(paths.settings, groups, lambda keys: bus.publish(SettingsChanged(keys=keys)))
    progress, endings, pictures = ProgressBook(), Endings(), PictureIndex(database)
    bus.listen(progress.heard)
    blobs = BlobStore(paths.blobs, limit_mp=settings.get("img_max_size_mp"))
    config = EngineConfig(
        paths, arguments, plugins, blobs, bus.publish, lambda job: bus.watched(job) or progress.asked(job),
        _indexer(pictures), StoredNotes(database),
    )  # fmt: skip
    executor = LocalExecutor(engine, config, bus, records, settings.snapshot)
    return App(
        paths=paths, arguments=arguments, settings=settings, executor=executor, bus=bus, records=records,
        pictures=pictures, sessions=Sessions(database), presets=Presets(database), blobs=blobs, plugins=plugins,
        styles=StyleBook(paths.styles), progress=progress, endings=endings, database=database, lock=lock,
        extensions=extensions,
    )  # fmt: skip


def _open_database(paths: Paths) -> Database:
    """A damaged file is put aside and a new one begun: pictures and settings are not in it, only queue and index."""
    try:
        return Database(paths.database)
    except StoreFailed as error:
        if not error.fields.get("damaged"):
            raise
        log.error("database is damaged, a new one is begun: %s", fields(kept=str(set_aside(paths.database))))
        return Database(paths.database)


def _recorder(records: JobRecords) -> Callable[[Event], None]:
    def record(event: Event) -> None:
        try:
            records.append_event(event)
        except AtelierError as error:
            # A full disk must not end the job that tells of its pictures.
            log.error("event could not be recorded: %s", fields(event=event.kind, job=event.job, reason=str(error)))

    return record


def _indexer(pictures: PictureIndex) -> Callable[..., None]:
    def index(run: Any, picture: Any) -> None:
        try:
            pictures.add(PictureRow(
                picture.path, picture.ref.sha256, run.job, picture.seed, picture.infotext, picture.role,
                picture.ref.width, picture.ref.height,
            ))  # fmt: skip
        except AtelierError as error:
            log.error("picture could not be put into the index: %s", fields(path=picture.path, reason=str(error)))

    return index


def _known_models(values: Mapping[str, Any], lists: Capabilities, prefix: str) -> dict[str, Any]:
    """Settings with a checkpoint's title and a VAE's name in place of whatever names them."""
    known = dict(values)
    if known.get("sd_model_checkpoint"):
        field = prefix + "sd_model_checkpoint"
        known["sd_model_checkpoint"] = get_model(lists, str(known["sd_model_checkpoint"]), field).title
    if known.get("sd_vae"):
        known["sd_vae"] = get_vae(lists, str(known["sd_vae"]), prefix + "sd_vae")
    return known


def _known_upscalers(request: ExtrasRequest, lists: Capabilities) -> dict[str, Any]:
    names = {name.lower(): name for name in lists.choices("upscalers")}
    found = {}
    for path in ("upscale.upscaler_1", "upscale.upscaler_2"):
        asked = request.get(path)
        if asked.lower() not in names:
            raise unknown(path, "upscaler", asked, tuple(names.values()))
        found[path] = names[asked.lower()]
    return found


def _known_names(request: GenerationRequest, lists: Capabilities) -> dict[str, Any]:
    sampler, scheduler = resolve_sampler(lists, request.sampling.sampler, request.sampling.scheduler)
    found: dict[str, Any] = {"sampling.sampler": sampler, "sampling.scheduler": scheduler}
    hires = request.hires
    if request.refiner_checkpoint and request.refiner_checkpoint.lower() not in SAME:
        found["refiner.checkpoint"] = get_model(lists, request.refiner_checkpoint, "refiner.checkpoint").title
    if not hires.enabled:
        return found
    upscalers = lists.choices("hires_upscalers")
    upscaler = next((u for u in upscalers if u.lower() == hires.upscaler.lower()), None)
    if upscaler is None:
        raise unknown("hires.upscaler", "upscaler", hires.upscaler, upscalers)
    found["hires.upscaler"] = upscaler
    if hires.sampler or hires.scheduler:
        own, label = resolve_sampler(lists, hires.sampler or sampler, hires.scheduler, part="hires")
        found["hires.sampler"] = own if hires.sampler else hires.sampler
        found["hires.scheduler"] = label if hires.scheduler or label != AUTOMATIC else None
    if hires.checkpoint and hires.checkpoint.lower() not in SAME:
        found["hires.checkpoint"] = get_model(lists, hires.checkpoint, "hires.checkpoint").title
    return found


def _words(text: Any) -> frozenset[str]:
    return frozenset(word.strip() for word in str(text or "").split(",") if word.strip())
