"""The page over the fake engine, for tests that press its buttons without a browser."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import gradio as gr

from atelier.app import App


@dataclass
class Pressed:
    """A page and a way to run its events by the id of the component that starts them."""

    app: App
    demo: gr.Blocks

    def component(self, elem_id: str) -> Any:
        found = [b for b in self.demo.blocks.values() if getattr(b, "elem_id", None) == elem_id]
        assert found, f"nothing has the id {elem_id}"
        return found[0]

    def ids(self) -> list[str]:
        return [b.elem_id for b in self.demo.blocks.values() if getattr(b, "elem_id", None)]

    def event(self, elem_id: str, name: str = "click") -> Any:
        wanted = self.component(elem_id)._id
        found = [f for f in self.demo.fns.values() if (wanted, name) in f.targets and f.fn is not None]
        assert found, f"{elem_id} has no {name} on the server"
        return found[0]

    def press(self, elem_id: str, wire: dict[str, Any] | None = None, name: str = "click", **values: Any) -> Any:
        """Calls the function behind a button. `values` replace what the components show, by the end of their ids."""
        event = self.event(elem_id, name)
        shown = [getattr(component, "value", None) for component in event.inputs]
        if wire is not None:
            shown[0] = json.dumps({"client": "tester", **wire})
        for end, value in values.items():
            places = [i for i, c in enumerate(event.inputs) if (c.elem_id or "").endswith(end)]
            assert len(places) == 1, (end, places)
            shown[places[0]] = value
        return event.fn(*shown)

    def outputs(self, elem_id: str, answer: Any, name: str = "click") -> dict[str, Any]:
        """What an event gave to each of its components, by id; those that stay as they are left out."""
        event = self.event(elem_id, name)
        answer = answer if isinstance(answer, (list, tuple)) else [answer]
        pairs = zip(event.outputs, answer)
        return {c.elem_id: value for c, value in pairs if value != gr.skip()}
