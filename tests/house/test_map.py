"""The map of the house names every file, in the words of the file itself."""

import importlib.util

from tests.house.source import ROOT


def test_the_map_is_fresh():
    spec = importlib.util.spec_from_file_location("make_map", ROOT / "docs" / "make_map.py")
    make_map = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_map)
    written = make_map.PAGE.read_text("utf-8")
    missing = [line for line in make_map.lines() if line not in written.splitlines()]
    assert written == make_map.page(), f"run: python docs/make_map.py\nmissing: {missing[:5]}"
