"""Merging checkpoints as a job: names become files, files become a plan, the plan becomes a new checkpoint."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from atelier.base.errors import BadRequest, NotFound
from atelier.base.log import fields, logger
from atelier.checkpoints.block_weights import block_names, read_block_weights
from atelier.checkpoints.header import Header
from atelier.checkpoints.merge import PRECISIONS, SAME, Merge, Model, channels, plan_merge, write_merge
from atelier.checkpoints.merge_formulas import METHODS, NOTHING
from atelier.checkpoints.merge_record import Ingredient, generated_name, merge_metadata, result_path
from atelier.checkpoints.reader import read_header
from atelier.checkpoints.shelf import CheckpointFile, Shelf, old_hash
from atelier.params.merging import CONFIGS, NONE, CheckpointMerge
from atelier.params.part_json import part_from_json
from atelier.pipeline.work import Work

log = logger(__name__)

LETTERS: Mapping[str, str] = MappingProxyType({
    "A": "primary_model_name", "B": "secondary_model_name", "C": "tertiary_model_name",
})  # fmt: skip
#: first layers of special kinds, and what A1111 puts into the names of their merges
KINDS = MappingProxyType({9: ".inpainting", 8: ".instruct-pix2pix"})


def merge_checkpoints(work: Work) -> dict[str, Any]:
    """The job's result: the new checkpoint's title and path. Raises `BadRequest`, `BadModelFile`, `SaveFailed`."""
    asked = part_from_json(CheckpointMerge, work.payload)
    shelf = work.services.shelf
    files = chosen_files(asked, shelf)
    merge = _merge_of(asked, files, shelf)
    plan = plan_merge(merge)
    for note in plan.notes:
        work.notice(note)
    path = _path_of(asked, files, merge, work)
    metadata = _metadata(asked, files, merge, work) if asked.save_metadata else {}
    work.stage("merging")
    write_merge(plan, path, metadata, work.done)
    wanted = {"A, B or C": "ABC", "B": "B", "C": "C", "Don't": ""}[asked.config_method]
    copy_config([file for letter, file in files.items() if letter in wanted], path)
    log.info("checkpoints merged: %s", fields(method=asked.interp_method, file=path.name, tensors=len(plan.pieces)))
    return {**finished(shelf, path), "comments": list(plan.notes)}


def read_metadata(work: Work) -> dict[str, Any]:
    """What the metadata of a merge of these checkpoints would be, but for its recipe. Raises `BadRequest`."""
    shelf = work.services.shelf
    names = [str(name) for name in work.payload.get("models", ()) if name]
    files = [find_file(shelf, name, "models") for name in names]
    ingredients = [ingredient(file, read_header(file.path, shelf.allow_pickle)) for file in files]
    found = merge_metadata({}, ingredients, add_recipe=False)
    return {"state": "done", "metadata": {key: value for key, value in found.items() if key != "format"}}


def finished(shelf: Shelf, path: Path) -> dict[str, Any]:
    """The result of work that made a checkpoint; the shelf knows it from now on."""
    shelf.scan()
    made = next((f for f in shelf.checkpoints() if f.path == path), None)
    return {"state": "done", "model": made.title if made is not None else path.name, "path": str(path)}


def chosen_files(asked: CheckpointMerge, shelf: Shelf) -> dict[str, CheckpointFile]:
    """By letter; those that the method does not use are left out. Raises `BadRequest` naming the value."""
    wanted = [letter for letter in LETTERS if letter in "A" + METHODS[asked.interp_method].models]
    return {letter: find_file(shelf, getattr(asked, LETTERS[letter]), LETTERS[letter]) for letter in wanted}


def find_file(shelf: Shelf, name: str, field: str) -> CheckpointFile:
    """Raises `BadRequest` for an empty or unknown name, and for a model that is a folder."""
    if not name.strip() or name == NONE:
        raise BadRequest(field, "no checkpoint is chosen.", remedy="Choose a checkpoint.")
    try:
        found = shelf.find_checkpoint(name)
    except NotFound as error:
        raise BadRequest(field, error.message, remedy=error.remedy) from error
    if found.path.is_dir():
        raise BadRequest(field, f"{found.name} is a folder of files.", remedy="Choose a checkpoint in one file.")
    return found


def _merge_of(asked: CheckpointMerge, files: Mapping[str, CheckpointFile], shelf: Shelf) -> Merge:
    models = {k: Model.of(f.name, read_header(f.path, shelf.allow_pickle)) for k, f in files.items()}
    names = block_names(models["A"].tensors)
    weights = read_block_weights(asked.block_weights, asked.interp_amount, names)
    precision = asked.precision if asked.precision in PRECISIONS else SAME
    return Merge(
        asked.interp_method, weights, models["A"], models.get("B"), models.get("C"), _vae(asked.bake_in_vae, shelf),
        pattern(asked.discard_weights), precision or ("float16" if asked.save_as_half else SAME),
    )  # fmt: skip


def _vae(name: str, shelf: Shelf) -> Model | None:
    if name in ("", NONE, "Automatic"):
        return None
    try:
        vae = shelf.find_vae(name)
    except NotFound as error:
        raise BadRequest("bake_in_vae", error.message, remedy=error.remedy) from error
    return Model.of(vae.name, read_header(vae.path, shelf.allow_pickle))


def pattern(text: str) -> re.Pattern[str] | None:
    """None for an empty one. Raises `BadRequest`."""
    if not text.strip():
        return None
    try:
        return re.compile(text)
    except re.error as error:
        raise BadRequest(
            "discard_weights", f"this is not a regular expression ({error}).", remedy="Try such as ^model_ema."
        ) from error


def _path_of(asked: CheckpointMerge, files: Mapping[str, CheckpointFile], merge: Merge, work: Work) -> Path:
    names = [f.name.rsplit(".", 1)[0].replace("/", "_") for f in files.values()]
    stem = asked.custom_name.strip() or generated_name(asked.interp_method, asked.interp_amount, names)
    kind = KINDS.get(channels(merge.a), "")
    folder = work.services.paths.folders("checkpoint")[0]
    return result_path(folder, stem + ("" if stem.endswith(kind) else kind), f".{asked.checkpoint_format}")


def _metadata(
    asked: CheckpointMerge, files: Mapping[str, CheckpointFile], merge: Merge, work: Work
) -> dict[str, str]:  # fmt: skip
    shelf, known = work.services.shelf, dict(files)
    if asked.add_merge_recipe:
        for letter, file in files.items():
            if not file.sha256:
                work.stage(f"hashing {file.name}")
                known[letter] = shelf.hashed(file)
            work.token.check()
    ingredients = [ingredient(file, read_header(file.path, shelf.allow_pickle)) for file in known.values()]
    hashes = {letter: known[letter].sha256 if letter in known else None for letter in LETTERS}
    recipe = {
        "type": "webui",
        "primary_model_hash": hashes["A"], "secondary_model_hash": hashes["B"], "tertiary_model_hash": hashes["C"],
        "interp_method": asked.interp_method, "multiplier": asked.interp_amount,
        "save_as_half": merge.precision == "float16", "custom_name": asked.custom_name,
        "config_source": CONFIGS.index(asked.config_method), "bake_in_vae": asked.bake_in_vae,
        "discard_weights": asked.discard_weights,
        "is_inpainting": channels(merge.a) == 9, "is_instruct_pix2pix": channels(merge.a) == 8,
    }  # fmt: skip
    if asked.block_weights.strip() and asked.interp_method != NOTHING:
        recipe["block_weights"] = {"BASE": merge.weights.base, **merge.weights.blocks}
    if merge.precision:
        recipe["precision"] = merge.precision
    own = {str(k): v if isinstance(v, str) else str(v) for k, v in asked.metadata.items()}
    return merge_metadata(
        recipe, ingredients, add_recipe=asked.add_merge_recipe, copy_fields=asked.copy_metadata_fields, more=own
    )


def ingredient(file: CheckpointFile, header: Header) -> Ingredient:
    return Ingredient(file.stem, file.sha256 or "", old_hash(file.path), header.metadata)


def copy_config(files: Sequence[CheckpointFile], path: Path) -> None:
    """The configuration beside the first model that has one goes beside the result."""
    config = next((file.config for file in files if file.config is not None), None)
    if config is not None:
        shutil.copyfile(config, path.with_suffix(".yaml"))
