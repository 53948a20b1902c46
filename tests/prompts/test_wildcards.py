"""expand: files and options, seeded."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.prompts.wildcards import expand


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "animal.txt").write_text("cat\n\n# comment\ndog\n", "utf-8")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "color.txt").write_text("\ufeff{light|dark} red\n", "utf-8")
    (tmp_path / "scene.txt").write_text("a __animal__ in __deep/color__\n", "utf-8")
    (tmp_path / "loop.txt").write_text("x __loop__ __loop__\n", "utf-8")
    return tmp_path


def test_a_line_of_a_file(folder: Path) -> None:
    found = Counter(expand("__animal__", seed, [folder]) for seed in range(200))
    assert set(found) == {"cat", "dog"}
    assert min(found.values()) > 60


def test_lines_may_hold_wildcards(folder: Path) -> None:
    texts = {expand("__scene__", seed, [folder]) for seed in range(60)}
    assert texts == {f"a {animal} in {tone} red" for animal in ("cat", "dog") for tone in ("light", "dark")}


def test_the_seed_decides(folder: Path) -> None:
    text = "{a|b|c|d} __animal__ {1-3$$x|y|z}"
    assert len({expand(text, 2**40, [folder]) for _ in range(5)}) == 1
    assert len({expand(text, seed, [folder]) for seed in range(50)}) > 5


def test_numbers_stay_the_same_everywhere() -> None:
    assert [expand("{a|b|c|d|e|f|g|h}", seed, []) for seed in range(8)] == ["g", "g", "h", "e", "a", "f", "g", "b"]


def test_several_are_distinct_and_joined() -> None:
    for seed in range(30):
        first, second = expand("{2$$a|b|c}", seed, []).split(", ")
        assert first != second
    assert set(expand("{2$$ and $$a|b}", 1, []).split(" and ")) == {"a", "b"}
    assert set(expand("{9$$a|b}", 1, []).split(", ")) == {"a", "b"}


def test_weights() -> None:
    found = Counter(expand("{9::a|1::b|0::c}", seed, []) for seed in range(400))
    assert found["c"] == 0
    assert found["a"] > 5 * found["b"] > 0


def test_glob(folder: Path) -> None:
    texts = {expand("__*a*__", seed, [folder]) for seed in range(20)}
    assert {"cat", "dog"} <= texts


@pytest.mark.parametrize("text", [
    "__unknown__", "{a}", "{", "}", "a|b", "\\{a|b\\}", "[a|b]", "__../secret__", "{prompt}", "____", "a \\",
])  # fmt: skip
def test_what_is_no_wildcard_stays(text: str, folder: Path) -> None:
    (folder.parent / "secret.txt").write_text("secret\n")
    assert expand(text, 1, [folder]) == text


def test_unknown_before_known(folder: Path) -> None:
    assert expand("__nobody__ __animal__", 1, [folder]) in ("__nobody__ cat", "__nobody__ dog")


def test_alternation_inside_an_option_keeps_its_bars() -> None:
    assert {expand("{[a|b]|c}", seed, []) for seed in range(20)} == {"[a|b]", "c"}


def test_a_file_that_names_itself_ends(folder: Path) -> None:
    assert "__loop__" in expand("__loop__", 1, [folder])


@pytest.mark.parametrize("text", [
    "{" * 5000 + "a|b" + "}" * 5000, "{a|" * 5000 + "b" + "}" * 5000, "__" * 10_000, "{" + "1" * 20_000 + "|b}",
])  # fmt: skip
def test_hostile_nesting(text: str) -> None:
    assert isinstance(expand(text, 1, []), str)


@given(st.one_of(st.text(max_size=100), st.text(alphabet="{}|$:_ab12[]\\-", max_size=60)), st.integers())
def test_never_raises(text: str, seed: int) -> None:
    assert expand(text, seed, []) == expand(text, seed, [])
