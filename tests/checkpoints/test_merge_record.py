"""Names and metadata of merges, as A1111 writes them."""

from __future__ import annotations

import json

import pytest

from atelier.base.errors import BadRequest
from atelier.checkpoints.merge_formulas import METHODS
from atelier.checkpoints.merge_record import Ingredient, generated_name, merge_metadata, result_path
from atelier.params import merging


def test_names():
    assert generated_name("Weighted sum", 0.3, ["a", "b"]) == "0.7(a) + 0.3(b)"
    assert generated_name("Add difference", 1.0, ["a", "b", "c"]) == "a + 1(b - c)"
    assert generated_name("No interpolation", 0.3, ["a"]) == "a"
    assert tuple(METHODS) == merging.METHODS


def test_nothing_is_written_over_and_no_path_leads_outside(tmp_path):
    assert result_path(tmp_path, "x", ".safetensors") == tmp_path / "x.safetensors"
    (tmp_path / "x.safetensors").touch()
    assert result_path(tmp_path, "x", ".safetensors").name == "x (2).safetensors"
    assert result_path(tmp_path, "sub/0.7(a) + 0.3(b)", ".ckpt") == tmp_path / "sub" / "0.7(a) + 0.3(b).ckpt"
    for bad in ("../x", "/x", "a//b", "..", "x\0", "a:b", "n" * 300):
        with pytest.raises(BadRequest, match="custom_name"):
            result_path(tmp_path, bad, ".safetensors")


def test_metadata():
    first = Ingredient("a", "1" * 64, "aaaaaaaa", {"format": "pt", "title": "first", "modelspec.hash_sha256": "0x1"})
    older = {"3" * 64: {"name": "old", "legacy_hash": "c", "sd_merge_recipe": None}}
    second = Ingredient(
        "b", "2" * 64, "bbbbbbbb",
        {"title": "second", "author": "x", "sd_merge_recipe": '{"type": "webui"}',
         "sd_merge_models": json.dumps(older)},
    )  # fmt: skip
    found = merge_metadata({"type": "webui", "multiplier": 0.3}, [first, second], more={"license": "mine"})
    assert (found["title"], found["author"], found["license"], found["format"]) == ("first", "x", "mine", "pt")
    assert json.loads(found["sd_merge_recipe"]) == {"type": "webui", "multiplier": 0.3}
    models = json.loads(found["sd_merge_models"])
    assert models["1" * 64] == {"name": "a", "legacy_hash": "aaaaaaaa", "sd_merge_recipe": None}
    assert models["2" * 64]["sd_merge_recipe"] == {"type": "webui"} and models["3" * 64]["name"] == "old"
    assert "modelspec.hash_sha256" not in found
    assert merge_metadata({}, [first], add_recipe=False, copy_fields=False) == {"format": "pt"}
