"""`from modules.shared import sd_model`: a name that always means the model that is open now."""

from __future__ import annotations

from typing import Any

from modules._host.attach import current


class ModelProxy:
    """Hands every attribute on to the view of the open model. False while none is open."""

    def _view(self) -> Any:
        attached = current()
        return None if attached is None else attached.model_view()

    def __getattr__(self, name: str) -> Any:
        view = self._view()
        if view is None:
            # AttributeError, so that `hasattr(shared.sd_model, "is_sdxl")` is an answer and not a failure.
            raise AttributeError(f"no checkpoint is open, so it has no {name!r}")
        return getattr(view, name)

    def __setattr__(self, name: str, value: Any) -> None:
        view = self._view()
        if view is not None:
            setattr(view, name, value)

    def __bool__(self) -> bool:
        return self._view() is not None

    def __eq__(self, other: object) -> bool:
        return other is self or (other is not None and other is self._view())

    def __hash__(self) -> int:
        return id(self)


sd_model = ModelProxy()
