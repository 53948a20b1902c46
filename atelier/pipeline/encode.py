"""Encoding: the prompts of a pass become the conditioning that its steps are fed with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from atelier.families.family import EncodeOptions, PictureFacts
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

    def scheduled(texts_until: Sequence[tuple[int, str]], negative: bool = False) -> ScheduledEncoding:
        texts = tuple(text for _, text in texts_until)
        encodings = _cached(current, texts, replace(options, negative=negative))
        return ScheduledEncoding(tuple((until, e) for (until, _), e in zip(texts_until, encodings, strict=True)))

    def planned(prompt: str, split: bool):
        first, second = (hires, calls) if hires else (calls, None)
        plan = parse_prompt(prompt, first, hires_steps=second, old_rule=settings.use_old_scheduling, split=split)
        return plan.parts

    positive = tuple(
        tuple((part.weight, scheduled(part.schedule)) for part in planned(prompt, True)) for prompt in prompts
    )
    negative = tuple(scheduled(planned(text, False)[0].schedule, negative=True) for text in negatives)
    told, negative_told = told_sizes(current, len(negatives))
    return Conditioning(
        positive=positive, negative=negative, concat=current.concat, blank_concat=current.blank_concat,
        added={**told, **current.added}, negative_added={**negative_told, **current.negative_added},
        empty=_cached(current, ("",), options)[0] if settings.pad_cond_uncond else None,
        pad=settings.pad_cond_uncond, follow=settings.pad_cond_uncond_v0,
    )  # fmt: skip


def told_sizes(current: Pass, images: int) -> tuple[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]]:
    """What the network is told beside the texts, for prompts and for negative prompts: name -> [images, numbers]."""
    sizes, settings = current.model.family.sizes, current.batch.run.settings
    if sizes is None:
        return {}, {}
    facts = PictureFacts(
        width=current.width,
        height=current.height,
        crop_top=settings.sdxl_crop_top,
        crop_left=settings.sdxl_crop_left,
        low_score=settings.sdxl_refiner_low_aesthetic_score,
        high_score=settings.sdxl_refiner_high_aesthetic_score,
    )
    rows = (torch.tensor(numbers).expand(images, -1) for numbers in sizes(facts))
    told, negative = ({"sizes": row} for row in rows)
    return told, negative


def encode_options(current: Pass) -> EncodeOptions:
    run = current.batch.run
    settings, bundled = run.settings, run.services.networks.embeddings(current.model)
    return EncodeOptions(
        clip_skip=settings.CLIP_stop_at_last_layers,
        emphasis=settings.emphasis,
        comma_backtrack=settings.comma_padding_backtrack,
        clip_l_skip=settings.sdxl_clip_l_skip,
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
        with run.services.ladder.lease(*current.model.text_encoders, teller=run):
            work = lambda: current.model.encode_texts(list(texts), options)  # noqa: E731
            found = run.services.ladder.run("encode", work, run)
        cache.put(key, found)
    return found
