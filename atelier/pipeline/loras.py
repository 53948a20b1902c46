"""Work on LoRA files as jobs: merged, extracted from two checkpoints, resized, baked into a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from atelier.base.errors import BadRequest, NotFound
from atelier.checkpoints.header import TensorInfo
from atelier.checkpoints.merge import PRECISIONS, SAME, Model, channels, type_of
from atelier.checkpoints.merge_record import merge_metadata, result_path
from atelier.checkpoints.writer import write_state_dict
from atelier.networks.baked_file import BakedFile, Weighted
from atelier.networks.based import BaseWeights, open_base
from atelier.networks.extract import Extraction, extract
from atelier.networks.keys import LayerMap
from atelier.networks.lowrank import FIXED, RankRule
from atelier.networks.network import Network, read_network
from atelier.networks.plain import Kept, Layer, PlainLayers, Share, joined, narrowed, state_of
from atelier.networks.skeleton import open_skeleton
from atelier.params.merging import LoraBake, LoraExtract, LoraMerge, LoraResize
from atelier.params.part_json import part_from_json
from atelier.pipeline.merging import KINDS, copy_config, find_file, finished, ingredient
from atelier.pipeline.work import Work

TYPES = MappingProxyType({"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32})
#: how kohya's programs name the families
VERSIONS = MappingProxyType({"sd1": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_base_v1-0"})


def merge_loras(work: Work) -> dict[str, Any]:
    """Raises `BadRequest`, `BadModelFile`, `SaveFailed`, as the others do."""
    asked = part_from_json(LoraMerge, work.payload)
    chosen = _weighted(asked.networks, work)
    work.stage("merging LoRAs")
    rules = (RankRule(asked.rank), RankRule(asked.conv_rank or asked.rank))
    with _base(asked.base_model, work) as base:
        shares = [Share(PlainLayers(item.network, base), _weight_of(item)) for item in chosen]
        layers, kept = joined(shares, rules, asked.method != "SVD", work.done)
    names = [item.network.file.name for item in chosen]
    stem = asked.custom_name.strip() or " + ".join(names)
    metadata = {**_base_of([item.network for item in chosen]), "atelier_merged_from": json.dumps(asked.networks)}
    told = _told((share.layers for share in shares), kept, work)
    return _saved(work, stem, layers, asked.precision, metadata, kept.mean, told)


def extract_lora(work: Work) -> dict[str, Any]:
    asked = part_from_json(LoraExtract, work.payload)
    shelf = work.services.shelf
    base = find_file(shelf, asked.base_model, "base_model")
    tuned = find_file(shelf, asked.tuned_model, "tuned_model")
    how = Extraction(
        RankRule(asked.rank, asked.rule, asked.parameter, asked.clamp_quantile),
        RankRule(asked.conv_rank, asked.rule, asked.parameter, asked.clamp_quantile) if asked.conv_rank else None,
        asked.minimum_difference,
    )
    skeletons = [open_skeleton(file, shelf.allow_pickle) for file in (base, tuned)]
    work.stage("extracting a LoRA")
    layers, kept = extract(*skeletons, how, work.done, work.services.residency.device)
    family = skeletons[0].family.name
    metadata = {"ss_sd_model_name": base.path.name, "atelier_extracted_from": tuned.path.name}
    metadata |= {"ss_base_model_version": VERSIONS.get(family, family), "ss_v2": str(family == "sd2")}
    stem = asked.custom_name.strip() or f"{tuned.stem} - {base.stem}"
    return _saved(work, stem, layers, asked.precision, metadata, kept)


def resize_lora(work: Work) -> dict[str, Any]:
    asked = part_from_json(LoraResize, work.payload)
    network = _read(asked.network, "network", work)
    if asked.rule != FIXED and asked.parameter <= 0:
        raise BadRequest("parameter", f"{asked.rule} needs a number above 0.", remedy="Try 10 for sv_ratio, else 0.9.")
    rules = tuple(RankRule(rank, asked.rule, asked.parameter) for rank in (asked.rank, asked.conv_rank or asked.rank))
    work.stage("resizing a LoRA")
    with _base(asked.base_model, work) as base:
        plain = PlainLayers(network, base)
        layers, kept = narrowed(plain, rules, work.done)
    stem = asked.custom_name.strip() or f"{network.file.name} r{asked.rank}"
    metadata = {k: v if isinstance(v, str) else json.dumps(v) for k, v in network.file.metadata.items()}
    # The hashes were those of the weights before.
    metadata = {k: v for k, v in metadata.items() if not k.startswith("sshs_")}
    return _saved(work, stem, layers, asked.precision, metadata, kept.mean, _told([plain], kept, work))


def bake_loras(work: Work) -> dict[str, Any]:
    asked = part_from_json(LoraBake, work.payload)
    shelf = work.services.shelf
    file = find_file(shelf, asked.model, "model")
    chosen = _weighted(asked.networks, work)
    skeleton = open_skeleton(file, shelf.allow_pickle)
    baked, names = BakedFile(skeleton), LayerMap(skeleton)
    for item in chosen:
        baked.add(item, names)
    precision = asked.precision if asked.precision in PRECISIONS else SAME
    stem = asked.custom_name.strip() or " + ".join([file.stem, *(item.network.file.name for item in chosen)])
    kind = KINDS.get(channels(Model.of(file.name, skeleton.header)), "")
    folder = work.services.paths.folders("checkpoint")[0]
    path = result_path(folder, stem if stem.endswith(kind) else stem + kind, ".safetensors")
    recipe = {"type": "atelier", "method": "bake", "networks": list(asked.networks), "model": file.name}
    work.stage("baking LoRAs")

    def type_in_file(name: str, info: TensorInfo) -> str:
        return type_of(name, info, precision)

    baked.write(path, type_in_file, merge_metadata(recipe, [ingredient(file, skeleton.header)]), work.done)
    for note in baked.notes:
        work.notice(note)
    copy_config([file], path)
    return {**finished(shelf, path), "comments": list(baked.notes)}


def _weighted(lines: tuple[str, ...], work: Work) -> list[Weighted]:
    """`name`, `name: weight` or `name: weight of text encoders: weight of the denoiser`. Raises `BadRequest`."""
    found = []
    for line in lines:
        name, *numbers = [word.strip() for word in line.rsplit(":", 2)]
        if len(numbers) == 2 and _number(numbers[0]) is None:
            # A name may hold a colon of its own.
            name, numbers = f"{name}:{numbers[0]}", numbers[1:]
        weights = [_number(word) for word in numbers]
        if not name or any(weight is None for weight in weights):
            raise BadRequest("networks", f"{line!r} cannot be read.", remedy="Write such as name: 0.8.")
        text = weights[0] if weights else 1.0
        found.append(Weighted(_read(name, "networks", work), text, weights[-1] if weights else 1.0))
    if not found:
        raise BadRequest("networks", "no LoRA is chosen.", remedy="Add at least one, one a line.")
    return found


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if -100 <= number <= 100 else None


def _weight_of(item: Weighted) -> Callable[[str], float]:
    return lambda layer: item.text if layer.startswith("lora_te") else item.denoiser


def _read(name: str, field: str, work: Work) -> Network:
    if not name.strip():
        raise BadRequest(field, "no LoRA is chosen.", remedy="Choose one.")
    try:
        file = work.services.shelf.networks.find_lora(name)
    except NotFound as error:
        raise BadRequest(field, error.message, remedy=error.remedy) from error
    return read_network(file, work.services.shelf.allow_pickle)


def _base(name: str, work: Work) -> AbstractContextManager[BaseWeights | None]:
    """The checkpoint that changes are relative to, where one is chosen."""
    shelf = work.services.shelf
    if not name.strip():
        return nullcontext()
    return open_base(open_skeleton(find_file(shelf, name, "base_model"), shelf.allow_pickle))


def _told(networks: Iterable[PlainLayers], kept: Kept, work: Work) -> list[str]:
    """What people should know of files that were more than narrow matrices."""
    told = []
    for plain in networks:
        name, shares = plain.network.file.path.name, kept.expanded.get(plain.network.file.path.name, [])
        if plain.kinds:
            error = (
                f"{sum(shares) / len(shares):.1%} of the change of its layers is kept, {min(shares):.1%} at least"
                if shares else "what the sum keeps is told below"
            )  # fmt: skip
            told.append(f"{name} is of the form {' and '.join(plain.kinds)} and became a plain LoRA: {error}.")
        if plain.left_out:
            told.append(f"{len(plain.left_out)} norms and biases of {name} have no place in a LoRA and were left out.")
    for note in told:
        work.notice(note)
    return told


def _base_of(networks: list[Network]) -> dict[str, str]:
    """What all of them say of the kind of model they are for."""
    known = {}
    for key in ("ss_base_model_version", "ss_v2", "modelspec.architecture"):
        told = {str(n.file.metadata[key]) for n in networks if key in n.file.metadata}
        if len(told) == 1:
            known[key] = told.pop()
    return known


def _saved(
    work: Work, stem: str, layers: Mapping[str, Layer], precision: str, metadata: Mapping[str, str], kept: float,
    comments: list[str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Writes a LoRA under kohya's names and tells of it."""
    ranks = [layer.rank for layer in layers.values()]
    highest = str(max(ranks))
    told = {
        "ss_network_module": "networks.lora", **metadata,
        "ss_network_dim": highest if min(ranks) == max(ranks) else "Dynamic",
        "ss_network_alpha": highest if min(ranks) == max(ranks) else "Dynamic",
    }  # fmt: skip
    path = result_path(work.services.paths.folders("lora")[0], stem, ".safetensors")
    work.token.check()
    write_state_dict(path, state_of(layers, TYPES[precision]), told)
    work.services.shelf.networks.scan()
    facts = _facts(path, ranks, kept)
    return {"state": "done", "network": path.stem, "path": str(path), "comments": comments or [], "facts": facts}


def _facts(path: Path, ranks: list[int], kept: float) -> dict[str, str]:
    span = str(ranks[0]) if min(ranks) == max(ranks) else f"{min(ranks)} to {max(ranks)}"
    return {
        "layers": str(len(ranks)), "rank": span, "kept of the change": f"{kept:.1%}",
        "size": f"{path.stat().st_size / 1e6:.1f} MB",
    }  # fmt: skip
