"""The recorded cases of the prompt language, by kind."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "contract" / "prompt_cases.json"
KINDS = ("attention", "schedule", "and", "extranet", "comment", "style_apply", "style_extract", "chunk")


@lru_cache(maxsize=1)
def every_case() -> tuple[dict, ...]:
    return tuple(json.loads(FILE.read_text("utf-8"))["cases"])


def cases(kind: str) -> list:
    return [pytest.param(case, id=case["id"]) for case in every_case() if case["kind"] == kind]
