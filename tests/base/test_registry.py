"""Named things: aliases, order, freezing, closest names."""

from __future__ import annotations

import pytest

from atelier.base.errors import BadRequest, RegistryError
from atelier.base.registry import Registry


@pytest.fixture
def samplers():
    registry = Registry("sampler")
    registry.add("Euler", 1, aliases=("k_euler", "euler"))
    registry.add("DPM++ 2M", 2, aliases=("k_dpmpp_2m",))
    registry.add("Heun", 3)
    return registry


def test_names_and_aliases_are_found_in_any_case(samplers):
    assert [samplers.find(n) for n in ("Euler", "EULER", "K_Euler", "dpm++ 2m", "nothing")] == [1, 1, 1, 2, None]
    assert "k_dpmpp_2m" in samplers and "nothing" not in samplers
    assert samplers.canonical("K_EULER") == "Euler" and samplers.canonical("x") is None


def test_order_is_that_of_registration(samplers):
    assert samplers.names() == ("Euler", "DPM++ 2M", "Heun")
    assert list(samplers) == [1, 2, 3] and len(samplers) == 3


@pytest.mark.parametrize(("name", "aliases"), [("euler", ()), ("K_Euler", ()), ("New", ("heun",))])
def test_a_name_is_taken_once(samplers, name, aliases):
    with pytest.raises(RegistryError, match="twice"):
        samplers.add(name, 9, aliases)
    assert samplers.names() == ("Euler", "DPM++ 2M", "Heun") and "New" not in samplers


def test_after_freezing_nothing_is_added(samplers):
    assert samplers.freeze() is samplers
    with pytest.raises(RegistryError, match="frozen"):
        samplers.add("Late", 4)
    assert samplers.get("heun") == 3


def test_an_unknown_name_is_a_bad_request_with_the_closest(samplers):
    with pytest.raises(BadRequest) as caught:
        samplers.get("Eulr", "sampling.sampler")
    assert caught.value.field == "sampling.sampler" and "'Eulr'" in caught.value.message
    assert "Euler" in caught.value.remedy


def test_where_nothing_is_close_what_there_is_is_told(samplers):
    with pytest.raises(BadRequest) as caught:
        samplers.get("zzzz")
    assert caught.value.field == "sampler" and all(name in caught.value.remedy for name in samplers.names())


def test_an_alias_is_told_by_its_proper_name(samplers):
    with pytest.raises(BadRequest) as caught:
        samplers.get("k_dpmpp_2mm")
    assert "DPM++ 2M" in caught.value.remedy and "k_dpmpp" not in caught.value.remedy
