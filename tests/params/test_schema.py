"""The nested JSON form of a request."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from atelier.base.errors import BadRequest
from atelier.base.refs import ImageRef
from atelier.params.request import DECLARATIONS, GenerationRequest
from atelier.params.schema import json_schema, request_from_json, request_to_json
from tests.params.strategies import requests

REF = {"sha256": "a" * 64}


@given(requests())
def test_round_trip(request: GenerationRequest) -> None:
    text = json.dumps(request_to_json(request))
    assert request_from_json(json.loads(text)) == request


def test_overrides_and_extras() -> None:
    request = request_from_json({"overrides": {"sd_vae": "None"}, "extras": {"controlnet": {"units": []}}})
    assert request.overrides == {"sd_vae": "None"} and request.extras["controlnet"] == {"units": []}
    assert request_from_json(request_to_json(request)) == request


def test_what_is_left_out_comes_from_the_base() -> None:
    base = GenerationRequest().with_values(**{"size.width": 768})
    request = request_from_json({"size": {"height": 640}}, base=base)
    assert (request.size.width, request.size.height) == (768, 640)


@pytest.mark.parametrize(("data", "field"), [
    ({"size": {"width": 0}}, "size.width"),
    ({"size": {"width": 100_000}}, "size.width"),
    ({"size": {"width": "wide"}}, "size.width"),
    ({"size": {"widht": 512}}, "size.widht"),
    ({"sise": {}}, "sise"),
    ({"size": 512}, "size"),
    ([], "request"),
    ({"seed": {"seed": 2**64}}, "seed.seed"),
    ({"prompt": {"positive": None}}, "prompt.positive"),
    ({"prompt": {"styles": "ink"}}, "prompt.styles"),
    ({"sampling": {"cfg_scale": float("nan")}}, "sampling.cfg_scale"),
    ({"overrides": []}, "overrides"),
    ({"source": {"images": "x"}}, "source.images"),
    ({"source": {"images": [1]}}, "source.images.0"),
    ({"source": {"images": [{"sha256": "xyz"}]}}, "source.images.0.sha256"),
    ({"source": {"images": [{**REF, "sha": 1}]}}, "source.images.0.sha"),
    ({"source": {"images": [{**REF, "width": -1}]}}, "source.images.0.width"),
    ({"mask": {"image": REF}}, "mask.image"),
])  # fmt: skip
def test_errors_name_the_value(data: object, field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        request_from_json(data)
    assert caught.value.field == field


def test_unknown_names_get_the_closest() -> None:
    with pytest.raises(BadRequest) as caught:
        request_from_json({"sampling": {"cfg": 7}})
    assert "cfg_scale" in caught.value.remedy


def test_pictures_as_text_go_to_the_store() -> None:
    seen = []

    def store(field: str, text: str) -> ImageRef:
        seen.append((field, text))
        return ImageRef(text * 64)

    request = request_from_json({"source": {"images": ["a"]}, "mask": {"image": "b"}}, store=store)
    assert seen == [("source.images.0", "a"), ("mask.image", "b")]
    assert request.source.images == (ImageRef("a" * 64),) and request.inpainting


def test_the_schema_tells_every_value_from_its_declaration() -> None:
    schema = json_schema()
    for declaration in DECLARATIONS:
        told = schema["properties"][declaration.part]["properties"][declaration.name]
        assert told["description"] == declaration.param.help != ""
        assert told["title"] == declaration.param.label
    width = schema["properties"]["size"]["properties"]["width"]
    assert (width["type"], width["minimum"], width["maximum"], width["default"]) == ("integer", 8, 16384, 512)
    sampling = schema["properties"]["sampling"]["properties"]
    assert sampling["sampler"]["x-choices"] == "samplers"
    assert sampling["eta"]["type"] == ["number", "null"]
    assert schema["properties"]["mask"]["properties"]["fill"]["enum"] == [0, 1, 2, 3]
    json.dumps(schema)
