"""Names as people write them, matched with what the engine reported: samplers, schedules, checkpoints, VAE."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from atelier.base.errors import BadRequest
from atelier.params.capabilities import Capabilities, ModelInfo, SamplerInfo, SchedulerInfo

AUTOMATIC = "Automatic"
#: ways to say "the checkpoint that is chosen"
SAME = ("", "none", "use same checkpoint")


def unknown(field: str, what: str, name: str, known: Sequence[str]) -> BadRequest:
    """An error that names what comes closest."""
    lower = {k.lower(): k for k in known}
    close = [lower[k] for k in difflib.get_close_matches(name.lower(), lower, n=3)]
    shown = ", ".join(close or list(known)[:8]) or "nothing yet"
    shown_name = name if len(name) <= 80 else name[:77] + "..."
    return BadRequest(field, f"there is no {what} named {shown_name!r}.", remedy=f"Try: {shown}.")


def resolve_sampler(
    capabilities: Capabilities, sampler: str | None, scheduler: str | None, *, strict: bool = True,
    part: str = "sampling",
) -> tuple[str, str]:  # fmt: skip
    """A sampler's name and a schedule's label for names such as "DPM++ 2M Karras" or `k_euler_a`.

    A schedule at the end of the sampler's name beats `scheduler`; the longest fitting one counts; case does not
    matter. Unknown names raise `BadRequest` on `sampler` or `scheduler` of the request's `part`, or without `strict`
    give the first sampler and Automatic, as A1111 does.
    """
    name = (sampler or "").strip()
    schedule = _find_schedule(capabilities.schedulers, (scheduler or "").strip() or AUTOMATIC)
    if schedule is None and strict:
        raise unknown(f"{part}.scheduler", "schedule", scheduler or "", [s.label for s in capabilities.schedulers])
    found = _find_sampler(capabilities.samplers, name) if name else next(iter(capabilities.samplers), None)
    if found is None:
        ending, entry = _suffix(capabilities.schedulers, name)
        if entry is not None:
            found, schedule = _find_sampler(capabilities.samplers, name[: -len(ending) - 1].rstrip()), entry
    if found is None:
        if strict or not capabilities.samplers:
            known = [s.name for s in capabilities.samplers]
            known += [alias for s in capabilities.samplers for alias in s.aliases]
            raise unknown(f"{part}.sampler", "sampler", name, known)
        found = capabilities.samplers[0]
    label = schedule.label if schedule is not None else AUTOMATIC
    if schedule is not None and schedule.name == found.options.get("scheduler"):
        label = AUTOMATIC
    return found.name, label


def find_model(capabilities: Capabilities, text: str) -> ModelInfo | None:
    """By title with or without its hash, file name, file name without extension, short or long hash."""
    wanted = _slashes(text.strip())
    for model in capabilities.models:
        if any(wanted == alias for alias in _aliases(model)):
            return model
    lower = wanted.lower()
    found = next((m for m in capabilities.models if any(lower == a.lower() for a in _aliases(m))), None)
    name, bracket, digits = wanted.rpartition(" [")
    if found is None and bracket and digits.endswith("]"):
        # Hashes are counted when a model is used first: until then a text that tells one names the file all the same.
        found = find_model(capabilities, digits[:-1]) or find_model(capabilities, name)
        if found is not None and found.hash and found.hash != digits[:10]:
            return None
    return found


def get_model(capabilities: Capabilities, text: str, field: str) -> ModelInfo:
    """Raises `BadRequest` on `field` with the closest titles."""
    model = find_model(capabilities, text)
    if model is None:
        raise unknown(field, "checkpoint", text, [m.title for m in capabilities.models])
    return model


def get_vae(capabilities: Capabilities, text: str, field: str) -> str:
    """The VAE's name, or Automatic or None. Raises `BadRequest` on `field`."""
    known = capabilities.choices("vaes")
    for name in known:
        if text.strip().lower() in (name.lower(), name.lower().rpartition(".")[0] or name.lower()):
            return name
    raise unknown(field, "VAE", text, known)


def _find_sampler(samplers: Iterable[SamplerInfo], name: str) -> SamplerInfo | None:
    lower = name.lower()
    return next((s for s in samplers if lower in (s.name.lower(), *(a.lower() for a in s.aliases))), None)


def _endings(schedule: SchedulerInfo) -> tuple[str, ...]:
    return (schedule.label, schedule.name, *schedule.aliases)


def _find_schedule(schedules: Iterable[SchedulerInfo], name: str) -> SchedulerInfo | None:
    lower = name.lower()
    return next((s for s in schedules if lower in (e.lower() for e in _endings(s))), None)


def _suffix(schedules: Iterable[SchedulerInfo], name: str) -> tuple[str, SchedulerInfo | None]:
    pairs = ((ending, schedule) for schedule in schedules for ending in _endings(schedule))
    fits = [(ending, s) for ending, s in pairs if name.lower().endswith(" " + ending.lower())]
    return max(fits, key=lambda pair: len(pair[0]), default=("", None))


def _slashes(text: str) -> str:
    return text.replace("\\", "/")


def _aliases(model: ModelInfo) -> tuple[str, ...]:
    title = _slashes(model.title)
    bare = title.rpartition(" [")[0] if title.endswith("]") else title
    file = bare.rpartition("/")[2]
    stem = bare.rpartition(".")[0] or bare
    short = f"{model.name} [{model.hash}]" if model.hash else ""
    names = (title, bare, file, stem, file.rpartition(".")[0], model.name, short, model.hash, model.sha256)
    return tuple(name for name in names if name)
