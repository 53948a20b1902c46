"""Styles: named texts that are merged into a prompt, kept in CSV files."""

from __future__ import annotations

import csv
import io
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atelier.base.errors import BadRequest, Conflict, NotFound, SaveFailed
from atelier.base.files import write_text
from atelier.base.log import fields, logger

log = logger(__name__)

COLUMNS = ("name", "prompt", "negative_prompt")
#: a longer text could be written, but Python's reader of CSV would refuse the file
LONGEST = 100_000
_DIVIDER = re.compile(r"-{3,}\s.*\s-{3,}", re.DOTALL)


@dataclass(frozen=True)
class Style:
    """`prompt` and `negative_prompt` may hold `{prompt}`, the place of the user's own text.

    `rest` is what else its row holds, as (column, cell): columns of other programs, and under "" the cells beyond the
    last column. It is kept when saving.
    """

    name: str
    prompt: str = ""
    negative_prompt: str = ""
    rest: tuple[tuple[str, str], ...] = ()

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

    New styles go to the first file. A file that cannot be read is named in `problems` and never overwritten. Any thread
    may ask and change: what is known is put in place whole, so that nobody sees half of a change.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files: tuple[Path, ...] = tuple(files)
        self.problems: Mapping[Path, str] = {}
        self._rows: dict[Path, tuple[Style, ...]] = {}
        self._stamps: dict[Path, tuple[int, ...]] = {}
        self._lock = threading.RLock()
        self.reload()

    def reload(self) -> None:
        """Reads all files again; those that are not there count as empty."""
        with self._lock:
            # Before they are read: what is changed meanwhile is then seen by the next look.
            self._stamps = {path: _stamp(path) for path in self.files}
            problems: dict[Path, str] = {}
            self._rows = {path: _read(path, problems) for path in self.files}
            self.problems = problems

    def freshen(self) -> None:
        """Reads the files again if another has changed one; a look at each is all it costs otherwise."""
        with self._lock:
            if any(_stamp(path) != stamp for path, stamp in self._stamps.items()):
                self.reload()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """For one change to what the files hold at this moment, whoever wrote it; saved at the end.

        Only files that come to differ are written. Where that fails the book goes back to what the file holds.
        Raises `SaveFailed`.
        """
        with self._lock:
            self.reload()
            read, written = self._rows, {}
            try:
                yield
                for path, rows in self._rows.items():
                    if rows != read[path]:
                        self._write(path, rows)
                        written[path] = rows
            finally:
                self._rows = {**read, **written}

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
        """Adds a style, or changes the one of that name. Raises `BadRequest` for what would be lost or skipped."""
        _check(style)
        with self._lock:
            path = self.file_of(style.name)
            if path is not None:
                place = next(i for i, row in enumerate(self._rows[path]) if row.name == style.name)
                rows = self._rows[path]
                changed = replace(style, rest=style.rest or rows[place].rest)
                self._rows = {**self._rows, path: (*rows[:place], changed, *rows[place + 1 :])}
                return
            if not self.files:
                raise Conflict("There is no styles file.", remedy="Name one with --styles-file.")
            first = self.files[0]
            self._rows = {**self._rows, first: (*self._rows[first], style)}

    def remove(self, name: str) -> None:
        """Raises `NotFound`."""
        with self._lock:
            self._row_of(name)
            self._rows = {p: tuple(row for row in rows if row.name != name) for p, rows in self._rows.items()}

    def rename(self, old: str, new: str) -> None:
        """Raises `NotFound`, `BadRequest`, or `Conflict` when the new name is taken."""
        with self._lock:
            style = self._row_of(old)
            if new != old and self.find(new) is not None:
                raise Conflict(f"There is already a style named {new!r}.", remedy="Choose another name.")
            renamed = replace(style, name=new)
            _check(renamed)
            self._rows = {
                path: tuple(renamed if row == style else row for row in rows) for path, rows in self._rows.items()
            }

    def save(self) -> None:
        """Writes every file that has rows or is there already, each atomically. Raises `SaveFailed`."""
        with self._lock:
            for path, rows in self._rows.items():
                if rows or path.exists():
                    self._write(path, rows)

    def _write(self, path: Path, rows: Sequence[Style]) -> None:
        if path in self.problems:
            raise SaveFailed(
                f"{path} could not be read and is left as it is: {self.problems[path]}",
                remedy="Mend or move that file.", path=str(path),
            )  # fmt: skip
        # A link stays a link: the file that it leads to is written, which other installations may share.
        target = Path(os.path.realpath(path))
        # An atomic write puts another file in its place and would not notice that this one was not to be changed.
        if target.exists() and not os.access(target, os.W_OK):
            raise SaveFailed(f"{path} is read-only.", remedy="Make it writable, or start with --styles-file.",
                             path=str(path))  # fmt: skip
        write_text(target, _csv_of(rows))
        self._stamps[path] = _stamp(path)

    def _row_of(self, name: str) -> Style:
        style = self.find(name)
        if style is None:
            raise NotFound(f"There is no style named {name!r}.", remedy="Reload the styles.")
        return style


