"""The record of a merge: the name of its file and the metadata that tell how it was made, in A1111's form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atelier.base.errors import BadRequest
from atelier.checkpoints.merge_formulas import DIFFERENCE, SUM, TRAIN

RECIPE, MODELS = "sd_merge_recipe", "sd_merge_models"
#: what is true of the one file only
OWN = frozenset((RECIPE, MODELS, "modelspec.hash_sha256", "modelspec.thumbnail", "modelspec.date"))
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\\]')


@dataclass(frozen=True)
class Ingredient:
    """A checkpoint that took part: its name without extension, its hashes, and what its own file says."""

    name: str
    sha256: str = ""
    legacy_hash: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


def generated_name(method: str, multiplier: float, names: Sequence[str]) -> str:
    """As A1111 names a merge: 0.7(A) + 0.3(B), A + 0.3(B - C), or A."""
    rest, share = f"{round(1 - multiplier, 2):g}", f"{round(multiplier, 2):g}"
    if method == SUM:
        return f"{rest}({names[0]}) + {share}({names[1]})"
    if method in (DIFFERENCE, TRAIN):
        sign = "+" if method == DIFFERENCE else "train"
        return f"{names[0]} {sign} {share}({names[1]} - {names[2]})"
    return names[0]


def result_path(folder: Path, stem: str, extension: str, field: str = "custom_name") -> Path:
    """A path in the folder that is still free: nothing is ever written over. Raises `BadRequest` for a bad name."""
    parts = [part.strip() for part in stem.replace("\\", "/").split("/")]
    if any(part in ("", ".", "..") or _FORBIDDEN.search(part) or part.endswith(".") for part in parts):
        raise BadRequest(field, f"{stem!r} cannot be the name of a file.", remedy="Use letters, digits and spaces.")
    if any(len(part.encode()) > 200 for part in parts):
        raise BadRequest(field, "the name is too long.", remedy="Give a name of your own of at most 200 characters.")
    base = folder.joinpath(*parts)
    path, number = base.with_name(f"{base.name}{extension}"), 2
    while path.exists():
        path, number = base.with_name(f"{base.name} ({number}){extension}"), number + 1
    return path


def merge_metadata(
    recipe: Mapping[str, Any], ingredients: Sequence[Ingredient], *, add_recipe: bool = True, copy_fields: bool = True,
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:  # fmt: skip
    """The metadata of the result: the ingredients' own texts, later ones first to give way, then the recipe.

    `sd_merge_recipe` says what was done; `sd_merge_models` says by sha256 what each ingredient was made of.
    """
    found: dict[str, str] = {"format": "pt"}
    if copy_fields:
        for ingredient in reversed(ingredients):
            found.update({k: v for k, v in ingredient.metadata.items() if k not in OWN})
    found.update(more or {})
    if add_recipe:
        models: dict[str, Any] = {}
        for ingredient in ingredients:
            models[ingredient.sha256 or ingredient.name] = {
                "name": ingredient.name, "legacy_hash": ingredient.legacy_hash,
                RECIPE: parsed(ingredient.metadata.get(RECIPE)),
            }  # fmt: skip
            earlier = parsed(ingredient.metadata.get(MODELS))
            models.update(earlier if isinstance(earlier, dict) else {})
        found[RECIPE], found[MODELS] = json.dumps(dict(recipe)), json.dumps(models)
    return found


def parsed(text: str | None) -> Any:
    """JSON behind a text of metadata, None where it is none."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None
