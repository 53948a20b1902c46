"""Encoding: the prompts of a pass become the conditioning that its steps are fed with."""

from __future__ import annotations

from collections.abc import Sequence

from atelier.families.family import EncodeOptions
from atelier.pipeline.networks import note_embeddings
from atelier.pipeline.state import Pass
from atelier.prompts.parse import parse_prompt
from atelier.sampling.conditioning import Conditioning, ScheduledEncoding, TextEncoding


def encode_pass(current: Pass, prompts: Sequence[str], negatives: Sequence[str]) -> Conditioning:
    """Prompt schedules count in model calls, as A1111's do.

    In the hires pass the schedule's range goes on from the first pass.
    """
    run = current.batch.run
    settings = run.settings
    options = encode_options(current)
    note_embeddings(current, (*prompts, *negatives), options)
    calls = current.plan.prompt_calls
    hires = current.notes.get("first_calls")

    def scheduled(texts_until: Sequence[tuple[int, str]]) -> ScheduledEncoding:
        texts = tuple(text for _, text in texts_until)
        encodings = _cached(current, texts, options)
        return ScheduledEncoding(tuple((until, e) for (until, _), e in zip(texts_until, encodings, strict=True)))

    def planned(prompt: str, split: bool):
        first, second = (hires, calls) if hires else (calls, None)
        plan = parse_prompt(prompt, first, hires_steps=second, old_rule=settings.use_old_scheduling, split=split)
        return plan.parts

    positive = tuple(
        tuple((part.weight, scheduled(part.schedule)) for part in planned(prompt, True)) for prompt in prompts
    )
    negative = tuple(scheduled(planned(text, False)[0].schedule) for text in negatives)
    return Conditioning(
        positive=positive, negative=negative, concat=current.concat, blank_concat=current.blank_concat,
        added=current.added, negative_added=current.negative_added,
    )  # fmt: skip


def encode_options(current: Pass) -> EncodeOptions:
    run = current.batch.run
    settings, bundled = run.settings, run.services.networks.embeddings(current.model)
    return EncodeOptions(
        clip_skip=settings.CLIP_stop_at_last_layers,
        emphasis=settings.emphasis,
        comma_backtrack=settings.comma_padding_backtrack,
        embeddings={**bundled, **run.services.shelf.embeddings_for(current.model)},
    )


def _cached(current: Pass, texts: tuple[str, ...], options: EncodeOptions) -> list[TextEncoding]:
    run = current.batch.run
    cache = run.services.encodings
    # A text encoder that carries networks gives other encodings.
    carried = run.services.networks.text_key(current.model)
    key = (current.model.fingerprint, carried, texts, options.fingerprint)
    found = cache.get(key) if run.settings.persistent_cond_cache else None
    if found is None:
        with run.services.ladder.lease(current.model.text_encoder, teller=run):
            work = lambda: current.model.encode_texts(list(texts), options)  # noqa: E731
            found = run.services.ladder.run("encode", work, run)
        cache.put(key, found)
    return found
