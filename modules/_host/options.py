"""Options: `shared.opts`, A1111's settings object over the program's settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from atelier.base.errors import BadRequest
from atelier.base.log import fields, logger
from atelier.params.settings import Settings
from atelier.plugins.guard import Guard
from modules._host.legacy_options import DEFAULTS
from modules._host.option_info import OptionInfo, component_args, declaration, read_value, section_of

log = logger(__name__)

RunSettings = Callable[[], Any]


class OptionsData(dict):
    """`opts.data`: reads and writes go to the settings, so that it can be used like the plain dict it is in A1111."""

    def __init__(self, options: Options) -> None:
        # The encoder of json looks at the real size before anything else, so the real dict is never empty.
        super().__init__({"": None})
        self._options = options

    def __getitem__(self, key: str) -> Any:
        return self._options._value(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._options._put(key, value)

    def __delitem__(self, key: str) -> None:
        self._options._extra.pop(key)

    def __contains__(self, key: object) -> bool:
        return key in self._options._keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self._options._keys())

    def __len__(self) -> int:
        return len(self._options._keys())

    def __repr__(self) -> str:
        return repr(dict(self.items()))

    def __eq__(self, other: object) -> bool:
        return dict(self.items()) == other

    __hash__ = None  # type: ignore[assignment]

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default

    def keys(self) -> Any:
        return self._options._keys().keys()

    def values(self) -> Any:
        return [self[key] for key in self]

    def items(self) -> Any:
        return [(key, self[key]) for key in self]

    def copy(self) -> dict[str, Any]:
        return dict(self.items())

    def __reduce__(self) -> Any:
        # Copies, deep ones too, are plain dicts of the values at that moment.
        return (dict, (self.copy(),))

    def pop(self, key: str, *default: Any) -> Any:
        if key in self._options._extra:
            return self._options._extra.pop(key)
        if default:
            return default[0]
        raise KeyError(key)

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]


class Options:
    """`opts.key` gives the value that is in force: inside a run that of the run, with its overrides.

    Keys that nothing declares are kept for the session. Reading an unknown key raises `AttributeError`, as
    extensions expect.
    """

    def __init__(self, settings: Settings, run_settings: RunSettings, guard: Guard) -> None:
        vars(self).update(
            _settings=settings, _run_settings=run_settings, _guard=guard, _extra={}, _changed={},
            data_labels={}, restricted_opts=set(),
        )  # fmt: skip
        vars(self)["data"] = OptionsData(self)

    # -- values ------------------------------------------------------------------------------------------------

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        if key in self.data:
            return self._value(key)
        info = self.data_labels.get(key)
        if info is not None:
            return info.default
        if key in DEFAULTS:
            default = DEFAULTS[key]
            return list(default) if isinstance(default, list) else default
        raise AttributeError(f"there is no option {key!r}")

    def __setattr__(self, key: str, value: Any) -> None:
        self._put(key, value)

    def _value(self, key: str) -> Any:
        running = self._run_settings()
        if running is not None and key in running:
            value = running[key]
        elif key in self._settings.declarations:
            value = self._settings.get(key)
        else:
            value = self._extra[key]
        return read_value(self.data_labels.get(key), value)

    def _keys(self) -> dict[str, None]:
        return dict.fromkeys((*self._settings.declarations, *self._extra))

    def _put(self, key: str, value: Any) -> None:
        """Sets a value for the session; the file follows at the next save."""
        if key not in self._settings.declarations:
            self._extra[key] = value
            return
        try:
            self._settings.update({key: value}, save=False)
        except BadRequest as error:
            # An extension that writes a value which does not fit must not fail for it; it never did in A1111.
            log.warning("option not set: %s", fields(key=key, reason=error.message))

    def set(self, key: str, value: Any, is_api: bool = False, run_callbacks: bool = True) -> bool:
        """False when nothing changed."""
        before = self.data.get(key)
        if before == value or (is_api and getattr(self.data_labels.get(key), "restrict_api", False)):
            return False
        self._put(key, value)
        if run_callbacks and key not in self._settings.declarations:
            # For declared ones the settings tell of every change, whoever makes it.
            self._notify(key)
        return True

    def get_default(self, key: str) -> Any:
        if key in self.data_labels:
            return self.data_labels[key].default
        found = self._settings.declarations.get(key)
        return found.default if found is not None else DEFAULTS.get(key)

    # -- declaring ---------------------------------------------------------------------------------------------

    def add_option(self, key: str, info: OptionInfo) -> None:
        """Declares an option. One that the program declares itself keeps its declaration."""
        own = key in self._settings.declarations and key not in self.data_labels
        self.data_labels[key] = info
        if info.do_not_save or own:
            return
        args = self._guard.call("options", f"component_args of {key}", component_args, info, default={})
        waiting = self._extra.pop(key, None)
        self._settings.add(declaration(key, info, args))
        if waiting is not None:
            self._put(key, waiting)

    def groups(self) -> tuple[type, ...]:
        """The options that extensions declared, as groups for the settings page: one for each section."""
        sections: dict[str, list[str]] = {}
        labels: dict[str, str] = {}
        for key, info in self.data_labels.items():
            found = self._settings.declarations.get(key)
            if found is not None and not info.do_not_save and found.part == section_of(info)[0]:
                name, labels[name] = section_of(info)[0], section_of(info)[1]
                sections.setdefault(name, []).append(key)
        return tuple(
            type(f"Section_{name}", (), {
                "part_name": name, "part_title": labels[name], "part_category": "Extensions",
                "part_declarations": tuple(self._settings.declarations[key] for key in keys),
            })
            for name, keys in sections.items()
        )  # fmt: skip

    def publish_groups(self) -> None:
        """Gives the settings page the sections of extensions, in the place of those given before."""
        own = tuple(g for g in self._settings.groups if not g.__name__.startswith("Section_"))
        self._settings.groups = (*own, *self.groups())

    def onchange(self, key: str, func: Callable[[], Any], call: bool = True) -> None:
        self._changed.setdefault(key, []).append(func)
        if call:
            self._guard.call("options", f"onchange of {key}", func)

    def changed(self, keys: tuple[str, ...]) -> None:
        """Called by the host when settings were changed on the page or through the API."""
        for key in keys:
            self._notify(key)

    def _notify(self, key: str) -> None:
        own = getattr(self.data_labels.get(key), "onchange", None)
        for func in (*((own,) if own else ()), *self._changed.get(key, ())):
            self._guard.call("options", f"onchange of {key}", func)

    # -- files -------------------------------------------------------------------------------------------------

    def save(self, filename: str) -> None:
        if Path(filename).resolve() == self._settings.path.resolve():
            self._settings.save()
        else:
            Path(filename).write_text(self.dumpjson(), "utf-8")

    def load(self, filename: str) -> None:
        for key, value in json.loads(Path(filename).read_text("utf-8")).items():
            self._put(key, value)

    def dumpjson(self) -> str:
        return json.dumps({key: self.data[key] for key in self.data}, default=str)

    def reorder(self) -> None:
        """Sections keep the order in which they were declared."""

    def same_type(self, x: Any, y: Any) -> bool:
        return x is None or y is None or type(x) is type(y)

    def cast_value(self, key: str, value: Any) -> Any:
        found = self._settings.declarations.get(key)
        return value if found is None or value is None else found.check(value)
