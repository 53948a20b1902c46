"""The one form that messages have."""

from __future__ import annotations

import io
import logging

from atelier.base import log


def test_fields_are_pairs_and_texts_with_spaces_are_quoted():
    assert log.fields(file="a b.png", n=3, empty="", name="x") == "file='a b.png' n=3 empty='' name=x"
    assert log.fields() == ""


def test_the_program_sets_its_own_logger_up_and_no_other():
    root, before = logging.getLogger("atelier"), list(logging.getLogger().handlers)
    kept = (root.handlers[:], root.level, root.propagate)
    try:
        stream = io.StringIO()
        log.setup("warning", stream)
        log.setup("warning", stream)
        log.logger("atelier.base.test").info("not shown")
        log.logger("atelier.base.test").warning("disk is full: %s", log.fields(free=0))
        assert stream.getvalue().count("\n") == 1
        assert "W atelier.base.test: disk is full: free=0" in stream.getvalue()
        assert logging.getLogger().handlers == before
    finally:
        root.handlers[:], root.level, root.propagate = kept
