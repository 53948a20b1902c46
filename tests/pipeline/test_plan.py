"""Planning is pure: seeds, prompts, batches and sizes."""

import json
from pathlib import Path

import pytest

from atelier.params.groups import GROUPS
from atelier.params.request import GenerationRequest
from atelier.params.settings import Settings
from atelier.pipeline.plan import draft_plan, freeze_plan, hires_target
from atelier.prompts.styles import StyleBook

CASES = json.loads((Path(__file__).parents[1] / "contract" / "sampling_cases.json").read_text("utf-8"))


def plan_of(tmp_path: Path, draw=lambda: 1000, **paths):
    request = GenerationRequest().with_values(**paths)
    settings = Settings(tmp_path / "config.json", GROUPS).snapshot()
    return freeze_plan(draft_plan(request, StyleBook([]), draw), request, settings)


def test_each_picture_has_the_next_seed(tmp_path):
    plan = plan_of(tmp_path, **{"seed.seed": 5, "batch.size": 2, "batch.count": 2})
    assert [p.seed for p in plan.pictures] == [5, 6, 7, 8]
    assert [len(batch) for batch in plan.batches] == [2, 2]


def test_variation_keeps_the_seed_and_counts_the_subseed(tmp_path):
    plan = plan_of(tmp_path, **{"seed.seed": 5, "seed.subseed": 50, "seed.subseed_strength": 0.3, "batch.count": 3})
    assert [p.seed for p in plan.pictures] == [5, 5, 5]
    assert [p.subseed for p in plan.pictures] == [50, 51, 52]


def test_minus_one_draws_a_seed(tmp_path):
    drawn = iter((11, 22))
    plan = plan_of(tmp_path, draw=lambda: next(drawn), **{"batch.count": 2})
    assert [p.seed for p in plan.pictures] == [11, 12]
    assert [p.subseed for p in plan.pictures] == [22, 23]


def test_sizes_are_floored_to_the_latent_grid(tmp_path):
    plan = plan_of(tmp_path, **{"size.width": 515, "size.height": 8})
    assert (plan.width, plan.height) == (512, 8)


def test_comments_are_stripped_and_hires_prompts_follow(tmp_path):
    plan = plan_of(tmp_path, **{"prompt.positive": "a cat # not a dog", "hires.enabled": True, "size.width": 64})
    assert plan.pictures[0].prompt.strip() == "a cat"
    assert plan.pictures[0].hires_prompt.strip() == "a cat"
    assert (plan.hires_width, plan.passes) == (128, 2)


def test_a_plan_follows_the_prompts_that_an_extension_left(tmp_path):
    request = GenerationRequest().with_values(**{"seed.seed": 1, "batch.size": 2})
    draft = draft_plan(request, StyleBook([]))
    draft.prompts += ["one more"]
    plan = freeze_plan(draft, request, Settings(tmp_path / "c.json", GROUPS).snapshot())
    assert len(plan.pictures) == 3 and plan.pictures[2].prompt == "one more"


@pytest.mark.parametrize("case", CASES["hires_target"], ids=lambda c: f"{c['width']}x{c['height']}-{c['hr_resize_x']}")
def test_hires_target(case):
    size, crop = hires_target(case["width"], case["height"], case["hr_scale"], case["hr_resize_x"], case["hr_resize_y"])
    assert list(size) == case["upscale_to"]
    assert list(crop) == case["truncate_latent"]
