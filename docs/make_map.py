"""Writes the map of docs/architecture.md: one line a file, taken from the file's own first line."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
START, END = "<!-- map -->", "<!-- end of map -->"
FOLDERS = (
    "atelier", "atelier/base", "atelier/params", "atelier/store", "atelier/prompts", "atelier/imaging",
    "atelier/device", "atelier/sampling", "atelier/sampling/samplers",
    "atelier/families", "atelier/checkpoints", "atelier/networks",
    "atelier/tools", "atelier/pipeline", "atelier/plugins", "atelier/jobs", "atelier/web", "atelier/web/tabs",
    "atelier/web/api", "atelier/launch", "modules/_host", "bench", "starter",
)  # fmt: skip


def first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return text.splitlines()[0] if text else ""


def lines() -> list[str]:
    """The map in reading order; packages' empty `__init__.py` files are left out."""
    found = []
    for folder in FOLDERS:
        files = [p for p in sorted((ROOT / folder).glob("*.py")) if p.read_text("utf-8").strip()]
        if files:
            found += ["", f"**{folder}/**", ""]
            found += [f"- `{path.name}`: {first_line(path)}" for path in files]
    return found


def page() -> str:
    """The whole page with a fresh map."""
    text = PAGE.read_text("utf-8")
    before, after = text.split(START)[0], text.split(END)[1]
    return f"{before}{START}\n" + "\n".join(lines()) + f"\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