def _check(style: Style) -> None:
    """Raises `BadRequest` for a name that would be skipped, and for text that a file could not give back."""
    if not style.name.strip():
        raise BadRequest("style.name", "a style needs a name.", remedy="Type one.")
    if style.hidden or len(style.name.splitlines()) > 1:
        raise BadRequest("style.name", f"{style.name!r} cannot be a style's name.", remedy="Begin with a letter.")
    for name, text in zip(COLUMNS, (style.name, style.prompt, style.negative_prompt)):
        if len(text) > LONGEST:
            raise BadRequest(f"style.{name}", f"this has more than {LONGEST} letters.", remedy="Shorten it.")
        # Halves of surrogate pairs cannot be written; older readers of CSV refuse a file with a zero in it.
        if re.search(r"[\x00\ud800-\udfff]", text):
            raise BadRequest(f"style.{name}", "this holds a character that is none.", remedy="Type it anew.")


def _stamp(path: Path) -> tuple[int, ...]:
    """What tells that a file was changed or replaced; empty for one that is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path, problems: dict[Path, str]) -> tuple[Style, ...]:
    if not path.exists():
        return ()
    try:
        return _rows_of(path.read_bytes().decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problems[path] = str(error)
        log.warning("styles file cannot be read: %s", fields(path=str(path), reason=str(error)))
        return ()


def _rows_of(text: str) -> tuple[Style, ...]:
    if not text.strip():
        return ()
    rows = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="")
    if "name" not in (rows.fieldnames or ()):
        # Parted by semicolons, for instance. Saved as if it were empty, it would be lost.
        raise csv.Error("its first line has no column called name")
    return tuple(map(_style_of, rows))


def _style_of(row: dict[str, Any]) -> Style:
    beyond = row.pop("", ())
    name, negative = row.pop("name"), row.pop("negative_prompt", "")
    # Files from before there were negative prompts name their only text column "text".
    prompt = row.pop("prompt") if "prompt" in row else row.pop("text", "")
    cells = (beyond,) if isinstance(beyond, str) else beyond
    return Style(name, prompt, negative, (*row.items(), *(("", cell) for cell in cells)))


def _csv_of(rows: Sequence[Style]) -> str:
    """With a byte order mark, so that spreadsheet programs read it as UTF-8."""
    others = dict.fromkeys(column for row in rows for column, _ in row.rest if column)
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow((*COLUMNS, *others))
    for row in rows:
        cells, beyond = dict(row.rest), [cell for column, cell in row.rest if not column]
        more = (cells.get(column, "") for column in others)
        writer.writerow((row.name, row.prompt, row.negative_prompt, *more, *beyond))
    return "\ufeff" + buffer.getvalue()
