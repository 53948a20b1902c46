"""Stable Diffusion XL: detection, full sizes against the published configurations, encoding, what it is told."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from atelier.base.errors import BadModelFile, UnknownModel
from atelier.checkpoints.detect import identify
from atelier.checkpoints.fill import Source, match_tensors
from atelier.checkpoints.header import read_safetensors_header
from atelier.families.clip import Tower, encode_tower, load_tokenizer
from atelier.families.family import EncodeOptions, Evidence, Match, PictureFacts
from atelier.families.ldm import UNET_PREFIX, VAE_PREFIX, text_names, unet_names, vae_names
from atelier.families.openclip import OPEN_MARKS, openclip_names
from atelier.families.sdxl import SDXL, encode
from atelier.families.sdxl_refiner import SDXL_REFINER
from atelier.sampling.step import ModelInputs
from tests.checkpoints.files import write_header_only
from tests.tiny_sdxl import TinyXL, xl_first, xl_second

L = dict(vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
         projection_dim=768)  # fmt: skip
G = dict(vocab_size=49408, hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20,
         projection_dim=1280, hidden_act="gelu")  # fmt: skip
VAE = dict(block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4, layers_per_block=2,
           up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4)  # fmt: skip
#: the configurations with which both denoisers are published for diffusers
BASE_UNET = dict(
    in_channels=4, sample_size=128, block_out_channels=(320, 640, 1280), layers_per_block=2, cross_attention_dim=2048,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"), use_linear_projection=True,
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=(5, 10, 20),
    transformer_layers_per_block=(1, 2, 10), addition_embed_type="text_time", addition_time_embed_dim=256,
    projection_class_embeddings_input_dim=2816,
)  # fmt: skip
REFINER_UNET = dict(
    in_channels=4, sample_size=128, block_out_channels=(384, 768, 1536, 1536), layers_per_block=2,
    cross_attention_dim=1280, use_linear_projection=True, attention_head_dim=(6, 12, 24, 24),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    transformer_layers_per_block=4, addition_embed_type="text_time", addition_time_embed_dim=256,
    projection_class_embeddings_input_dim=2560,
)  # fmt: skip


def shapes_of(module):
    return {k: tuple(v.shape) for k, v in module.state_dict().items() if not k.endswith("position_ids")}


def tower_shapes(module, prefix):
    """The original's tensors: three matrices are one, and the projection is turned."""
    out = {}
    shapes = shapes_of(module)
    for place, shape in zip(openclip_names(shapes).values(), shapes.values(), strict=True):
        if isinstance(place, str):
            out[prefix + place] = shape
        else:
            out[prefix + place.name] = shape[::-1] if place.turned else (shape[0] * place.of, *shape[1:])
    return {**out, f"{prefix}logit_scale": ()}


def published(unet_config):
    """Names and shapes of a whole file, from the published modules on the meta device: no memory is used."""
    with torch.device("meta"):
        unet, vae = UNet2DConditionModel(**unet_config), AutoencoderKL(**VAE)
        second = CLIPTextModelWithProjection(CLIPTextConfig(**G))
        first = CLIPTextModel(CLIPTextConfig(**L))
    ldm = unet_names(shapes_of(unet), 2)
    # The mapping is proved by diffusers' own way back.
    back = convert_ldm_unet_checkpoint({UNET_PREFIX + ldm[k]: v for k, v in unet.state_dict().items()}, unet.config)
    assert {k: tuple(v.shape) for k, v in back.items()} == shapes_of(unet)
    shapes = {UNET_PREFIX + ldm[k]: v for k, v in shapes_of(unet).items()}
    shapes |= {VAE_PREFIX + vae_names(shapes_of(vae), 4)[k]: v for k, v in shapes_of(vae).items()}
    if unet_config is REFINER_UNET:
        return shapes | tower_shapes(second, "conditioner.embedders.0.model."), (unet, vae, second)
    names = text_names(shapes_of(first))
    shapes |= {f"conditioner.embedders.0.transformer.{names[k]}": v for k, v in shapes_of(first).items()}
    return shapes | tower_shapes(second, "conditioner.embedders.1.model."), (unet, vae, first, second)


@pytest.fixture(scope="module")
def base():
    return published(BASE_UNET)


