"""The depth estimator inside checkpoints: its names and sizes, and a small one read from a file."""

import torch
from safetensors.torch import save_file
from transformers import BitConfig, DPTConfig, DPTForDepthEstimation

from atelier.checkpoints.load import Placement, load_checkpoint
from atelier.checkpoints.shelf import CheckpointFile
from atelier.families.family import Cut, Evidence
from atelier.families.midas import PREFIX, estimated_depth, midas_components, midas_names
from tests.tiny import TinySizes, tiny_state, tiny_yaml

LEVELS = (1, 2, 3, 4)


def published():
    """Names and shapes of DPT-Hybrid at 384 pixels as its authors' code makes them, written out by hand."""
    found = {
        "pretrained.model.cls_token": (1, 1, 768), "pretrained.model.pos_embed": (1, 577, 768),
        "pretrained.model.norm.weight": (768,), "pretrained.model.norm.bias": (768,),
        "pretrained.model.patch_embed.proj.weight": (768, 1024, 1, 1),
        "pretrained.model.patch_embed.proj.bias": (768,),
        "pretrained.model.patch_embed.backbone.stem.conv.weight": (64, 3, 7, 7),
        "pretrained.model.patch_embed.backbone.stem.norm.weight": (64,),
        "pretrained.model.patch_embed.backbone.stem.norm.bias": (64,),
        "pretrained.act_postprocess4.4.weight": (768, 768, 3, 3), "pretrained.act_postprocess4.4.bias": (768,),
        "scratch.output_conv.0.weight": (128, 256, 3, 3), "scratch.output_conv.0.bias": (128,),
        "scratch.output_conv.2.weight": (32, 128, 3, 3), "scratch.output_conv.2.bias": (32,),
        "scratch.output_conv.4.weight": (1, 32, 1, 1), "scratch.output_conv.4.bias": (1,),
    }  # fmt: skip
    for n in range(12):
        start = f"pretrained.model.blocks.{n}."
        for name, shape in {"attn.qkv": (2304, 768), "attn.proj": (768, 768), "mlp.fc1": (3072, 768),
                            "mlp.fc2": (768, 3072), "norm1": (768,), "norm2": (768,)}.items():  # fmt: skip
            found |= {f"{start}{name}.weight": shape, f"{start}{name}.bias": shape[:1]}
    before = 64
    for stage, (count, width) in enumerate(((3, 256), (4, 512), (9, 1024))):
        for n in range(count):
            start, inner = f"pretrained.model.patch_embed.backbone.stages.{stage}.blocks.{n}.", width // 4
            convolutions = {"1": (inner, before, 1, 1), "2": (inner, inner, 3, 3), "3": (width, inner, 1, 1)}
            for number, shape in convolutions.items():
                found |= {f"{start}conv{number}.weight": shape}
                found |= {f"{start}norm{number}.{end}": shape[:1] for end in ("weight", "bias")}
            if n == 0:
                found |= {f"{start}downsample.conv.weight": (width, before, 1, 1)}
                found |= {f"{start}downsample.norm.{end}": (width,) for end in ("weight", "bias")}
            before = width
    for level, width in zip(LEVELS, (256, 512, 768, 768), strict=True):
        found[f"scratch.layer{level}_rn.weight"] = (256, width, 3, 3)
        start = f"scratch.refinenet{level}."
        found |= {f"{start}out_conv.weight": (256, 256, 1, 1), f"{start}out_conv.bias": (256,)}
        for unit in (1, 2):
            for number in (1, 2):
                name = f"{start}resConfUnit{unit}.conv{number}"
                found |= {f"{name}.weight": (256, 256, 3, 3), f"{name}.bias": (256,)}
        if level > 2:
            name = f"pretrained.act_postprocess{level}"
            found |= {f"{name}.0.project.0.weight": (768, 1536), f"{name}.0.project.0.bias": (768,)}
            found |= {f"{name}.3.weight": (768, 768, 1, 1), f"{name}.3.bias": (768,)}
    return {PREFIX + name: shape for name, shape in found.items()}


def test_every_tensor_of_the_published_estimator_has_its_place():
    shapes = published()
    component = midas_components(Evidence(shapes))["depth"]
    with torch.device("meta"):
        module = component.build()
    used = set()
    for name, tensor in module.state_dict().items():
        place = component.names([name])[name]
        cut = place if isinstance(place, Cut) else Cut(place)
        stored = shapes[PREFIX + cut.name]
        assert (stored[0] // cut.of, *stored[1:]) == tuple(tensor.shape), name
        used.add(PREFIX + cut.name)
    assert used == set(shapes)
    assert module.config.image_size == 384 and module.config.backbone_out_indices[2:] == [8, 11]


def small():
    torch.manual_seed(3)
    backbone = BitConfig(
        global_padding="same", layer_type="bottleneck", embedding_dynamic_padding=True, depths=[1, 1, 1],
        hidden_sizes=[128, 128, 128], embedding_size=32, out_features=["stage1", "stage2", "stage3"], num_groups=32,
    )  # fmt: skip
    return DPTForDepthEstimation(
        DPTConfig(
            is_hybrid=True, backbone_config=backbone, backbone_featmap_shape=[1, 128, 4, 4], image_size=64,
            hidden_size=64, num_hidden_layers=4, num_attention_heads=1, intermediate_size=128, layer_norm_eps=1e-6,
            backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[128, 128, 64, 64], neck_ignore_stages=[0, 1],
            readout_type="project", reassemble_factors=[1, 1, 1, 0.5], fusion_hidden_size=32,
            use_batch_norm_in_fusion_residual=False, qkv_bias=True,
        )
    ).eval()  # fmt: skip


def write_with_eye(folder, name="with-eye"):
    """A depth model of SD1's layout with an estimator inside."""
    sizes, module = TinySizes(in_channels=5), small()
    state, own = tiny_state(sizes), module.state_dict()
    for ours, place in midas_names(own).items():
        if not isinstance(place, Cut):
            state[PREFIX + place] = own[ours].contiguous()
        elif place.part == 0:
            three = [own[ours.replace(".query.", f".{part}.")] for part in ("query", "key", "value")]
            state[PREFIX + place.name] = torch.cat(three)
    path = folder / f"{name}.safetensors"
    save_file(state, str(path))
    path.with_suffix(".yaml").write_text(tiny_yaml(sizes), "utf-8")
    return path


def test_the_estimator_is_read_in_full_precision_and_sees(tmp_path):
    checkpoint = write_with_eye(tmp_path)
    file = CheckpointFile(checkpoint.name, checkpoint, None, checkpoint.with_suffix(".yaml"))
    model = load_checkpoint(file, Placement(torch.device("cpu"), text_dtype=torch.float16))
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = estimated_depth(model, pixels)
    assert next(model.extras["depth"].parameters()).dtype == torch.float32
    with torch.no_grad():
        expected = small()(pixel_values=pixels).predicted_depth
    assert found.shape == (2, 1, 64, 64) and torch.allclose(found[:, 0], expected, atol=1e-5)
    assert "depth" in model.components() and model.takes_depth
