"""Steps for finished pictures: told apart from the request's own values, and read from its extras."""

import json

import pytest

from atelier.base.errors import BadRequest
from atelier.params.extras import find_extras_declaration
from atelier.params.finishing import EXTRA, STEPS, asked_steps, find_step_value, gather_steps
from atelier.params.request import DECLARATIONS, GenerationRequest
from atelier.params.schema import request_from_json, request_to_json
from atelier.pipeline.extras_steps import STEPS as DONE


def test_values_of_controls_are_told_apart():
    shown = {"size.width": 64, "upscale.enabled": True, "upscale.scale": 2.0, "gfpgan.enabled": False}
    own, extras = gather_steps(shown)
    assert own == {"size.width": 64} and extras == {EXTRA: {"upscale": {"enabled": True, "scale": 2.0}}}
    assert gather_steps({"size.width": 64, "upscale.enabled": False, "upscale.scale": 2.0}) == ({"size.width": 64}, {})
    assert not {d.part for d in DECLARATIONS} & set(STEPS.values()), "their names do not meet"
    assert set(STEPS) <= {step.name for step in DONE}


def test_what_is_asked_survives_the_way_as_json():
    extras = {EXTRA: {"upscale": {"enabled": True, "upscaler_1": "Lanczos", "scale": 2.0}}}
    request = GenerationRequest().with_values(extras=extras)
    asked = asked_steps(request_from_json(json.loads(json.dumps(request_to_json(request)))))
    assert asked.upscale.upscaler_1 == "Lanczos" and asked.upscale.scale == 2 and not asked.gfpgan.enabled
    assert asked_steps(GenerationRequest()) is None
    for nothing in ({"gfpgan": {"visibility": 0.5}}, {"upscale": {"scale": 3}}):
        assert asked_steps(GenerationRequest().with_values(extras={EXTRA: nothing})) is None


@pytest.mark.parametrize(("given", "field"), [
    ({"split": {"enabled": True}}, "split"), ({"upscale": {"enabled": True, "scale": 99}}, "upscale.scale"),
    ({"upscale": {"factor": 2}}, "upscale.factor"), ([], ""), ("x", "request"),
])  # fmt: skip
def test_what_cannot_be_done_is_named(given, field):
    request = GenerationRequest().with_values(extras={EXTRA: given})
    if not field:
        assert asked_steps(request) is None
        return
    with pytest.raises(BadRequest) as caught:
        asked_steps(request)
    assert caught.value.field == f"extras.{EXTRA}.{field}"


def test_only_offered_steps_have_controls():
    assert find_step_value("upscale.scale") is find_extras_declaration("upscale.scale")
    assert find_step_value("split.overlap") is None and find_step_value("size.width") is None