@pytest.fixture(scope="module")
def refiner():
    return published(REFINER_UNET)


def identified(tmp_path, shapes, metadata=None, config=None):
    path = write_header_only(tmp_path / "m.safetensors", shapes, metadata=metadata)
    return identify(read_safetensors_header(path), config)


@pytest.mark.parametrize(("kind", "name"), [("base", "sdxl"), ("refiner", "sdxl_refiner")])
def test_full_sizes_map_one_to_one(tmp_path, request, kind, name):
    shapes, modules = request.getfixturevalue(kind)
    family, match, evidence = identified(tmp_path, shapes)
    assert (family.name, match.variant) == (name, "")
    source = Source(tmp_path / "m.safetensors", read_safetensors_header(tmp_path / "m.safetensors").tensors)
    used, blueprint = set(), family.blueprint(evidence)
    assert blueprint.latent.scale == 0.13025 and blueprint.prediction.kind == "eps"
    for component, expected in zip(blueprint.components.values(), modules, strict=True):
        with torch.device("meta"):
            module = component.build()
        assert shapes_of(module) == shapes_of(expected)
        act = getattr(expected.config, "hidden_act", None)
        assert getattr(module.config, "hidden_act", None) == act
        wanted = match_tensors(module, component, source)
        assert set(wanted) == set(shapes_of(expected))
        used |= {piece.info.start for piece in wanted.values()}
    # Every tensor of the file is read, but the one that only training needs; parts of fused ones begin inside.
    starts = {info.start: key for key, info in source.tensors.items() if info.count > 1}
    assert set(starts) <= used


def test_known_numbers_of_weights(base):
    counts = [sum(p.numel() for p in module.parameters()) for module in base[1]]
    assert counts == [2_567_463_684, 83_653_863, 123_060_480, 694_659_840]


def test_variants_by_header(tmp_path, base):
    shapes, _ = base
    first = UNET_PREFIX + "input_blocks.0.0.weight"
    family, match, evidence = identified(tmp_path, {**shapes, first: (320, 9, 3, 3)})
    assert (family.name, match.variant) == ("sdxl", "inpainting") and family.blueprint(evidence).in_channels == 9
    assert identified(tmp_path, {**shapes, first: (320, 8, 3, 3)})[1].variant == "edit"
    marked = identified(tmp_path, {**shapes, "v_pred": (0,), "ztsnr": (0,)})
    prediction = marked[0].blueprint(marked[2]).prediction
    assert prediction.kind == "v" and prediction.sigma_max > 1000
    noted = identified(tmp_path, shapes, {"modelspec.prediction_type": "v", "ss_zero_terminal_snr": "False"})
    prediction = noted[0].blueprint(noted[2]).prediction
    assert prediction.kind == "v" and prediction.sigma_max < 20


