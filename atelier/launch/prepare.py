"""Going through the set-up: what is done already is passed over, what is missing is done and remembered."""

from __future__ import annotations

import difflib
import time

from atelier.base.errors import BadRequest, SetupFailed
from atelier.launch.state import fingerprint
from atelier.launch.steps import STEPS, Setup, Step


def _reached(setup: Setup, step: Step) -> str:
    return fingerprint(step.name, step.wanted(setup), setup.environment.identity)


def _needed(setup: Setup, step: Step) -> bool:
    if not step.wanted(setup):
        return False
    if step.name == "extensions":
        # Their installers are remembered one by one; without any there is nothing to run.
        return not step.holds(setup)
    return not (setup.environment.state.done(step.name, _reached(setup, step)) and step.holds(setup))


def _forced(setup: Setup) -> set[str]:
    args = setup.args
    names = {args.step} if args.step else set()
    if args.reinstall_torch and not args.step:
        names |= {"torch", "device"}
    if args.reinstall_xformers:
        names.add("xformers")
    return names


def prepare(setup: Setup) -> None:
    """Brings the environment up to date. Raises `SetupFailed` naming the step; those before it stay done."""
    start = time.perf_counter()
    console, state, forced = setup.console, setup.environment.state, _forced(setup)
    if setup.args.step and setup.args.step not in step_names():
        close = difflib.get_close_matches(setup.args.step, step_names(), n=1, cutoff=0.3)
        hint = f"Did you mean {close[0]}?" if close else f"Steps are {', '.join(step_names())}."
        raise BadRequest("--step", f"there is no step {setup.args.step!r}.", remedy=hint)
    if setup.args.skip_install:
        console.say("Set-up skipped (--skip-install).")
        return
    chosen = [step for step in STEPS if step.name in forced] if setup.args.step else list(STEPS)
    count = sum(step.name in forced or _needed(setup, step) for step in chosen)
    ran = 0
    for step in chosen:
        # Asked again for each: a step can make a later one necessary, as a new torch does with the device.
        if step.name in forced or _needed(setup, step):
            ran += 1
            _run(setup, step, ran, max(count, ran))
    line = state.result("device").get("line", "")
    if not ran:
        console.say(f"Set-up: nothing to do ({time.perf_counter() - start:.2f} s). {line}".rstrip())
    else:
        console.say(f"Set-up done in {time.perf_counter() - start:.0f} s.")


def _run(setup: Setup, step: Step, number: int, count: int) -> None:
    state = setup.environment.state
    try:
        with setup.console.step(number, count, f"{step.name}: {step.title}"):
            result = step.run(setup)
    except SetupFailed:
        if setup.environment.folder is None or setup.environment.folder.is_dir():
            state.forget(step.name)
        raise
    if step.name == "extensions" and result.get("failed"):
        # Not recorded as done: the installers that failed are tried again at the next start.
        state.record(step.name, "", result)
        return
    state.record(step.name, _reached(setup, step), result)


def step_names() -> list[str]:
    return [step.name for step in STEPS]
