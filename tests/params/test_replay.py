"""Conditions of a picture: written on one line, read back, compared."""

from __future__ import annotations

from atelier.params.infotext import parse_infotext, write_infotext
from atelier.params.replay import KEY, compare, read_conditions, recorded, write_conditions

TOLD = {"device": "cpu", "precision": "float32", "attention": "sdp", "torch": "2.13.0", "source": "0" * 16}


def text(conditions: dict[str, str] | None = None, **values: object) -> str:
    head = {"Steps": 20, "Sampler": "Euler", "CFG scale": 7.0, "Seed": 1, **values}
    return write_infotext("a cat, (red:1.2)", "bad", {**head, KEY: write_conditions(conditions or {})})


def test_conditions_survive_the_infotext():
    values, conditions = recorded(text({**TOLD, "mask": None, "device": "NVIDIA X, 80 GB: big"}))
    assert conditions == {**TOLD, "device": "NVIDIA X; 80 GB= big"} and KEY not in values
    assert values["Prompt"] == "a cat, (red:1.2)" and values["Seed"] == "1"
    assert write_conditions({"a": ""}) is None and read_conditions("nothing of the kind") == {}
    assert parse_infotext(text(TOLD))["Seed"] == "1"


def test_what_differs_is_named_and_numbers_are_numbers():
    assert compare(text(TOLD), text(TOLD)) == ()
    after = text({**TOLD, "precision": "float16"}, **{"CFG scale": 7, "Model hash": "abc", "User": "me"})
    found = [(d.name, d.recorded, d.now, d.told) for d in compare(text(TOLD), after)]
    assert found == [("precision", "float32", "float16", True), ("Model hash", "", "abc", False)]
    assert {d.name for d in compare(text(), text(TOLD))} == set(TOLD)
