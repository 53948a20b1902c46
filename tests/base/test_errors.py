"""Failures for people and for programs, and their way through JSON."""

from __future__ import annotations

import json

import pytest

from atelier.base import errors
from atelier.base.errors import AtelierError, BadImage, BadRequest, Interrupted, OutOfMemory, failure_from_json


def every_class():
    return [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, AtelierError)]


def made(cls):
    if issubclass(cls, BadRequest):
        return cls("size.width", "it is 0.", remedy="Use 64 or more.", least=64)
    return cls("It went wrong.", remedy="Try again.", path="/x", free=12)


@pytest.mark.parametrize("cls", every_class(), ids=lambda c: c.__name__)
def test_every_failure_survives_json(cls):
    error = made(cls)
    again = failure_from_json(json.loads(json.dumps(error.to_json())))
    assert type(again) is cls
    assert (again.message, again.remedy, again.fields, again.status) == (
        error.message, error.remedy, error.fields, error.status)  # fmt: skip
    assert str(again) == str(error)


def test_codes_belong_to_one_class_each():
    codes = [c.code for c in every_class()]
    assert len(codes) == len(set(codes))


def test_a_bad_request_names_its_field():
    error = BadImage("source.images", "it has no bytes.", remedy="Send a PNG.")
    assert error.status == 422 and error.field == "source.images" == error.fields["field"]
    assert str(error) == "source.images: it has no bytes. Send a PNG."
    assert failure_from_json(error.to_json()).field == "source.images"


def test_without_a_remedy_nothing_is_appended():
    assert str(OutOfMemory("No room.")) == "No room."


@pytest.mark.parametrize("data", [
    {}, {"code": "of_tomorrow", "message": "new"}, {"code": "bad_request", "fields": None},
])  # fmt: skip
def test_what_is_unknown_or_missing_still_gives_a_failure(data):
    error = failure_from_json(data)
    assert isinstance(error, AtelierError) and error.message == data.get("message", "")


def test_a_wish_to_end_is_no_failure():
    stop = Interrupted("stop")
    assert stop.mode == "stop" and not isinstance(stop, AtelierError)
