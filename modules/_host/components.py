"""ComponentRelay: every component that is made while the page is built, told to scripts and callbacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gradio import context

from modules._host.gradio_scope import old_spellings
from modules._host.script import OnComponent, overrides

TABS = ("txt2img", "img2img")


class ComponentRelay:
    """Before a component is made the scripts of its tab hear first, then everyone; afterwards the other way round."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self._silent = 0
        self._elsewhere = 0

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Components made now belong to no tab of ours, whatever their ids look like."""
        self._elsewhere += 1
        try:
            yield
        finally:
            self._elsewhere -= 1

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Components made now are told to nobody."""
        self._silent += 1
        try:
            yield
        finally:
            self._silent -= 1

    def before(self, component: Any, kwargs: dict[str, Any]) -> None:
        if not self._silent:
            self._scripts("before", component, kwargs)
            self._everyone("before", component, kwargs)

    def after(self, component: Any, kwargs: dict[str, Any]) -> None:
        if not self._silent:
            self._everyone("after", component, kwargs)
            self._scripts("after", component, kwargs)

    def _everyone(self, when: str, component: Any, kwargs: dict[str, Any]) -> None:
        event = f"{when}_component"
        if self.host.callbacks.listening(event):
            with old_spellings():
                self.host.callbacks.fire(event, component, **kwargs)

    def _scripts(self, when: str, component: Any, kwargs: dict[str, Any]) -> None:
        runner = self._runner(kwargs.get("elem_id"))
        if runner is None:
            return
        guard, method = self.host.guard, f"{when}_component"
        with old_spellings():
            for script in runner.scripts:
                owner = runner.owner(script)
                if overrides(script, method):
                    guard.call(owner, method, getattr(script, method), component, **kwargs)
                for elem_id, callback in getattr(script, f"on_{method}_elem_id") or ():
                    if elem_id == kwargs.get("elem_id"):
                        guard.call(owner, f"on_{method}", callback, OnComponent(component))

    def _runner(self, elem_id: Any) -> Any:
        """The scripts of the tab that is being built: told by the ids of the component and what it stands in."""
        if self._elsewhere:
            return None
        if self.host.building is not None:
            return self.host.building
        block = context.Context.block
        ids = [elem_id]
        while block is not None:
            ids.append(block.elem_id)
            block = block.parent
        for text in ids:
            for tab in TABS:
                if isinstance(text, str) and (text == f"tab_{tab}" or text.startswith(f"{tab}_")):
                    return self.host.runner(tab)
        return None
