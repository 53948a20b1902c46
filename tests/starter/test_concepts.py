"""Held-out combinations and names."""

from starter.concepts import BACKGROUNDS, FIRST_OBJECTS, OBJECTS, SHAPES, colour, held_out


def test_held_out_is_about_one_in_ten_and_never_changes():
    rows = [held_out(name, None, background) for name in OBJECTS for background in BACKGROUNDS]
    assert 0.07 < sum(rows) / len(rows) < 0.13
    assert held_out("panda", None, "blue") == held_out("panda", None, "blue")
    assert [held_out(name, None, "blue") for name in ("frog", "cat", "owl", "bee", "fox")].count(True) <= 3


def test_objects_are_distinct_and_do_not_clash_with_shapes():
    assert len(FIRST_OBJECTS) == 122
    assert len(OBJECTS) >= 200
    assert not set(OBJECTS) & set(SHAPES)
    assert all(len(colour(name)) == 3 for name in BACKGROUNDS)
