"""Name patterns: each word, and the laws no name may break."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from atelier.imaging.naming import (
    PATTERN_WORDS,
    NameContext,
    NameRules,
    clean_part,
    default_pattern,
    file_stem,
    fill_pattern,
    free_stem,
    grid_stem,
    subfolder,
)

CONTEXT = NameContext(
    seed=7,
    seeds=(5, 6, 7),
    steps=20,
    cfg=7.0,
    width=512,
    height=768,
    styles=("Neon", "None"),
    sampler="DPM++ 2M",
    scheduler="Karras",
    model_name="dream/v1",
    model_hash="0123456789",
    prompt="a cat, (red:1.2) hat",
    prompt_no_styles="a cat",
    negative_prompt="dog",
    time=datetime(2024, 3, 9, 14, 5, 6, tzinfo=timezone.utc),
    batch_number=2,
    batch_size=4,
    generation_number=6,
    generation_count=8,
    clip_skip=2,
    denoising=0.75,
    user="ann",
    vae_filename="vae.pt",
    image=Image.new("RGB", (2, 2)),
)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[seed]", "7"),
        ("[seed_first]-[seed_last]", "5-7"),
        ("[steps] [cfg] [width]x[height]", "20 7.0 512x768"),
        ("[styles]", "Neon"),
        ("[sampler]", "DPM++ 2M"),
        ("[sampler_scheduler]", "DPM++ 2M Karras"),
        ("[scheduler]", "Karras"),
        ("[model_name]", "dream_v1"),
        ("[model_hash]", "0123456789"),
        ("[date]", "2024-03-09"),
        ("[datetime]", "20240309140506"),
        ("[datetime<%H-%M>]", "14-05"),
        ("[datetime<%H><No/Such>]", "14"),
        ("[job_timestamp]", "20240309140506"),
        ("[prompt]", "a_cat,_(red_1.2)_hat"),
        ("[prompt_spaces]", "a cat, (red_1.2) hat"),
        ("[prompt_no_styles]", "a cat"),
        ("[prompt_words]", "a cat red 1 2 hat"),
        ("[prompt_hash]", digest("a cat, (red:1.2) hat")[:8]),
        ("[prompt_hash<12>]", digest("a cat, (red:1.2) hat")[:12]),
        ("[negative_prompt_hash]", digest("dog")[:8]),
        ("[full_prompt_hash<4>]", digest("a cat, (red:1.2) hat dog")[:4]),
        ("[batch_number]/[batch_size]", "2/4"),
        ("[generation_number]", "6"),
        ("[clip_skip]", "2"),
        ("[denoising]", "0.75"),
        ("[hasprompt<cat|none><dog|nodog>]", "catnodog"),
        ("[user]", "ann"),
        ("[vae_filename]", "vae.pt"),
        ("[image_hash<6>]", hashlib.sha256(bytes(12)).hexdigest()[:6]),
        ("[basename]", "img"),
        ("x[none]y", "y"),
        ("[unknown]-[SEED]", "[unknown]-7"),
        ("[seed", "[seed"),
        ("", ""),
    ],
)
def test_words(pattern, expected):
    assert fill_pattern(pattern, CONTEXT) == expected


def test_time_zones():
    try:
        ZoneInfo("Asia/Tokyo")
    except ZoneInfoNotFoundError:
        pytest.skip("this machine has no time zone data")
    assert fill_pattern("[datetime<%H-%M><Asia/Tokyo>]", CONTEXT) == "23-05"


def test_nothing_to_say():
    empty = NameContext(batch_number=1, generation_number=1)
    assert fill_pattern("[seed][cfg][denoising][user][image_hash]", empty) == ""
    assert fill_pattern("a-[batch_number]-b[generation_number]c", empty) == "c"
    assert fill_pattern("[vae_filename] [styles] [prompt_words]", empty) == "None None empty"


def test_stems():
    assert file_stem("[seed]", CONTEXT, number=12) == "00012-7"
    assert file_stem("[none]", CONTEXT, number=12) == "00012"
    assert file_stem("[seed]", CONTEXT, number=123456, suffix="-before-highres-fix") == "123456-7-before-highres-fix"
    assert file_stem("", NameContext()) == "picture"
    assert file_stem("CON", CONTEXT) == "_CON"
    assert file_stem(default_pattern(False), CONTEXT, number=0) == "00000-7-a cat, (red_1.2) hat"
    assert grid_stem(1) == "grid-0001"
    assert grid_stem(1, CONTEXT) == "grid-0001-7-a cat, (red_1.2) hat"


def test_long_prompts_keep_number_and_suffix():
    for prompt in ("word " * 4000, "猫" * 20000, "🐈" * 500):
        stem = file_stem("[prompt_spaces]", NameContext(prompt=prompt), number=3, suffix="-mask")
        assert stem.startswith("00003-") and stem.endswith("-mask")
        assert len(stem) <= 128 and len(stem.encode()) <= 210


def test_subfolders(tmp_path):
    assert subfolder(tmp_path, "[date]", CONTEXT) == tmp_path / "2024-03-09"
    assert subfolder(tmp_path, "[date]/[model_name]", CONTEXT) == tmp_path / "2024-03-09" / "dream_v1"
    assert subfolder(tmp_path, "", CONTEXT) == tmp_path
    assert subfolder(tmp_path, "../..//./[prompt]", NameContext(prompt="../../etc")) == tmp_path / ".._.._etc"


def test_unix_rules_keep_more():
    assert clean_part('a:b?"c"/d', rules=NameRules(unix=True)) == 'a:b?"c"_d'


patterns = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from([f"[{w}]" for w in PATTERN_WORDS]),
        st.text(max_size=9).map(lambda a: f"[datetime<{a}>]"),
    ),
    max_size=6,
).map("".join)
texts = st.text(max_size=200)


@settings(max_examples=150, deadline=None)
@given(
    pattern=patterns,
    prompt=texts,
    model=texts,
    number=st.none() | st.integers(0, 10**7),
    suffix=st.sampled_from(["", "-mask"]),
)
def test_a_name_is_always_one_usable_name(pattern, prompt, model, number, suffix):
    context = NameContext(prompt=prompt, model_name=model, user=model, seed=2**40, time=CONTEXT.time)
    stem = file_stem(pattern, context, number=number, suffix=suffix)
    assert stem and stem not in (".", "..")
    assert not set(stem) & set('/\\:*?"<>|\0\n\r\t')
    assert len(stem) <= 128 and len(stem.encode("utf-8")) <= 220
    assert stem == stem.strip(" ") and not stem.endswith(".")
    root = Path("/root/of/it")
    folder = subfolder(root, pattern, context)
    assert folder == root or root in folder.parents
    assert ".." not in folder.parts


def test_free_stem(tmp_path):
    assert free_stem(tmp_path, "a", "png") == "a"
    (tmp_path / "a.png").touch()
    (tmp_path / "a-1.png").touch()
    assert free_stem(tmp_path, "a", "png") == "a-2"
