"""Arguments of scripts: from the page or the HTTP API into a request's extras, and from there to the scripts."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from atelier.base.errors import BadRequest, NotFound
from atelier.base.log import fields, logger
from atelier.imaging.blobs import BlobStore
from modules._host.script_runner import ScriptRunner

log = logger(__name__)

#: the name of the host's part in `request.extras`
EXTRAS = "a1111"
IMAGE, OBJECT = "$image", "$object"


class ObjectShelf:
    """Objects that are no plain data (what an extension keeps in `gr.State`), by a key that a request can carry.

    They live as long as the program, at most `limit` of them; a job that is taken up after a restart gets the
    control's default in their place.
    """

    def __init__(self, limit: int = 512) -> None:
        self._limit = limit
        self._items: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, value: Any) -> str:
        key = secrets.token_hex(8)
        with self._lock:
            self._items[key] = value
            while len(self._items) > self._limit:
                self._items.popitem(last=False)
        return key

    def get(self, key: str) -> Any:
        """Raises `KeyError`."""
        with self._lock:
            return self._items[key]


class Packer:
    """Makes plain JSON of a script's arguments, and back."""

    def __init__(self, blobs: BlobStore, shelf: ObjectShelf) -> None:
        self.blobs = blobs
        self.shelf = shelf

    def pack(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, str)) or type(value) in (int, float):
            return value
        if isinstance(value, np.generic):
            return self.pack(value.item())
        if isinstance(value, (list, tuple)):
            return [self.pack(item) for item in value]
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return {key: self.pack(item) for key, item in value.items()}
        if isinstance(value, Image.Image) and value.mode in ("RGB", "RGBA", "L"):
            return {IMAGE: self.blobs.put_image(value).sha256, "as": "pil", "mode": value.mode}
        if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim in (2, 3):
            picture = Image.fromarray(value)
            return {IMAGE: self.blobs.put_image(picture).sha256, "as": "numpy", "mode": picture.mode}
        return {OBJECT: self.shelf.put(value)}

    def unpack(self, value: Any, default: Any = None) -> Any:
        if isinstance(value, list):
            return [self.unpack(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        if IMAGE in value:
            return self._image(value, default)
        if OBJECT in value:
            try:
                return self.shelf.get(value[OBJECT])
            except KeyError:
                log.warning("argument of a script is no longer here, default used: %s", fields(key=value[OBJECT]))
                return default
        return {key: self.unpack(item) for key, item in value.items()}

    def _image(self, value: Mapping[str, Any], default: Any) -> Any:
        try:
            image = self.blobs.image(value[IMAGE], "script_args")
        except NotFound:
            log.warning("picture of a script is no longer here, default used: %s", fields(sha256=value[IMAGE]))
            return default
        image = image.convert(value.get("mode", "RGB"))
        return np.asarray(image) if value.get("as") == "numpy" else image


def script_args(runner: ScriptRunner, extras: Mapping[str, Any], packer: Packer) -> list[Any]:
    """The flat arguments of all scripts of a tab. Raises `BadRequest` for a script that does not exist.

    `extras` is {"args": [...]} from the page, or A1111's `script_name`, `script_args` and `alwayson_scripts`.
    """
    args = runner.default_args()
    packed = extras.get("args")
    if packed is not None:
        for place, value in enumerate(packed[: len(args)]):
            args[place] = packer.unpack(value, args[place])
        return args
    name = extras.get("script_name")
    if name:
        _select(runner, args, str(name), extras.get("script_args") or [])
    for title, given in (extras.get("alwayson_scripts") or {}).items():
        _always_on(runner, args, str(title), given)
    return args


def _select(runner: ScriptRunner, args: list[Any], name: str, values: list[Any]) -> None:
    titles = [title.lower() for title in runner.titles]
    if name.lower() not in titles:
        known = ", ".join(runner.titles) or "none are installed"
        raise BadRequest("script_name", f"there is no script named {name!r}.", remedy=f"Scripts: {known}.")
    index = titles.index(name.lower())
    script = runner.selectable_scripts[index]
    args[0] = index + 1
    # A short list keeps the defaults of the rest, so that it cannot shift the arguments of other scripts.
    start, end = script.args_from or 0, script.args_to or 0
    args[start : start + min(len(values), end - start)] = values[: end - start]


def _always_on(runner: ScriptRunner, args: list[Any], title: str, given: Any) -> None:
    script = runner.script(title)
    if script is None or not script.alwayson:
        known = ", ".join(runner.title_of(s) for s in runner.alwayson_scripts) or "none are installed"
        raise BadRequest(
            "alwayson_scripts", f"there is no always-on script named {title!r}.", remedy=f"Scripts: {known}."
        )
    values = list((given or {}).get("args") or ()) if isinstance(given, Mapping) else list(given or ())
    start, end = script.args_from or 0, script.args_to or 0
    args[start : start + min(len(values), end - start)] = values[: end - start]
