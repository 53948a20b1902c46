"""Plugins: every extension that is in force, and the relay through which hooks are fired."""

from __future__ import annotations

import inspect
from typing import Any

import pluggy

from atelier.base.errors import ExtensionError
from atelier.base.log import fields, logger
from atelier.plugins.guard import Guard
from atelier.plugins.hooks import ProgramHooks

log = logger(__name__)


class Plugins:
    """pluggy behind a guard. Owners of hooks add theirs with `add_hookspecs` before the first `register`."""

    def __init__(self, guard: Guard | None = None) -> None:
        self.guard = guard or Guard()
        self._manager = pluggy.PluginManager("atelier")
        self.add_hookspecs(ProgramHooks)

    @property
    def relay(self) -> Any:
        """Fires hooks: `relay.before_batch(batch=batch)`. Keyword arguments only."""
        return self._manager.hook

    def add_hookspecs(self, *classes: type) -> None:
        for cls in classes:
            self._manager.add_hookspecs(cls)

    def register(self, plugin: Any, name: str, *, guarded: bool = True) -> None:
        """Puts a plugin in force: an object or module with functions marked by `hookimpl`.

        A part of the program itself is not `guarded`: what it raises is the run's own failure.

        Raises `ExtensionError` when it names a hook or an argument that does not exist, or when the name is taken.
        """
        try:
            self._manager.register(plugin, name)
            unknown = self._unknown(plugin)
        except (ValueError, pluggy.PluginValidationError) as error:
            self._forget(plugin)
            raise ExtensionError(f"{name} does not fit the hooks: {error}", extension=name) from error
        if unknown:
            self._forget(plugin)
            raise ExtensionError(
                f"{name} implements hooks that do not exist: {', '.join(unknown)}.",
                remedy="See docs/hooks.md for their names.", extension=name,
            )  # fmt: skip
        for caller in (self._manager.get_hookcallers(plugin) or ()) if guarded else ():
            for implementation in caller.get_hookimpls():
                if implementation.plugin is plugin:
                    implementation.function = self.guard.wrap(name, caller.name, implementation.function)
        log.debug("plugin registered: %s", fields(name=name))

    def unregister(self, name: str) -> None:
        if self._manager.has_plugin(name):
            self._manager.unregister(name=name)

    def get(self, name: str) -> Any:
        return self._manager.get_plugin(name)

    def names(self) -> tuple[str, ...]:
        return tuple(name for name, plugin in self._manager.list_name_plugin() if plugin is not None)

    def hooks(self) -> tuple[str, ...]:
        """The names of all hooks that were declared."""
        return tuple(sorted(n for n in vars(self.relay) if not n.startswith("_") and getattr(self.relay, n).has_spec()))

    def provided(self, hook: str, **carriers: Any) -> list[Any]:
        """The results of a `provide` hook in one list, in order of registration."""
        answers = getattr(self.relay, hook)(**carriers)
        return [item for answer in reversed(answers) for item in answer or ()]

    def _unknown(self, plugin: Any) -> list[str]:
        return [c.name for c in self._manager.get_hookcallers(plugin) or () if not c.has_spec()]

    def _forget(self, plugin: Any) -> None:
        if self._manager.is_registered(plugin):
            self._manager.unregister(plugin)


def documented(*specifications: type) -> dict[str, str]:
    """Name and first sentence of every hook in the given classes, in the order of declaration."""
    found = {}
    for cls in specifications:
        for name, function in vars(cls).items():
            if hasattr(function, "atelier_spec"):
                found[name] = (inspect.getdoc(function) or "").splitlines()[0]
    return found
