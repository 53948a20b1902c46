"""How a wish to end reaches a running job."""

from __future__ import annotations

import pytest

from atelier.base.cancel import CancelToken
from atelier.base.errors import Interrupted


def test_a_new_token_lets_the_job_run():
    token = CancelToken()
    token.check()
    assert token.mode is None and not token.ending


@pytest.mark.parametrize(("mode", "ending"), [("skip", False), ("stop", True), ("cancel", True)])
def test_each_mode_interrupts(mode, ending):
    token = CancelToken()
    token.request(mode)
    with pytest.raises(Interrupted) as caught:
        token.check()
    assert caught.value.mode == mode and token.ending is ending


@pytest.mark.parametrize(("first", "second", "left"), [
    ("skip", "stop", "stop"), ("stop", "cancel", "cancel"), ("cancel", "stop", "cancel"), ("stop", "skip", "stop"),
    ("cancel", "skip", "cancel"),
])  # fmt: skip
def test_a_stronger_wish_is_never_weakened(first, second, left):
    token = CancelToken()
    token.request(first)
    token.request(second)
    assert token.mode == left


def test_one_skip_ends_one_batch():
    token = CancelToken()
    token.request("skip")
    token.clear_skip()
    token.check()
    token.request("stop")
    token.clear_skip()
    assert token.mode == "stop"


def test_finish_lets_the_batch_end_in_peace():
    token = CancelToken()
    token.request("finish")
    token.check()
    assert token.ending and token.mode is None
    token.request("skip")
    token.clear_skip()
    assert token.ending


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="halt"):
        CancelToken().request("halt")
