"""The request in A1111's flat form, as /sdapi/v1/txt2img and img2img take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from atelier.base.errors import BadRequest, NotFound
from atelier.params.built_in_scripts import scripts_of, values_of_scripts
from atelier.params.field import UNSET, Declaration
from atelier.params.infotext import SAME_VALUES, PasteRules, parse_infotext, paste
from atelier.params.request import DECLARATIONS, KINDS, GenerationRequest
from atelier.params.scripts import EXTRA as SCRIPT_PART
from atelier.params.scripts import AskedScript, asked_script, find_script, script_from_infotext
from atelier.params.value_json import StoreImage, image_from, plain, value_schema

#: the part of `extras` that carries what only A1111's own scripts understand
A1111_PART = "a1111"
#: A1111 fails when hires fix is asked for without one
HIRES_STRENGTH = 0.75
#: single pictures of img2img: name in the body -> dotted name
PICTURES = MappingProxyType({"mask": "mask.image", "depth_image": "source.depth"})


@dataclass(frozen=True)
class Extra:
    """A field of A1111's schema that is no value of the request by itself. `kinds` are the routes that have it."""

    name: str
    type: str
    default: Any = None
    help: str = ""
    kinds: tuple[str, ...] = KINDS
    passed_on: bool = False


EXTRAS = (
    Extra("sampler_index", "string", "Euler", "Former name of sampler_name."),
    Extra("denoising_strength", "number", None, "How much hires fix may change.", ("txt2img",)),
    Extra("firstphase_width", "integer", 0, "Width of the first pass; then width is the final one.", ("txt2img",)),
    Extra("firstphase_height", "integer", 0, "Height of the first pass; then height is the final one.", ("txt2img",)),
    Extra("init_images", "array", None, "The pictures to start from, as base64.", ("img2img",)),
    Extra("mask", "string", None, "The mask as base64; white is painted anew.", ("img2img",)),
    Extra(
        "depth_image", "string", None, "The depth map as base64, for models that take one; near is white.", ("img2img",)
    ),
    Extra("mask_blur", "integer", None, "Sets mask_blur_x and mask_blur_y.", ("img2img",)),
    Extra("latent_mask", "string", None, "Not used.", ("img2img",)),
    Extra("include_init_images", "boolean", False, "Repeat the given pictures in the answer.", ("img2img",)),
    Extra("override_settings", "object", None, "Settings for this request only."),
    Extra("override_settings_restore_afterwards", "boolean", True, "Always so: settings of a request end with it."),
    Extra("script_name", "string", None, "Title of one selectable script.", passed_on=True),
    Extra("script_args", "array", (), "All its arguments, in order.", passed_on=True),
    Extra("alwayson_scripts", "object", MappingProxyType({}), "Arguments of scripts by title.", passed_on=True),
    Extra("disable_extra_networks", "boolean", False, "Take network tags out without using them.", passed_on=True),
    Extra("do_not_save_samples", "boolean", False, "Not used, see save_images."),
    Extra("do_not_save_grid", "boolean", False, "Not used, see save_images."),
    Extra("force_task_id", "string", None, "The id under which progress can be asked for."),
    Extra("infotext", "string", None, "Parameters as text; fills every field that is not given."),
    Extra("firstpass_image", "string", None, "A finished picture for hires fix, as base64.", ("txt2img",)),
    Extra("comments", "object", None, "Not used."),
)


class _Flat(Declaration):
    """A declaration whose errors name the flat field, which is what the caller wrote."""

    @property
    def path(self) -> str:
        return self.param.api


def flat_declarations(kind: str) -> tuple[Declaration, ...]:
    """The declared values that a route has: hires fix only in txt2img, source and mask only in img2img."""
    other = ("source", "mask") if kind == "txt2img" else ("hires",)
    return tuple(d for d in DECLARATIONS if d.param.api and d.part not in other)


