"""The siblings' further channels: masks and depth maps, the widened UNet, a step of training and the file."""

import json
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from starter import beside, checkpoint, evaluate_siblings, train_unet
from starter.annotations import depth_of, silhouettes
from starter.classifier import CLASSES
from starter.growth import widened
from starter.models import UNetShape, build_text, build_unet, build_vae
from starter.pool import Pool
from starter.progress import Progress
from starter.run_state import RunState
from starter.scene import Composer, Item, Scene
from starter.tokens import Tokens, used_tokens

SMALL = UNetShape((32, 32), (False, True), 4, 16)


def test_depth_is_spread_as_the_product_spreads_it():
    masks = silhouettes(Composer(None), Scene("shapes", "blue", (Item("circle", "red", size=0.6),)))
    cells = beside.depth_cells(depth_of(masks))
    assert cells.shape == (1, 32, 32) and float(cells.min()) == -1 and float(cells.max()) == 1
    assert cells[0, 16, 16] > 0.5 > -0.5 > cells[0, 1, 16]


def test_masks_are_of_all_kinds_and_repeat():
    composer, scene = Composer(None), Scene("shapes", "blue", (Item("circle", "red", size=0.6),))
    masks = [beside.draw_mask(composer, scene, random.Random(i)) for i in range(40)]
    shares = [mask.mean() for mask in masks]
    assert all(mask.shape == (256, 256) and mask.any() for mask in masks)
    assert max(shares) == 1.0 and min(shares) < 0.3
    assert np.array_equal(masks[7], beside.draw_mask(composer, scene, random.Random(7)))


def test_what_is_masked_does_not_reach_the_latents():
    torch.manual_seed(0)
    pictures = np.stack([np.full((256, 256, 3), 40, np.uint8), np.full((256, 256, 3), 200, np.uint8)])
    rows = beside.mask_and_rest(build_vae(), pictures, np.ones((2, 256, 256), bool))
    assert rows.shape == (2, 5, 32, 32) and torch.equal(rows[0], rows[1]) and bool((rows[:, 0] == 1).all())


def test_a_widened_unet_begins_as_it_was():
    torch.manual_seed(0)
    unet, wide = build_unet(SMALL), build_unet(UNetShape((32, 32), (False, True), 9, 16))
    wide.load_state_dict(widened(unet.state_dict(), 9))
    x, t, words = torch.randn(1, 4, 16, 16), torch.tensor([300]), torch.randn(1, 77, 128)
    with torch.no_grad():
        more = wide(torch.cat([x, torch.randn(1, 5, 16, 16)], 1), t, words).sample
        assert torch.allclose(more, unet(x, t, words).sample, atol=1e-5)


@pytest.fixture
def data(tmp_path):
    rows = [Scene("objects", "white", (Item("cat"),), held=i < 2) for i in range(8)]
    place = tmp_path / "latents/objects"
    place.mkdir(parents=True)
    (place / "scenes.json").write_text(json.dumps([row.to_json() for row in rows]))
    torch.save(torch.zeros(8, 4, 16, 16).half(), place / "000000.pt")
    (tmp_path / "beside/depth").mkdir(parents=True)
    torch.save(torch.ones(8, 1, 16, 16).half(), tmp_path / "beside/depth/objects.pt")
    return tmp_path


def test_training_reads_what_stands_beside(data):
    torch.manual_seed(0)
    used = used_tokens(["cat", "a", "on a background", ",", "white"])
    state = RunState(UNetShape((32, 32), (False, True), 5, 16), used)
    with torch.no_grad():
        state.unet.conv_in.weight[:, 4:] = 0
    pool = Pool(data, {"objects": 1.0}, 0, "depth")
    words, rows = pool.draw(3)
    assert rows.shape == (3, 5, 16, 16) and bool((rows[:, 4] == 1).all()) and "cat" in words[0]
    options = train_unet.Options(minutes=0.0, batch=4, draws=1, rate=1e-3, lean=0.3)
    trainer = train_unet.Trainer(state, pool, Tokens(used), Progress(data / "log"), options)
    state.set_rate(1e-3)
    for _ in range(2):
        trainer.step()
    assert state.unet.conv_in.weight[:, 4:].abs().max() > 0
    trainer.report_gap()
    assert "gap" in (data / "log").read_text()


def test_missing_maps_name_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="starter.beside"):
        beside.load(tmp_path, "depth", "objects")


def test_the_yaml_says_that_channels_are_added(tmp_path):
    shape, used = UNetShape((32, 32), (False, True), 9, 16), torch.tensor([5, 49406, 49407])
    path = tmp_path / "inpainting.safetensors"
    unet, text = build_unet(shape).state_dict(), build_text(3).state_dict()
    checkpoint.write(path, unet, text, build_vae(), used, shape, {})
    params = yaml.safe_load(path.with_suffix(".yaml").read_text())["model"]["params"]
    assert params["conditioning_key"] == "hybrid" and params["unet_config"]["params"]["in_channels"] == 9
    assert checkpoint.shape_of(path) == shape


def test_marks_of_a_replaced_thing():
    composer = Composer(None)
    before = composer.draw(Scene("shapes", "blue", (Item("circle", "red", size=0.6),)))
    made = composer.draw(Scene("shapes", "blue", (Item("star", "red", size=0.6),)))
    masks = beside.boxed(evaluate_siblings.PLACE)[None]
    judge = SimpleNamespace(judge=lambda pictures: torch.eye(len(CLASSES))[[CLASSES.index("star")] * len(pictures)])
    marks = evaluate_siblings._inpainting_marks(made[None], before[None], masks, ["star"], judge)
    assert marks == {"object": 1.0, "top5": 1.0, "change outside": 0.0, "background goes on": 1.0}
    wrong = evaluate_siblings._inpainting_marks(255 - made[None], before[None], masks, ["heart"], judge)
    assert wrong["object"] == 0 and wrong["change outside"] > 50 and wrong["background goes on"] == 0


def test_overlap_of_outlines():
    one, other = beside.boxed((0, 0, 10, 10)), beside.boxed((5, 0, 15, 10))
    assert evaluate_siblings._overlap(one, one) == 1 and evaluate_siblings._overlap(one, other) == pytest.approx(1 / 3)
