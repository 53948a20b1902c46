"""Extensions are found, ordered and switched off; broken ones are listed and the others load."""

import argparse
from pathlib import Path

from atelier.base.paths import Paths
from atelier.plugins.discover import list_extensions, load_plugins, preload
from atelier.plugins.manager import Plugins
from atelier.plugins.metadata import read_metadata, sort_after

PLUGIN = """
from atelier.plugins.hooks import hookimpl
HOOKS = (1, 1)
@hookimpl
def provide_samplers():
    return ["{0}"]
"""


def folders(tmp_path: Path, **files: str) -> Paths:
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/").replace("_py", ".py").replace("_ini", ".ini")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Paths(data=tmp_path, program=tmp_path)


def test_order_and_switches(tmp_path):
    paths = folders(
        tmp_path,
        extensions__b__plugin_py="", extensions__a__plugin_py="",
        extensions__a__metadata_ini="[Extension]\nName = First\nRequires = b",
    )  # fmt: skip
    (tmp_path / "extensions-builtin" / "core").mkdir(parents=True)
    (tmp_path / "extensions" / ".git").mkdir()
    names = [e.name for e in list_extensions(paths)]
    assert names == ["core", "b", "a"], "a requires b, built-in ones come first"
    states = {e.name: e.enabled for e in list_extensions(paths, disabled=["A"])}
    assert states == {"core": True, "b": True, "a": False}
    assert [e.name for e in list_extensions(paths, disable_all="extra") if e.enabled] == ["core"]
    assert not any(e.enabled for e in list_extensions(paths, disable_all="all"))


def test_a_missing_requirement_and_a_second_name_are_said(tmp_path):
    paths = folders(
        tmp_path,
        extensions__a__metadata_ini="[Extension]\nName = same\nRequires = nowhere|gone",
        extensions__b__metadata_ini="[Extension]\nName = Same",
        extensions__c__metadata_ini="no section",
    )  # fmt: skip
    a, b, c = list_extensions(paths)
    assert a.enabled and "nowhere" in a.reason
    assert not b.enabled and "same" in b.reason
    assert c.enabled and c.metadata.problem


def test_new_style_extensions_load_and_broken_ones_are_listed(tmp_path):
    paths = folders(
        tmp_path,
        extensions__good__plugin_py=PLUGIN.format("mine"),
        extensions__raises__plugin_py="raise RuntimeError('boom')",
        extensions__old__plugin_py=PLUGIN.format("old").replace("(1, 1)", "(7, 9)"),
        extensions__silent__plugin_py=PLUGIN.format("silent").replace("HOOKS = (1, 1)", ""),
        extensions__leaves__plugin_py="raise SystemExit(1)",
        extensions__zlast__plugin_py=PLUGIN.format("last"),
    )  # fmt: skip
    plugins = Plugins()
    found = list_extensions(paths)
    load_plugins(found, plugins)
    assert plugins.provided("provide_samplers") == ["mine", "last"]
    broken = {e.name: e for e in found if e.broken}
    assert set(broken) == {"raises", "old", "silent", "leaves"}
    assert "boom" in broken["raises"].traces[0] and "7 to 9" in broken["old"].reason
    assert not any(e.enabled for e in broken.values())


def test_preload_adds_flags_and_survives_a_broken_file(tmp_path):
    paths = folders(
        tmp_path,
        extensions__a__preload_py="def preload(parser): parser.add_argument('--mine', default='x')",
        extensions__b__preload_py="1/0",
    )  # fmt: skip
    parser = argparse.ArgumentParser()
    found = list_extensions(paths)
    preload(found, parser)
    assert parser.parse_args([]).mine == "x" and [e.name for e in found if e.broken] == ["b"]


def test_files_of_a_kind_are_those_directly_inside(tmp_path):
    folders(
        tmp_path, extensions__a__scripts__z_py="", extensions__a__scripts__A_py="", extensions__a__scripts__in__x_py=""
    )
    (extension,) = list_extensions(Paths(data=tmp_path, program=tmp_path))
    assert [p.name for p in extension.files("scripts", ".py")] == ["A.py", "z.py"]
    assert extension.files("javascript", ".js") == ()


def test_metadata_lists_and_circles(tmp_path):
    (tmp_path / "metadata.ini").write_text("[Scripts]\nAfter = A, b\n[scripts/X.py]\nBefore = c|d e\n")
    requires, before, after = read_metadata(tmp_path).order("scripts", "x.py")
    assert (requires, before, after) == ((), ("c|d", "e"), ("a", "b"))
    chain = {"a": ["b"], "b": ["a"], "c": ["a"]}
    assert sorted(sort_after(list("cab"), str, lambda n: chain[n])) == ["a", "b", "c"]
    assert sort_after(list("abc"), str, lambda n: {"a": ["c"]}.get(n, [])) == ["c", "a", "b"]
