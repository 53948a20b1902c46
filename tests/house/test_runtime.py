"""What only a fresh interpreter can show: the server does without torch, the house without its doors."""

import os
import subprocess
import sys
import textwrap

from tests.house.source import ROOT


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, text=True, capture_output=True, timeout=240,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_server_side_does_not_import_torch():
    out = run("""
        import sys
        import atelier.app, atelier.web.server, atelier.web.page
        print([name for name in ("torch", "diffusers", "transformers") if name in sys.modules])
    """)
    assert out.strip() == "[]"


def test_the_gpu_side_does_not_import_the_web():
    out = run("""
        import sys
        import atelier.engine
        print([name for name in ("gradio", "fastapi", "starlette") if name in sys.modules])
    """)
    assert out.strip() == "[]"


def test_a_picture_comes_out_with_the_doors_blocked(tmp_path):
    out = run("""
        import pathlib, sys

        class Blocked:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "modules":
                    raise ImportError("the doors are blocked")

        sys.meta_path.insert(0, Blocked())
        from atelier.params.groups import GROUPS
        from atelier.params.request import GenerationRequest
        from atelier.params.settings import Settings
        from atelier.pipeline.run import generate
        from tests.pipeline.conftest import make_services
        from tests.tiny import write_tiny_checkpoint

        data = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __import__("os").environ["DATA"])
        folder = data / "models" / "Stable-diffusion"
        folder.mkdir(parents=True)
        write_tiny_checkpoint(folder)
        small = {"size.width": 64, "size.height": 64, "sampling.steps": 2}
        settings = Settings(data / "config.json", GROUPS).snapshot()
        result = generate(GenerationRequest().with_values(**small), make_services(data), settings=settings)
        print(result.images[0].size)
    """, DATA=str(tmp_path))  # fmt: skip
    assert out.strip() == "(64, 64)"
