"""Networks for Stable Diffusion XL: every published naming finds its layer in both encoders and the denoiser."""

import pytest
import torch

from atelier.checkpoints.load import Placement, load_checkpoint
from atelier.checkpoints.shelf import CheckpointFile
from atelier.networks.hypernetworks import read_hypernetwork
from tests.networks import formulas
from tests.networks.conftest import CPU, changed, random, tags
from tests.networks.test_hypernetworks import layers
from tests.tiny_sdxl import TinyXL, write_tiny_xl

BLOCK = "transformer_blocks.1.attn2.to_k"
#: the same layer of the denoiser, as diffusers and as the original number it
LAYER = f"down_blocks.2.attentions.0.{BLOCK}"
ORIGINAL = f"input_blocks.5.1.{BLOCK}"
ENCODER = "text_model.encoder.layers.1.self_attn.q_proj"


def opened(folder, sizes):
    path = write_tiny_xl(folder, sizes=sizes)
    return load_checkpoint(CheckpointFile(path.name, path, "0" * 64, path.with_suffix(".yaml")), Placement(CPU))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return opened(tmp_path_factory.mktemp("xl"), TinyXL())


def everything(model):
    return {
        f"{part}.{name.removeprefix('text_model.')}": value.clone()
        for part, module in model.components().items() if part != "vae"
        for name, value in module.state_dict().items()
    }  # fmt: skip


WIDTHS = {"unet": (32, 40), "text_encoder": (16, 16), "text_encoder_2": (24, 24)}
NAMES = {"unet": f"unet.{LAYER}", "text_encoder": "text_encoder.encoder.layers.1.self_attn.q_proj",
         "text_encoder_2": "text_encoder_2.encoder.layers.1.self_attn.q_proj"}  # fmt: skip


def flat(name):
    return name.replace(".", "_")


