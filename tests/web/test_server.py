"""The server as a whole: headers, failures, limits, files, the page behind the routes, the documentation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from atelier.plugins.hooks import hookimpl
from atelier.plugins.manager import Plugins
from atelier.web.hooks import Assets, WebHooks
from atelier.web.middleware import BodyLimit


def test_the_server_side_imports_neither_torch_nor_gradio():
    code = "import sys, atelier.web.server, atelier.app; print([m for m in ('torch', 'gradio') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert out.stdout.strip() == "[]", out.stdout + out.stderr


def test_every_answer_tells_its_time(served):
    answer = served.client.get("/sdapi/v1/samplers")
    assert float(answer.headers["x-process-time"]) >= 0


@pytest.mark.parametrize("path", ["/sdapi/v1/artists", "/atelier/v1/nothing", "/internal/nothing", "/nothing"])
def test_unknown_paths(served, path):
    answer = served.client.get(path)
    body = answer.json()
    assert answer.status_code == 404 and body["detail"] == "Not Found" and body["code"] == "not_found"
    assert set(body) >= {"error", "detail", "body", "errors", "code", "message", "remedy", "fields"}


def test_a_wrong_method(served):
    assert served.client.get("/sdapi/v1/txt2img").status_code == 405


def test_a_fault_of_the_program_costs_one_answer(serve, monkeypatch):
    served = serve()
    monkeypatch.setattr(served.app.progress, "running", lambda watching: 1 / 0)
    answer = served.client.get("/sdapi/v1/progress")
    assert answer.status_code == 500 and answer.json()["code"] == "internal"
    assert "ZeroDivisionError" in answer.json()["message"]
    assert served.client.get("/sdapi/v1/samplers").status_code == 200


def test_a_body_beyond_the_limit(serve):
    served = serve()
    limited = served.client.app
    for middleware in limited.user_middleware:
        if middleware.cls is BodyLimit:
            middleware.kwargs["limit"] = 1000
    answer = served.client.post("/sdapi/v1/txt2img", content=b"x" * 2000)
    assert answer.status_code == 413 and answer.json()["code"] == "too_large"
    answer = served.client.post("/sdapi/v1/txt2img", content=iter([b"x" * 600] * 3))
    assert answer.status_code == 413
    assert served.client.get("/sdapi/v1/samplers").status_code == 200


class Extension:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started = []

    @hookimpl
    def provide_routes(self, app, server) -> None:
        @server.get("/my/route")
        def mine() -> dict:
            return {"from": "extension"}

    @hookimpl
    def provide_assets(self, app) -> Assets:
        return Assets(folders=(str(self.folder),))

    @hookimpl
    def server_started(self, app, server, demo) -> None:
        self.started.append((server, demo))

        @server.get("/late/route")
        def late() -> dict:
            return {"from": "late"}


@pytest.fixture
def extension(tmp_path) -> tuple[Extension, Plugins]:
    plugins = Plugins()
    plugins.add_hookspecs(WebHooks)
    made = Extension(tmp_path / "my-extension")
    made.folder.mkdir()
    plugins.register(made, "mine")
    return made, plugins


def test_extensions_add_routes_before_and_after_the_page(serve, extension):
    import gradio

    with gradio.Blocks() as page:
        gradio.Textbox("hello", elem_id="greeting")
    served = serve(page=page, plugins=extension[1])
    assert served.client.get("/my/route").json() == {"from": "extension"}
    assert served.client.get("/late/route").json() == {"from": "late"}
    assert extension[0].started == [(served.server, page)]
    home = served.client.get("/")
    assert home.status_code == 200 and "gradio" in home.text.lower()
    assert served.client.get("/config").json()["components"]
    assert served.client.get("/sdapi/v1/nothing").json()["code"] == "not_found"
    assert served.client.get("/sdapi/v1/samplers").status_code == 200


def test_files_come_from_listed_folders_only(serve, extension):
    served = serve(plugins=extension[1])
    app, client = served.app, served.client
    script = extension[0].folder / "a b.js"
    script.write_text("let a = 1")
    assert client.get(f"/file={script}").text == "let a = 1"
    pictures = app.paths.data / "outputs/txt2img-images"
    pictures.mkdir(parents=True)
    (pictures / "one.png").write_bytes(b"\x89PNG")
    (pictures / "page.html").write_text("<script>")
    (pictures / ".hidden").write_text("x")
    assert client.get(f"/file={pictures / 'one.png'}").content == b"\x89PNG"
    assert client.get("/file=outputs/txt2img-images/one.png").status_code == 200
    assert "attachment" in client.get(f"/file={pictures / 'page.html'}").headers["content-disposition"]
    (app.paths.data / "secret.txt").write_text("secret")
    (pictures / "link.txt").symlink_to(app.paths.data / "secret.txt")
    for path in (
        app.paths.data / "secret.txt", app.paths.database, "/etc/passwd", pictures / ".hidden", pictures / "link.txt",
        f"{pictures}/../../secret.txt", f"{pictures}/%2e%2e/%2e%2e/secret.txt", "nothing.png",
    ):  # fmt: skip
        assert client.get(f"/file={path}").status_code == 404, path


def _properties(schema: dict, name: str) -> dict:
    return schema["components"]["schemas"][name]["properties"]


def test_every_field_of_the_documentation_is_described(served):
    schema = served.client.get("/openapi.json").json()
    for path in ("/sdapi/v1/txt2img", "/sdapi/v1/img2img"):
        body = schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert len(body["properties"]) > 45
        for name, field in body["properties"].items():
            assert field.get("description"), f"{path}: {name}"
            assert "default" in field or "null" in field["type"], f"{path}: {name}"
        assert body["properties"]["width"]["minimum"] == 8 and body["properties"]["width"]["maximum"] == 16384
    job = schema["paths"]["/atelier/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    nested = job["properties"]["request"]["anyOf"][0]
    for part in nested["properties"].values():
        for name, field in part.get("properties", {}).items():
            assert field.get("description"), name
    for name, model in schema["components"]["schemas"].items():
        if name in ("HTTPValidationError", "ValidationError") or name.endswith("Info") or name == "Capabilities":
            continue
        for field, told in model.get("properties", {}).items():
            assert told.get("description"), f"{name}.{field}"
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            for parameter in told.get("parameters", ()):
                assert parameter["in"] == "path" or parameter.get("description") or path.startswith("/sdapi"), path
            assert told["responses"], f"{method} {path}"
    assert _properties(schema, "Options")["jpeg_quality"]["maximum"] == 100


def test_the_documentation_page(served):
    assert served.client.get("/docs").status_code == 200
