"""Custom code: what typed Python is given, what of it is shown, and where it is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from atelier.base.errors import BadRequest, NotAllowed
from atelier.web.typed_code import code_refusal
from modules._host.custom_code import CustomCode
from tests.extensions.conftest import Bench, bench_with

ALLOWED = {"allow_code": True}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = bench_with(tmp_path_factory.mktemp("data"), allow_code=True)
    yield made
    made.close()


def run(bench: Bench, code: str):
    return bench.run({"script_name": "custom code", "script_args": [code, 2]}, **{"sampling.steps": 1})


def test_code_is_given_p_and_returns_its_result(bench):
    result = run(bench, "    p.width = 128\n    return process_images(p)")
    assert [image.size for image in result.images] == [(128, 64)] and "Size: 128x64" in result.pictures[0].infotext
    result = run(bench, "from modules.processing import process_images\np.seed = 11\nprocess_images(p)")
    assert [picture.seed for picture in result.pictures] == [11]


def test_what_display_is_given_is_shown(bench):
    code = "made = process_images(p)\ndisplay([made.images[0].rotate(90), made.images[0]], made.seed, 'turned')"
    result = run(bench, code)
    assert len(result.images) == 2 and result.pictures[0].infotext == "turned" and result.info["seed"] == 7
    result = run(bench, "import numpy\nreturn numpy.zeros((8, 16, 3), numpy.uint8)")
    assert [image.size for image in result.images] == [(16, 8)]
    assert run(bench, "return [p.images] if hasattr(p, 'images') else p.prompt").images == ()
    assert run(bench, "").images == ()


@pytest.mark.parametrize(
    ("code", "line", "says"),
    [("p.width = = 3", 1, "invalid syntax"), ("p.width = 64\n1 / 0", 2, "ZeroDivisionError"), ("exit()", 1, "Exit"),
     ("for x in 1:\n    pass", 1, "TypeError")],
)  # fmt: skip
def test_a_failure_names_the_line_and_is_not_held_against_other_scripts(bench, code, line, says):
    with pytest.raises(BadRequest, match=says) as raised:
        run(bench, code)
    assert raised.value.fields["line"] == line and raised.value.remedy
    assert not bench.host.guard.failures and not bench.host.guard.is_off("scripts")


def test_it_is_chosen_in_the_list_only_where_it_is_allowed(bench, monkeypatch):
    assert "Custom code" in bench.host.txt2img.titles and "Custom code" in bench.host.img2img.titles
    for arguments in ({}, {**ALLOWED, "listen": True}):
        monkeypatch.setattr(bench.app, "arguments", arguments)
        assert not CustomCode().show(False)
        with pytest.raises(NotAllowed):
            run(bench, "process_images(p)")


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [({}, "--allow-code"), ({**ALLOWED, "listen": True}, "--listen"), ({**ALLOWED, "server_name": "0.0.0.0"}, "--listen"),
     ({**ALLOWED, "share": True}, "--share"), ({**ALLOWED, "cors_allow_origins": "*"}, "--cors-allow-origins"),
     ({**ALLOWED, "listen": True, "gradio_auth": "me:secret"}, "--listen"),
     ({**ALLOWED, "allowed_hosts": "studio.example"}, "--allowed-hosts")],
)  # fmt: skip
def test_a_refusal_names_the_remedy(arguments, remedy):
    refused = code_refusal(arguments)
    assert refused is not None and refused.status == 403 and remedy in refused.remedy


@pytest.mark.parametrize("more", [{}, {"server_name": "127.0.0.1"}, {"gradio_auth": "me:secret"}, {"api": True}])
def test_it_is_allowed_on_this_machine_alone(more):
    assert code_refusal({**ALLOWED, **more}) is None
