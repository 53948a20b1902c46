"""Networks in whole runs: what tags do to pictures and infotext."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from atelier.base.cancel import CancelToken
from atelier.base.errors import Interrupted
from atelier.pipeline import run as run_module
from tests.networks.conftest import changed, plain_lora, random, states, tags
from tests.tiny import write_tiny_embedding


def pixels(result):
    return np.asarray(result.images[-1]).astype(int)


@pytest.fixture
def model(services):
    return services.library.open()


@pytest.fixture
def write(data, model):
    def put(name, size=1.0, metadata=None, **more):
        folder = data / "models" / "Lora"
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {key: t * size if "up" in key else t for key, t in plain_lora(model, seed=len(name)).items()}
        path = folder / f"{name}.safetensors"
        save_file({**tensors, **more}, str(path), metadata)
        return path

    return put


def hash_of(services, name):
    return services.shelf.networks.short_hash(services.shelf.networks.find_lora(name))


def test_a_tag_changes_the_picture_and_leaves_nothing_behind(make, services, model, write):
    write("style", 30)
    before = states(model)
    plain, styled = make(), make(**{"prompt.positive": "a cat<lora:style:1>"})
    assert np.abs(pixels(plain) - pixels(styled)).max() > 0 and styled.comments == ()
    again = make()
    assert np.array_equal(pixels(plain), pixels(again)) and changed(before, states(model)) == set()


def test_the_text_encoder_alone_changes_the_picture_though_encodings_are_cached(make, write):
    write("style", 30)
    plain, styled = make(), make(**{"prompt.positive": "a cat<lora:style:1:0>"})
    assert np.abs(pixels(plain) - pixels(styled)).max() > 0
    assert np.array_equal(pixels(make()), pixels(plain))


def test_hashes_and_tags_stand_in_the_infotext(make, services, write):
    write("style")
    write("x, or y", metadata={"ss_output_name": "both", "sshs_model_hash": "0123456789abcdef"})
    text = make(**{"prompt.positive": "a cat <lora:style:0.5> <lora:both>"}).pictures[0].infotext
    assert text.startswith("a cat <lora:style:0.5> <lora:both>\n")
    assert f'Lora hashes: "style: {hash_of(services, "style")}, both: 0123456789ab"' in text
    named = make(**{"prompt.positive": "<lora:x, or y>"})
    assert "Lora hashes: " in named.pictures[0].infotext and "x or y: 0123456789ab" in named.pictures[0].infotext
    assert "Lora hashes" not in make().pictures[0].infotext


def test_hashes_are_left_out_when_not_wanted(make, write):
    write("style")
    result = make(**{"prompt.positive": "<lora:style>", "overrides": {"lora_add_hashes_to_infotext": False}})
    assert "Lora hashes" not in result.pictures[0].infotext


def test_unknown_networks_are_told_and_the_picture_still_comes(make, model, write):
    write("xl", metadata={"ss_base_model_version": "sdxl_base_v1-0"})
    plain = make()
    result = make(**{"prompt.positive": "a cat<lora:nowhere:1><lora:xl><other:word>", "batch.count": 2})
    assert len(result.comments) == 2 and "'nowhere'" in result.comments[0] and "sdxl" in result.comments[1]
    assert np.array_equal(np.asarray(result.images[1]), np.asarray(plain.images[0]))
    assert "Lora hashes" not in result.pictures[1].infotext


def test_networks_can_be_switched_off_for_a_request(make, write):
    write("style", 30)
    off = make(**{"prompt.positive": "a cat<lora:style>", "extras": {"a1111": {"disable_extra_networks": True}}})
    assert np.array_equal(pixels(off), pixels(make())) and off.comments == ()


def test_the_settings_add_a_network_to_every_prompt(make, write):
    write("style", 30)
    added = {"sd_lora": "style", "extra_networks_default_multiplier": 0.5}
    result = make(**{"overrides": added})
    assert result.pictures[0].infotext.startswith("a cat<lora:style:0.5>\n")
    assert np.array_equal(pixels(result), pixels(make(**{"prompt.positive": "a cat<lora:style:0.5>"})))
    once = make(**{"prompt.positive": "a cat<lora:style:1>", "overrides": added})
    assert once.pictures[0].infotext.count("<lora:") == 1


def test_the_second_pass_has_its_own_networks(make, services, write):
    write("one", 30)
    write("three", 30)
    hires = {"hires.enabled": True, "hires.scale": 1.5, "hires.denoising_strength": 0.7, "hires.upscaler": "Latent"}
    seen = []
    real = services.networks.apply

    def told(model, asked, hires, spare):
        seen.append(([tag.positional[0] for tag in asked], hires))
        return real(model, asked, hires, spare)

    services.networks.apply = told
    both = make(**{"prompt.positive": "a cat<lora:one>", "hires.prompt": "a cat<lora:three>", **hires})
    assert seen == [(["one"], False), (["three"], True)]
    text = both.pictures[0].infotext
    assert f"one: {hash_of(services, 'one')}, three: {hash_of(services, 'three')}" in text
    same = make(**{"prompt.positive": "a cat<lora:one>", **hires})
    assert seen[2:] == [(["one"], False), (["one"], True)]
    assert np.abs(pixels(both) - pixels(same)).max() > 0


def test_strengths_over_time_reach_the_sampler(make, write):
    write("style", 1000)
    steps = {"sampling.steps": 4, "sampling.sampler": "Heun"}
    plain, styled = make(**steps), make(**{"prompt.positive": "a cat<lora:style:0:1>", **steps})
    timed = [
        make(**{"prompt.positive": f"a cat<lora:style:te=0:unet={curve}>", **steps})
        for curve in ("1@0", "0@0,0@1", "0@0,1@1")
    ]
    far = np.abs(pixels(styled) - pixels(plain)).max()
    assert far > 5 and np.abs(pixels(timed[0]) - pixels(styled)).max() <= 1
    assert np.array_equal(pixels(timed[1]), pixels(plain))
    assert np.abs(pixels(timed[2]) - pixels(styled)).max() > 1 and not np.array_equal(pixels(timed[2]), pixels(plain))
    windows = [
        make(**{"prompt.positive": f"a cat<lora:style:0:1:{window}>", **steps})
        for window in ("start=5", "start=1", "start=3")
    ]
    assert np.array_equal(pixels(windows[0]), pixels(plain))
    assert np.abs(pixels(windows[1]) - pixels(styled)).max() <= 1
    assert np.abs(pixels(windows[2]) - pixels(styled)).max() > 1


def test_a_failure_takes_the_networks_off_but_a_stop_does_not(make, services, model, write, monkeypatch):
    write("style", 30)
    before = states(model)

    def fails(*args):
        raise ValueError("boom")

    with monkeypatch.context() as patched:
        patched.setattr(run_module, "sample_pass", fails)
        with pytest.raises(ValueError, match="boom"):
            make(**{"prompt.positive": "a cat<lora:style>"})
    assert changed(before, states(model)) == set()
    token = CancelToken()
    with monkeypatch.context() as patched:
        patched.setattr(run_module, "sample_pass", lambda current: token.request("cancel") or token.check())
        with pytest.raises(Interrupted):
            make(token=token, **{"prompt.positive": "a cat<lora:style>"})
    assert changed(before, states(model)) != set()
    services.networks.restore(model)
    assert changed(before, states(model)) == set()


def test_a_nested_run_gives_back_what_its_parent_had(make, services, settings, model, write):
    write("style", 30)
    write("inner", 30)
    plain = make(**{"prompt.positive": "a cat<lora:style>"})
    inside = states(model)

    from atelier.params.request import GenerationRequest

    small = {"size.width": 64, "size.height": 64, "sampling.steps": 1, "output.save_images": False}
    request = GenerationRequest().with_values(**small, **{"prompt.positive": "<lora:inner>", "output.tiling": True})
    run_module.generate(request, services, settings=settings.snapshot(), nested=True)
    assert changed(inside, states(model)) == set()
    assert [t.positional[0] for t in services.networks.tags_of(model)[0]] == ["style"]
    assert np.array_equal(pixels(make(**{"prompt.positive": "a cat<lora:style>"})), pixels(plain))


def test_embeddings_stand_in_the_infotext_when_they_are_named(make, services, model, data, write):
    write_tiny_embedding(data / "embeddings", "tiny-style")
    services.shelf.scan()
    short = services.shelf.embeddings(model).loaded["tiny-style"].short
    used = make(**{"prompt.positive": "a cat, tiny-style", "prompt.negative": "tiny-style"}).pictures[0].infotext
    assert f'TI hashes: "tiny-style: {short}"' in used
    # Also when the encoding comes out of the cache.
    again = make(**{"prompt.positive": "a cat, tiny-style", "prompt.negative": "tiny-style"}).pictures[0].infotext
    assert f'TI hashes: "tiny-style: {short}"' in again
    assert "TI hashes" not in make(**{"prompt.positive": "a tiny-stylescape"}).pictures[0].infotext
    off = make(**{"prompt.positive": "tiny-style", "overrides": {"textual_inversion_add_hashes_to_infotext": False}})
    assert "TI hashes" not in off.pictures[0].infotext


def test_embeddings_that_come_with_a_network(make, services, write):
    path = write("world", **{"bundle_emb.zzhero.emb_params": random(2, 16, size=1.0)})
    named = {"prompt.positive": "zzhero<lora:world:0:0>"}
    without, bundled = make(**{"prompt.positive": "zzhero"}), make(**named)
    assert np.abs(pixels(without) - pixels(bundled)).max() > 0
    assert f'TI hashes: "zzhero: {hash_of(services, path.stem)}"' in bundled.pictures[0].infotext
    off = make(**{**named, "overrides": {"lora_bundled_ti_to_infotext": False}})
    assert "TI hashes" not in off.pictures[0].infotext


def test_hypernetworks_in_a_run(make, services, settings, data):
    folder = data / "models" / "hypernetworks"
    folder.mkdir(parents=True)
    layer = {"linear.0.weight": random(16, 16, size=30.0), "linear.0.bias": random(16, size=30.0)}
    torch.save({16: (layer, layer)}, folder / "face.pt")
    plain = make()
    refused = make(**{"prompt.positive": "a cat<hypernet:face:1>"})
    assert np.array_equal(pixels(refused), pixels(plain)) and "pickle" in refused.comments[0]
    services.shelf.allow_pickle = True
    changed_ = make(**{"prompt.positive": "a cat<hypernet:face:1>"})
    assert np.abs(pixels(changed_) - pixels(plain)).max() > 0 and changed_.comments == ()
    assert np.array_equal(pixels(make()), pixels(plain))


def test_each_batch_follows_its_own_first_prompt(services, settings, write, model):
    write("style", 30)
    applied = []
    real = services.networks.apply

    def told(model, asked, hires, spare):
        applied.append([tag.kind for tag in asked])
        return real(model, asked, hires, spare)

    services.networks.apply = told
    from atelier.params.request import GenerationRequest
    from atelier.pipeline.relay import NoHooks

    class Hooks(NoHooks):
        def amend_plan(self, *, run, draft):
            draft.prompts[:] = ["a cat<lora:style>", "a cat", "a cat", "a cat<lora:style>"]

    services.hooks = Hooks()
    request = GenerationRequest().with_values(**{
        "size.width": 64, "size.height": 64, "sampling.steps": 1, "batch.size": 2, "batch.count": 2, "seed.seed": 1,
        "output.save_images": False,
    })  # fmt: skip
    result = run_module.generate(request, services, settings=settings.snapshot())
    assert applied == [["lora"], []]
    texts = [p.infotext for p in result.pictures if p.role == "picture"]
    assert ["Lora hashes" in text for text in texts] == [True, True, False, False]
    assert json.dumps(result.info) and tags("<lora:style>")


EIGHT_BITS = {"overrides": {"fp8_storage": "Enable"}}


def test_weights_of_eight_bits_paint_nearly_the_same_and_go_when_they_are_not_wanted(make, services):
    plain = make()
    size = sum(p.nbytes for p in services.library.current.denoiser.parameters())
    stored = make(**EIGHT_BITS)
    denoiser = services.library.current.denoiser
    assert sum(p.nbytes for p in denoiser.parameters()) < 0.4 * size
    assert "FP8 weight: Enable" in stored.pictures[0].infotext
    apart = np.abs(pixels(plain) - pixels(stored))
    assert 0 < apart.mean() < 8
    assert make(**EIGHT_BITS) and services.library.current.denoiser is denoiser, "not read again"
    back = make(**{"overrides": {"fp8_storage": "Enable for SDXL"}})
    assert np.array_equal(pixels(back), pixels(plain)) and "FP8 weight" not in back.pictures[0].infotext


def test_a_lora_does_the_same_to_weights_of_eight_bits(make, write):
    """It rides along at full precision, in denoiser and text encoder."""
    write("style", 30)
    styled = {"prompt.positive": "a cat<lora:style:1>"}
    change = pixels(make(**styled)) - pixels(make())
    stored = make(**styled, **EIGHT_BITS)
    assert stored.comments == ()
    rode = pixels(stored) - pixels(make(**EIGHT_BITS))
    assert np.abs(change).mean() > 1 and np.corrcoef(change.ravel(), rode.ravel())[0, 1] > 0.9
    assert np.array_equal(pixels(make(**styled, **EIGHT_BITS)), pixels(stored))
