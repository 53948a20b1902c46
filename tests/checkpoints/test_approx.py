"""Which small files stand in for which model's autoencoder."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from atelier.base.errors import BadModelFile
from atelier.base.paths import Paths
from atelier.checkpoints.approx import DECODER, ENCODER, MATRIX, ApproxFiles, with_matrix
from atelier.device.residency import Residency
from atelier.families.latent import LatentSpace

USUAL = ((0.1, 0.2, 0.3),) * 4
SPACE = LatentSpace(4, 8, 0.18215)


def model(stem, family="sd1", preview=USUAL):
    """As much of a model as is looked at: its name, its family, and whether its latents are the usual ones."""
    return SimpleNamespace(
        file=SimpleNamespace(stem=stem), family=SimpleNamespace(name=family), latent=SPACE,
        blueprint=SimpleNamespace(latent=SimpleNamespace(preview=preview)),
    )  # fmt: skip


@pytest.fixture
def files(tmp_path):
    def put(*names, program=tmp_path / "program"):
        folder = tmp_path / "models" / "VAE-approx"
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            save_file({"weight": torch.zeros(1)}, str(folder / name))
        return ApproxFiles(Paths(data=tmp_path, program=program), Residency(torch.device("cpu")))

    return put


def test_general_files_go_by_family(files):
    found = files("taesd_decoder.safetensors", "taesd_encoder.safetensors", "taesdxl_decoder.safetensors")
    assert found.find(model("v1-5"), DECODER).path.stem == "taesd_decoder"
    assert found.find(model("v1-5"), ENCODER).path.stem == "taesd_encoder"
    assert found.find(model("v2", "sd2"), DECODER).path.stem == "taesd_decoder"
    assert found.find(model("xl", "sdxl"), DECODER).path.stem == "taesdxl_decoder"
    assert found.find(model("xl", "sdxl"), ENCODER) is None
    # A model with an autoencoder of its own takes none of them.
    assert found.find(model("own", preview=()), DECODER) is None


def test_the_longest_name_that_fits_comes_first(files):
    names = ("taesd_decoder", "pet-taesd_decoder", "pet-large-taesd_decoder", "pet-rgb")
    found = files(*(f"{name}.safetensors" for name in names))
    assert found.find(model("pet-large-v2", preview=()), DECODER).own == "pet-large"
    assert found.find(model("pet-small", preview=()), DECODER).own == "pet"
    assert found.find(model("other"), DECODER).own == ""
    assert found.find(model("pet"), MATRIX).own == "pet" and found.find(model("other"), MATRIX) is None


def test_what_cannot_be_used_is_told_and_left_out(files):
    found = files("taesd_decoder.safetensors", "pet-rgb.safetensors")
    assert found.network(model("v1-5"), DECODER) is None and "taesd_decoder" in found.problem(model("v1-5"), DECODER)
    assert found.latent(model("pet")) is SPACE and found.problem(model("v1-5"), ENCODER) == ""


def test_those_of_the_shipped_model_are_found(tmp_path):
    found = ApproxFiles(Paths(data=tmp_path), Residency(torch.device("cpu")))
    shipped = model("atelier-starter", preview=())
    assert all(found.find(shipped, side) for side in (DECODER, ENCODER, MATRIX))
    assert found.network(shipped, DECODER) is found.network(shipped, DECODER) is not None
    space = found.latent(shipped)
    assert len(space.preview) == 4 and found.latent(shipped) is space


def test_a_matrix_may_lie_on_its_side(tmp_path):
    matrix, bias = torch.arange(12.0).reshape(4, 3), torch.tensor([1.0, 2.0, 3.0])
    for given in (matrix, matrix.T):
        space = with_matrix(SPACE, {"a": given, "b": bias}, tmp_path)
        assert space.preview[1] == (3.0, 4.0, 5.0) and space.preview_bias == (1.0, 2.0, 3.0)
    with pytest.raises(BadModelFile):
        with_matrix(SPACE, {"a": torch.zeros(5, 3)}, tmp_path)
