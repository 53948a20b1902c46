"""Who may use the server, and from where."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from atelier.base.errors import SetupFailed
from atelier.web.auth import accounts_from, api_is_open, check_exposure, is_exposed

PATHS = ("/sdapi/v1/samplers", "/atelier/v1/health", "/internal/ping", "/openapi.json", "/docs", "/file=x", "/")


@pytest.mark.parametrize(
    ("arguments", "exposed"),
    [
        ({}, False),
        ({"server_name": "localhost"}, False),
        ({"server_name": "127.0.0.2"}, False),
        ({"server_name": "::1"}, False),
        ({"listen": True}, True),
        ({"server_name": "0.0.0.0"}, True),
        ({"server_name": "192.168.1.5"}, True),
        ({"share": True}, True),
        ({"ngrok": "token"}, True),
        ({"listen": True, "server_name": "127.0.0.1"}, False),
    ],
)
def test_who_can_reach_the_server(arguments, exposed):
    assert is_exposed(arguments) is exposed
    assert api_is_open(arguments) is not exposed
    if not exposed:
        check_exposure(arguments)
        return
    with pytest.raises(SetupFailed) as error:
        check_exposure(arguments)
    assert "--gradio-auth" in error.value.remedy
    check_exposure({**arguments, "gradio_auth": "me:secret"})
    check_exposure({**arguments, "listen_without_password": True})
    assert api_is_open({**arguments, "api": True})


def test_accounts_from_the_command_line(tmp_path):
    file = tmp_path / "accounts"
    file.write_text("carol:c:d\ndave:e,\n")
    found = accounts_from({"gradio_auth": "alice:a, bob:b", "gradio_auth_path": str(file), "api_auth": "robot:r"})
    assert found.page == {"alice": "a", "bob": "b", "carol": "c:d", "dave": "e"} and found.api == {"robot": "r"}
    for bad in ({"gradio_auth": "alice"}, {"api_auth": "alice:"}, {"gradio_auth_path": str(tmp_path / "nothing")}):
        with pytest.raises(SetupFailed):
            accounts_from(bad)
    assert not accounts_from({})


def test_an_account_is_asked_for_everywhere(serve):
    client = serve(gradio_auth="me:secret").client
    for path in PATHS:
        refused = client.get(path)
        assert refused.status_code == 401 and refused.headers["www-authenticate"].startswith("Basic"), path
        assert client.get(path, auth=("me", "wrong")).status_code == 401
        assert client.get(path, auth=("you", "secret")).status_code == 401
        assert client.get(path, auth=("me", "secret")).status_code != 401
    assert client.get("/", headers={"Authorization": "Basic not base64!"}).status_code == 401
    assert client.get("/", headers={"Authorization": "Bearer x"}).status_code == 401
    assert client.post("/sdapi/v1/txt2img", json={}).status_code == 401


def test_accounts_of_the_api_open_the_page_only_when_there_are_no_others(serve):
    both = serve(gradio_auth="me:secret", api_auth="robot:r").client
    assert both.get("/sdapi/v1/samplers", auth=("robot", "r")).status_code == 200
    assert both.get("/atelier/v1/health", auth=("robot", "r")).status_code == 200
    assert both.get("/", auth=("robot", "r")).status_code == 401
    assert both.get("/sdapi/v1/samplers", auth=("me", "secret")).status_code == 200
    alone = serve(api_auth="robot:r").client
    assert alone.get("/", auth=("robot", "r")).status_code == 404
    assert alone.get("/sdapi/v1/samplers").status_code == 401


def test_the_user_owns_the_job(serve):
    served = serve(gradio_auth="me:secret")
    ticket = served.client.post(
        "/atelier/v1/jobs", json={"kind": "txt2img", "request": {}}, auth=("me", "secret")
    ).json()
    assert served.app.records.get(ticket["id"]).client == "me"


def test_a_foreign_name_is_refused(serve):
    served = serve(allowed_hosts="my.house, other.house", server_name="localhost")

    def status(host: str) -> int:
        return served.client.get("/sdapi/v1/samplers", headers={"Host": host}).status_code

    for host in (
        "127.0.0.1:7860",
        "localhost:7860",
        "localhost",
        "[::1]:7860",
        "192.168.1.5:7860",
        "my.house",
        "Other.House:80",
    ):
        assert status(host) == 200, host
    for host in ("evil.example", "evil.example:7860", "127.0.0.1.evil.example"):
        assert status(host) == 403, host


def test_with_a_password_the_name_does_not_matter(serve):
    client = serve(gradio_auth="me:secret").client
    assert client.get("/sdapi/v1/samplers", headers={"Host": "my.house"}, auth=("me", "secret")).status_code == 200


def test_a_page_of_another_site_may_not_send_anything(serve):
    client = serve(allowed_hosts="my.house").client

    def status(**headers: str) -> int:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.post("/sdapi/v1/interrupt", headers=headers).status_code

    assert status() == 200
    assert status(Origin="http://127.0.0.1:7860") == 200
    assert status(Origin="https://my.house") == 200
    assert status(Origin="https://proxy.example", Sec_Fetch_Site="same-origin") == 200
    assert status(Origin="https://evil.example") == 403
    assert status(Origin="https://evil.example", Sec_Fetch_Site="cross-site") == 403
    assert status(Origin="http://127.0.0.1:8000") == 403
    assert status(Origin="null") == 403
    assert client.get("/sdapi/v1/samplers", headers={"Origin": "https://evil.example"}).status_code == 200


def test_pages_that_are_named_may_call(serve):
    client = serve(cors_allow_origins="https://a.example", cors_allow_origins_regex=r"https://.*\.b\.example").client
    for origin in ("https://a.example", "https://x.b.example"):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        allowed = client.options("/sdapi/v1/txt2img", headers=asked)
        assert allowed.status_code == 200 and allowed.headers["access-control-allow-origin"] == origin
        assert client.post("/sdapi/v1/interrupt", headers={"Origin": origin}).status_code == 200
    assert client.post("/sdapi/v1/interrupt", headers={"Origin": "https://c.example"}).status_code == 403


def test_an_open_server_serves_the_api_only_with_api(serve):
    client = serve(listen=True, listen_without_password=True).client
    assert client.get("/sdapi/v1/samplers").status_code == 404
    assert "--api" in client.get("/sdapi/v1/samplers").json()["remedy"]
    assert client.get("/atelier/v1/health").status_code == 200
    assert (
        serve(listen=True, listen_without_password=True, api=True).client.get("/sdapi/v1/samplers").status_code == 200
    )


def test_below_a_path_of_a_proxy(serve):
    served = serve(listen=True, listen_without_password=True)
    client = TestClient(served.server, base_url="http://127.0.0.1", root_path="/sub")
    assert client.get("/sub/sdapi/v1/samplers").status_code == 404
    assert client.get("/sub/atelier/v1/health").status_code == 200
