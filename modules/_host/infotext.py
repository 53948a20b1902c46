"""What scripts write beside a picture: `p.extra_generation_params` and `p.comments`, carried into the run."""

from __future__ import annotations

from typing import Any

from atelier.pipeline.state import Frame, Run
from modules._host.ticket import Ticket


def carry_out(run: Run, ticket: Ticket) -> None:
    """Plain values belong to the run. What differs by picture (a list, a function) waits for its frame."""
    params = ticket.p.extra_generation_params or {}
    plain = {str(k): v for k, v in params.items() if v is not None and not _by_picture(v)}
    for key in ticket.written - plain.keys():
        run.infotext.pop(key, None)
    run.infotext.update(plain)
    ticket.written = set(plain)
    for text in ticket.p.comments:
        if text not in ticket.said:
            ticket.said.add(text)
            run.comment(text)


def for_frame(frame: Frame, ticket: Ticket) -> dict[str, Any]:
    """The values of one picture. A function is handed A1111's names of what it may want to know."""
    p = ticket.p
    values = {}
    for key, value in (p.extra_generation_params or {}).items():
        if isinstance(value, list):
            value = value[frame.index] if frame.index < len(value) else None
        elif callable(value):
            value = value(
                p=p, index=frame.index, iteration=frame.batch.index, position_in_batch=frame.position,
                prompt_text=frame.prompt, negative_prompt_text=frame.negative, negative_prompt=frame.negative,
                all_prompts=p.all_prompts, all_negative_prompts=p.all_negative_prompts, all_seeds=p.all_seeds,
                all_subseeds=p.all_subseeds, uses_ensd=False, use_main_prompt=False, comments=None,
            )  # fmt: skip
        else:
            continue
        if value is not None:
            values[str(key)] = value
    return values


def _by_picture(value: Any) -> bool:
    return isinstance(value, list) or callable(value)
