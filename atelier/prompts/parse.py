"""PromptPlan: what a prompt asks for at each step. The one entry to the prompt language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from atelier.prompts.comments import strip_comments
from atelier.prompts.compose import SubPrompt, split_and
from atelier.prompts.schedule import ScheduledText, schedule
from atelier.prompts.styles import StyleBook


@dataclass(frozen=True)
class PlannedPart:
    """One part between ANDs: its weight and its texts by step."""

    weight: float
    schedule: tuple[ScheduledText, ...]


@dataclass(frozen=True)
class PromptPlan:
    """Frozen and hashable, so that it can be the key under which its encoding is kept."""

    parts: tuple[PlannedPart, ...]

    def texts(self) -> tuple[str, ...]:
        """Every distinct text that must be encoded, in order of first use."""
        return tuple(dict.fromkeys(entry.text for part in self.parts for entry in part.schedule))


def parse_prompt(
    text: str, steps: int, *, hires_steps: int | None = None, old_rule: bool = False, split: bool = True
) -> PromptPlan:
    """The plan of a prompt whose network tags were taken out. Never raises.

    `steps` and `hires_steps` count model calls, see `schedule`. Negative prompts are parsed with
    `split=False`: AND is an ordinary word there.
    """
    parts = split_and(text) if split else (SubPrompt(text, 1.0),)
    return PromptPlan(
        tuple(
            PlannedPart(part.weight, schedule(part.text, steps, hires_steps=hires_steps, old_rule=old_rule))
            for part in parts
        )
    )


def prepare_text(
    prompt: str, negative: str, styles: Sequence[str], book: StyleBook | None, comments: bool = True
) -> tuple[str, str]:
    """Prompt and negative with the named styles merged in and, with `comments`, comments taken out."""
    if book is not None and styles:
        prompt, negative = book.apply(prompt, negative, styles)
    if comments:
        prompt, negative = strip_comments(prompt), strip_comments(negative)
    return prompt, negative
