"""Replay over a tiny model: a picture that was made comes out again to the last bit, and changes are named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from atelier.base.cancel import CancelToken
from atelier.params.capabilities import Capabilities, ModelInfo
from atelier.params.infotext import PasteRules
from atelier.params.replay import recorded
from atelier.params.request import GenerationRequest
from atelier.params.schema import request_to_json
from atelier.params.settings import Settings
from atelier.pipeline.replay import replay
from atelier.pipeline.services import Services
from atelier.pipeline.work import Work
from atelier.web.replaying import request_of

SMALL = {"size.width": 64, "size.height": 64, "sampling.steps": 3, "seed.seed": 7, "prompt.positive": "a cat"}


@pytest.fixture
def again(services: Services, settings: Settings) -> Callable[..., dict[str, Any]]:
    def run(request: GenerationRequest, original: Any, infotext: str) -> dict[str, Any]:
        payload = {"request": request_to_json(request), "original": dataclasses.asdict(original), "infotext": infotext}
        work = Work(payload, services, settings.snapshot(), CancelToken(), lambda event: None, "job")
        return replay(work)["replay"]

    return run


def test_the_same_request_gives_the_same_pixels(make, again):
    made = make().pictures[0]
    request = GenerationRequest().with_values(**SMALL)
    report = again(request, made.ref, made.infotext)
    assert (report["largest"], report["mean"], report["conditions"]) == (0, 0.0, [])
    other = again(request.with_values(**{"seed.seed": 8}), made.ref, made.infotext)
    assert other["largest"] > 0 and other["mean"] > 0
    assert other["conditions"] == [{"name": "Seed", "recorded": "7", "now": "8"}]
    larger = again(request.with_values(**{"size.width": 128}), made.ref, made.infotext)
    assert "largest" not in larger and larger["sizes"] == [[64, 64], [128, 64]]


def test_infotext_records_the_conditions(make, services, settings):
    source = services.blobs.put_image(Image.new("RGB", (64, 64), "teal"))
    made = make(GenerationRequest().with_values(**{"source.images": (source,), "source.resize_mode": 1}))
    conditions = recorded(made.pictures[0].infotext)[1]
    assert conditions["device"] == "cpu" and conditions["precision"] == conditions["vae"] == "float32"
    assert conditions["attention"] and conditions["torch"].startswith("2.")
    assert conditions["source"] == source.sha256[:16] and conditions["resize mode"] == "1"
    assert services.blobs.find(conditions["source"]) == source.sha256
    pair = make(**{"batch.size": 2}).pictures
    assert recorded(pair[1].infotext)[1]["batch"] == "2" and "batch" not in conditions
    settings.update({"add_replay_to_infotext": False}, save=False)
    assert recorded(make().pictures[0].infotext)[1] == {}
    settings.update({"add_replay_to_infotext": True, "comma_padding_backtrack": 5}, save=False)
    assert recorded(make().pictures[0].infotext)[1]["comma_padding_backtrack"] == "5"


MADE = {
    "plain": {},
    "hires": {"hires.enabled": True, "hires.scale": 2.0, "hires.upscaler": "Latent", "hires.steps": 2,
              "source.denoising_strength": 0.5, "sampling.sampler": "Euler a"},
    "variation": {"seed.subseed": 3, "seed.subseed_strength": 0.3, "seed.resize_from_w": 128, "seed.resize_from_h": 64},
    "schedule": {"sampling.sampler": "DPM++ 2M SDE", "sampling.scheduler": "Exponential", "sampling.cfg_scale": 4.5},
    "tcd": {"sampling.sampler": "TCD", "overrides": {"tcd_gamma": 0.6, "eta_noise_seed_delta": 3}},
    "settings": {"overrides": {"CLIP_stop_at_last_layers": 2, "randn_source": "NV", "eta_noise_seed_delta": 5,
                               "emphasis": "No norm", "comma_padding_backtrack": 3}, "sampling.sampler": "Euler a",
                 "prompt.positive": "a (red:1.3) cat, [dog:cow:0.5]", "prompt.negative": "bad"},
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_infotext_is_enough_to_make_a_picture_again(make, again, services, settings, name):
    """Through the words of the picture alone, under settings that have been changed meanwhile."""
    made = make(**MADE[name]).pictures[0]
    settings.update({"randn_source": "GPU", "CLIP_stop_at_last_layers": 3, "eta_ancestral": 0.2,
                     "comma_padding_backtrack": 7}, save=False)  # fmt: skip
    declarations = tuple(settings.declarations.values())
    lists = Capabilities(models=(ModelInfo("tiny.safetensors", "tiny", "tiny.safetensors"),))
    app: Any = SimpleNamespace(
        settings=settings, capabilities=lambda: lists,
        paste_rules=lambda kind: PasteRules(kind=kind, settings=settings.snapshot(), declarations=declarations),
    )  # fmt: skip
    notes: list[str] = []
    request = request_of(app, made.infotext, GenerationRequest(), recorded(made.infotext)[1], notes)
    report = again(request, made.ref, made.infotext)
    assert report["conditions"] == [] and notes == []
    assert report["largest"] == 0, report


def test_pictures_of_then_are_compared_by_role_and_turn(make, services, settings):
    _, first, second = make(**{"batch.count": 2}).pictures
    request = GenerationRequest().with_values(**SMALL, **{"batch.count": 2})
    gone = {"sha256": "0" * 64, "role": "picture"}
    originals = [{"sha256": "1" * 64, "role": "grid"}, {"sha256": second.ref.sha256, "role": "picture"}, gone, gone]
    payload = {
        "request": request_to_json(request), "original": dataclasses.asdict(second.ref), "infotext": second.infotext,
        "whole": {"role": "picture", "nth": 1, "pictures": originals},
    }  # fmt: skip
    report = replay(Work(payload, services, settings.snapshot(), CancelToken(), lambda event: None))["replay"]
    assert report["made"] == second.ref.sha256 and report["largest"] == 0
    one, other = report["cells"]
    assert one["place"] == 1 and one["largest"] > 0, "the second of then stands where the first is now"
    assert other == {"place": 2, "role": "picture", "kept": False}
    assert first.ref.sha256 != second.ref.sha256
