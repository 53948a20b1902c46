"""Networks of a run: what the tags of a batch ask for is in force while it is made, and told in its infotext."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from atelier.base.errors import Interrupted
from atelier.checkpoints.load import LoadedModel
from atelier.families.clip import chunk_texts
from atelier.families.family import EncodeOptions
from atelier.networks.resolve import KINDS
from atelier.networks.seamless import seamless
from atelier.params.flat import A1111_PART
from atelier.pipeline.state import Batch, Pass, PlanDraft, Run
from atelier.prompts.tags import NetworkTag

LORA_HASHES, TI_HASHES = "Lora hashes", "TI hashes"


def add_default_networks(run: Run, draft: PlanDraft) -> None:
    """The networks that the settings add to every prompt; as in A1111 their tags appear in the prompt."""
    settings = run.settings
    for kind, name in (("lora", settings.sd_lora), ("hypernet", settings.sd_hypernetwork)):
        if name in ("", "None"):
            continue
        tag = f"<{kind}:{name}:{settings.extra_networks_default_multiplier:g}>"
        for prompts in (draft.prompts, draft.hires_prompts):
            prompts[:] = [text if f"<{kind}:{name}:" in text else text + tag for text in prompts]


def apply_networks(batch: Batch, patches: ExitStack) -> None:
    """The batch's own tags are in force from now on, and stay so after it; edges are seamless until it ends.

    After a failure the model is as it was loaded. A nested run gives back what its parent had in force.
    """
    run = batch.run
    tiling = run.request.output.tiling
    if run.settings.tiling if tiling is None else tiling:
        patches.enter_context(seamless(*(part for model in run.models for part in (model.denoiser, model.vae))))
    networks, model = run.services.networks, run.model
    before = networks.tags_of(model) if run.nested else None

    def leave(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if before is not None:
            networks.apply(model, *before)
        elif error is not None and not isinstance(error, Interrupted):
            for each in run.models:
                networks.restore(each)

    patches.push(leave)
    for key in (LORA_HASHES, TI_HASHES):
        run.infotext.pop(key, None)
    use_networks(batch, batch.tags)


def use_networks(
    batch: Batch, tags: Sequence[NetworkTag], hires: bool = False, model: LoadedModel | None = None
) -> None:
    """The tags are in force from now on, in the run's model or another. What could not be used is told once a run."""
    run = batch.run
    off = run.request.extras.get(A1111_PART, {}).get("disable_extra_networks")
    asked = () if off else [tag for tag in tags if tag.kind in KINDS]
    report = run.services.networks.apply(model or run.model, asked, hires, run.settings.lora_in_memory_limit)
    for comment in report.comments:
        if comment not in run.comments:
            run.comment(comment)
    if run.settings.lora_add_hashes_to_infotext:
        files = run.services.shelf.networks
        note_hashes(run, LORA_HASHES, ((name, files.short_hash(file)) for name, file in report.files))
    run.notes["bundled embeddings"] = report.bundled


def step_networks(current: Pass, call: int, calls: int) -> None:
    """Before a call of the model: strengths that change over time take their values."""
    current.batch.run.services.networks.at(current.model, call, calls, current.steps)


def note_embeddings(current: Pass, texts: Iterable[str], options: EncodeOptions) -> None:
    """The embeddings that the texts name, with their hashes, for the infotext."""
    run = current.batch.run
    if not run.settings.textual_inversion_add_hashes_to_infotext or not options.embeddings:
        return
    names = [name.lower() for name in options.embeddings]
    texts = [text for text in dict.fromkeys(texts) if any(name in text.lower() for name in names)]
    if not texts:
        return
    # Words decide, not letters: a name inside of a longer word is not used.
    used = {fix.name for prompt in chunk_texts(current.model, texts, options) for c in prompt.chunks for fix in c.fixes}
    own = run.services.shelf.embeddings(current.model).loaded
    bundled: Mapping[str, Any] = run.notes.get("bundled embeddings", {})
    hashes = []
    for name in sorted(used):
        if name in bundled:
            if run.settings.lora_bundled_ti_to_infotext:
                hashes.append((name, run.services.shelf.networks.short_hash(bundled[name])))
        elif name in own:
            hashes.append((name, own[name].short))
    note_hashes(run, TI_HASHES, hashes)


def note_hashes(run: Run, key: str, hashes: Iterable[tuple[str, str]]) -> None:
    """Adds "name: hash" to a line of the infotext. Commas and colons would end a name."""
    known = run.infotext.get(key)
    found = [known] if known else []
    for name, short in hashes:
        entry = f"{name.replace(':', '').replace(',', '')}: {short}"
        if short and entry not in (known or "").split(", "):
            found.append(entry)
    if found:
        run.infotext[key] = ", ".join(dict.fromkeys(found))
