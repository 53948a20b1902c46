"""Merging as a job over a shelf of tiny models: names in, a new checkpoint in the list out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from atelier.base.cancel import CancelToken
from atelier.base.errors import BadRequest, Interrupted
from atelier.base.events import StepDone
from atelier.params.settings import Settings
from atelier.pipeline.merging import merge_checkpoints, read_metadata
from atelier.pipeline.services import Services
from atelier.pipeline.work import Work
from tests.tiny import TinySizes, write_tiny_checkpoint


@pytest.fixture(scope="session")
def other_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("other"), "other", TinySizes(seed=5))


@pytest.fixture
def work(services: Services, settings: Settings, other_checkpoint: Path) -> Callable[..., Work]:
    folder = services.paths.folders("checkpoint")[0]
    for file in other_checkpoint.parent.iterdir():
        (folder / file.name).symlink_to(file)

    def make(events: list | None = None, token: CancelToken | None = None, **asked: Any) -> Work:
        publish = events.append if events is not None else (lambda event: None)
        return Work(asked, services, settings.snapshot(), token or CancelToken(), publish, "job")

    return make


def test_a_merge_becomes_a_checkpoint_that_opens(work, services):
    events: list = []
    made = merge_checkpoints(
        work(events, primary_model_name="tiny", secondary_model_name="other", interp_amount=0.25, save_as_half=True)
    )
    path = Path(made["path"])
    assert path.name == "0.75(tiny) + 0.25(other).safetensors" and made["model"] == path.name
    assert path.with_suffix(".yaml").read_text() == (path.parent / "tiny.yaml").read_text()
    a, b, found = (load_file(path.parent / name) for name in ("tiny.safetensors", "other.safetensors", path.name))
    assert found.keys() == a.keys()
    for name in a:
        assert torch.allclose(found[name].float(), torch.lerp(a[name].float(), b[name].float(), 0.25).half().float())
    with safe_open(path, "pt") as file:
        recipe = json.loads(file.metadata()["sd_merge_recipe"])
        models = json.loads(file.metadata()["sd_merge_models"])
    assert recipe["interp_method"] == "Weighted sum" and recipe["save_as_half"] is True
    assert recipe["primary_model_hash"] in models and recipe["tertiary_model_hash"] is None
    steps = [event.step for event in events if isinstance(event, StepDone)]
    assert steps == sorted(steps) and steps[-1] == 1000
    model = services.library.open(made["model"], "Automatic")
    assert model.file.path == path


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"primary_model_name": ""}, "primary_model_name"),
        ({"primary_model_name": "tiny", "secondary_model_name": "nothing"}, "secondary_model_name"),
        ({"primary_model_name": "tiny", "secondary_model_name": "other", "discard_weights": "("}, "discard_weights"),
        ({"primary_model_name": "tiny", "interp_method": "No interpolation", "bake_in_vae": "no"}, "bake_in_vae"),
        ({"primary_model_name": "tiny", "interp_method": "Swap"}, "merge.interp_method"),
        ({"primary_model_name": "tiny", "interp_amount": 1e9}, "merge.interp_amount"),
        ({"first": "tiny"}, "first"),
        ({"primary_model_name": "tiny", "interp_method": "No interpolation", "custom_name": "../x"}, "custom_name"),
        ({"primary_model_name": "tiny", "secondary_model_name": "other", "block_weights": "1, 2"}, "block_weights"),
    ],
)
def test_bad_requests_name_the_value(work, asked, field):
    with pytest.raises(BadRequest) as told:
        merge_checkpoints(work(**asked))
    assert told.value.field == field and told.value.remedy


def test_stopping_leaves_nothing_behind(work, services):
    token = CancelToken()

    class Stopping(list):
        def append(self, event: Any) -> None:
            if isinstance(event, StepDone) and event.step > 300:
                token.request("stop")

    folder = services.paths.folders("checkpoint")[0]
    before = sorted(folder.iterdir())
    with pytest.raises(Interrupted):
        merge_checkpoints(work(Stopping(), token, primary_model_name="tiny", secondary_model_name="other"))
    assert sorted(folder.iterdir()) == before


def test_metadata_is_read_before_a_merge(work, services):
    folder = services.paths.folders("checkpoint")[0]
    write_tiny_checkpoint(folder, "told", metadata={"author": "me", "sd_merge_recipe": "{}"})
    services.shelf.scan()
    assert read_metadata(work(models=["tiny", "told", ""]))["metadata"] == {"author": "me"}
    with pytest.raises(BadRequest, match="models"):
        read_metadata(work(models=["nobody"]))
