"""Engine: what one device worker owns, wired here; runs a job."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import psutil
import torch

from atelier.base.cancel import CancelToken
from atelier.base.errors import AtelierError, BadRequest, RegistryError
from atelier.base.events import Event, ModelLoaded, StageChanged
from atelier.base.files import HashCache
from atelier.base.log import fields, logger
from atelier.base.registry import Registry
from atelier.base.version import VERSION
from atelier.checkpoints.library import Library
from atelier.checkpoints.load import LoadedModel, Placement
from atelier.checkpoints.shelf import Shelf
from atelier.device.attention import choose_attention
from atelier.device.choose import choose
from atelier.device.eight_bits import storage_asked
from atelier.device.estimate import Estimator
from atelier.device.recovery import Ladder
from atelier.device.residency import Residency
from atelier.families.ldm_config import read_config
from atelier.imaging.numbering import Numbering
from atelier.jobs.executor import EngineConfig
from atelier.jobs.job import Job
from atelier.params.built_in_scripts import built_in_infos
from atelier.params.capabilities import (
    Capabilities,
    EmbeddingInfo,
    FileInfo,
    ModelInfo,
    NetworkInfo,
    SamplerInfo,
    SchedulerInfo,
    UpscalerInfo,
)  # fmt: skip
from atelier.params.extras_schema import extras_from_json
from atelier.params.field import declarations_of
from atelier.params.groups import GROUPS
from atelier.params.schema import request_from_json
from atelier.params.settings import SettingsSnapshot
from atelier.pipeline.cache import EncodingCache
from atelier.pipeline.describe import DescribeRun, describe
from atelier.pipeline.extras import postprocess
from atelier.pipeline.hires import LATENT_MODES
from atelier.pipeline.notes import PassingNotes
from atelier.pipeline.run import generate
from atelier.pipeline.services import Services
from atelier.pipeline.work import Work
from atelier.pipeline.works import WORKS
from atelier.prompts.styles import StyleBook
from atelier.sampling.catalogue import Catalogue, default_samplers, default_schedules
from atelier.scripts.hooks import ScriptHooks
from atelier.tools.upscale import Upscaler, default_upscalers

log = logger(__name__)

#: how the choice of attention is made before the first job has brought the settings
AUTOMATIC_ATTENTION = "Automatic"

Publish = Callable[[Event], Any]


def build(config: EngineConfig) -> Engine:
    """What a worker calls, by its dotted name, in its own thread or process."""
    engine = Engine(config)
    if config.plugins.get(ScriptHooks.NAME) is None:
        # A part of the program: what it raises is the run's own failure.
        config.plugins.register(ScriptHooks(), ScriptHooks.NAME, guarded=False)
    config.plugins.relay.started(side="engine", owner=engine.services)
    return engine


class Engine:
    """Owns the device, the open models and the services of the pipeline. Used from one thread."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.choice = choose(config.arguments)
        log.info("device chosen: %s", self.choice.reason)
        self.residency = Residency(self.choice.device)
        self._attention_setting: tuple[str, bool] | None = None
        self.services = self._services()
        self.services.tools.equip(self.choice.denoiser_dtype, config.arguments)
        self.services.upscalers = self._upscalers()
        self.model_error = ""
        self._choose_attention(AUTOMATIC_ATTENTION)
        self._kinds: Mapping[str, Callable[[Job, CancelToken, Publish, SettingsSnapshot], dict[str, Any]]] = (
            MappingProxyType({
                "txt2img": self._generate, "img2img": self._generate, "load_model": self._load_model,
                "unload_model": self._unload_model, "refresh": self._refresh, "memory": self._memory,
                "extras": self._postprocess, "interrogate": self._describe,
                **{kind: self._works(run) for kind, run in WORKS.items()},
            })
        )  # fmt: skip

    def _services(self) -> Services:
        paths = self.config.paths
        hashes = HashCache(paths.cache / "hashes.json")
        shelf = Shelf(paths, hashes, hashing=not self.config.arguments.get("no_hashing"))
        choice = self.choice
        # Weights are loaded into memory and brought to the device by the residency alone.
        home = torch.device("cpu")
        types = choice.denoiser_dtype, choice.vae_dtype, choice.text_dtype
        placement = Placement(choice.device, *types, home, storage_asked(self.config.arguments))
        library = Library(
            shelf,
            placement,
            on_opened=self._model_opened,
            on_closed=self._model_closed,
            on_vae_dropped=self.residency.forget,
        )
        declarations = {d.name: d for group in GROUPS for d in declarations_of(group)}
        return Services(
            paths=paths,
            shelf=shelf,
            library=library,
            blobs=self.config.blobs,
            hashes=hashes,
            styles=StyleBook(paths.styles),
            catalogue=self._catalogue(),
            upscalers=default_upscalers(),
            encodings=EncodingCache(),
            residency=self.residency,
            ladder=Ladder(self.residency),
            estimator=Estimator.on(choice.device),
            numbering=Numbering(paths.cache / "numbers"),
            declarations=MappingProxyType(declarations),
            version=VERSION,
            hooks=self.config.plugins.relay,
            picture_saved=self.config.picture_saved,
            watched=self.config.watched,
            notes=self.config.notes or PassingNotes(),
            arguments=self.config.arguments,
        )

    def _catalogue(self) -> Catalogue:
        """The program's samplers and schedules, then those of extensions."""
        samplers, schedules = default_samplers(), default_schedules()
        for sampler in self.config.plugins.provided("provide_samplers"):
            _add(samplers, sampler, tuple(sampler.aliases))
        for schedule in self.config.plugins.provided("provide_schedules"):
            _add(schedules, schedule, (schedule.label, *schedule.aliases))
        return Catalogue(samplers.freeze(), schedules.freeze())

    def _upscalers(self) -> Registry[Upscaler]:
        """The program's own, those of files that are there now, then those of extensions."""
        upscalers = default_upscalers()
        for upscaler in (*self.services.tools.upscalers(), *self.config.plugins.provided("provide_upscalers")):
            _add(upscalers, upscaler)
        return upscalers.freeze()

    def run(self, job: Job, token: CancelToken, publish: Publish, settings: SettingsSnapshot) -> dict[str, Any]:
        """The job's result as plain JSON. Raises `AtelierError`, or `Interrupted` when it was cancelled."""
        work = self._kinds.get(job.kind)
        if work is None:
            raise BadRequest(
                "kind", f"there is no kind of job named {job.kind!r}.", remedy=f"Use {', '.join(self._kinds)}."
            )
        self.services.ladder.begin_job()
        self.residency.policy = self.config.arguments.get("memory_policy") or settings.memory_policy
        self._make_room_for(self.services.library.current)
        self._choose_attention(settings.cross_attention_optimization, settings.upcast_attn)
        self.services.shelf.allow_pickle = self.services.tools.allow_pickle = settings.allow_pickle
        self._limit_open(self.services.library, settings)
        return work(job, token, publish, settings)

    def _limit_open(self, library: Library, settings: SettingsSnapshot) -> None:
        library.limit = settings.sd_checkpoints_limit
        library.fp8_storage = settings.fp8_storage
        library.kept_vaes.limit = settings.sd_vae_checkpoint_cache
        library.kept_vaes.trim()

    def _choose_attention(self, setting: str, upcast: bool = False) -> None:
        """Only when a setting has changed: looking for xformers takes time."""
        if (setting, upcast) != self._attention_setting:
            self._attention_setting = (setting, upcast)
            upcast = upcast or self.choice.upcast_attention
            self.services.ladder.attention.choose(
                choose_attention(self.config.arguments, setting, self.choice.device, upcast)
            )

    def _generate(self, job: Job, token: CancelToken, publish: Publish, settings: SettingsSnapshot) -> dict[str, Any]:
        request = request_from_json(job.payload)
        # Not held, so that a model whose place another takes is gone before the other works.
        before = _weakly(self.services.library.current)
        result = generate(request, self.services, settings=settings, token=token, publish=publish, job=job.id)
        if self.services.library.current is not before():
            publish(ModelLoaded(title=self._title()))
        return result.to_json()

    def _postprocess(
        self, job: Job, token: CancelToken, publish: Publish, settings: SettingsSnapshot
    ) -> dict[str, Any]:
        request = extras_from_json(job.payload)
        run = postprocess(request, self.services, settings=settings, token=token, publish=publish, job=job.id)
        return run.to_json()

    def _describe(self, job: Job, token: CancelToken, publish: Publish, settings: SettingsSnapshot) -> dict[str, Any]:
        return describe(job.payload, DescribeRun(settings, self.services, token, publish, job.id))

    def _load_model(self, job: Job, token: CancelToken, publish: Publish, settings: SettingsSnapshot) -> dict[str, Any]:
        publish(StageChanged(job=job.id, stage="loading model"))
        name = job.payload.get("checkpoint") or settings.sd_model_checkpoint or None
        try:
            self.services.ladder.run(
                "load", lambda: self.services.library.open(name, job.payload.get("vae") or settings.sd_vae)
            )
            self.model_error = ""
        except AtelierError as error:
            self.model_error = str(error)
            raise
        publish(ModelLoaded(title=self._title()))
        return {"state": "done", "model": self._title()}

    def _unload_model(
        self, job: Job, token: CancelToken, publish: Publish, settings: SettingsSnapshot
    ) -> dict[str, Any]:
        self.services.library.unload()
        publish(ModelLoaded(title=""))
        return {"state": "done", "model": ""}

    def _refresh(self, job: Job, token: CancelToken, publish: Publish, settings: SettingsSnapshot) -> dict[str, Any]:
        self.services.shelf.scan()
        self.services.approx.scan()
        self.services.styles.reload()
        self.services.upscalers = self._upscalers()
        return {"state": "done"}

    def _memory(self, job: Job, token: CancelToken, publish: Publish, settings: SettingsSnapshot) -> dict[str, Any]:
        ram = psutil.virtual_memory()
        report: dict[str, Any] = {"ram": {"free": ram.available, "used": ram.used, "total": ram.total}}
        device = self.choice.device
        if device.type != "cuda":
            return {"state": "done", **report, "cuda": {"error": "unavailable"}}
        free, total = torch.cuda.mem_get_info(device)
        stats = torch.cuda.memory_stats(device)

        def pair(name: str) -> dict[str, int]:
            return {"current": stats[f"{name}.all.current"], "peak": stats[f"{name}.all.peak"]}

        report["cuda"] = {
            "system": {"free": free, "used": total - free, "total": total},
            "active": pair("active_bytes"), "allocated": pair("allocated_bytes"), "reserved": pair("reserved_bytes"),
            "inactive": pair("inactive_split_bytes"),
            "events": {"retries": stats["num_alloc_retries"], "oom": stats["num_ooms"]},
        }  # fmt: skip
        return {"state": "done", **report}

    def _works(
        self, run: Callable[[Work], dict[str, Any]]
    ) -> Callable[[Job, CancelToken, Publish, SettingsSnapshot], dict[str, Any]]:
        """A kind of job that is no run of the recipe."""
        return lambda job, token, publish, settings: run(
            Work(job.payload, self.services, settings, token, publish, job.id)
        )

    def capabilities(self) -> Capabilities:
        """What can be chosen now, as plain data. Reads folders, but no weights."""
        services, choice = self.services, self.choice
        return Capabilities(
            device=str(choice.device),
            device_name=choice.name,
            precision=choice.precision,
            attention=services.ladder.attention.chosen.kernel,
            model=self._title(),
            model_error=self.model_error,
            family="" if services.library.current is None else services.library.current.family.name,
            native_size=self._native_size(),
            needs=() if services.library.current is None else services.library.current.needs,
            example_prompt=self._example_prompt(),
            samplers=tuple(SamplerInfo(s.name, tuple(s.aliases), dict(s.options)) for s in services.catalogue.samplers),
            schedulers=tuple(
                SchedulerInfo(s.name, s.label, tuple(s.aliases), s.default_rho, s.need_inner_model)
                for s in services.catalogue.schedules
            ),
            upscalers=tuple(UpscalerInfo(u.name, u.scale, u.model_name, u.model_path) for u in services.upscalers),
            face_restorers=tuple(FileInfo(name, folder) for name, folder in self.services.tools.face_restorers()),
            latent_upscale_modes=tuple(LATENT_MODES),
            models=tuple(
                ModelInfo(f.title, f.stem, str(f.path), f.short or "", f.sha256 or "", str(f.config or ""))
                for f in services.shelf.checkpoints()
            ),
            vaes=tuple(FileInfo(v.name, str(v.path)) for v in services.shelf.vaes()),
            embeddings=self._embeddings(),
            loras=tuple(
                NetworkInfo(f.name, str(f.path), f.alias, f.family, f.trigger, dict(f.metadata))
                for f in services.shelf.networks.loras()
            ),
            hypernetworks=tuple(FileInfo(f.name, str(f.path)) for f in services.shelf.networks.hypernetworks()),
            styles=tuple(services.styles.names()),
            scripts=(*built_in_infos(), *(s for found in services.hooks.describe_scripts() for s in found or ())),
        )

    def _embeddings(self) -> tuple[EmbeddingInfo, ...]:
        """Widths decide which embeddings fit, so they are told only once a model is open."""
        model = self.services.library.current
        if model is None:
            return ()
        found = self.services.shelf.embeddings(model)
        usable = tuple(
            EmbeddingInfo(
                e.name, e.vectors, e.width, e.step, e.checkpoint, e.checkpoint_name, filename=str(e.path), hash=e.short
            )
            for e in found.loaded.values()
        )  # fmt: skip
        skipped = (
            EmbeddingInfo(name, 0, 0, usable=False, filename=str(found.places[name]), reason=reason)
            for name, reason in found.skipped.items()
        )
        return (*usable, *skipped)

    def _native_size(self) -> tuple[int, int]:
        model = self.services.library.current
        if model is None:
            return (0, 0)
        cells = getattr(model.denoiser.config, "sample_size", None)
        if not isinstance(cells, int):
            return model.family.default_size
        side = cells * model.latent.factor
        return (side, side)

    def _example_prompt(self) -> str:
        model = self.services.library.current
        if model is None or model.file.config is None:
            return ""
        return str(read_config(model.file.config).get("example_prompt") or "")

    def _title(self) -> str:
        current = self.services.library.current
        return "" if current is None else current.file.title

    def _make_room_for(self, model: LoadedModel | None) -> None:
        """With --medvram-sdxl the parts of SDXL take turns on the device, those of smaller models stay."""
        large = model is not None and model.family.name.startswith("sdxl")
        if large and self.residency.policy == "keep" and self.config.arguments.get("medvram_sdxl"):
            self.residency.policy = "rotate"

    def _model_opened(self, model: LoadedModel) -> None:
        self._make_room_for(model)
        self.services.encodings.clear()

    def _model_closed(self, model: LoadedModel) -> None:
        self.services.encodings.clear()
        # Whoever still holds the weights gets them as they were loaded.
        self.services.networks.restore(model)
        for module in model.components().values():
            if module not in self.services.library.kept_vaes:
                self.residency.forget(module)

    def close(self) -> None:
        self.services.library.unload()
        self.services.tools.close()
        log.info("engine closed: %s", fields(device=self.choice.device))


def _weakly(model: LoadedModel | None) -> Callable[[], LoadedModel | None]:
    return (lambda: None) if model is None else weakref.ref(model)


def _add(registry: Registry[Any], entry: Any, aliases: tuple[str, ...] = ()) -> None:
    """An extension whose name is taken loses that entry; the program starts without it."""
    try:
        registry.add(entry.name, entry, aliases)
    except RegistryError as error:
        log.warning("left out what an extension brought: %s", fields(reason=error.message))
