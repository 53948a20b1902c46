"""docs/hooks.md names every hook with its arguments and its sentence, in the order of declaration."""

import inspect
import re
from pathlib import Path

import pytest

from atelier.pipeline.hooks import PipelineHooks
from atelier.plugins.hooks import ProgramHooks
from atelier.plugins.manager import documented
from atelier.web.hooks import WebHooks

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"


def rows():
    found = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    return {name: (args.strip(), text.strip()) for name, args, text in found}


@pytest.mark.parametrize("cls", (PipelineHooks, WebHooks, ProgramHooks))
def test_every_hook_is_documented(cls):
    table = rows()
    for name in documented(cls):
        assert name in table, f"add a row for {name} to docs/hooks.md"
        args, text = table[name]
        wanted = [p for p in inspect.signature(getattr(cls, name)).parameters if p != "self"]
        assert args == ", ".join(wanted), name
        assert text == " ".join(inspect.getdoc(getattr(cls, name)).split()), name


def test_nothing_is_documented_that_does_not_exist():
    known = [n for cls in (PipelineHooks, WebHooks, ProgramHooks) for n in documented(cls)]
    assert list(rows()) == known
