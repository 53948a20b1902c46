"""process_images: a draft becomes a request, runs through the recipe, and comes back as A1111's result."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from atelier.base.cancel import CancelToken
from atelier.params.request import GenerationRequest
from atelier.params.settings import SettingsSnapshot
from modules._host.attach import host
from modules._host.door import assigned
from modules._host.draft import request_of
from modules._host.processed import Processed
from modules._host.ticket import Ticket

#: named and not imported: doors must be importable without torch
RECIPE = "atelier.pipeline.run"
DOOR = "modules.processing"


def process_images(p: Any) -> Processed:
    """Inline on a thread that is in a run; on any other it waits for the device first.

    `process_images_inner` is looked up at each call, since extensions put their own in its place.
    """
    inner: Callable[[Any], Processed] = assigned(DOOR, "process_images_inner") or process_images_inner
    if host().tickets.run is not None:
        return inner(p)
    with host().lease():
        return inner(p)


def process_images_inner(p: Any) -> Processed:
    """Raises any `AtelierError`, and `Interrupted` when the job was cancelled."""
    home = host()
    with nullcontext() if home.tickets.run is not None else home.lease():
        return _run(home, p)


def _run(home: Any, p: Any) -> Processed:
    outer = home.tickets.current
    around = outer.run if outer is not None else None
    same = outer is not None and outer.p is p
    base = around.request if same and around is not None else GenerationRequest()
    settings: SettingsSnapshot = around.settings if around is not None else home.settings.snapshot()
    ticket = Ticket(p, outer=outer, inner=True)
    request = home.known_overrides(request_of(p, base, home.blobs), p)
    home.tickets.hand_over(ticket)
    try:
        importlib.import_module(RECIPE).generate(
            request, around.services if around is not None else home.engine_services(), settings=settings,
            token=around.token if around is not None else CancelToken(),
            publish=(outer.publish if outer is not None else None) or home.app.bus.publish,
            job=around.job if around is not None else "",
            nested=outer is not None and not outer.taking,
        )  # fmt: skip
    finally:
        home.tickets.hand_over(None)
        home.tickets.pop_to(outer)
    return ticket.processed


def get_fixed_seed(seed: Any) -> int:
    """A random one for -1, None and empty text."""
    if seed in (None, "", -1, "-1"):
        return int(random.randrange(4294967294))
    try:
        return int(seed)
    except (TypeError, ValueError):
        return int(random.randrange(4294967294))


def fix_seed(p: Any) -> None:
    p.seed = get_fixed_seed(p.seed)
    p.subseed = get_fixed_seed(p.subseed)


def create_infotext(
    p: Any, all_prompts: Any, all_seeds: Any, all_subseeds: Any, comments: Any = None, iteration: int = 0,
    position_in_batch: int = 0, use_main_prompt: bool = False, index: int | None = None,
    all_negative_prompts: Any = None,
) -> str:  # fmt: skip
    """The parameters of one picture as text, as the running recipe would write them."""
    if index is None:
        index = position_in_batch + iteration * p.batch_size
    describe = importlib.import_module("atelier.pipeline.infotext").describe
    planned = importlib.import_module("atelier.pipeline.state").PlannedPicture
    run = host().tickets.run
    if run is None or run.plan is None:
        return ""
    negatives = all_negative_prompts or p.all_negative_prompts
    prompt = p.main_prompt if use_main_prompt else _at(all_prompts, index)
    negative = p.main_negative_prompt if use_main_prompt else _at(negatives, index)
    picture = planned(index, int(_at(all_seeds, index)), int(_at(all_subseeds, index)), prompt, negative)
    return describe(run, picture)


def _at(values: Any, index: int) -> Any:
    return values[index] if index < len(values) else values[-1]
