"""Stable Diffusion 2.x: how it is known, what it predicts, and that every tensor of the full size has its name."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from atelier.base.errors import BadModelFile
from atelier.checkpoints.detect import identify
from atelier.checkpoints.header import read_safetensors_header
from atelier.families.family import Cut, Evidence, Match, NoMatch
from atelier.families.sd2 import SD2, asked_kind, blueprint, match
from atelier.families.unclip import VISUAL, cosine_alphas, image_vectors, vision_names, waves
from tests.checkpoints.files import UNET, write_header_only
from tests.tiny import tiny_unet
from tests.tiny_sd2 import TEXT, sd2_sizes

WIDTH = 1024


def tower(prefix, layers, width):
    """The shapes of a text tower that count."""
    found = {
        f"{prefix}token_embedding.weight": (49408, width), f"{prefix}positional_embedding": (77, width),
        f"{prefix}ln_final.weight": (width,), f"{prefix}text_projection": (width, width),
    }  # fmt: skip
    for layer in range(layers):
        found[f"{prefix}transformer.resblocks.{layer}.mlp.c_fc.weight"] = (4 * width, width)
    return found


def visual(width, layers, projection, patch=14):
    found = {
        f"{VISUAL}proj": (width, projection), f"{VISUAL}conv1.weight": (width, 3, patch, patch),
        f"{VISUAL}positional_embedding": (257, width),
    }  # fmt: skip
    for layer in range(layers):
        found[f"{VISUAL}transformer.resblocks.{layer}.mlp.c_fc.weight"] = (4 * width, width)
    return found


def shapes_of(channels=4, prefix=TEXT, layers=24, label=0):
    return {
        f"{UNET}input_blocks.0.0.weight": (320, channels, 3, 3),
        f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, WIDTH),
        **({f"{UNET}label_emb.0.0.weight": (1280, label)} if label else {}),
        **tower(prefix, layers, WIDTH),
    }


def made(params=None, metadata=None, **rest):
    config = None if params is None else {"model": {"params": params}}
    return blueprint(Evidence(shapes_of(**rest), metadata or {}, config))


def counts(components):
    with torch.device("meta"):
        return {n: sum(p.numel() for p in c.build().parameters()) for n, c in components.items()}


@pytest.mark.parametrize(("channels", "variant"), [(4, ""), (9, "inpainting"), (5, "depth")])
def test_the_family_and_its_variants(tmp_path, channels, variant):
    header = read_safetensors_header(write_header_only(tmp_path / "m.safetensors", shapes_of(channels)))
    family, found, evidence = identify(header)
    assert (family, found) == (SD2, Match(variant))
    assert family.blueprint(evidence).variant == variant


def test_the_layout_of_turbo_and_the_refiner_of_xl():
    turbo = Evidence(shapes_of(prefix="conditioner.embedders.0.model."))
    assert match(turbo) == Match("") and blueprint(turbo).components["text_encoder"]
    refiner = {k: tuple(1280 if n == WIDTH else n for n in s) for k, s in turbo.shapes.items()}
    assert isinstance(match(Evidence(refiner)), NoMatch)


@pytest.mark.parametrize("layers", [23, 24])
def test_full_size_modules_have_the_known_numbers_of_weights(layers):
    """The last block of the tower is cut off; some files lack it anyhow."""
    assert counts(made(layers=layers).components) == {
        "unet": 865_910_724, "vae": 83_653_863, "text_encoder": 340_387_840,
    }  # fmt: skip


def test_all_names_of_the_full_size_map_one_to_one():
    components = made().components
    with torch.device("meta"):
        ours = components["unet"].build()
        theirs = UNet2DConditionModel(
            sample_size=64, attention_head_dim=(5, 10, 20, 20), cross_attention_dim=WIDTH, use_linear_projection=True
        )
        text = components["text_encoder"].build()
        other = CLIPTextModel(CLIPTextConfig(
            hidden_size=WIDTH, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16, hidden_act="gelu",
            vocab_size=49408,
        ))  # fmt: skip
    for mine, known in ((ours, theirs), (text, other)):
        assert {k: v.shape for k, v in mine.state_dict().items()} == {k: v.shape for k, v in known.state_dict().items()}
    assert ours.config.attention_head_dim == theirs.config.attention_head_dim and ours.config.upcast_attention
    names = components["unet"].names(ours.state_dict())
    assert len(set(names.values())) == len(names) == 686
    state = {names[k]: tuple(v.shape) for k, v in ours.state_dict().items()}
    assert state["input_blocks.1.1.proj_in.weight"] == (320, 320)
    assert state["output_blocks.11.1.transformer_blocks.0.attn2.to_k.weight"] == (320, WIDTH)
    places = components["text_encoder"].names(k for k in text.state_dict() if not k.endswith("position_ids"))
    fused = [p for p in places.values() if isinstance(p, Cut)]
    assert len(set(places.values())) == len(places) and len(fused) == 23 * 6


@pytest.mark.parametrize(("label", "width", "layers", "projection", "heads", "weights"), [
    (2048, 1280, 32, 1024, 16, 632_076_800), (1536, 1024, 24, 768, 16, 303_966_208),
])  # fmt: skip
def test_image_variation_brings_an_image_tower(label, width, layers, projection, heads, weights):
    evidence = Evidence({**shapes_of(label=label), **visual(width, layers, projection)})
    assert match(evidence) == Match("variation")
    found = blueprint(evidence)
    assert found.variant == "variation" and found.prediction.kind == "v" and found.ask is None
    with torch.device("meta"):
        encoder = found.components["image_encoder"].build()
        unet = found.components["unet"].build()
    assert sum(p.numel() for p in encoder.parameters()) == weights
    assert encoder.config.num_attention_heads == heads and encoder.config.image_size == 224
    assert unet.class_embedding.linear_1.weight.shape == (1280, label)
    names = found.components["unet"].names(unet.state_dict())
    assert names["class_embedding.linear_1.weight"] == "label_emb.0.0.weight"
    places = vision_names(k for k in encoder.state_dict() if not k.endswith("position_ids"))
    assert len(set(places.values())) == len(places)


def test_prediction_by_configuration_marks_and_kind():
    assert made({"parameterization": "v"}).prediction.kind == "v"
    # A whole configuration that says nothing means noise: so the original ones are written.
    plain = made({"unet_config": {"params": {}}})
    assert (plain.prediction.kind, plain.ask) == ("eps", None)
    assert made(metadata={"modelspec.architecture": "stable-diffusion-v2-768-v"}).prediction.kind == "v"
    assert made(metadata={"modelspec.architecture": "stable-diffusion-v2-512"}).ask is None
    assert made(metadata={"modelspec.prediction_type": "epsilon"}).ask is None
    assert made(channels=9).ask is None and made(channels=5).prediction.kind == "eps"
    assert made().ask is not None
    large = made({"parameterization": "v"}).components["unet"]
    with torch.device("meta"):
        assert large.build().config.sample_size == 96
    with pytest.raises(BadModelFile, match="configuration"):
        made({"parameterization": "x0"})


@pytest.mark.parametrize(("kind", "level"), [("eps", 0.5), ("v", -4.0)])
def test_a_network_that_files_say_nothing_of_is_asked(kind, level):
    unet = tiny_unet(sd2_sizes())
    with torch.no_grad():
        unet.conv_out.weight.zero_()
        unet.conv_out.bias.fill_(level)
    unet.register_to_config(sample_size=64)
    assert asked_kind(unet) == kind
    assert unet.config.sample_size == (96 if kind == "v" else 64)


def test_levels_and_timesteps_are_those_of_the_published_schedule():
    alphas = cosine_alphas(1000)
    assert alphas[0] == pytest.approx(0.99996, abs=1e-5) and alphas[-1] < 1e-6 and (alphas[1:] < alphas[:-1]).all()
    assert torch.allclose(waves(torch.tensor([0.0]), 6), torch.tensor([[1.0, 1, 1, 0, 0, 0]]))


def test_pictures_are_brought_to_the_square_and_the_colours_of_clip():
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8,
        projection_dim=12,
    )  # fmt: skip
    seen = []

    class Encoder(CLIPVisionModelWithProjection):
        def forward(self, pixel_values):
            seen.append(pixel_values)
            return super().forward(pixel_values)

    model = type("M", (), {"extras": {"image_encoder": Encoder(config).eval()}})()
    grey = torch.zeros(2, 3, 48, 96)
    assert image_vectors(model, grey).shape == (2, 12)
    assert seen[0].shape == (2, 3, 32, 32)
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx([0.0690, 0.1614, 0.3328], abs=1e-3)
