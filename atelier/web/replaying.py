"""Replaying: a saved picture becomes the request that made it, as far as picture and records tell it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atelier.app import App
from atelier.base.errors import BadRequest
from atelier.base.refs import ImageRef
from atelier.jobs.job import Ticket
from atelier.params.capabilities import Capabilities
from atelier.params.infotext import parse_infotext, paste
from atelier.params.infotext_legacy import ABSENT
from atelier.params.names import find_model
from atelier.params.replay import BLUR, DEPTH, MASK, RESIZE, ROUND, SETTINGS, SOURCE, recorded
from atelier.params.request import GenerationRequest
from atelier.params.schema import request_to_json
from atelier.params.scripts import EXTRA, asked_script, script_from_infotext
from atelier.web.origin import GRID, Origin, origin_of
from atelier.web.reading import read_picture

KIND = "replay"
#: formats that do not keep every pixel
LOSSY = ("image/jpeg", "image/webp", "image/avif", "image/gif")
#: the one script whose sheets tell all that a cell needs
PLOT = "X/Y/Z plot"
_HIRES = ("Hires upscale", "Hires upscaler", "Hires resize-1", "Hires resize-2", "Hires steps")


def replay_picture(app: App, data: bytes, *, client: str = "", field: str = "image") -> Ticket:
    """Queues the run. Raises `BadImage` for bytes that are no picture, `BadRequest` for a picture that does not tell
    how it was made, or was made from another one that is not kept."""
    told = read_picture(data, field)[1]
    values, conditions = recorded(told.infotext)
    if not {"Steps", "Sampler", "Seed"} <= values.keys():
        raise BadRequest(field, "it does not tell how it was made.", remedy="Choose a picture with parameters inside.")
    original, origin = app.blobs.put_bytes(data, field), origin_of(app, data)
    whole = _whole(origin, values, conditions)
    notes = _doubts(values, original, told.program, origin, whole)
    base = _base(origin, whole, values, conditions, notes)
    if whole and origin is not None:
        request = request_of(app, told.infotext, base, conditions, notes, as_asked=True)
    else:
        base = _with_source(app, base, values, conditions, field)
        request = request_of(app, told.infotext, base, conditions, notes)
    payload: dict[str, Any] = {
        "request": request_to_json(app.checked(request)), "original": dataclasses.asdict(original),
        "infotext": told.infotext, "notes": notes,
    }  # fmt: skip
    if whole:
        payload["whole"] = origin.whole if origin is not None else {"role": GRID, "nth": 0, "pictures": []}
    return app.submit_job(KIND, payload, client=client, priority=0)


def saved_picture(app: App, id: int) -> bytes:
    """The bytes of a picture in the index. Raises `NotFound`, or `BadRequest` when its file is gone."""
    path = Path(app.pictures.get(id).path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadRequest("picture", f"{path.name} cannot be read.", remedy="It was moved or deleted.") from error


def _doubts(
    values: Mapping[str, str], original: ImageRef, program: str, origin: Origin | None, whole: bool
) -> list[str]:
    notes = []
    if program:
        notes.append(f"The picture was made by {program}, which calculates in its own way.")
    if original.media in LOSSY:
        kind = original.media.partition("/")[2].upper()
        notes.append(f"The file is {kind}, which may not keep every pixel: some difference comes from that.")
    if whole:
        where = "from its own words" if origin is None else f"as job {origin.job} was asked"
        notes.append(f"It is one of several pictures that were made together: all are made again, {where}.")
        return notes
    if origin is not None and origin.role not in ("picture", GRID):
        notes.append(f"It is no finished picture ({origin.role}); the finished one is made again.")
    size = f"{original.width}x{original.height}"
    if "Size-1" in values and not any(key in values for key in _HIRES) and size != "x".join(_size(values)):
        notes.append("The picture is not of the size that it records; it was changed after it was made.")
    return notes


def _size(values: Mapping[str, str]) -> tuple[str, str]:
    return values.get("Size-1", ""), values.get("Size-2", "")


def _whole(origin: Origin | None, values: Mapping[str, str], conditions: Mapping[str, str]) -> bool:
    """Whether a job has to be run as a whole to come to this picture: for a sheet, and for what a script made."""
    if origin is not None:
        return origin.role == GRID or ("Script" in values and asked_script(origin.request) is not None)
    return values.get("Script") == PLOT and _plot(values, conditions) is not None


def _plot(values: Mapping[str, str], conditions: Mapping[str, str]) -> dict[str, Any] | None:
    asked = script_from_infotext(values, "img2img" if SOURCE in conditions else "txt2img")
    return None if asked is None else asked.to_extra()


def _base(
    origin: Origin | None, whole: bool, values: Mapping[str, str], conditions: Mapping[str, str], notes: list[str]
) -> GenerationRequest:  # fmt: skip
    """What infotext has no words for, from the record of the job where there still is one."""
    if origin is None:
        plot = _plot(values, conditions) if whole else None
        return GenerationRequest().with_values(extras={EXTRA: _fixed(plot, values)}) if plot else GenerationRequest()
    found, extras = origin.request, dict(origin.request.extras)
    # Of another run's work nothing is taken over.
    script = {key: value for key, value in (extras.pop(EXTRA, None) or {}).items() if key != "resume"}
    if whole:
        more = {EXTRA: _fixed(script, values)} if script else {}
        return origin.with_drawn_seeds().with_values(extras={**extras, **more})
    if "Script" in values and extras:
        notes.append(f"The script {values['Script']} was at work; only the picture itself is made again.")
        extras = {}
    if len(found.source.images) > 1:
        # Which of them it was, the picture tells.
        found = found.with_values(**{"source.images": found.source.images[:1]})
    return found.with_values(**{"batch.count": 1, "batch.size": 1, "prompt.styles": ()}, extras=extras)


def _fixed(script: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """A plot with the seeds that were drawn for it in the place of -1."""
    own = dict(script.get("values") or {})
    for letter in "xyz":
        drawn = values.get(f"Fixed {letter.upper()} Values")
        if drawn:
            own |= {f"{letter}_values": drawn, f"{letter}_values_dropdown": []}
    return {**script, "values": own}


def _with_source(
    app: App, base: GenerationRequest, values: Mapping[str, str], conditions: Mapping[str, str], field: str
) -> GenerationRequest:  # fmt: skip
    changes: dict[str, Any] = {}
    for name, path in ((SOURCE, "source.images"), (MASK, "mask.image"), (DEPTH, "source.depth")):
        start = conditions.get(name)
        if not start:
            continue
        digest = app.blobs.find(start)
        if digest is None:
            raise BadRequest(
                field, f"it was made from another picture ({name} {start}), which is no longer kept.",
                remedy="Open that picture in img2img and send the parameters there.", hash=start,
            )  # fmt: skip
        changes[path] = (ImageRef(digest),) if name == SOURCE else ImageRef(digest)
    if conditions.get(RESIZE):
        changes["source.resize_mode"] = conditions[RESIZE]
    if conditions.get(ROUND):
        changes["mask.round"] = conditions[ROUND] == "True"
    blurs = conditions.get(BLUR, "").split("x")
    if len(blurs) == 2:
        changes |= {"mask.blur_x": blurs[0], "mask.blur_y": blurs[1]}
    if changes:
        return base.with_values(**changes)
    if "Denoising strength" in values and not base.source.images and not any(key in values for key in _HIRES):
        raise BadRequest(
            field, "it was made from another picture, and does not tell from which.",
            remedy="Open that picture in img2img and send the parameters there.",
        )  # fmt: skip
    return base


def request_of(
    app: App, infotext: str, base: GenerationRequest, conditions: Mapping[str, str], notes: list[str],
    as_asked: bool = False,
) -> GenerationRequest:  # fmt: skip
    """Prompts are the whole prompts of the picture; settings are those it tells, or their defaults.

    With `as_asked` only the settings are the picture's: all else stays as the base has it, since a picture of a script
    tells of itself and not of the others.
    """
    values = parse_infotext(infotext, styles="Ignore")
    # The checkpoint is looked for below, more thoroughly than pasting does.
    present = {**app.settings.snapshot(), "disable_weights_auto_swap": True}
    rules = dataclasses.replace(app.paste_rules(base.kind), settings=present)
    pasted = paste(values, base, rules)
    notes += [f"{label} could not be used: {problem}" for label, problem in pasted.problems.items()]
    told = parse_infotext(infotext, defaults=False, backcompat=False, styles="Ignore")
    overrides = {**_absent(app, told, conditions), **pasted.overrides}
    overrides |= _models(app.capabilities() or Capabilities(), told, notes)
    changes: dict[str, Any] = {"output.save_images": False}
    if as_asked:
        return base.with_values(**changes, overrides={**overrides, **base.overrides})
    if "Prompt" in told:
        changes |= {"prompt.positive": told["Prompt"], "prompt.negative": told.get("Negative prompt", "")}
    return pasted.request.with_values(**changes, overrides=overrides)


def _absent(app: App, told: Mapping[str, Any], conditions: Mapping[str, str]) -> dict[str, Any]:
    """Settings that infotext would tell if they were not at their default, and those that the conditions tell.

    What a missing key means otherwise (`ABSENT`), pasting knows.
    """
    found = {}
    for name, declaration in app.settings.declarations.items():
        label = declaration.param.infotext
        if label and label not in told and label not in ABSENT and label != "VAE":
            found[name] = declaration.default
        elif name in SETTINGS and conditions:
            found[name] = conditions.get(name, declaration.default)
    return {name: value for name, value in found.items() if value != app.settings.get(name)}


def _models(lists: Capabilities, told: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """The recorded checkpoint by its hash, else by its name; the recorded VAE, else the checkpoint's own."""
    found: dict[str, Any] = {"sd_vae": "None"}
    name, digest = str(told.get("Model", "")), str(told.get("Model hash", ""))
    model = find_model(lists, digest) if digest else None
    if model is None and name:
        model = find_model(lists, name)
        if model is not None and digest and model.hash and not model.hash.startswith(digest):
            notes.append(f"The checkpoint {name} [{digest}] is not here; another file of that name was used.")
    if model is not None:
        found["sd_model_checkpoint"] = model.title
    elif name or digest:
        notes.append(f"The checkpoint {name} [{digest}] is not here; the chosen one was used.")
    vae = str(told.get("VAE", ""))
    if vae:
        known = next((v.name for v in lists.vaes if vae in (v.name, v.name.rsplit(".", 1)[0])), None)
        found["sd_vae"] = known or "None"
        if known is None:
            notes.append(f"The VAE {vae} is not here; the checkpoint's own was used.")
    return found
