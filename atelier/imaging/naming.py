"""File and folder names from patterns such as `[seed]-[prompt_words]`, clean on every system."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

from PIL import Image

from atelier.base.log import logger

log = logger(__name__)

MAX_LENGTH = 128
# Most file systems count bytes, 255 of them; the rest is for the number, a suffix and the extension.
MAX_BYTES = 200
DATETIME = "%Y%m%d%H%M%S"
DATE = "%Y-%m-%d"

_PATTERN = re.compile(r"\[([^\[\]]+)\]")
_ARGUMENT = re.compile(r"<([^<>]*)>")
_NO_LETTERS = re.compile(r"[\s!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]+")
_FORBIDDEN = re.compile(r'[#<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
_FORBIDDEN_UNIX = re.compile(r"[/\x00\ud800-\udfff]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


@dataclass(frozen=True)
class NameContext:
    """What the patterns can say about one picture. What is None or empty gives no text.

    `seeds` are all seeds of the job; `batch_number` counts from 1 within a batch of `batch_size`, `generation_number`
    from 1 over all `generation_count` pictures of the job. `prompt` is the final one, `prompt_no_styles` the typed one.
    `image` is only hashed, for `[image_hash]`.
    """

    seed: int | None = None
    seeds: tuple[int, ...] = ()
    steps: int | None = None
    cfg: float | None = None
    width: int | None = None
    height: int | None = None
    styles: tuple[str, ...] = ()
    sampler: str = ""
    scheduler: str = ""
    model_name: str = ""
    model_hash: str = ""
    vae_filename: str = ""
    prompt: str = ""
    prompt_no_styles: str | None = None
    negative_prompt: str = ""
    time: datetime = field(default_factory=datetime.now)
    job_time: datetime | None = None
    batch_number: int | None = None
    batch_size: int = 1
    generation_number: int | None = None
    generation_count: int = 1
    clip_skip: int | None = None
    denoising: float | None = None
    user: str = ""
    basename: str = ""
    image: Image.Image | None = None
    max_prompt_words: int = 8


@dataclass(frozen=True)
class NameRules:
    """`unix` forbids only what a Unix file system forbids; `max_length` counts characters of a name."""

    unix: bool = False
    max_length: int = MAX_LENGTH


# A pattern that has nothing to say also takes back the plain text before it, so that no lonely dash remains.
_SKIP = object()


def clean_part(text: str, *, spaces: bool = False, rules: NameRules = NameRules()) -> str:
    """`text` as part of a name; blanks become `_` unless `spaces`. May be empty; holds no separator."""
    if not spaces:
        text = text.replace(" ", "_")
    text = (_FORBIDDEN_UNIX if rules.unix else _FORBIDDEN).sub("_", text)
    # Windows drops dots and blanks at the end, so that two names could become one.
    return _cut(text.lstrip(" "), rules.max_length).rstrip(" .")


def clean_name(text: str, fallback: str = "picture", rules: NameRules = NameRules()) -> str:
    """A whole file or folder name: never empty, `.` or `..`, and none that Windows keeps for devices."""
    name = clean_part(text, spaces=True, rules=rules)
    if not name:
        return fallback
    return f"_{name}" if _RESERVED.match(name) else name


def fill_pattern(pattern: str, context: NameContext, rules: NameRules = NameRules()) -> str:
    """The pattern with every known word replaced and cleaned; unknown words stay as they are. May be empty."""
    result, position = "", 0
    for match in _PATTERN.finditer(pattern):
        literal = pattern[position : match.start()]
        position = match.end()
        value = _value(match.group(1), context, rules)
        if value is _SKIP:
            continue
        result += literal + (match.group(0) if value is None else str(value))
    return result + pattern[position:]


def file_stem(
    pattern: str, context: NameContext, *, number: int | None = None, suffix: str = "", rules: NameRules = NameRules()
) -> str:
    """`00012-<pattern><suffix>`; without number only the pattern, and never empty. No path separator can come out."""
    filled = clean_part(fill_pattern(pattern, context, rules), spaces=True, rules=rules)
    if number is not None:
        filled = f"{number:05d}-{filled}" if filled else f"{number:05d}"
    room = NameRules(rules.unix, max(1, rules.max_length - len(suffix)))
    return clean_name(filled, rules=room) + clean_part(suffix, spaces=True, rules=rules)


def grid_stem(number: int, context: NameContext | None = None, rules: NameRules = NameRules()) -> str:
    """`grid-0001`; with a context also seed and prompt (setting grid_extended_filename)."""
    stem = f"grid-{number:04d}"
    return (
        stem
        if context is None
        else clean_name(f"{stem}-{fill_pattern('[seed]-[prompt_spaces]', context, rules)}", rules=rules)
    )


def default_pattern(in_subfolders: bool) -> str:
    return "[seed]" if in_subfolders else "[seed]-[prompt_spaces]"


def subfolder(root: Path, pattern: str, context: NameContext, rules: NameRules = NameRules()) -> Path:
    """A folder below `root`. Separators in the pattern itself make levels; those in values do not."""
    folder = root
    # Blanks around a level vanish; `..` and empty levels are dropped, so that no pattern leads out of `root`.
    for level in re.split(r"[/\\]", pattern):
        name = clean_part(fill_pattern(level, context, rules), spaces=True, rules=rules)
        if name:
            folder = folder / clean_name(name, rules=rules)
    return folder


def free_stem(folder: Path, stem: str, extension: str) -> str:
    """`stem`, or `stem-1`, `stem-2` ... when a file of that name exists (setting "Add number suffix")."""
    candidate, index = stem, 0
    while (folder / f"{candidate}.{extension}").exists():
        index += 1
        candidate = f"{stem}-{index}"
    return candidate


def _cut(text: str, characters: int) -> str:
    text = text[:characters]
    data = text.encode("utf-8", errors="replace")
    return text if len(data) <= MAX_BYTES else data[:MAX_BYTES].decode("utf-8", errors="ignore")


def _value(word: str, context: NameContext, rules: NameRules) -> object:
    """Text, `_SKIP`, or None for a word that is no pattern."""
    name, _, rest = word.partition("<")
    arguments = tuple(_ARGUMENT.findall("<" + rest)) if rest else ()
    entry = _WORDS.get(name.lower())
    if entry is None:
        return None
    source, spaces = entry
    value = source(context, arguments)
    if value is None or value is _SKIP:
        return _SKIP if value is _SKIP else ""
    return clean_part(str(value), spaces=spaces, rules=rules)


def _time(moment: datetime | None, arguments: tuple[str, ...], fallback: str) -> str:
    moment = moment or datetime.now()
    if len(arguments) > 1 and arguments[1]:
        try:
            moment = moment.astimezone(ZoneInfo(arguments[1]))
        except (KeyError, ValueError, OSError):
            # An unknown zone must not cost the picture; local time is the next best name.
            log.warning("unknown time zone in a name pattern zone=%r", arguments[1])
    try:
        return moment.strftime(arguments[0] if arguments and arguments[0] else fallback)
    except ValueError:
        return moment.strftime(fallback)


def _hash(text: str, arguments: tuple[str, ...]) -> str:
    digest = hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()
    return digest[: _length(arguments, 8)]


def _image_hash(context: NameContext, arguments: tuple[str, ...]) -> str:
    if context.image is None:
        return ""
    return hashlib.sha256(context.image.tobytes()).hexdigest()[: _length(arguments, 64)]


def _length(arguments: tuple[str, ...], fallback: int) -> int:
    return (
        max(1, min(64, int(arguments[0])))
        if arguments and arguments[0].isascii() and arguments[0].isdigit()
        else fallback
    )


def _words(context: NameContext) -> str:
    words = [w for w in _NO_LETTERS.split(context.prompt) if w]
    return " ".join(words[: context.max_prompt_words]) or "empty"


def _has_prompt(context: NameContext, arguments: tuple[str, ...]) -> str:
    """`<a|default>`: `a` when the prompt has it, else `default`; several are joined."""
    prompt = context.prompt.lower()
    parts = (a.partition("|") for a in arguments)
    return "".join(word if word and word.lower() in prompt else default for word, _, default in parts)


def _batch_number(context: NameContext) -> object:
    return _SKIP if context.batch_number is None or context.batch_size == 1 else context.batch_number


def _generation_number(context: NameContext) -> object:
    return _SKIP if context.generation_number is None or context.generation_count == 1 else context.generation_number


def _typed(context: NameContext) -> str:
    return context.prompt if context.prompt_no_styles is None else context.prompt_no_styles


def _full(context: NameContext) -> str:
    return f"{context.prompt} {context.negative_prompt}"


_Source = Callable[[NameContext, tuple[str, ...]], object]
# The words of the contract (ui-defaults, section 16): how each is made, and whether it keeps its blanks.
_WORDS: Mapping[str, tuple[_Source, bool]] = MappingProxyType({
    "basename": (lambda c, a: c.basename or "img", True),
    "seed": (lambda c, a: c.seed, True),
    "seed_first": (lambda c, a: c.seeds[0] if c.seeds else c.seed, True),
    "seed_last": (lambda c, a: c.seeds[-1] if c.seeds else c.seed, True),
    "steps": (lambda c, a: c.steps, True),
    "cfg": (lambda c, a: c.cfg, True),
    "width": (lambda c, a: c.width, True),
    "height": (lambda c, a: c.height, True),
    "styles": (lambda c, a: ", ".join(s for s in c.styles if s != "None") or "None", True),
    "sampler": (lambda c, a: c.sampler, True),
    "sampler_scheduler": (
        lambda c, a: c.sampler if c.scheduler in ("", "Automatic") else f"{c.sampler} {c.scheduler}", True,
    ),
    "scheduler": (lambda c, a: c.scheduler, True),
    "model_hash": (lambda c, a: c.model_hash, True),
    "model_name": (lambda c, a: c.model_name, True),
    "date": (lambda c, a: _time(c.time, (), DATE), True),
    "datetime": (lambda c, a: _time(c.time, a, DATETIME), True),
    "job_timestamp": (lambda c, a: _time(c.job_time or c.time, (), DATETIME), True),
    "prompt": (lambda c, a: c.prompt, False),
    "prompt_no_styles": (lambda c, a: _typed(c), True),
    "prompt_spaces": (lambda c, a: c.prompt, True),
    "prompt_words": (lambda c, a: _words(c), True),
    "prompt_hash": (lambda c, a: _hash(c.prompt, a), True),
    "negative_prompt_hash": (lambda c, a: _hash(c.negative_prompt, a), True),
    "full_prompt_hash": (lambda c, a: _hash(_full(c), a), True),
    "batch_number": (lambda c, a: _batch_number(c), True),
    "batch_size": (lambda c, a: c.batch_size, True),
    "generation_number": (lambda c, a: _generation_number(c), True),
    "hasprompt": (_has_prompt, True),
    "clip_skip": (lambda c, a: c.clip_skip, True),
    "denoising": (lambda c, a: c.denoising, True),
    "user": (lambda c, a: c.user, True),
    "vae_filename": (lambda c, a: c.vae_filename or "None", True),
    "image_hash": (_image_hash, True),
    "none": (lambda c, a: _SKIP, True),
})  # fmt: skip
PATTERN_WORDS = tuple(_WORDS)
