"""Captions, tags and backgrounds: what is missing is named; what is there is read in the published layouts."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import BlipConfig, BlipForConditionalGeneration, CLIPConfig, CLIPModel

from atelier.base.errors import BadModelFile, ForbiddenPickle, ModelMissing, NotFound
from atelier.base.paths import Paths
from atelier.device.residency import Residency
from atelier.tools import background, tags
from atelier.tools.background import foreground
from atelier.tools.caption import CaptionRules, blip_names, open_blip
from atelier.tools.deep_danbooru import DeepDanbooru
from atelier.tools.tags import TagRules, prepared, read_list, written
from atelier.tools.toolbox import DescribeRules, Toolbox
from atelier.tools.watch import Watch

PICTURE = Image.new("RGB", (40, 20), "red")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "a", "red", "cat", "dog", "on", "grass")


class FakeSession:
    """Answers with a function of what it is given."""

    def __init__(self, shape, answer):
        self.shape, self.answer, self.seen = shape, answer, []

    def get_inputs(self):
        return [SimpleNamespace(name="input", shape=self.shape)]

    def run(self, names, feed):
        self.seen.append(feed["input"])
        return [self.answer(feed["input"])]


@pytest.fixture
def toolbox(tmp_path) -> Toolbox:
    return Toolbox(Paths(data=tmp_path, program=tmp_path), Residency(torch.device("cpu")))


def tiny_blip(folder: Path) -> BlipForConditionalGeneration:
    torch.manual_seed(1)
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
              "image_size": 32, "patch_size": 16}  # fmt: skip
    text = {"vocab_size": len(WORDS), "hidden_size": 16, "encoder_hidden_size": 16, "intermediate_size": 32,
            "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64, "bos_token_id": 5,
            "sep_token_id": 3, "eos_token_id": 3, "pad_token_id": 0}  # fmt: skip
    network = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision)).eval()
    folder.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return network


@pytest.mark.parametrize(("model", "file"), [
    ("clip", "model_base_caption_capfilt_large.pth"), ("blip", "BLIP"), ("deepdanbooru", "model-resnet_custom_v3.pt"),
])  # fmt: skip
def test_a_missing_model_is_named_with_its_place(toolbox, tmp_path, model, file):
    with pytest.raises(ModelMissing) as missing:
        toolbox.describe(PICTURE, model, DescribeRules(), Watch())
    assert file in missing.value.remedy and str(tmp_path / "models") in missing.value.remedy
    with pytest.raises(NotFound, match="magic"):
        toolbox.describe(PICTURE, "magic", DescribeRules(), Watch())


def test_a_background_needs_its_model(toolbox):
    with pytest.raises(ModelMissing, match="background"):
        toolbox.foreground(PICTURE, Watch())


def test_a_caption_by_a_folder_of_blip(toolbox, tmp_path):
    tiny_blip(tmp_path / "models" / "BLIP" / "small")
    rules = DescribeRules(CaptionRules(beams=2, least=3, most=8))
    text = toolbox.describe(PICTURE, "blip", rules, Watch())
    assert set(text.split()) <= set(WORDS) and text == toolbox.describe(PICTURE, "blip", rules, Watch())
    assert text == toolbox.describe(PICTURE, "clip", rules, Watch()), "without CLIP and lists the caption alone"


def test_clip_adds_the_best_of_each_list(toolbox, tmp_path):
    tiny_blip(tmp_path / "models" / "BLIP")
    part = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**part, "vocab_size": 49408, "max_position_embeddings": 77},
        vision_config={**part, "image_size": 32, "patch_size": 16}, projection_dim=16,
    )  # fmt: skip
    folder = tmp_path / "models" / "CLIP"
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    assets = Path(__file__).parents[2] / "atelier" / "families" / "assets" / "clip"
    for file in assets.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (tmp_path / "interrogate").mkdir()
    (tmp_path / "interrogate" / "mediums.top2.txt").write_text("a photo\na drawing\na statue\n")
    (tmp_path / "interrogate" / "artists.txt").write_text("one\ntwo\n")
    heard = []
    rules = DescribeRules(CaptionRules(least=2, most=6, ranks=True))
    text = toolbox.describe(PICTURE, "clip", rules, Watch(told=lambda *t: heard.append(t)))
    found = re.findall(r"\((one|two|a photo|a drawing|a statue):\d+\.\d{3}\)", text)
    assert len(found) == 3 and heard == [(1, 2), (2, 2)]


def test_names_of_blips_own_file():
    """Every name of the transformers package is met by one of the authors' file."""
    theirs = {}
    network = BlipForConditionalGeneration(BlipConfig(
        text_config={"num_hidden_layers": 1, "hidden_size": 16, "encoder_hidden_size": 16, "intermediate_size": 16,
                     "num_attention_heads": 2, "vocab_size": 30},
        vision_config={"num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2},
    ))  # fmt: skip
    back = (("vision_model.encoder.layers.", "visual_encoder.blocks."),
            ("vision_model.post_layernorm.", "visual_encoder.norm."),
            ("vision_model.embeddings.patch_embedding.", "visual_encoder.patch_embed.proj."),
            ("vision_model.embeddings.position_embedding", "visual_encoder.pos_embed"),
            ("vision_model.embeddings.class_embedding", "visual_encoder.cls_token"),
            (".self_attn.projection.", ".attn.proj."), (".self_attn.qkv.", ".attn.qkv."),
            (".layer_norm", ".norm"))  # fmt: skip
    for name, tensor in network.state_dict().items():
        own = name
        for new, old in back:
            own = own.replace(new, old)
        theirs[own] = tensor
    assert set(blip_names(theirs)) == set(network.state_dict())
    assert any(name.startswith("visual_encoder.blocks.0.attn.qkv") for name in theirs)


def test_a_folder_that_is_no_blip(toolbox, tmp_path):
    folder = tmp_path / "models" / "BLIP"
    tiny_blip(folder)
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(BadModelFile, match="BLIP"):
        open_blip(folder, False)
    tiny_blip(folder)
    (folder / "vocab.txt").unlink()
    with pytest.raises(BadModelFile, match="vocabulary"):
        toolbox.describe(PICTURE, "blip", DescribeRules(), Watch())


def test_tags_by_the_rules_of_the_settings(toolbox, tmp_path, monkeypatch):
    folder = tmp_path / "models" / "torch_deepdanbooru"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"x")
    (folder / "selected_tags.csv").write_text(
        "tag_id,name,category,count\n1,general,9,5\n2,long_hair,0,4\n3,cat_(animal),0,3\n4,sky,0,2\n"
    )
    scores = np.array([[0.99, 0.8, 0.9, 0.3]], dtype=np.float32)
    session = FakeSession([None, 8, 8, 3], lambda values: scores)
    monkeypatch.setattr(tags, "open_session", lambda path: session)
    ask = lambda **rules: toolbox.describe(PICTURE, "deepdanbooru", DescribeRules(tags=TagRules(**rules)), Watch())  # noqa: E731
    assert ask() == r"cat \(animal\), long hair"
    assert ask(alphabetically=False, spaces=False, escape=False) == "cat_(animal), long_hair"
    assert ask(threshold=0.2, left_out=frozenset({"long hair"}), ranks=True) == r"(cat \(animal\):0.900), (sky:0.300)"
    assert session.seen[0].shape == (1, 8, 8, 3)
    scores = np.zeros((1, 9), dtype=np.float32)
    with pytest.raises(BadModelFile, match="lists 4"):
        ask()


