"""Lines of a prompt file: each a prompt, or options as on a command line: `--prompt "a cat" --steps 30`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from atelier.base.errors import BadRequest
from atelier.params.request import DECLARATIONS

#: options whose words go on to the next option, quoted or not
TEXTS = ("prompt", "negative_prompt")
#: (option) -> what it does here; the others are values of a request under A1111's names
SWITCHES = ("do_not_save_samples", "do_not_save_grid")
UNUSED = ("outpath_samples", "outpath_grids", "prompt_for_display")


@dataclass(frozen=True)
class Line:
    """`number` counts from 1 in the text. `values` are by dotted name, `overrides` settings."""

    number: int
    values: Mapping[str, Any]
    overrides: Mapping[str, Any] = field(default_factory=dict)


def read_lines(text: str, kind: str) -> list[Line]:
    """Every line that is not empty. Raises `BadRequest` that names line and option."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip().lstrip("\ufeff")
        if line:
            found.append(
                _options(line, number, kind) if _has_options(line) else Line(number, {"prompt.positive": line})
            )
    return found


def _has_options(line: str) -> bool:
    return re.match(r"--[A-Za-z_]", line) is not None or re.search(r"\s--[A-Za-z_]", line) is not None


def _options(line: str, number: int, kind: str) -> Line:
    """Words before the first option are the prompt."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        # An apostrophe in a prompt is no quotation mark.
        words = line.split()
        if line.count('"') % 2:
            raise _bad(number, f"{error}", "Close the quotes.") from error
    first = next(place for place, word in enumerate(words) if word.startswith("--"))
    values: dict[str, Any] = {"prompt.positive": " ".join(words[:first])} if first else {}
    overrides: dict[str, Any] = {}
    place = first
    while place < len(words):
        name = words[place].removeprefix("--")
        if not words[place].startswith("--"):
            raise _bad(number, f"{words[place]!r} belongs to no option.", "Write --name value.")
        end = next((k for k in range(place + 1, len(words)) if words[k].startswith("--")), len(words))
        given = words[place + 1 : end]
        if name in TEXTS or len(given) <= 1:
            _put(values, overrides, (name, " ".join(given)), number, kind)
        else:
            raise _bad(number, f"--{name} takes one value, got {len(given)}.", "Put quotes around it.")
        place = end
    return Line(number, values, overrides)


def _put(values: dict[str, Any], overrides: dict[str, Any], option: tuple[str, str], number: int, kind: str) -> None:
    name, text = option
    name = "sampler_name" if name == "sampler_index" else name
    if name in UNUSED:
        return
    if name == "sd_model":
        overrides["sd_model_checkpoint"] = text
        return
    if name in SWITCHES:
        if _switched_on(text, name, number):
            if name == "do_not_save_samples":
                values["output.save_images"] = False
            else:
                overrides |= {"grid_save": False}
        return
    declaration = _declaration(name, kind)
    if declaration is None:
        known = sorted({*TEXTS, *SWITCHES, "sd_model", *(d.param.a1111 for d in DECLARATIONS if d.param.a1111)})
        raise _bad(number, f"there is no option --{name}.", f"Use one of: {', '.join(known)}.")
    value: Any = text
    if declaration.kind == "list":
        value = [word.strip() for word in text.split(",") if word.strip()]
    elif declaration.kind == "bool" and not text:
        value = True
    try:
        values[declaration.path] = declaration.check(value)
    except BadRequest as error:
        message = error.message.removeprefix(f"{error.field}: ")
        raise _bad(number, f"--{name}: {message}", error.remedy) from error


def _declaration(name: str, kind: str) -> Any:
    other = "hires" if kind == "img2img" else "source"
    fitting = [d for d in DECLARATIONS if d.param.a1111 == name]
    return next((d for d in fitting if d.part != other), None) if fitting else None


def _switched_on(text: str, name: str, number: int) -> bool:
    if text.lower() not in ("", "true", "false"):
        raise _bad(number, f"--{name} is true or false, got {text!r}.", "Leave the value out for true.")
    return text.lower() != "false"


def _bad(number: int, message: str, remedy: str) -> BadRequest:
    return BadRequest("prompts_from_file.prompt_txt", f"line {number}: {message}", remedy=remedy, line=number)
