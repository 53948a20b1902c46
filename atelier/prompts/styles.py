"""Styles: named texts that are merged into a prompt, kept in CSV files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from atelier.base.errors import BadRequest, Conflict, NotFound, SaveFailed
from atelier.base.files import write_text
from atelier.base.log import fields, logger

log = logger(__name__)

COLUMNS = ("name", "prompt", "negative_prompt")
_DIVIDER = re.compile(r"-{3,}\s.*\s-{3,}", re.DOTALL)


@dataclass(frozen=True)
class Style:
    """`prompt` and `negative_prompt` may hold `{prompt}`, the place of the user's own text."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""

    @property
    def hidden(self) -> bool:
        """A commented or dividing row of a file: kept when saving, never offered."""
        return not self.name or self.name.startswith("#") or _DIVIDER.fullmatch(self.name.strip()) is not None


def merge_text(text: str, style: str) -> str:
    """A style's text around or behind a prompt."""
    if "{prompt}" in style:
        return style.replace("{prompt}", text)
    return ", ".join(part for part in (text.strip(), style.strip()) if part)


def cut_text(text: str, style: str) -> tuple[bool, str]:
    """Whether a prompt holds a style, and the prompt without it; the inverse of `merge_text`."""
    style = style.strip()
    if not style:
        return True, text
    if "{prompt}" in style:
        before, _, after = style.partition("{prompt}")
        fits = text.startswith(before) and text.endswith(after) and len(text) >= len(before) + len(after)
        return (True, text[len(before) : len(text) - len(after)]) if fits else (False, text)
    if not text.endswith(style):
        return False, text
    return True, text[: -len(style)].removesuffix(", ")


class StyleBook:
    """The styles of one or several files, in their order; a name that comes twice counts where it comes first.

    New styles go to the first file. A file that cannot be read is named in `problems` and never overwritten.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files: tuple[Path, ...] = tuple(files)
        self.problems: dict[Path, str] = {}
        self._rows: dict[Path, list[Style]] = {}
        self.reload()

    def reload(self) -> None:
        """Reads all files again; those that are not there count as empty."""
        self.problems.clear()
        self._rows = {path: self._read(path) for path in self.files}

    def __iter__(self) -> Iterator[Style]:
        seen: set[str] = set()
        for rows in self._rows.values():
            for style in rows:
                if not style.hidden and style.name not in seen:
                    seen.add(style.name)
                    yield style

    def names(self) -> tuple[str, ...]:
        return tuple(style.name for style in self)

    def find(self, name: str) -> Style | None:
        return next((style for style in self if style.name == name), None)

    def file_of(self, name: str) -> Path | None:
        return next((path for path, rows in self._rows.items() if any(row.name == name for row in rows)), None)

    def apply(self, prompt: str, negative: str, names: Sequence[str]) -> tuple[str, str]:
        """Prompt and negative with the styles merged in, in the order given; unknown names change nothing."""
        for name in names:
            style = self.find(name)
            if style is not None:
                prompt = merge_text(prompt, style.prompt)
                negative = merge_text(negative, style.negative_prompt)
        return prompt, negative

    def extract(self, prompt: str, negative: str) -> tuple[tuple[str, ...], str, str]:
        """The styles that both texts hold, in the order in which they were applied, and the texts without them.

        For pasting: the last one applied lies outermost and is taken off first. Each style is taken once.
        """
        left = [style for style in self if style.prompt.strip() or style.negative_prompt.strip()]
        found: list[str] = []
        while True:
            for style in left:
                fits, cut = cut_text(prompt, style.prompt)
                fits_too, cut_negative = cut_text(negative, style.negative_prompt)
                if fits and fits_too:
                    break
            else:
                return tuple(reversed(found)), prompt, negative
            prompt, negative = cut, cut_negative
            found.append(style.name)
            left.remove(style)

    def put(self, style: Style) -> None:
        """Adds a style, or changes the one of that name. Raises `BadRequest` for a name that would be skipped."""
        if style.hidden:
            raise BadRequest("style.name", f"{style.name!r} cannot be a style's name.", remedy="Begin with a letter.")
        path = self.file_of(style.name)
        if path is not None:
            rows = self._rows[path]
            rows[next(i for i, row in enumerate(rows) if row.name == style.name)] = style
            return
        if not self.files:
            raise Conflict("There is no styles file.", remedy="Name one with --styles-file.")
        self._rows[self.files[0]].append(style)

    def remove(self, name: str) -> None:
        """Raises `NotFound`."""
        self._row_of(name)
        for rows in self._rows.values():
            rows[:] = [row for row in rows if row.name != name]

    def rename(self, old: str, new: str) -> None:
        """Raises `NotFound`, or `Conflict` when the new name is taken."""
        style = self._row_of(old)
        if new != old and self.find(new) is not None:
            raise Conflict(f"There is already a style named {new!r}.", remedy="Choose another name.")
        renamed = replace(style, name=new)
        if renamed.hidden:
            raise BadRequest("style.name", f"{new!r} cannot be a style's name.", remedy="Begin with a letter.")
        for rows in self._rows.values():
            rows[:] = [renamed if row == style else row for row in rows]

    def save(self) -> None:
        """Writes every file that has rows or is there already, each atomically. Raises `SaveFailed`."""
        for path, rows in self._rows.items():
            if path in self.problems:
                raise SaveFailed(
                    f"{path} could not be read and is left as it is: {self.problems[path]}",
                    remedy="Mend or move that file.", path=str(path),
                )  # fmt: skip
            if rows or path.exists():
                write_text(path, _csv_of(rows))

    def _row_of(self, name: str) -> Style:
        style = self.find(name)
        if style is None:
            raise NotFound(f"There is no style named {name!r}.", remedy="Reload the styles.")
        return style

    def _read(self, path: Path) -> list[Style]:
        if not path.exists():
            return []
        try:
            text = path.read_bytes().decode("utf-8-sig")
            return _rows_of(text)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            self.problems[path] = str(error)
            log.warning("styles file cannot be read: %s", fields(path=str(path), reason=str(error)))
            return []


def _rows_of(text: str) -> list[Style]:
    rows = csv.DictReader(io.StringIO(text, newline=""), restval="")
    return [
        # Files from before there were negative prompts name their only text column "text".
        Style(row["name"], row.get("prompt", row.get("text", "")), row.get("negative_prompt", ""))
        for row in rows
        if row.get("name")
    ]


def _csv_of(rows: Sequence[Style]) -> str:
    """With a byte order mark, so that spreadsheet programs read it as UTF-8."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    writer.writerows((row.name, row.prompt, row.negative_prompt) for row in rows)
    return "\ufeff" + buffer.getvalue()
