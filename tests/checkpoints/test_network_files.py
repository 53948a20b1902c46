"""Files of small networks: names, aliases, families, hashes, words."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from atelier.base.errors import NotFound
from atelier.checkpoints.network_facts import family_of, readable, trigger_words
from atelier.checkpoints.network_files import weights_sha256

TO_K = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"


@pytest.fixture
def put(paths):
    def write(name, metadata=None, notes=None, **tensors):
        path = paths.models / "Lora" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: torch.zeros(shape) for key, shape in (tensors or {"x": (2,)}).items()}, str(path), metadata)
        if notes is not None:
            path.with_suffix(".json").write_text(json.dumps(notes), "utf-8")
        return path

    return write


def test_names_and_aliases(shelf, put):
    put("a.safetensors", {"ss_output_name": "alpha"})
    put("sub/b.safetensors", {"ss_output_name": "None"})
    put("c 10.safetensors")
    put("c 2.safetensors")
    files = shelf.networks.loras()
    assert [(f.name, f.alias) for f in files] == [("a", "alpha"), ("b", "b"), ("c 2", "c 2"), ("c 10", "c 10")]
    find = shelf.networks.find_lora
    assert find("alpha").name == find("a").name == find("A").name == find("a.safetensors").name == "a"
    assert find("sub/b").name == find("b").name == "b"


def test_shared_and_forbidden_aliases_find_nothing(shelf, put):
    for name in ("a", "b"):
        put(f"{name}.safetensors", {"ss_output_name": "same"})
    put("c.safetensors", {"ss_output_name": "Addams"})
    put("none.safetensors")
    with pytest.raises(NotFound, match="does not tell which") as caught:
        shelf.networks.find_lora("same")
    assert "a, b" in caught.value.remedy
    with pytest.raises(NotFound, match="does not tell"):
        shelf.networks.find_lora("Addams")
    # A file name always works, and wins over another file's alias.
    assert shelf.networks.find_lora("none").name == "none"
    put("same.safetensors")
    assert shelf.networks.find_lora("same").name == "same"


def test_a_file_that_came_later_is_found_without_a_refresh(shelf, put):
    with pytest.raises(NotFound, match="no network named"):
        shelf.networks.find_lora("late")
    put("late.safetensors")
    assert shelf.networks.find_lora("late").name == "late"


def test_headers_are_read_again_when_they_change(shelf, put):
    put("a.safetensors", {"ss_output_name": "one"})
    assert shelf.networks.loras()[0].alias == "one"
    put("a.safetensors", {"ss_output_name": "another"}, {"activation text": "hello"})
    shelf.scan()
    assert (shelf.networks.loras()[0].alias, shelf.networks.loras()[0].trigger) == ("another", "hello")


def test_damaged_files_and_pickles_are_listed_by_name(shelf, put, paths):
    put("good.safetensors")
    for name in ("cut.safetensors", "old.pt"):
        (paths.models / "Lora" / name).write_bytes(b"\x00\x01")
    (paths.models / "Lora" / "good.json").write_text("{", "utf-8")
    assert [f.name for f in shelf.networks.loras()] == ["cut", "good", "old"]


def test_hashes(shelf, put):
    told = put("told.safetensors", {"sshs_model_hash": "ABCDEF0123456789"})
    path = put("own.safetensors", {"ss_output_name": "x"})
    before = shelf.networks.short_hash(shelf.networks.find_lora("own"))
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    assert before == hashlib.sha256(data[start:]).hexdigest()[:12]
    put("own.safetensors", {"ss_output_name": "another name"})
    shelf.scan()
    assert shelf.networks.short_hash(shelf.networks.find_lora("own")) == before
    assert shelf.networks.short_hash(shelf.networks.find_lora("told")) == "abcdef012345" and told.is_file()
    odd = path.with_name("odd.pt")
    odd.write_bytes(b"\x02" + bytes(40))
    assert weights_sha256(odd) == hashlib.sha256(odd.read_bytes()).hexdigest()


def test_a_file_that_is_gone_has_no_hash(shelf, put):
    path = put("a.safetensors")
    file = shelf.networks.find_lora("a")
    path.unlink()
    assert shelf.networks.short_hash(file) == ""


def test_hypernetworks(shelf, paths):
    folder = paths.models / "hypernetworks"
    folder.mkdir(parents=True)
    for name in ("face.pt", "face.pt.optim", "note.txt"):
        (folder / name).write_bytes(b"x")
    assert [f.name for f in shelf.networks.hypernetworks()] == ["face"]
    assert shelf.networks.find_hypernetwork("face").path.name == "face.pt"
    with pytest.raises(NotFound, match="hypernetwork"):
        shelf.networks.find_hypernetwork("fac")


@pytest.mark.parametrize(("metadata", "shapes", "family"), [
    ({"ss_base_model_version": "sdxl_base_v1-0", "ss_v2": "False"}, {}, "sdxl"),
    ({"ss_base_model_version": "sd_v1"}, {}, "sd1"),
    ({"ss_base_model_version": "sd_v2"}, {}, "sd2"),
    ({"ss_base_model_version": "flux1"}, {}, "flux"),
    ({"ss_base_model_version": "hunyuan_image"}, {}, "hunyuan_image"),
    ({"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, {}, "sdxl"),
    ({"modelspec.architecture": "stable-diffusion-v2-768-v/lora"}, {}, "sd2"),
    ({"ss_v2": "True"}, {}, "sd2"),
    ({"ss_network_dim": "8"}, {}, "sd1"),
    ({"ss_network_dim": "8"}, {f"{TO_K}.lora_down.weight": (8, 2048)}, "sdxl"),
    ({"format": "pt"}, {}, ""),
    ({}, {f"{TO_K}.lora_down.weight": (4, 768)}, "sd1"),
    ({}, {f"{TO_K}.lora_down.weight": (4, 1024)}, "sd2"),
    ({}, {"unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight": (4, 2048)}, "sdxl"),
    ({}, {f"{TO_K}.hada_w1_b": (4, 2048)}, "sdxl"),
    ({}, {f"{TO_K}.lora_down.weight": (4, 16)}, ""),
    ({}, {"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (4, 1280)}, "sdxl"),
    ({}, {"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": (4, 3072)}, "flux"),
    ({}, {"transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight": (4, 3072)}, "flux"),
    ({}, {"lora_unet_joint_blocks_0_x.lora_down.weight": (4, 1536)}, "sd3"),
    ({}, {}, ""),
])  # fmt: skip
def test_families(metadata, shapes, family):
    assert family_of(metadata, shapes, {}) == family


def test_the_notes_of_the_user_count_first():
    assert family_of({"ss_base_model_version": "sd_v1"}, {}, {"sd version": "SDXL"}) == "sdxl"
    assert family_of({"ss_base_model_version": "sd_v1"}, {}, {"sd version": "Unknown"}) == "sd1"


def test_metadata_is_parsed_and_pictures_are_left_out():
    pictures = {"ssmd_cover_images": "x", "modelspec.thumbnail": "y"}
    found = readable({"a": '{"b": 1}', "c": "{no json", "d": "None", **pictures})
    assert dict(found) == {"a": {"b": 1}, "c": "{no json", "d": "None"}


def test_trigger_words():
    tags = {"ss_tag_frequency": {"5_cat": {"mycat": 10, "sitting": 4}, "1_more": {"mycat ": 2, "grass": "many"}}}
    assert trigger_words(tags, {}) == "mycat"
    assert trigger_words({**tags, "modelspec.trigger_phrase": " say this "}, {}) == "say this"
    assert trigger_words({"modelspec.trigger_phrase": "say"}, {"activation text": "mine"}) == "mine"
    assert trigger_words({}, {}) == "" and trigger_words({"ss_tag_frequency": {"a": 3}}, {"activation text": 4}) == ""
