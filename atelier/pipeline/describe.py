"""Descriptions: a picture becomes words, as /sdapi/v1/interrogate and the captions of the Extras tab ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from atelier.base.cancel import CancelToken
from atelier.base.events import Event, Notice, StageChanged
from atelier.params.settings import SettingsSnapshot
from atelier.params.value_json import image_from
from atelier.pipeline.services import Services
from atelier.pipeline.watching import watch_of
from atelier.tools.caption import CaptionRules
from atelier.tools.tags import TagRules
from atelier.tools.toolbox import DescribeRules


def rules_of(settings: SettingsSnapshot) -> DescribeRules:
    s = settings
    left_out = frozenset(word.strip().replace("_", " ") for word in s.deepbooru_filter_tags.split(",") if word.strip())
    return DescribeRules(
        CaptionRules(
            s.interrogate_clip_num_beams, s.interrogate_clip_min_length, s.interrogate_clip_max_length,
            s.interrogate_clip_dict_limit, s.interrogate_return_ranks,
        ),
        TagRules(
            s.interrogate_deepbooru_score_threshold, s.deepbooru_sort_alpha, s.deepbooru_use_spaces,
            s.deepbooru_escape, s.interrogate_return_ranks, left_out,
        ),
    )  # fmt: skip


@dataclass
class DescribeRun:
    """The little that tools need of a run."""

    settings: SettingsSnapshot
    services: Services
    token: CancelToken
    publish: Callable[[Event], Any]
    job: str

    def comment(self, message: str, source: str = "") -> None:
        self.publish(Notice(job=self.job, message=message, source=source))


def describe(payload: Mapping[str, Any], run: DescribeRun) -> dict[str, Any]:
    """`payload` names a stored picture and a model. Raises any `AtelierError`."""
    run.publish(StageChanged(job=run.job, stage="describing"))
    ref = image_from(payload.get("image"), "image")
    image: Image.Image = run.services.blobs.image(ref, "image")
    model = str(payload.get("model") or "clip")
    text = run.services.tools.describe(image, model, rules_of(run.settings), watch_of(run))
    return {"state": "done", "caption": text, "pictures": []}
