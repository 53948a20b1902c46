"""Where things live."""

from __future__ import annotations

from pathlib import Path

import pytest

from atelier.base.paths import PROGRAM, Paths


@pytest.fixture
def paths(tmp_path):
    return Paths(data=tmp_path / "data", program=tmp_path / "program")


def test_the_program_is_where_the_code_is():
    assert (PROGRAM / "atelier" / "base" / "paths.py").is_file() and Paths().data == Paths().program == PROGRAM


def test_every_file_of_the_user_is_in_the_data_folder(paths):
    own = [paths.models, paths.settings, paths.database, paths.blobs, paths.cache, paths.lock, paths.outputs,
           paths.extensions, paths.embeddings, *paths.styles]  # fmt: skip
    assert all(path.is_relative_to(paths.data) for path in own) and len(set(own)) == len(own)
    assert paths.extensions_builtin == paths.program / "extensions-builtin"


@pytest.mark.parametrize(("kind", "folder"), [
    ("checkpoint", "Stable-diffusion"), ("vae", "VAE"), ("lora", "Lora"), ("hypernetwork", "hypernetworks"),
    ("ESRGAN", "ESRGAN"),
])  # fmt: skip
def test_own_folder_first_then_the_program_s(paths, kind, folder):
    assert paths.folders(kind) == (paths.data / "models" / folder, paths.program / "models" / folder)


def test_embeddings_stand_beside_the_models(paths):
    assert paths.folders("embedding") == (paths.data / "embeddings", paths.program / "embeddings")


def test_folders_given_by_the_user_follow(tmp_path):
    there = tmp_path / "other"
    paths = Paths(
        data=tmp_path, program=tmp_path, models_dir=tmp_path / "m",
        checkpoint_dirs=(there, tmp_path / "m" / "Stable-diffusion"), vae_dirs=(there / "vae",),
        lora_dirs=(there / "lora",), embedding_dirs=(there / "emb",),
        hypernetwork_dirs=(there / "hyper",), extra={"checkpoint": (there / "more",), "ESRGAN": (there / "esrgan",)},
    )  # fmt: skip
    # The same folder is looked through once.
    assert paths.folders("checkpoint") == (
        tmp_path / "m" / "Stable-diffusion", tmp_path / "models" / "Stable-diffusion", there, there / "more",
    )  # fmt: skip
    assert paths.folders("vae")[-1] == there / "vae" and paths.folders("lora")[-1] == there / "lora"
    assert paths.folders("embedding") == (tmp_path / "embeddings", there / "emb")
    assert paths.folders("hypernetwork")[-1] == there / "hyper" and paths.folders("ESRGAN")[-1] == there / "esrgan"


def test_settings_and_styles_can_be_elsewhere(tmp_path):
    config, styles = Path("/elsewhere/config.json"), (Path("/a.csv"), Path("/b.csv"))
    paths = Paths(data=tmp_path, settings_file=config, styles_files=styles)
    assert paths.settings == config and paths.styles == styles
