"""`modules.prompt_parser`: A1111's shapes of parsed prompts, over the program's prompt language."""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import torch

from atelier.prompts.compose import split_and
from atelier.prompts.emphasis import parse_emphasis
from atelier.prompts.schedule import schedule

ScheduledPromptConditioning = namedtuple("ScheduledPromptConditioning", ["end_at_step", "cond"])

re_AND = re.compile(r"\bAND\b")  # noqa: N816 - the name that extensions use
re_weight = re.compile(r"^((?:\s|.)*?)(?:\s*:\s*([-+]?(?:\d+\.?|\d*\.\d+)))?\s*$")


class SdConditioning(list):
    """Prompts with what else the encoder is told: whether they are negative, and the picture's size."""

    def __init__(
        self, prompts: Sequence[str], is_negative_prompt: bool = False, width: int | None = None,
        height: int | None = None, copy_from: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(prompts)
        source = copy_from if copy_from is not None else prompts
        self.is_negative_prompt = is_negative_prompt or getattr(source, "is_negative_prompt", False)
        self.width = width or getattr(source, "width", None)
        self.height = height or getattr(source, "height", None)


class ComposableScheduledPromptConditioning:
    def __init__(self, schedules: list[ScheduledPromptConditioning], weight: float = 1.0) -> None:
        self.schedules = schedules
        self.weight = weight


class MulticondLearnedConditioning:
    """`batch` has a list of parts for each prompt."""

    def __init__(self, shape: Any, batch: list[list[ComposableScheduledPromptConditioning]]) -> None:
        self.shape = shape
        self.batch = batch


class DictWithShape(dict):
    """Several tensors of one prompt; its shape is that of the text vectors."""

    def __init__(self, x: dict[str, Any], shape: Any = None) -> None:
        super().__init__(x)

    @property
    def shape(self) -> Any:
        return self["crossattn"].shape

    def to(self, *args: Any, **kwargs: Any) -> DictWithShape:
        for key, value in self.items():
            if isinstance(value, torch.Tensor):
                self[key] = value.to(*args, **kwargs)
        return self

    def advanced_indexing(self, item: Any) -> DictWithShape:
        return DictWithShape({k: v[item] if isinstance(v, torch.Tensor) else v for k, v in self.items()})


def parse_prompt_attention(text: str) -> list[list[Any]]:
    """[[text, weight], ...]; a BREAK is ["BREAK", -1]."""
    return [[span.text, span.weight] for span in parse_emphasis(text)]


def get_learned_conditioning_prompt_schedules(
    prompts: Sequence[str], base_steps: int, hires_steps: int | None = None, use_old_scheduling: bool = False
) -> list[list[list[Any]]]:
    """For each prompt a list of [last step, text]."""
    return [
        [[e.until, e.text] for e in schedule(p, base_steps, hires_steps=hires_steps, old_rule=use_old_scheduling)]
        for p in prompts
    ]


def get_multicond_prompt_list(
    prompts: Sequence[str],
) -> tuple[list[list[tuple[int, float]]], SdConditioning, dict[str, int]]:
    """[(index, weight), ...] for each prompt, the distinct texts, and text -> index."""
    places: dict[str, int] = {}
    texts = SdConditioning(prompts)
    texts.clear()
    found = []
    for prompt in prompts:
        parts = []
        for part in split_and(prompt):
            if part.text not in places:
                places[part.text] = len(texts)
                texts.append(part.text)
            parts.append((places[part.text], part.weight))
        found.append(parts)
    return found, texts, places


def get_learned_conditioning(
    model: Any, prompts: Any, steps: int, hires_steps: int | None = None, use_old_scheduling: bool = False
) -> list[list[ScheduledPromptConditioning]]:
    """Encodes the texts of each prompt with `model.get_learned_conditioning`."""
    schedules = get_learned_conditioning_prompt_schedules(prompts, steps, hires_steps, use_old_scheduling)
    cache: dict[str, list[ScheduledPromptConditioning]] = {}
    result = []
    for prompt, entries in zip(prompts, schedules):
        if prompt not in cache:
            conds = model.get_learned_conditioning(SdConditioning([text for _, text in entries], copy_from=prompts))
            cache[prompt] = [
                ScheduledPromptConditioning(until, _row(conds, place)) for place, (until, _) in enumerate(entries)
            ]
        result.append(cache[prompt])
    return result


def get_multicond_learned_conditioning(
    model: Any, prompts: Any, steps: int, hires_steps: int | None = None, use_old_scheduling: bool = False
) -> MulticondLearnedConditioning:
    indexes, texts, _ = get_multicond_prompt_list(prompts)
    learned = get_learned_conditioning(model, texts, steps, hires_steps, use_old_scheduling)
    batch = [[ComposableScheduledPromptConditioning(learned[i], weight) for i, weight in parts] for parts in indexes]
    return MulticondLearnedConditioning((len(prompts),), batch)


def _row(conds: Any, place: int) -> Any:
    return {k: v[place] for k, v in conds.items()} if isinstance(conds, dict) else conds[place]


def _at(schedules: list[ScheduledPromptConditioning], current_step: int) -> Any:
    for entry in schedules:
        if current_step <= entry.end_at_step:
            return entry.cond
    return schedules[-1].cond


def stack_conds(tensors: list[torch.Tensor]) -> torch.Tensor:  # each [T, C] -> [N, T, C]
    """Rows of different length are filled up by repeating their last vector."""
    longest = max(tensor.shape[0] for tensor in tensors)
    filled = [
        tensor if tensor.shape[0] == longest
        else torch.vstack([tensor, tensor[-1:].repeat(longest - tensor.shape[0], 1)])
        for tensor in tensors
    ]  # fmt: skip
    return torch.stack(filled)


def reconstruct_cond_batch(c: list[list[ScheduledPromptConditioning]], current_step: int) -> Any:
    """What each prompt says at a step, stacked."""
    return _stacked([_at(schedules, current_step) for schedules in c])


def reconstruct_multicond_batch(
    c: MulticondLearnedConditioning, current_step: int
) -> tuple[list[list[tuple[int, float]]], Any]:
    """[(row, weight), ...] for each prompt, and all rows stacked."""
    rows: list[Any] = []
    indexes = []
    for parts in c.batch:
        places = []
        for part in parts:
            places.append((len(rows), part.weight))
            rows.append(_at(part.schedules, current_step))
        indexes.append(places)
    return indexes, _stacked(rows)


def _stacked(rows: list[Any]) -> Any:
    if rows and isinstance(rows[0], dict):
        return DictWithShape({key: stack_conds([row[key] for row in rows]) for key in rows[0]})
    return stack_conds(rows)