def flat_schema(kind: str) -> dict[str, Any]:
    """The JSON schema of a route's body, made from the declarations. Null is taken as absent everywhere."""
    properties = {d.param.api: value_schema(d, _default(d)) for d in flat_declarations(kind)}
    for extra in EXTRAS:
        if kind in extra.kinds:
            properties[extra.name] = {"type": extra.type, "description": extra.help, "default": _json(extra.default)}
    for name, schema in properties.items():
        kinds = schema.get("type")
        if isinstance(kinds, str):
            properties[name] = {**schema, "type": [kinds, "null"]}
        if "enum" in schema and None not in schema["enum"]:
            properties[name]["enum"] = [*schema["enum"], None]
    return {"type": "object", "title": f"{kind} request", "properties": properties}


def flat_echo(data: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """`parameters` of the answer: every field of the schema, as given or at its default."""
    fields = {name: schema["default"] for name, schema in flat_schema(kind)["properties"].items()}
    echo = {name: data.get(name, default) for name, default in fields.items()}
    if kind == "img2img" and not data.get("include_init_images"):
        echo |= {"init_images": None, "mask": None, "depth_image": None}
    return echo


def request_from_flat(
    data: Mapping[str, Any], kind: str, *, store: StoreImage | None = None, rules: PasteRules | None = None
) -> GenerationRequest:
    """The request behind a body of /sdapi. Unknown fields are ignored; null counts as absent.

    `store` takes the pictures; `rules` say how `infotext` is read. Raises `BadRequest` that names the field, and
    `NotFound` for img2img without a picture.
    """
    given = {name: value for name, value in data.items() if value is not None}
    for extra in EXTRAS:
        _check_extra(extra, given)
    base = GenerationRequest().with_values(**{d.path: _default(d) for d in flat_declarations(kind)})
    if kind == "txt2img":
        base = base.with_values(**{"hires.denoising_strength": HIRES_STRENGTH})
    overrides: dict[str, Any] = {}
    told: dict[str, Any] = {}
    if given.get("infotext"):
        wanted = rules or PasteRules(kind=kind)
        told = parse_infotext(given["infotext"], styles="Ignore")
        pasted = paste(told, base, wanted)
        base, overrides = pasted.request, dict(pasted.overrides)
    changes: dict[str, Any] = {}
    for declaration in flat_declarations(kind):
        value = given.get(declaration.param.api)
        if value is not None:
            same = value == SAME_VALUES.get(declaration.path)
            changes[declaration.path] = None if same else _as_flat(declaration).check(value)
    changes |= _pictures(given, base, changes, store) if kind == "img2img" else _first_pass(given, base, changes)
    if kind == "txt2img" and given.get("firstpass_image"):
        changes["hires.image"] = image_from(given["firstpass_image"], "firstpass_image", store)
    if "refiner.checkpoint" in changes:
        # The flat form has no switch: a checkpoint is enough.
        changes["refiner.enabled"] = bool(changes["refiner.checkpoint"])
    values, given["alwayson_scripts"] = values_of_scripts(given.get("alwayson_scripts"), kind)
    changes |= values
    if not given.get("sampler_name") and given.get("sampler_index"):
        changes["sampling.sampler"] = given["sampler_index"]
    elif changes.get("sampling.sampler") == "":
        del changes["sampling.sampler"]
    changes["overrides"] = {**overrides, **given.get("override_settings", {})}
    passed = {extra.name: plain(given[extra.name]) for extra in EXTRAS if extra.passed_on and given.get(extra.name)}
    extras = {**base.extras, **_script(given, passed, told, kind)}
    if passed:
        extras[A1111_PART] = passed
    return base.with_values(**changes, extras=extras)


def _script(
    given: Mapping[str, Any], passed: dict[str, Any], told: Mapping[str, Any], kind: str
) -> dict[str, Any]:
    """The part of a built-in script: named in the body, or by the `infotext` of a picture that it made.

    Scripts of extensions stay in `passed`.
    """
    name = given.get("script_name")
    if not name:
        asked = script_from_infotext(told, kind)
        return {} if asked is None else {SCRIPT_PART: asked.to_extra()}
    script = find_script(name, kind)
    if script is None:
        return {}
    passed.pop("script_name")
    values = script.read(script.from_args(passed.pop("script_args", ())))
    return {SCRIPT_PART: AskedScript(script, values).to_extra()}


def request_to_flat(request: GenerationRequest) -> dict[str, Any]:
    """The declared values under A1111's names; pictures by their hash."""
    flat = {d.param.api: plain(request.get(d.path)) for d in flat_declarations(request.kind)}
    if request.kind == "txt2img":
        flat["denoising_strength"] = request.hires.denoising_strength
    else:
        mask, depth = request.mask.image, request.source.depth
        flat |= {"init_images": [plain(image) for image in request.source.images], "mask": mask and plain(mask)}
        flat |= {"depth_image": depth and plain(depth)}
    if not request.refiner.enabled:
        flat["refiner_checkpoint"] = None
    passed = dict(request.extras.get(A1111_PART, {}))
    scripts = {**passed.pop("alwayson_scripts", {}), **scripts_of(request)}
    if scripts:
        passed["alwayson_scripts"] = scripts
    return {**flat, "override_settings": dict(request.overrides), **passed, **_named(request)}


def _named(request: GenerationRequest) -> dict[str, Any]:
    asked = asked_script(request)
    if asked is None:
        return {}
    return {"script_name": asked.script.title, "script_args": plain(asked.script.to_args(asked.values))}


def _as_flat(declaration: Declaration) -> Declaration:
    names = ("part", "name", "type", "default", "param")
    return _Flat(**{name: getattr(declaration, name) for name in names})


def _default(declaration: Declaration) -> Any:
    told = declaration.param.api_default
    return declaration.default if told is UNSET else told


def _json(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else plain(value)


def _check_extra(extra: Extra, given: Mapping[str, Any]) -> None:
    wanted = {"string": str, "number": (int, float), "integer": int, "boolean": (bool, int), "array": (list, tuple),
              "object": Mapping}[extra.type]  # fmt: skip
    # A stored picture may stand where its base64 text is expected.
    stored = extra.name in PICTURES or extra.name == "firstpass_image"
    if extra.name in given and not isinstance(given[extra.name], wanted) and not stored:
        raise BadRequest(extra.name, f"expected {extra.type}, got {type(given[extra.name]).__name__}.")


def _first_pass(given: Mapping[str, Any], base: GenerationRequest, changes: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "denoising_strength" in given:
        declaration = next(d for d in DECLARATIONS if d.path == "source.denoising_strength")
        found["hires.denoising_strength"] = _as_flat(declaration).check(given["denoising_strength"])
    width, height = given.get("firstphase_width", 0), given.get("firstphase_height", 0)
    if changes.get("hires.enabled") and (width or height):
        final = [changes.get(f"size.{side}", base.get(f"size.{side}")) for side in ("width", "height")]
        found |= {"hires.resize_x": final[0], "hires.resize_y": final[1]}
        for side, value in (("width", width or height), ("height", height or width)):
            declaration = next(d for d in DECLARATIONS if d.path == f"size.{side}")
            found[f"size.{side}"] = _as_flat(declaration).check(value)
    return found


def _pictures(
    given: Mapping[str, Any], base: GenerationRequest, changes: Mapping[str, Any], store: StoreImage | None
) -> dict[str, Any]:
    images = [image_from(image, f"init_images.{i}", store) for i, image in enumerate(given.get("init_images", ()))]
    if not images:
        raise NotFound("Init image not found", remedy="Give one picture in init_images.")
    size = changes.get("batch.size", base.batch.size)
    if len(images) > max(1, size):
        raise BadRequest(
            "init_images", f"{len(images)} pictures for a batch of {size}.", remedy="Set batch_size to their number."
        )
    found: dict[str, Any] = {"source.images": tuple(images)}
    if len(images) > 1:
        found["batch.size"] = len(images)
    for name, path in PICTURES.items():
        if given.get(name):
            found[path] = image_from(given[name], name, store)
    if "mask_blur" in given:
        for side in ("x", "y"):
            declaration = next(d for d in DECLARATIONS if d.path == f"mask.blur_{side}")
            found[f"mask.blur_{side}"] = _as_flat(declaration).check(given["mask_blur"])
    return found
