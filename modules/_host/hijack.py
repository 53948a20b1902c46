"""`sd_hijack.model_hijack`: embeddings, layers and token counts of the open model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from modules._host.attach import host
from modules._host.old_model import layers_of, prompt_lengths


class EmbeddingsView:
    """`embedding_db`: the textual inversions that fit the open model, and those that do not."""

    def _set(self) -> Any:
        services, model = host().services, host().sd_model
        return None if services is None or model is None else services.shelf.embeddings(model)

    @property
    def word_embeddings(self) -> dict[str, Any]:
        found = self._set()
        if found is None:
            return {}
        return {
            name: SimpleNamespace(
                name=name,
                vectors=e.vectors,
                shape=e.width,
                step=e.step,
                filename=str(e.path),
                shorthash=e.short,
                hash=e.sha256,
                vec=next(iter(e.tensors.values())),
                sd_checkpoint=e.checkpoint,
                sd_checkpoint_name=e.checkpoint_name,
            )  # fmt: skip
            for name, e in found.loaded.items()
        }

    @property
    def skipped_embeddings(self) -> dict[str, Any]:
        found = self._set()
        return {} if found is None else {name: SimpleNamespace(name=name) for name in found.skipped}

    @property
    def embedding_dirs(self) -> dict[str, Any]:
        return {str(path): SimpleNamespace(path=str(path)) for path in host().paths.folders("embedding")}

    def load_textual_inversion_embeddings(self, force_reload: bool = False) -> None:
        services = host().services
        if services is not None:
            services.shelf.scan()


class ModelHijack:
    """Nothing of the model is replaced here; what scripts add goes through the core's hooks."""

    fixes = None
    circular_enabled = False
    optimization_method = "sdpa"

    def __init__(self) -> None:
        self.embedding_db = EmbeddingsView()
        self.comments: list[str] = []
        self.extra_generation_params: dict[str, Any] = {}

    @property
    def clip(self) -> Any:
        view = host().model_view()
        return None if view is None else view.cond_stage_model

    @property
    def layers(self) -> list[Any]:
        model = host().sd_model
        return [] if model is None else layers_of(model)

    def get_prompt_lengths(self, text: str, cond_stage_model: Any = None) -> tuple[int, int]:
        model = host().sd_model
        return (0, 75) if model is None else prompt_lengths(model, text)

    def clear_comments(self) -> None:
        self.comments = []
        self.extra_generation_params = {}

    def hijack(self, m: Any) -> None:
        """The model is used as it is."""

    undo_hijack = redo_hijack = hijack

    def apply_circular(self, enable: bool) -> None:
        """Tiling is a setting of the request."""

    def apply_optimizations(self, option: Any = None) -> None:
        """The attention kernel is the engine's choice."""


model_hijack = ModelHijack()
