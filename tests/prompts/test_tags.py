"""extract_tags and resolve_tag against the recorded cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.base.errors import BadRequest
from atelier.prompts.tags import NetworkTag, NetworkUse, extract_tags, resolve_tag
from tests.prompts.cases import cases


@pytest.mark.parametrize("case", cases("extranet"))
def test_recorded(case: dict) -> None:
    text, tags = extract_tags(case["input"])
    assert text == case["expect"]["prompt"]
    found: dict[str, list] = {}
    for tag in tags:
        found.setdefault(tag.kind, []).append({"positional": list(tag.positional), "named": dict(tag.named)})
    wanted = {
        kind: [{"positional": entry["positional"], "named": entry["named"]} for entry in entries]
        for kind, entries in case["expect"]["networks"].items()
    }
    assert found == wanted
    for kind, entries in case["expect"]["resolved"].items():
        uses = [resolve_tag(tag) for tag in tags if tag.kind == kind]
        assert uses == [NetworkUse(**entry) for entry in entries]


def test_hypernet_has_one_multiplier() -> None:
    _, (tag,) = extract_tags("<hypernet:bar:0.5>")
    assert resolve_tag(tag) == NetworkUse("bar", 0.5, 0.5)


def test_an_item_with_two_equal_signs_is_positional() -> None:
    _, (tag,) = extract_tags("<lora:a=b=c:te=2>")
    assert tag == NetworkTag("lora", ("a=b=c",), (("te", "2"),))


@pytest.mark.parametrize("text", ["<lora:a:high>", "<lora:a:nan>", "<lora:a:1:1:x>", "<lora:te=1>", "<lora::1>"])
def test_what_cannot_be_resolved_names_the_tag(text: str) -> None:
    _, (tag,) = extract_tags(text)
    with pytest.raises(BadRequest) as caught:
        resolve_tag(tag)
    assert "<lora:" in caught.value.message
    assert caught.value.remedy


@given(st.one_of(st.text(max_size=100), st.text(alphabet="<>:=a1 ", max_size=60)))
def test_never_raises_and_leaves_no_tag(text: str) -> None:
    left, tags = extract_tags(text)
    assert len(left) <= len(text)
    assert bool(tags) == (left != text)


def test_many_open_tags() -> None:
    assert extract_tags("<a:" * 7000) == ("<a:" * 7000, ())
