"""CustomCode: the script that runs Python typed into the page, as A1111 has it under --allow-code."""

from __future__ import annotations

import ast
import textwrap
import traceback
from collections.abc import Sequence
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from atelier.base.errors import AtelierError, BadRequest
from atelier.plugins.guard import is_out_of_memory
from atelier.web.typed_code import TITLE, code_refusal
from modules._host.attach import host
from modules._host.generate import process_images
from modules._host.processed import Processed
from modules._host.script import Script

FILE = "<custom code>"
EXAMPLE = """from modules.processing import process_images

p.steps = 10
return process_images(p)
"""


class CustomCode(Script):
    def title(self) -> str:
        return TITLE

    def show(self, is_img2img: bool) -> bool:
        return code_refusal(host().app.arguments) is None

    def ui(self, is_img2img: bool) -> list[Any]:
        code = gr.Code(value=EXAMPLE, language="python", label="Python code", elem_id=self.elem_id("code"))
        # A1111 puts the code into a function of its own text; here the level of its first line does not matter.
        level = gr.Number(value=2, label="Indent level", precision=0, visible=False, elem_id=self.elem_id("indent"))
        return [code, level]

    def run(self, p: Any, code: Any, indent_level: Any = 2) -> Processed:
        """Raises `NotAllowed`, and `BadRequest` for code that is none or that fails."""
        refused = code_refusal(host().app.arguments)
        if refused is not None:
            raise refused
        shown = Shown(p)
        value = run_code(str(code or ""), {"p": p, "display": shown.display, "process_images": process_images})
        return shown.result(value)


class Shown:
    """What typed code gives to `display`, or else returns."""

    def __init__(self, p: Any) -> None:
        self.p = p
        self.images: list[Image.Image] = []
        self.seed: Any = p.seed
        self.info = ""

    def display(self, imgs: Any, s: Any = None, i: Any = "") -> None:
        """Pictures (one or several, of PIL or as arrays), the seed and the text below them."""
        one = isinstance(imgs, (Image.Image, np.ndarray))
        self.images = [_picture(image) for image in ([imgs] if one else imgs or ())]
        self.seed = self.p.seed if s in (None, "") else s
        self.info = str(i)

    def result(self, value: Any) -> Processed:
        """A result as it is; pictures, or the three arguments of `display`, are shown; anything else is text."""
        if isinstance(value, Processed):
            return value
        if isinstance(value, tuple) and len(value) == 3 and isinstance(value[0], list):
            self.display(*value)
        elif isinstance(value, (Image.Image, np.ndarray)) or _are_pictures(value):
            self.display(value)
        elif value is not None:
            self.info = str(value)
        return Processed(self.p, self.images, self.seed, self.info)


def run_code(source: str, names: dict[str, Any]) -> Any:
    """What the code returns, or the value of its last line when that is an expression.

    It runs as the body of a function, so that `return` may stand in it.
    """
    try:
        body = ast.parse(textwrap.dedent(source), FILE).body
        if body and isinstance(body[-1], ast.Expr):
            body[-1] = ast.copy_location(ast.Return(body[-1].value), body[-1])
        module = ast.parse("def code():\n    pass", FILE)
        module.body[0].body = body or module.body[0].body
        compiled = compile(module, FILE, "exec")
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise _failed(line, f"{getattr(error, 'msg', error)}", "Correct the code.") from error
    space = {"__name__": "custom_code", **names}
    exec(compiled, space)
    try:
        return space["code"]()
    except AtelierError:
        raise
    # `exit()` would end the device's thread.
    except (Exception, SystemExit) as error:
        if is_out_of_memory(error):
            raise
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
        line = frames[-1].lineno if frames else 1
        raise _failed(line, f"{type(error).__name__}: {error}", "Correct the code, or what it is given.") from error


def _failed(line: int | None, why: str, remedy: str) -> BadRequest:
    return BadRequest("script_args", f"{TITLE}, line {line}: {why}", remedy=remedy, line=line)


def _are_pictures(value: Any) -> bool:
    return isinstance(value, Sequence) and bool(value) and all(isinstance(v, (Image.Image, np.ndarray)) for v in value)


def _picture(image: Any) -> Image.Image:
    return image if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image))
