"""Faces are found, turned upright and put back; restorers say what they miss, and change only the faces."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from atelier.base.cancel import CancelToken
from atelier.base.errors import BadModelFile, Interrupted, ModelMissing, UnknownModel
from atelier.base.paths import PROGRAM, Paths
from atelier.device.residency import Residency
from atelier.tools.codeformer import CodeFormer, Shape, open_codeformer, restyled
from atelier.tools.face_align import SIDE, TEMPLATE, alignment, cut_out, inverse, put_back
from atelier.tools.face_detect import open_detector
from atelier.tools.toolbox import Toolbox
from atelier.tools.watch import Watch

#: an official portrait of NASA, in the public domain, made small
PORTRAIT = Path(__file__).parent / "face.jpg"
DETECTOR = PROGRAM / "models" / "face-detection" / "mtcnn.safetensors"
SMALL = Shape(base=32, code=32, codes=16, width=32, layers=1, side=16)


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    with Image.open(PORTRAIT) as image:
        return image.convert("RGB")


@pytest.fixture(scope="module")
def found(portrait):
    return open_detector(DETECTOR, False).module.find(portrait)


def small_codeformer(folder: Path, side: int = 16) -> Path:
    torch.manual_seed(0)
    network = CodeFormer(replace(SMALL, side=side)).eval()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "codeformer-small.safetensors"
    state = {name: tensor.clone().contiguous() for name, tensor in network.state_dict().items()}
    save_file({**state, "quantize.training_notes": torch.zeros(1)}, path)
    return path


def test_the_shipped_detector_finds_the_face_and_its_points(found):
    (face,) = found
    assert face.score > 0.95
    left_eye, right_eye, nose, left_mouth, right_mouth = face.points
    for point, place in ((left_eye, (67, 81)), (right_eye, (101, 83)), (nose, (83, 103)), (left_mouth, (65, 112)),
                         (right_mouth, (100, 113))):  # fmt: skip
        assert abs(point[0] - place[0]) < 4 and abs(point[1] - place[1]) < 4
    assert face.box[0] < left_eye[0] < right_eye[0] < face.box[2]


def test_places_follow_the_picture(portrait, found):
    detector = open_detector(DETECTOR, False).module
    wide = Image.new("RGB", (portrait.width + 150, portrait.height), "grey")
    wide.paste(portrait, (150, 0))
    (moved,) = detector.find(wide)
    assert abs(moved.centre[0] - found[0].centre[0] - 150) < 5
    large = portrait.resize((portrait.width * 10, portrait.height * 10))
    (same,) = detector.find(large)
    assert abs(same.centre[0] / 10 - found[0].centre[0]) < 4


@pytest.mark.parametrize("picture", [Image.new("RGB", (64, 64)), Image.new("RGB", (5, 400), "red"),
                                     Image.effect_noise((200, 150), 90).convert("RGB")])  # fmt: skip
def test_where_there_is_none_none_is_found(picture):
    assert open_detector(DETECTOR, False).module.find(picture) == []


def test_alignment_brings_the_points_to_the_template():
    turn = np.array([[0.4, -0.3], [0.3, 0.4]])
    points = [tuple(turn @ np.array(p) + np.array([20, 30])) for p in TEMPLATE]
    matrix = alignment(points)
    for point, wanted in zip(points, TEMPLATE):
        assert np.allclose(matrix[:, :2] @ point + matrix[:, 2], wanted, atol=1e-6)
    assert np.allclose(np.vstack([inverse(matrix), [0, 0, 1]]) @ np.vstack([matrix, [0, 0, 1]]), np.eye(3), atol=1e-9)


def test_a_face_that_was_not_changed_leaves_the_picture(portrait, found):
    matrix = alignment(found[0].points)
    aligned = cut_out(portrait, matrix)
    assert aligned.size == (SIDE, SIDE)
    back = np.asarray(put_back(portrait, aligned, matrix)).astype(int)
    assert np.abs(back - np.asarray(portrait)).mean() < 0.5
    painted = put_back(portrait, Image.new("RGB", (SIDE, SIDE), "lime"), matrix)
    assert painted.getpixel((83, 95)) == (0, 255, 0) and painted.getpixel((2, 2)) == portrait.getpixel((2, 2))


def test_transparency_stays(portrait, found):
    clear = portrait.convert("RGBA")
    clear.putalpha(77)
    matrix = alignment(found[0].points)
    assert put_back(clear, cut_out(clear, matrix), matrix).getchannel("A").getextrema() == (77, 77)


def test_codeformer_has_the_size_of_the_published_file():
    """Its file has 376.6 MB; what is above the weights are names and the frame of the file."""
    with torch.device("meta"):
        network = CodeFormer(Shape(64, 256, 1024, 512, 9, 16))
    assert sum(p.numel() for p in network.parameters()) * 4 == 376_450_828
    assert {3: 12, 4: 9, 1: 18, 2: 15} == {level: n for n, level in network.generator.marks.items() if 0 < level < 5}
    assert {1: 5, 2: 8, 3: 11, 4: 14} == {level: n for n, level in network.encoder.marks.items() if 0 < level < 5}


def test_codeformer_from_its_file(tmp_path):
    opened = open_codeformer(small_codeformer(tmp_path, side=4), False)
    picture = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        none = opened.module(picture, 0.0)
        some = opened.module(picture, 1.0)
    assert none.shape == picture.shape and (none - some).abs().max() > 1e-4
    with pytest.raises(UnknownModel):
        save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
        open_codeformer(tmp_path / "other.safetensors", False)


def test_restyled_has_mean_and_spread_of_the_other():
    a, b = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8) * 4 + 2
    made = restyled(a, b)
    assert torch.allclose(made.mean((2, 3)), b.mean((2, 3)), atol=1e-4)
    assert torch.allclose(made.std((2, 3)), b.std((2, 3)), atol=1e-3)


@pytest.fixture
def toolbox(tmp_path) -> Toolbox:
    return Toolbox(Paths(data=tmp_path, program=PROGRAM), Residency(torch.device("cpu")))


def test_what_is_missing_is_named_with_its_place(toolbox, portrait, tmp_path):
    for name, file in (("CodeFormer", "codeformer-v0.1.0.pth"), ("GFPGAN", "GFPGANv1.4.pth")):
        with pytest.raises(ModelMissing, match=name) as missing:
            toolbox.restore_faces(name, portrait, 0.5, Watch())
        assert file in missing.value.remedy and str(tmp_path / "models") in missing.value.remedy
    with pytest.raises(UnknownModel):
        toolbox.restore_faces("Magic", portrait, 0.5, Watch())


def test_a_restorer_changes_the_face_alone(toolbox, portrait, tmp_path):
    small_codeformer(tmp_path / "models" / "Codeformer")
    heard = []
    made = toolbox.restore_faces("codeformer", portrait, 0.7, Watch(told=lambda *t: heard.append(t)))
    off = np.abs(np.asarray(made).astype(int) - np.asarray(portrait)).max(axis=2)
    assert off[90:105, 75:95].max() > 10 and off[:8].max() == 0 and heard == [(1, 1)]
    plain = Image.new("RGB", (80, 60), "blue")
    assert np.array_equal(np.asarray(toolbox.restore_faces("CodeFormer", plain, 0.5, Watch())), np.asarray(plain))
    token = CancelToken()
    token.request("stop")
    with pytest.raises(Interrupted):
        toolbox.restore_faces("CodeFormer", portrait, 0.5, Watch(token.check))


def test_a_wrong_file_is_refused(toolbox, portrait, tmp_path):
    folder = tmp_path / "models" / "GFPGAN"
    folder.mkdir(parents=True)
    (folder / "GFPGANv1.4.safetensors").write_bytes(b"")
    with pytest.raises(BadModelFile):
        toolbox.restore_faces("GFPGAN", portrait, 0.5, Watch())
