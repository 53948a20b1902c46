"""The command line: words in, one namespace out, with A1111's attribute names."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from atelier.base.paths import PROGRAM
from atelier.launch import options as table
from atelier.launch.folders import paths_from
from atelier.launch.options import COMMANDS, GROUPS, OPTIONS, VARIABLES, Option

__all__ = ["Parser", "build_parser", "commandline_words", "parse", "paths_from", "preload_flags"]

PRELOAD_FLAG = re.compile(r"""["'](--[A-Za-z][\w-]*)["']""")
TRUE = frozenset({"1", "true", "yes", "on"})


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence instead of printing two hundred options."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.removeprefix('argument ')}\nSee {self.prog} --help for all options.\n")


def build_parser(environ: Mapping[str, str] | None = None) -> Parser:
    """The parser with every option of the table; `preload.py` of extensions may add more to it."""
    environ = os.environ if environ is None else environ
    parser = Parser(
        prog="launch.py",
        usage="launch.py [" + "|".join(COMMANDS) + "] [options] [-- arguments]",
        description="Atelier. Without a command: set up what is missing, then serve the page.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    groups = {key: parser.add_argument_group(title) for key, title in GROUPS.items()}
    for option in OPTIONS:
        spellings = [f"--{name}" for name in (option.name, *option.aliases)]
        groups[option.group].add_argument(*spellings, **_keywords(option, environ))
    return parser


def _keywords(option: Option, environ: Mapping[str, str]) -> dict[str, Any]:
    given = environ.get(option.environment, "") if option.environment else ""
    words: dict[str, Any] = {"dest": option.dest, "help": _help(option)}
    if option.kind == table.FLAG:
        return {**words, "action": "store_true", "default": given.lower() in TRUE}
    words["default"] = option.default
    words["metavar"] = {
        table.PATH: "PATH", table.PATHS: "PATH", table.NUMBER: "N", table.REAL: "X", table.PORT: "N",
    }.get(option.kind, "TEXT")  # fmt: skip
    if option.choices:
        words.update(choices=option.choices, metavar="|".join(option.choices))
    if option.kind == table.PATHS:
        words.update(action="append", type=_path, default=[_path(p) for p in given.split(os.pathsep) if p])
    elif option.kind == table.WORDS:
        words.update(nargs="+", type=str.lower, default=list(option.default or ()), metavar="PART")
    else:
        kinds = {table.PATH: _path, table.NUMBER: int, table.REAL: float, table.PORT: _port, table.TEXT: str}
        words["type"] = kinds[option.kind]
        if given:
            # argparse passes a text default through `type`, so that a bad variable is reported like a bad option.
            words["default"] = given
        elif option.kind == table.PATH and option.default:
            words["default"] = str(PROGRAM / option.default)
    return words


def _help(option: Option) -> str:
    text = f"{option.help} (no effect: {option.inert})" if option.inert and option.group != "inert" else option.help
    return text.replace("%", "%%")


def _path(text: str) -> str:
    # Absolute at once: the server may run in another folder than the one in which the option was typed.
    return text if text in ("-", "") else os.path.abspath(os.path.expanduser(text))


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; ports go from 0 to 65535")
    return int(text)


def _epilog() -> str:
    commands = "\n".join(f"  {name:<9}{text}" for name, text in COMMANDS.items())
    variables = "\n".join(f"  {name:<25}{text}" for name, text in VARIABLES.items())
    return f"commands:\n{commands}\n\nenvironment variables:\n{variables}\n"


def commandline_words(environ: Mapping[str, str]) -> list[str]:
    """The words of COMMANDLINE_ARGS."""
    text = environ.get("COMMANDLINE_ARGS", "")
    if os.name == "nt":
        # POSIX rules would eat the backslashes of Windows paths.
        return [word.strip('"') for word in shlex.split(text, posix=False)]
    return shlex.split(text)


def preload_flags(folders: Iterable[Path]) -> frozenset[str]:
    """Options that extensions declare in their `preload.py`, read from its text: running it needs the environment."""
    found: set[str] = set()
    for folder in folders:
        for file in sorted(folder.glob("*/preload.py")):
            found.update(PRELOAD_FLAG.findall(file.read_text("utf-8", "replace")))
    return frozenset(found)


def parse(
    argv: Sequence[str] | None = None, parser: Parser | None = None, environ: Mapping[str, str] | None = None
) -> argparse.Namespace:
    """The namespace for the words of the command line, with those of COMMANDLINE_ARGS in front.

    Besides A1111's attributes it has `command` (None, or one of `COMMANDS`), `rest` (the words after `--`),
    `unparsed` (words of options that extensions declare) and `notices` (sentences to say once).
    Ends the program with exit status 2 and one sentence on anything it does not understand.
    """
    environ = os.environ if environ is None else environ
    parser = parser or build_parser(environ)
    words = [*commandline_words(environ), *(sys.argv[1:] if argv is None else argv)]
    rest: list[str] = []
    if "--" in words:
        cut = words.index("--")
        words, rest = words[:cut], words[cut + 1 :]
    command, words, stray = _take_command(parser, words)
    args, unknown = parser.parse_known_args(words)
    paths = paths_from(args)
    known_elsewhere = preload_flags((paths.extensions, paths.extensions_builtin))
    _refuse_unknown(parser, unknown, known_elsewhere)
    if stray:
        close = difflib.get_close_matches(stray[0], COMMANDS, n=1, cutoff=0.5)
        hint = f"Did you mean {close[0]}?" if close else f"Commands are {', '.join(COMMANDS)}."
        parser.error(f"unknown command {stray[0]!r}. {hint}")
    args.command, args.rest, args.unparsed = command, rest, unknown
    args.notices = _notices(words, environ)
    _complete(args)
    return args


def _take_command(parser: Parser, words: list[str]) -> tuple[str | None, list[str], list[str]]:
    """The command, the words without it, and other words that belong to no option.

    argparse cannot do this itself: before Python 3.13 an optional positional is given up as soon as an option
    stands before it.
    """
    takes_values = {flag: action.nargs != 0 for action in parser._actions for flag in action.option_strings}
    takes_many = {flag for action in parser._actions if action.nargs == "+" for flag in action.option_strings}
    command: str | None = None
    kept: list[str] = []
    stray: list[str] = []
    owner = ""  # the option that the next bare word belongs to
    for word in words:
        if word.startswith("-") and word != "-":
            kept.append(word)
            owner = word if "=" not in word and takes_values.get(word, True) else ""
        elif owner in takes_values or (owner and word not in COMMANDS):
            kept.append(word)
            owner = owner if owner in takes_many else ""
        elif command is None and word in COMMANDS:
            command, owner = word, ""
        else:
            stray.append(word)
    return command, kept, stray


def _refuse_unknown(parser: Parser, unknown: list[str], known_elsewhere: frozenset[str]) -> None:
    own = {flag for action in parser._actions for flag in action.option_strings}
    for word in unknown:
        name = word.split("=")[0]
        if not word.startswith("-") or name in known_elsewhere:
            continue
        close = difflib.get_close_matches(name, [*own, *known_elsewhere], n=1, cutoff=0.4)
        hint = f" Did you mean {close[0]}?" if close else ""
        parser.error(f"unknown option {name}.{hint} Arguments for pytest or the benchmark go after --.")


def _notices(words: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    given = {word.split("=")[0] for word in words}
    notices = [f"{o.flag} is accepted without effect: {o.inert}." for o in OPTIONS if o.inert and o.flag in given]
    names = [name for name in table.INERT_VARIABLES if environ.get(name)]
    names += [name for name in environ if re.fullmatch(r"[A-Z_]+_(REPO|COMMIT_HASH)", name) and "STABLE" in name]
    notices += [f"{name} is accepted without effect: no such thing is installed here." for name in names]
    return notices


def _complete(args: argparse.Namespace) -> None:
    """Fills the paths that follow from others: extensions read them from the namespace as text, never None."""
    paths = paths_from(args)
    args.data_dir, args.models_dir = str(paths.data), str(paths.models)
    derived = {
        "lora_dir": paths.models / "Lora", "lyco_dir": paths.models / "LyCORIS", "embeddings_dir": paths.embeddings,
        "hypernetwork_dir": paths.models / "hypernetworks", "ui_settings_file": paths.settings,
        "ui_config_file": paths.data / "ui-config.json", "localizations_dir": paths.program / "localizations",
        "textual_inversion_templates_dir": paths.program / "textual_inversion_templates",
        "esrgan_models_path": paths.models / "ESRGAN", "realesrgan_models_path": paths.models / "RealESRGAN",
        "bsrgan_models_path": paths.models / "BSRGAN", "swinir_models_path": paths.models / "SwinIR",
        "scunet_models_path": paths.models / "ScuNET", "ldsr_models_path": paths.models / "LDSR",
        "dat_models_path": paths.models / "DAT", "gfpgan_models_path": paths.models / "GFPGAN",
        "codeformer_models_path": paths.models / "Codeformer", "clip_models_path": paths.models / "BLIP",
    }  # fmt: skip
    for name, path in derived.items():
        if not getattr(args, name):
            setattr(args, name, str(path))
    if args.always_cpu:
        args.use_cpu = ["all"]
    if args.memory_policy is None:
        flags = (
            ("stream", args.lowvram or args.always_low_vram), ("rotate", args.medvram or args.always_normal_vram),
            ("keep", args.always_gpu),
        )  # fmt: skip
        args.memory_policy = next((policy for policy, given in flags if given), None)
    for option in OPTIONS:
        for alias in option.aliases:
            setattr(args, alias.replace("-", "_"), getattr(args, option.dest))