def test_a_configuration_beside_the_file_wins(base):
    shapes, _ = base

    def kind(target, **more):
        scaling = {"denoiser_config": {"params": {"scaling_config": {"target": target}}}, **more}
        return SDXL.blueprint(Evidence({**shapes, "v_pred": ()}, config={"model": {"params": scaling}})).prediction.kind

    assert kind("sgm.modules.diffusionmodules.denoiser_scaling.EpsScaling") == "eps"
    assert kind("x.VScaling") == "v" and kind("", parameterization="eps") == "eps"
    with pytest.raises(BadModelFile, match="EDMScaling"):
        kind("x.EDMScaling")
    with pytest.raises(BadModelFile, match="cannot be used"):
        SDXL.blueprint(Evidence(shapes, config={"model": {"params": {"scale_factor": "large"}}}))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({UNET_PREFIX + "input_blocks.0.0.weight": (320, 7, 3, 3)}, "upscaling"),
        ({"edm_mean": (4,)}, "EDM"),
        ({f"{UNET_PREFIX}input_blocks.8.1.transformer_blocks.{n}": None for n in range(4, 10)}, "distilled"),
        ({"conditioner.embedders.1": None}, "two text encoders"),
        ({"conditioner.embedders.0": None}, "two text encoders"),
        ({UNET_PREFIX + "input_blocks.0.0.weight": (64, 4, 3, 3)}, ".yaml"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(tmp_path, base, change, word):
    gone = tuple(name for name, shape in change.items() if shape is None)
    kept = {k: v for k, v in base[0].items() if not gone or not k.startswith(gone)}
    shapes = {**kept, **{k: v for k, v in change.items() if v is not None}}
    with pytest.raises(UnknownModel) as caught:
        identified(tmp_path, shapes)
    assert word in caught.value.message and caught.value.fields["closest"] == "sdxl"


@pytest.fixture(scope="module")
def tiny():
    sizes = TinyXL()
    return SimpleNamespace(
        text_encoder=xl_first(sizes), text_encoder_2=xl_second(sizes), tokenizer=load_tokenizer(), family=SDXL
    )


def of(tower, model, text, **options):
    return encode_tower(model, tower, [text], EncodeOptions(**options))[0]


def test_each_encoder_follows_its_own_emphasis_and_layer(tiny):
    first = Tower(tiny.text_encoder, 2, normed=False)
    second = Tower(tiny.text_encoder_2, 2, normed=False, marks=OPEN_MARKS)
    text = "a (red:1.5) circle BREAK on blue"
    found = encode(tiny, [text], EncodeOptions())[0]
    one, two = of(first, tiny, text), of(second, tiny, text)
    assert found.vectors.shape == (154, 40) and found.pooled.shape == (20,)
    assert torch.equal(found.vectors[:, :16], one.vectors) and torch.equal(found.vectors[:, 16:], two.vectors)
    assert torch.equal(found.pooled, of(second, tiny, "a red circle").pooled)


def test_clip_skip_reaches_the_first_encoder_only_where_asked(tiny):
    usual = encode(tiny, ["a cat"], EncodeOptions())[0].vectors
    assert torch.equal(encode(tiny, ["a cat"], EncodeOptions(clip_skip=3))[0].vectors, usual)
    skipped = encode(tiny, ["a cat"], EncodeOptions(clip_skip=3, clip_l_skip=True))[0].vectors
    third = Tower(tiny.text_encoder, 3, normed=False)
    assert torch.equal(skipped[:, :16], of(third, tiny, "a cat").vectors)
    assert torch.equal(skipped[:, 16:], usual[:, 16:]) and not torch.equal(skipped[:, :16], usual[:, :16])


def test_an_empty_negative_prompt_is_zeros_and_an_empty_prompt_is_not(tiny):
    for model, family in ((tiny, SDXL), (SimpleNamespace(text_encoder=tiny.text_encoder_2), SDXL_REFINER)):
        found = family.encode(model, [""], EncodeOptions(negative=True))[0]
        assert not found.vectors.any() and not found.pooled.any() and found.pooled.shape == (20,)
    assert encode(tiny, [""], EncodeOptions())[0].vectors.any()
    assert encode(tiny, ["", "a"], EncodeOptions(negative=True))[0].vectors.any()
    assert EncodeOptions().fingerprint != EncodeOptions(negative=True).fingerprint


def test_an_embedding_gives_each_encoder_its_own_part(tiny):
    rows = torch.randn(2, 40, generator=torch.Generator().manual_seed(1))
    found = encode(tiny, ["a mystyle here"], EncodeOptions(embeddings={"mystyle": rows}))[0].vectors
    first, second = Tower(tiny.text_encoder, 2, normed=False), Tower(tiny.text_encoder_2, 2, False, OPEN_MARKS)
    one = of(first, tiny, "a mystyle here", embeddings={"mystyle": rows[:, :16]}).vectors
    two = of(second, tiny, "a mystyle here", embeddings={"mystyle": rows[:, 16:]}).vectors
    assert torch.equal(found, torch.cat([one, two], dim=1))
    refiner = SimpleNamespace(text_encoder=tiny.text_encoder_2, tokenizer=tiny.tokenizer)
    alone = SDXL_REFINER.encode(refiner, ["a mystyle here"], EncodeOptions(embeddings={"mystyle": rows}))[0].vectors
    assert torch.equal(alone, two)


def test_what_the_networks_are_told():
    facts = PictureFacts(width=768, height=1024, crop_top=8, crop_left=16, low_score=2.0, high_score=7.0)
    assert SDXL.sizes(facts) == ((1024, 768, 8, 16, 1024, 768),) * 2
    assert SDXL_REFINER.sizes(facts) == ((1024, 768, 8, 16, 7.0), (1024, 768, 8, 16, 2.0))


def test_further_inputs_of_distilled_models_are_handed_on(base):
    shapes = {**base[0], UNET_PREFIX + "time_embed.cond_proj.weight": (320, 256)}
    component = SDXL.blueprint(Evidence(shapes)).components["unet"]
    with torch.device("meta"):
        unet = component.build()
    assert unet.config.time_cond_proj_dim == 256

    class Network(torch.nn.Linear):
        def forward(self, latents, t, **extra):
            self.told = extra
            return (latents,)

    network = Network(1, 1)
    added = {"pooled": torch.ones(1, 4), "sizes": torch.ones(1, 6), "guidance": torch.ones(1, 256)}
    inputs = ModelInputs(
        torch.ones(1, 4, 8, 8), torch.ones(1), torch.ones(1, 77, 8), (), torch.ones(1), added=added
    )  # fmt: skip
    SDXL.call(SimpleNamespace(denoiser=network), inputs)
    assert network.told["timestep_cond"].shape == (1, 256)
    assert set(network.told["added_cond_kwargs"]) == {"text_embeds", "time_ids"}


@pytest.mark.parametrize(("kind", "family"), [("base", SDXL), ("refiner", SDXL_REFINER)])
def test_the_original_configuration_beside_a_full_size_file(request, kind, family):
    """The one that people put beside their files: more than is needed, and no sizes of the text encoders."""
    shapes, modules = request.getfixturevalue(kind)
    refiner = kind == "refiner"
    sizes = {"original_size_as_tuple": 256, "crop_coords_top_left": 256, "target_size_as_tuple": 256}
    encoders = [{"input_key": "txt", "params": {"arch": "ViT-bigG-14", "version": "x", "freeze": True,
                 "layer": "penultimate", "always_return_pooled": True, "legacy": False}}]  # fmt: skip
    if not refiner:
        encoders.insert(0, {"input_key": "txt", "params": {"layer": "hidden", "layer_idx": 11}})
    network = {
        "adm_in_channels": 2560 if refiner else 2816, "num_classes": "sequential", "use_checkpoint": True,
        "in_channels": 4, "out_channels": 4, "model_channels": 384 if refiner else 320, "attention_resolutions": [4, 2],
        "num_res_blocks": 2, "channel_mult": [1, 2, 4, 4] if refiner else [1, 2, 4], "num_head_channels": 64,
        "use_spatial_transformer": True, "use_linear_in_transformer": True,
        "transformer_depth": 4 if refiner else [1, 2, 10], "context_dim": [1280] * 4 if refiner else 2048,
        "spatial_transformer_attn_type": "softmax-xformers",
    }  # fmt: skip
    params = {
        "scale_factor": 0.13025, "disable_first_stage_autocast": True,
        "denoiser_config": {"target": "x", "params": {"num_idx": 1000, "scaling_config": {"target": "x.EpsScaling"},
                            "discretization_config": {"target": "x.LegacyDDPMDiscretization"}}},
        "network_config": {"target": "x", "params": network},
        "conditioner_config": {"target": "x", "params": {"emb_models": [
            *encoders, *({"input_key": k, "params": {"outdim": v}} for k, v in sizes.items())]}},
        "first_stage_config": {"target": "x", "params": {"embed_dim": 4, "monitor": "val/rec_loss", "ddconfig": {
            "attn_type": "vanilla-xformers", "double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3,
            "out_ch": 3, "ch": 128, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [],
            "dropout": 0.0}}},
    }  # fmt: skip
    evidence = Evidence(shapes, config={"model": {"params": params}})
    assert family.match(evidence) == Match("")
    blueprint = family.blueprint(evidence)
    assert blueprint.latent == family.latent and blueprint.prediction.sigma_max == pytest.approx(14.6146, abs=1e-3)
    for component, expected in zip(blueprint.components.values(), modules, strict=True):
        with torch.device("meta"):
            module = component.build()
        assert shapes_of(module) == shapes_of(expected)
        if component.name == "unet":
            assert module.config.sample_size == 128
