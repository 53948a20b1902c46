from __future__ import annotations

from pathlib import Path

import pytest

from atelier.base.errors import BadRequest
from atelier.base.paths import PROGRAM
from atelier.launch.arguments import parse
from atelier.launch.folders import a1111_folders, comfy_folders, paths_from, read_model_paths

YAML = """
# where things are
comfyui:
    base_path: /srv/comfy/
    is_default: true
    checkpoints: models/checkpoints/   # the big ones
    loras: |
        models/loras
        more/loras
a111:
  base_path: "../webui"
  vae: models/VAE
"""


def make(home: Path, *names: str) -> Path:
    for name in names:
        (home / name).mkdir(parents=True)
    return home


def test_the_defaults_are_the_programs_own_folders() -> None:
    paths = paths_from(parse([], environ={}))
    assert paths.data == PROGRAM and paths.models == PROGRAM / "models"
    assert paths.folders("lora")[0] == PROGRAM / "models" / "Lora"
    assert paths.settings == PROGRAM / "config.json"


def test_a_vae_for_every_checkpoint(tmp_path: Path) -> None:
    given = tmp_path / "given.safetensors"
    assert paths_from(parse(["--vae-path", str(given)], environ={})).vae_file == given
    assert paths_from(parse([], environ={})).vae_file is None


def test_the_data_folder_holds_everything(tmp_path: Path) -> None:
    paths = paths_from(parse(["--data-dir", str(tmp_path)], environ={}))
    for path in (paths.models, paths.outputs, paths.settings, paths.database, paths.extensions, paths.embeddings):
        assert path.is_relative_to(tmp_path)


def test_extra_folders_come_after_the_own_ones(tmp_path: Path) -> None:
    words = ["--ckpt-dir", str(tmp_path / "c"), "--lora-dir", str(tmp_path / "l"), "--controlnet-dir", str(tmp_path)]
    paths = paths_from(parse(words, environ={}))
    assert paths.folders("checkpoint")[-1] == tmp_path / "c"
    assert tmp_path / "l" in paths.folders("lora")
    assert tmp_path in paths.folders("ControlNet")


def test_an_a1111_installation_is_used_in_place(tmp_path: Path) -> None:
    home = make(tmp_path, "models/Stable-diffusion", "models/Lora", "models/LyCORIS", "embeddings", "models/ESRGAN")
    before = sorted(tmp_path.rglob("*"))
    for flag in ("--a1111-dir", "--forge-ref-a1111-home"):
        paths = paths_from(parse([flag, str(home)], environ={}))
        assert paths.folders("checkpoint")[-1] == home / "models/Stable-diffusion"
        assert {home / "models/Lora", home / "models/LyCORIS"} <= set(paths.folders("lora"))
        assert home / "embeddings" in paths.folders("embedding")
        assert home / "models/ESRGAN" in paths.folders("ESRGAN")
        assert paths.data == PROGRAM
    assert sorted(tmp_path.rglob("*")) == before


def test_a_comfyui_installation_is_used_in_place_with_its_own_list(tmp_path: Path) -> None:
    home = make(tmp_path / "comfy", "models/checkpoints", "models/loras", "models/upscale_models")
    make(tmp_path / "elsewhere", "vae")
    (home / "extra_model_paths.yaml").write_text("mine:\n    base_path: ../elsewhere\n    vae: vae\n    clip: none\n")
    found = comfy_folders(home)
    assert found["checkpoint"] == [home / "models/checkpoints"]
    assert found["ESRGAN"] == [home / "models/upscale_models"]
    assert [path.resolve() for path in found["vae"]] == [tmp_path / "elsewhere" / "vae"]
    assert "text_encoder" not in found
    paths = paths_from(parse(["--comfy-dir", str(home)], environ={}))
    assert home / "models/loras" in paths.folders("lora")


def test_the_list_of_comfyui_is_read_with_blocks_and_comments() -> None:
    found = read_model_paths(YAML, Path("/home/comfy"))
    assert found["checkpoints"] == [Path("/srv/comfy/models/checkpoints")]
    assert found["loras"] == [Path("/srv/comfy/models/loras"), Path("/srv/comfy/more/loras")]
    assert found["vae"] == [Path("/home/comfy/../webui/models/VAE")]
    assert "base_path" not in found and "is_default" not in found


@pytest.mark.parametrize("reader", [a1111_folders, comfy_folders])
def test_what_is_no_installation_is_refused_with_a_remedy(reader, tmp_path: Path) -> None:  # noqa: ANN001
    with pytest.raises(BadRequest, match="has no model folders") as refused:
        reader(tmp_path)
    assert "models/" in refused.value.remedy
    with pytest.raises(BadRequest, match="does not exist"):
        reader(tmp_path / "gone")
