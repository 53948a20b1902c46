"""Styles: merging, extraction, and the CSV files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.base.errors import BadRequest, Conflict, NotFound, SaveFailed
from atelier.prompts.styles import Style, StyleBook, cut_text, merge_text
from tests.prompts.cases import cases

WORDS = st.text(alphabet="abcdef ", min_size=1, max_size=10).filter(lambda text: text.strip() == text)


@pytest.mark.parametrize("case", cases("style_apply"))
def test_recorded_apply(case: dict, tmp_path: Path) -> None:
    book = StyleBook([tmp_path / "styles.csv"])
    for index, text in enumerate(case["styles"]):
        book.put(Style(f"s{index}", text, text))
    names = [f"s{index}" for index in range(len(case["styles"]))]
    assert book.apply(case["input"], case["input"], names) == (case["expect"], case["expect"])


@pytest.mark.parametrize("case", cases("style_extract"))
def test_recorded_extract(case: dict) -> None:
    assert list(cut_text(case["input"], case["style"])) == case["expect"]


@given(WORDS, WORDS, WORDS)
def test_cut_undoes_merge(text: str, before: str, after: str) -> None:
    around = f"{before} {{prompt}} {after}"
    assert cut_text(merge_text(text, around), around) == (True, text)
    assert cut_text(merge_text(text, after), after) == (True, text)


@pytest.fixture
def book(tmp_path: Path) -> StyleBook:
    (tmp_path / "a.csv").write_bytes(
        "\ufeffname,prompt,negative_prompt\r\n"
        '---- FILE ----,,\r\n#old,x,y\r\nPhoto,"photo of {prompt}, 4k",blurry\r\nInk,"ink, lines",\r\n'.encode()
    )
    (tmp_path / "b.csv").write_text('name,text\nInk,other ink\nOld way,"two\nlines"\n', "utf-8")
    return StyleBook([tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "none.csv"])


def test_files_are_read_with_mark_divider_and_old_column(book: StyleBook) -> None:
    assert book.names() == ("Photo", "Ink", "Old way")
    assert book.find("Ink") == Style("Ink", "ink, lines", "")
    assert book.find("Old way") == Style("Old way", "two\nlines", "")
    assert book.problems == {}


def test_apply_and_extract(book: StyleBook) -> None:
    prompt, negative = book.apply("cat", "bad", ("Photo", "Ink", "unknown"))
    assert (prompt, negative) == ("photo of cat, 4k, ink, lines", "bad, blurry")
    assert book.extract(prompt, negative) == (("Photo", "Ink"), "cat", "bad")


def test_extract_needs_both_texts(book: StyleBook) -> None:
    assert book.extract("photo of cat, 4k", "") == ((), "photo of cat, 4k", "")


def test_save_keeps_commented_rows_and_reads_back(book: StyleBook, tmp_path: Path) -> None:
    book.put(Style("Neu", "größer, {prompt}", "x"))
    book.put(Style("Old way", "one line"))
    book.rename("Photo", "Foto")
    book.remove("Ink")
    book.save()
    again = StyleBook(book.files)
    assert again.names() == ("Foto", "Neu", "Old way")
    assert again.find("Neu") == Style("Neu", "größer, {prompt}", "x")
    assert again.file_of("Old way") == tmp_path / "b.csv"
    text = (tmp_path / "a.csv").read_bytes()
    assert text.startswith(b"\xef\xbb\xbf") and b"#old,x,y" in text and b"---- FILE ----" in text
    assert not (tmp_path / "none.csv").exists()


def test_what_cannot_be_done_is_said(book: StyleBook) -> None:
    with pytest.raises(BadRequest):
        book.put(Style("# hidden"))
    with pytest.raises(NotFound):
        book.remove("nobody")
    with pytest.raises(Conflict):
        book.rename("Photo", "Ink")


def test_an_unreadable_file_is_named_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "styles.csv"
    path.write_bytes(b"name,prompt\nx,\xff\xfe\n")
    book = StyleBook([path])
    assert path in book.problems and book.names() == ()
    book.put(Style("new", "text"))
    with pytest.raises(SaveFailed):
        book.save()
    assert path.read_bytes() == b"name,prompt\nx,\xff\xfe\n"


@pytest.mark.parametrize(("text", "told"), [
    ("", False), ("\n\n", False), ("name;prompt\nInk;lines\n", True), ("\nname,prompt\nInk,lines\n", True),
])  # fmt: skip
def test_a_file_whose_columns_are_unknown_is_not_taken_for_an_empty_one(tmp_path: Path, text: str, told: bool) -> None:
    (tmp_path / "styles.csv").write_text(text, "utf-8")
    book = StyleBook([tmp_path / "styles.csv"])
    assert book.names() == () and bool(book.problems) == told


def test_a_book_notices_what_another_has_written(book: StyleBook, tmp_path: Path) -> None:
    other = StyleBook(book.files)
    with other.changing():
        other.put(Style("Neu", "x"))
    assert book.find("Neu") is None
    book.freshen()
    assert book.find("Neu") == Style("Neu", "x", "")
    rows = book._rows
    book.freshen()
    assert book._rows is rows, "nothing changed, nothing is read"


def test_only_the_file_that_differs_is_written_and_a_link_stays_one(tmp_path: Path) -> None:
    shared, other, link = tmp_path / "shared.csv", tmp_path / "other.csv", tmp_path / "a.csv"
    shared.write_text("name,prompt\nInk,lines\n", "utf-8")
    other.write_text("name,prompt,remark\nOld,way,mine\n", "utf-8")
    link.symlink_to(shared)
    book = StyleBook([link, other])
    with book.changing():
        book.put(Style("Neu", "x"))
    assert link.is_symlink() and "Neu,x," in shared.read_text("utf-8-sig")
    assert other.read_text("utf-8") == "name,prompt,remark\nOld,way,mine\n"


def test_what_fails_inside_a_change_leaves_no_trace(book: StyleBook) -> None:
    before = tuple(book)
    with pytest.raises(NotFound), book.changing():
        book.put(Style("Neu", "x"))
        book.remove("nobody")
    assert tuple(book) == before == tuple(StyleBook(book.files))


@given(st.text(max_size=12), st.text(max_size=30), st.text(max_size=30))
def test_whatever_is_taken_comes_back_as_it_was(name: str, prompt: str, negative: str) -> None:
    style = Style(name, prompt, negative)
    with tempfile.TemporaryDirectory() as folder:
        book = StyleBook([Path(folder) / "styles.csv"])
        try:
            book.put(style)
        except BadRequest:
            return
        book.save()
        assert tuple(StyleBook(book.files)) == (style,)


def test_columns_of_other_programs_and_cells_beyond_the_last_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "styles.csv"
    path.write_text("description,name,prompt,negative_prompt\nwet,rain,in rain,sun\n,snow,in snow,sun, heat\n", "utf-8")
    book = StyleBook([path])
    with book.changing():
        book.put(Style("rain", "in heavy rain"))
        book.put(Style("fog", "in fog"))
    assert path.read_text("utf-8-sig").splitlines() == [
        "name,prompt,negative_prompt,description", "rain,in heavy rain,,wet", "snow,in snow,sun,, heat", "fog,in fog,,",
    ]  # fmt: skip
    again = StyleBook([path])
    assert again.names() == ("rain", "snow", "fog")
    assert again.find("snow") == Style("snow", "in snow", "sun", (("description", ""), ("", " heat")))