def test_the_tagger_sees_blue_first_on_white(tmp_path):
    values = prepared(PICTURE, 8)
    assert values[0, 4, 4].tolist() == [0, 0, 255] and values[0, 0, 0].tolist() == [255, 255, 255]
    assert written([("a", 0.6), ("", 0.9)], TagRules()) == "a"
    (tmp_path / "l.csv").write_text("tag_id,name,category\n0,safe,9\n1,b,4\n")
    assert read_list(tmp_path / "l.csv") == ["", "b"]


def tiny_danbooru(path: Path, names: list[str]) -> DeepDanbooru:
    torch.manual_seed(2)
    network = DeepDanbooru(2, tuple(names)).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"tags": names, **network.half().state_dict()}, path)
    return network.float()


def test_deep_danbooru_in_its_own_file(toolbox, tmp_path):
    names = ["1girl", "rating:safe", "long_hair"]
    path = tmp_path / "models" / "torch_deepdanbooru" / "model-resnet_custom_v3.pt"
    network = tiny_danbooru(path, names)
    ask = lambda: toolbox.describe(PICTURE, "deepdanbooru", DescribeRules(tags=TagRules(0, ranks=True)), Watch())  # noqa: E731
    with pytest.raises(ForbiddenPickle):
        ask()
    toolbox.allow_pickle = True
    # The picture is twice as wide as high: it is fitted in, and its edges are stretched over the rest.
    with torch.no_grad():
        scores = network(torch.tensor([1.0, 0, 0])[None, :, None, None].expand(1, 3, 512, 512))[0].tolist()
    assert ask() == f"(1girl:{scores[0]:.3f}), (long hair:{scores[2]:.3f})"
    torch.save({"tags": names[:2], **network.state_dict()}, path)
    with pytest.raises(BadModelFile, match="no DeepDanbooru"):
        ask()


def test_the_layers_of_deep_danbooru_have_the_numbers_of_the_published_file():
    """179 layers; where the size is halved the first or last number of four is that of the layer beside the others."""
    with torch.device("meta"):
        state = DeepDanbooru(64, ("word",) * 9176).state_dict()
    shapes = {name.split("_")[-1]: tuple(tensor.shape) for name, tensor in state.items()}
    assert len([name for name in shapes if name.endswith("weight")]) == 179 and "178.bias" not in shapes
    assert shapes["0.weight"] == (64, 3, 7, 7) and shapes["178.weight"] == (9176, 4096, 1, 1)
    assert shapes["11.weight"] == (512, 256, 1, 1) and shapes["36.weight"] == (1024, 512, 1, 1)
    assert shapes["98.weight"] == (256, 256, 3, 3) and shapes["100.weight"] == (1024, 1024, 1, 1)
    assert shapes["158.weight"] == (2048, 1024, 1, 1) and shapes["168.weight"] == (4096, 2048, 1, 1)
    assert sum(tensor.numel() for tensor in state.values()) == 160_956_544


@pytest.mark.parametrize("side", [320, 1024])
def test_what_is_red_is_in_front(toolbox, tmp_path, monkeypatch, side):
    picture = Image.new("RGB", (60, 40), "black")
    picture.paste("red", (10, 10, 30, 30))
    session = FakeSession([1, 3, side, side], lambda values: values[:, :1] * 3 + 1)
    mask = np.asarray(foreground(session, picture))
    assert mask.shape == (40, 60) and mask[20, 20] == 255 and mask[2, 50] == 0
    assert session.seen[0].shape == (1, 3, side, side) and session.seen[0].dtype == np.float32
    folder = tmp_path / "models" / "background"
    folder.mkdir(parents=True)
    (folder / "isnet.onnx").write_bytes(b"x")
    monkeypatch.setattr(background, "open_session", lambda path: session)
    assert np.array_equal(np.asarray(toolbox.foreground(picture, Watch())), mask)
