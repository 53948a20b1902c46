"""RunModels: every model that a run needs, open before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from atelier.base.errors import BadRequest, NotFound
from atelier.base.events import StageChanged
from atelier.checkpoints.load import LoadedModel
from atelier.params.names import SAME
from atelier.pipeline.state import Run
from atelier.sampling.prediction import Prediction


@contextmanager
def open_models(run: Run) -> Iterator[None]:
    """Fills `run.model`, `run.hires_model` and `run.refiner`. All stay open until the block ends, whatever the limit
    of open models says, so that no picture waits for a file again.

    A missing or unsuitable file ends the job here. Raises `NotFound` or `BadRequest` naming the value, and what
    `Library.open` raises.
    """
    run.publish(StageChanged(job=run.job, stage="loading model"))
    library, vae = run.services.library, run.settings.sd_vae
    library.fp8_storage = run.settings.fp8_storage
    request = run.request
    second = (request.hires.checkpoint or "") if request.hires.enabled and request.kind == "txt2img" else ""
    asked = {"hires.checkpoint": second, "refiner.checkpoint": request.refiner_checkpoint}
    asked = {field: name for field, name in asked.items() if name.lower() not in SAME}
    prefer = run.settings.sd_vae_overrides_per_model_preferences
    # What a request alone asks for is gone with it: a setting that names nothing goes on meaning what it meant.
    named = run.settings.sd_model_checkpoint
    if not asked:
        run.model = run.hires_model = library.open(named or None, vae, prefer, lasting=not named)
        yield
        return
    with library.holding(1 + len(asked)):
        run.model = library.open(named or None, vae, prefer, lasting=not named)
        others = {field: _open(run, field, name) for field, name in asked.items()}
        # The model of the settings is the current one again, for whoever asks, and is the last to be closed.
        library.open(run.model.file.name, vae, prefer, lasting=False)
        run.hires_model = others.get("hires.checkpoint", run.model)
        run.refiner = others.get("refiner.checkpoint")
        _check_refiner(run)
        yield


def _open(run: Run, field: str, name: str) -> LoadedModel:
    settings = run.settings
    try:
        prefer = settings.sd_vae_overrides_per_model_preferences
        return run.services.library.open(name, settings.sd_vae, prefer, lasting=False)
    except NotFound as error:
        raise BadRequest(field, error.message, remedy=error.remedy, name=name) from error


def levels_of(run: Run, model: LoadedModel) -> Prediction:
    """The model's prediction with the noise levels that settings ask for."""
    zero_snr = run.settings.sd_noise_schedule == "Zero Terminal SNR"
    return model.prediction.with_levels(zero_snr, run.settings.use_downcasted_alpha_bar)


def same_latents(one: LoadedModel, other: LoadedModel) -> bool:
    """Whether the latents of one model mean about the same to the other."""
    a, b = one.latent, other.latent
    return (a.channels, a.factor, a.scale, a.shift) == (b.channels, b.factor, b.scale, b.shift)


def _check_refiner(run: Run) -> None:
    refiner = run.refiner
    if refiner is None:
        return
    for model in (run.model, run.hires_model):
        if not same_latents(model, refiner):
            raise BadRequest(
                "refiner.checkpoint", f"{refiner.file.stem} works on other latents than {model.file.stem}.",
                remedy="Choose a refiner of the same family.",
            )  # fmt: skip
