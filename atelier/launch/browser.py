"""The browser for the tests that drive the page, and the names of those tests."""

from __future__ import annotations

import ast
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

NAMES = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
)  # fmt: skip


def find_browser(environ: Mapping[str, str]) -> str:
    """Path of a Chromium or Chrome, or "": the one that ATELIER_BROWSER names, else the first one found."""
    given = environ.get("ATELIER_BROWSER", "")
    for name in (given,) if given else NAMES:
        if path := shutil.which(name, path=environ.get("PATH", os.defpath)):
            return path
    return ""


def browser_tests(tests: Path) -> list[str]:
    """Names of the tests with the mark `browser`, read from the source: collecting them takes much longer."""
    found = []
    for file in sorted(tests.rglob("test_*.py")):
        text = file.read_text("utf-8", "replace")
        if "mark.browser" not in text:
            continue
        tree = ast.parse(text)
        whole = any(isinstance(node, ast.Assign) and "mark.browser" in ast.unparse(node.value) and
                    any(ast.unparse(t) == "pytestmark" for t in node.targets) for node in tree.body)  # fmt: skip
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                if whole or any("mark.browser" in ast.unparse(mark) for mark in node.decorator_list):
                    found.append(f"{file.relative_to(tests.parent).as_posix()}::{node.name}")
    return found