KOHYA = (".lora_up.weight", ".lora_down.weight", ".alpha")
PEFT = (".lora_B.weight", ".lora_A.weight", None)
OLD = (".lora.up.weight", ".lora.down.weight", None)
FORMS = {
    "kohya, the original's numbers": (KOHYA, f"lora_unet_{flat(ORIGINAL)}", "lora_te1_", "lora_te2_"),
    "kohya, diffusers' numbers": (KOHYA, f"lora_unet_{flat(LAYER)}", "lora_te1_", "lora_te2_"),
    "PEFT": (PEFT, f"unet.{LAYER}", "text_encoder.", "text_encoder_2."),
    "PEFT, wrapped": (PEFT, f"base_model.model.unet.{LAYER}", "text_encoder.", "text_encoder_2."),
    "diffusers": (OLD, f"unet.{LAYER}", "text_encoder.", "text_encoder_2."),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_naming_changes_three_layers_by_formula_and_comes_back(model, networks, write, form):
    (up, down, alpha), unet, first, second = FORMS[form]
    encoder = ENCODER if alpha is None else flat(ENCODER)
    keys = {"unet": unet, "text_encoder": first + encoder, "text_encoder_2": second + encoder}
    tensors, deltas = {}, {}
    for place, (part, key) in enumerate(keys.items()):
        rows, columns = WIDTHS[part]
        tensors[key + up] = random(rows, 3, seed=place)
        tensors[key + down] = random(3, columns, seed=place + 9)
        if alpha is not None:
            tensors[key + alpha] = torch.tensor(2.0)
        factors = (tensors[key + side].double().numpy() for side in (up, down))
        deltas[part] = torch.tensor(formulas.lora(*factors, 2.0 if alpha else 3.0))
    write("style", tensors)
    before = everything(model)
    report = networks.apply(model, tags("<lora:style:0.5:2>"))
    assert report.comments == ()
    after = everything(model)
    assert changed(before, after) == {f"{name}.weight" for name in NAMES.values()}
    for part, name in NAMES.items():
        strength = 2 if part == "unet" else 0.5
        wanted = before[f"{name}.weight"].double() + strength * deltas[part]
        assert (after[f"{name}.weight"].double() - wanted).abs().max() < 1e-5
    networks.apply(model, ())
    assert changed(before, everything(model)) == set()


def test_projection_time_and_label_layers_are_found(model, networks, write):
    tensors = {
        "lora_te2_text_projection.lora_up.weight": random(20, 2),
        "lora_unet_label_emb_0_0.lora_up.weight": random(64, 2),
        "lora_te2_text_projection.lora_down.weight": random(2, 24),
        "lora_unet_label_emb_0_0.lora_down.weight": random(2, 68),
    }  # fmt: skip
    write("more", tensors)
    before = everything(model)
    assert networks.apply(model, tags("<lora:more:1>")).comments == ()
    names = {"text_encoder_2.text_projection.weight", "unet.add_embedding.linear_1.weight"}
    assert changed(before, everything(model)) == names
    networks.restore(model)


def test_one_matrix_of_the_original_tower_changes_three_layers(model, networks, write):
    key = "lora_te2_transformer_resblocks_0_attn_in_proj"
    write("fused", {f"{key}.lora_up.weight": random(72, 2), f"{key}.lora_down.weight": random(2, 24)})
    before = everything(model)
    assert networks.apply(model, tags("<lora:fused:1>")).comments == ()
    start = "text_encoder_2.encoder.layers.0.self_attn"
    assert changed(before, everything(model)) == {f"{start}.{letter}_proj.weight" for letter in "qkv"}
    networks.restore(model)


def test_embeddings_that_come_along_are_for_both_encoders(model, networks, write):
    rows = {"clip_l": random(2, 16), "clip_g": random(2, 24)}
    key = "lora_te1_text_model_encoder_layers_0_mlp_fc1"
    tensors = {f"{key}.lora_up.weight": random(64, 2), f"{key}.lora_down.weight": random(2, 16)}
    write("bundle", {**tensors, **{f"bundle_emb.charm.{part}": value for part, value in rows.items()}})
    networks.apply(model, tags("<lora:bundle:1>"))
    assert torch.equal(networks.embeddings(model)["charm"], torch.cat([rows["clip_l"], rows["clip_g"]], dim=1))
    networks.restore(model)


def test_the_refiner_takes_what_is_for_the_second_encoder(tmp_path, networks, write):
    refiner = opened(tmp_path, TinyXL(refiner=True))
    key = f"lora_te2_{flat(ENCODER)}"
    write("style", {f"{key}.lora_up.weight": random(24, 2), f"{key}.lora_down.weight": random(2, 24)})
    before = everything(refiner)
    assert networks.apply(refiner, tags("<lora:style:1>")).comments == ()
    assert changed(before, everything(refiner)) == {NAMES["text_encoder"] + ".weight"}


def test_a_hypernetwork_changes_the_joined_context_and_the_picture_itself(model, networks, shelf, paths):
    shelf.allow_pickle = True
    path = paths.models / "hypernetworks" / "face.pt"
    path.parent.mkdir(parents=True)
    # The width of both encoders together, and that of the attention of a picture to itself.
    torch.save({40: (layers(40), layers(40, seed=3)), 32: (layers(32), layers(32, seed=5))}, path)
    keys = read_hypernetwork(path, "face", True).pairs
    assert networks.apply(model, tags("<hypernet:face:0.5>")).comments == ()
    block = model.denoiser.get_submodule("down_blocks.2.attentions.0.transformer_blocks.1")
    for layer, width in ((block.attn2.to_k, 40), (block.attn1.to_k, 32)):
        context = random(1, 5, width, size=1.0)
        with torch.no_grad():
            changed_context = context + 0.5 * keys[width][0](context)
            assert torch.allclose(layer(context), changed_context @ layer.weight.T, atol=1e-5)
    networks.restore(model)
