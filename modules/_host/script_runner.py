"""ScriptRunner: the scripts of one tab, and how each of their methods is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from atelier.base.errors import AtelierError, BadRequest, ExtensionError
from atelier.base.log import fields, logger
from atelier.params.capabilities import ScriptInfo
from atelier.plugins.guard import Guard
from modules._host.load import ScriptLoader
from modules._host.script import AlwaysVisible, Script, overrides

log = logger(__name__)
_FAILED = object()


class ScriptRunner:
    """Extensions copy it, replace `alwayson_scripts` by a shorter list, and hand the copy to a nested run."""

    def __init__(self, loader: ScriptLoader, guard: Guard, tab: str) -> None:
        self.loader = loader
        self.guard = guard
        self.tab = tab
        self.scripts: list[Script] = []
        self.selectable_scripts: list[Script] = []
        self.alwayson_scripts: list[Script] = []
        self.titles: list[str] = []
        self.title_map: dict[str, Script] = {}
        self.infotext_fields: list[Any] = []
        self.paste_field_names: list[str] = []
        #: the dropdown, then every script's controls; a script owns `inputs[args_from:args_to]`
        self.inputs: list[Any] = [None]
        self.defaults: list[Any] = [0]

    def initialize_scripts(self, is_img2img: bool) -> None:
        """Makes one instance of each script that wants to be in this tab."""
        self.scripts, self.selectable_scripts, self.alwayson_scripts = [], [], []
        self.inputs, self.defaults, self.infotext_fields, self.paste_field_names = [None], [0], [], []
        for data in list(self.loader.scripts):
            owner = self.loader.owner(data.path)
            script = self.guard.call(owner, "__init__", data.script_class)
            if script is None:
                continue
            script.filename = data.path
            script.is_txt2img, script.is_img2img, script.tabname = not is_img2img, is_img2img, self.tab
            visible = self.guard.call(owner, "show", script.show, is_img2img, default=False)
            if visible is AlwaysVisible or visible == AlwaysVisible:
                script.alwayson = True
                self.alwayson_scripts.append(script)
            elif visible:
                self.selectable_scripts.append(script)
            else:
                continue
            self.scripts.append(script)
        self.titles = [self.title_of(script) for script in self.selectable_scripts]
        self.title_map = {self.title_of(script).lower(): script for script in self.scripts}

    def title_of(self, script: Script) -> str:
        title = self.guard.call(self.owner(script), "title", script.title, default=type(script).__name__)
        script.name = str(title).lower()
        return str(title)

    def owner(self, script: Script) -> str:
        return self.loader.owner(script.filename)

    def script(self, title: str) -> Script | None:
        return self.title_map.get(title.lower())

    def ordered_scripts(self, method_name: str) -> list[Script]:
        """The always-on scripts that have their own version of a method, in order of loading."""
        return [script for script in self.alwayson_scripts if overrides(script, method_name) and _ready(script)]

    # -- calling -----------------------------------------------------------------------------------------------

    def args_of(self, script: Script, script_args: Any) -> list[Any]:
        if script.args_from is None:
            return []
        return list((script_args or ())[script.args_from : script.args_to])

    def fire(self, method: str, p: Any, *extra: Any, **kwargs: Any) -> None:
        """Calls a method of every always-on script with its own arguments. Failures stay with their extension."""
        for script in self.ordered_scripts(method):
            args = self.args_of(script, p.script_args)
            self.guard.call(self.owner(script), method, _bound(getattr(script, method), p, extra, args, kwargs))

    def setup_scrips(self, p: Any, *, is_ui: bool = True) -> None:
        for script in self.ordered_scripts("setup"):
            if is_ui or not script.setup_for_ui_only:
                args = self.args_of(script, p.script_args)
                self.guard.call(self.owner(script), "setup", _bound(script.setup, p, (), args, {}))

    def selected(self, script_args: Any) -> Script | None:
        index = script_args[0] if script_args else 0
        if isinstance(index, str):
            index = self.titles.index(index) + 1 if index in self.titles else 0
        if not index or index < 0 or index > len(self.selectable_scripts):
            return None
        return self.selectable_scripts[int(index) - 1]

    def run(self, p: Any, *args: Any) -> Any:
        """The selected script's own run. None when there is none, or when it leaves the work to the usual run.

        Raises what the program raised inside of it, and `ExtensionError` when the script itself failed: a picture
        without the script that was asked for would be wrong.
        """
        script = self.selected(args)
        if script is None:
            return None
        owner = self.owner(script)
        log.info("script runs: %s", fields(title=self.title_of(script), extension=owner))
        call = _telling(_bound(script.run, p, (), self.args_of(script, args), {}))
        result = self.guard.call(owner, "run", call, default=_FAILED)
        if isinstance(result, AtelierError):
            raise result
        if result is _FAILED:
            reason = self.guard.failures[-1].message if self.guard.failures else "it is switched off"
            raise ExtensionError(
                f"The script {self.title_of(script)} failed: {reason}.",
                remedy="Choose another script, or see the extensions tab for the traceback.", extension=owner,
            )  # fmt: skip
        return result

    def __getattr__(self, name: str) -> Callable[..., None]:
        """One dispatcher for each event, named as the script's method: `runner.process(p)`."""
        if name.startswith("_") or not callable(getattr(Script, name, None)):
            raise AttributeError(name)
        return lambda p, *extra, **kwargs: self.fire(name, p, *extra, **kwargs)

    # -- arguments of the HTTP API -----------------------------------------------------------------------------

    def default_args(self) -> list[Any]:
        return list(self.defaults)

    def set_named_arg(
        self, args: list[Any], script_name: str, arg_elem_id: str, value: Any, fuzzy: bool = False
    ) -> None:
        script = self.script(script_name)
        if script is None:
            raise BadRequest("script_name", f"there is no script named {script_name!r}.")
        for place, control in enumerate(script.controls or ()):
            elem_id = getattr(control, "elem_id", None) or ""
            if elem_id == arg_elem_id or (fuzzy and elem_id.endswith(arg_elem_id)):
                args[script.args_from + place] = value
                return
        raise BadRequest("script_args", f"{script_name} has no control {arg_elem_id!r}.")

    def describe(self) -> list[ScriptInfo]:
        return [
            ScriptInfo(script.name or "", script.alwayson, script.is_img2img, tuple(script.api_info or ()))
            for script in self.scripts
        ]


def _ready(script: Script) -> bool:
    """A script whose controls could not be made would miss its arguments."""
    return script.args_from is not None or not overrides(script, "ui")


def _telling(call: Callable[[], Any]) -> Callable[[], Any]:
    """Failures of the program become values, so that they are not taken for the script's."""

    def tell() -> Any:
        try:
            return call()
        except AtelierError as error:
            return error

    return tell


def _bound(method: Callable, p: Any, extra: tuple, args: list[Any], kwargs: dict[str, Any]) -> Callable[[], Any]:
    return lambda: method(p, *extra, *args, **kwargs)
