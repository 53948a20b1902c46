"""Guidance methods and token merging through whole runs: they act, are told, come back from the text, and leave."""

import numpy as np
import pytest
import torch

from atelier.base.errors import AtelierError, BadRequest
from atelier.base.refs import ImageRef
from atelier.device.recovery import Ladder
from atelier.device.residency import Residency
from atelier.params.flat import request_from_flat, request_to_flat
from atelier.params.guidance import MASTERS, SWITCHES, GuidanceMethods
from atelier.params.infotext import parse_infotext, paste, request_from_infotext
from atelier.params.request import GenerationRequest
from atelier.params.schema import request_from_json, request_to_json
from atelier.params.sweep import find_axis
from tests.pipeline.test_memory import movers as movers
from tests.tiny import TinySizes, write_tiny_checkpoint

#: method -> values that differ from the defaults, and a key that the text must hold
METHODS = {
    "rescale": ({"rescale": 0.7}, "CFG Rescale: 0.7"),
    "pag": ({"pag_scale": 3.0, "layers": "mid,up.1", "end": 0.8}, "PAG layers: \"mid,up.1\""),
    "seg": ({"seg_scale": 12.5, "seg_sigma": 1.5, "layers": "up.2,up.1"}, "SEG blur sigma: 1.5"),
    "sag": ({"sag_scale": 0.75, "sag_threshold": 0.9}, "SAG Guidance Scale: 0.75"),
    "freeu": ({"freeu": True, "freeu_version": 1, "freeu_b2": 1.6}, "freeu_b2: 1.6"),
    "apg": ({"apg": True, "apg_eta": 0.2}, "APG eta: 0.2"),
    "threshold": ({"threshold": True, "mimic_scale": 3.0, "cfg_mode": "Linear Down", "cfg_min": 2.0},
                  "CFG scale minimum: 2.0"),
}  # fmt: skip


def pixels(result):
    return np.asarray(result.images[0])


def paths(values):
    return {f"guidance.{name}": value for name, value in values.items()}


@pytest.fixture
def plain(make):
    return pixels(make())


@pytest.mark.parametrize("method", METHODS)
def test_a_method_acts_is_told_comes_back_and_leaves_no_trace(method, make, plain):
    values, key = METHODS[method]
    result = make(**paths(values))
    assert not np.array_equal(pixels(result), plain)
    text = result.pictures[0].infotext
    assert key in text
    back = request_from_infotext(text, GenerationRequest())
    assert back.guidance == GuidanceMethods(**values)
    assert np.array_equal(pixels(make()), plain)


def test_methods_that_are_off_leave_the_very_bits(make, plain):
    off = {name: 0 for name in SWITCHES}
    result = make(**paths({**off, "layers": "nonsense", "mimic_scale": 3.0, "freeu_b1": 9.0}))
    assert np.array_equal(pixels(result), plain)
    text = result.pictures[0].infotext
    assert not any(word in text for word in ("PAG", "SAG", "SEG", "APG", "freeu", "Rescale", "Mimic", "Attention"))


def test_all_at_once_in_a_batch_and_in_both_passes(make):
    values = paths({name: value for given, _ in METHODS.values() for name, value in given.items()})
    both = make(**values, **{"batch.size": 2, "hires.enabled": True, "hires.scale": 1.5, "hires.steps": 2,
                             "hires.upscaler": "Latent"})  # fmt: skip
    assert len(both.images) >= 2 and both.images[-1].size == (96, 96)
    single = make(**values, **{"seed.seed": 8, "hires.enabled": True, "hires.scale": 1.5, "hires.steps": 2,
                               "hires.upscaler": "Latent"})  # fmt: skip
    difference = np.abs(np.asarray(both.images[-1]).astype(int) - pixels(single).astype(int))
    assert difference.max() <= 2


def test_without_a_negative_every_method_still_works(make, settings):
    settings.update({"skip_early_cond": 1.0})
    for values, _ in METHODS.values():
        assert make(**paths(values)).state == "done"


def test_layers_that_the_model_has_not_are_named(make):
    with pytest.raises(BadRequest, match="guidance.layers"):
        make(**paths({"pag_scale": 3.0, "layers": "down.9"}))
    with pytest.raises(BadRequest, match="guidance.pag_scale"):
        make(**paths({"pag_scale": float("nan")}))


def test_the_text_of_a_plain_picture_switches_methods_off(make):
    text = make().pictures[0].infotext
    base = GenerationRequest().with_values(**paths({"pag_scale": 3.0, "freeu": True}))
    assert request_from_infotext(text, base).guidance == GuidanceMethods(**{"pag_scale": 0, "freeu": False})


def test_texts_of_other_programs():
    text = ("x\nSteps: 1, Sampler: Euler, Seed: 1, Dynamic thresholding enabled: True, Mimic scale: 5, "
            "Threshold percentile: 99.5, CFG Rescale φ: 0.6, PAG Scale: 2")  # fmt: skip
    found = paste(parse_infotext(text), GenerationRequest()).request.guidance
    assert (found.threshold, found.mimic_scale, found.percentile) == (True, 5.0, 99.5)
    assert (found.rescale, found.pag_scale) == (0.6, 2.0)


def test_fields_of_the_api_and_axes_of_grids():
    body = {"pag_scale": 3, "freeu_enabled": True, "freeu_b1": 1.2, "dynthres_enabled": True, "apg_enabled": True}
    for kind, extra in (("txt2img", {}), ("img2img", {"init_images": ["x"]})):
        request = request_from_flat({**body, **extra}, kind, store=lambda name, text: _picture())
        assert request.guidance.pag_scale == 3 and request.guidance.freeu and request.guidance.freeu_b1 == 1.2
        flat = request_to_flat(request)
        assert flat["dynthres_enabled"] is True and flat["apg_enabled"] is True
        assert request_from_json(request_to_json(request)).guidance == request.guidance
        assert find_axis("PAG scale", kind).target == "guidance.pag_scale"
        assert find_axis("Mimic Scale Scheduler", kind).choices[0] == "Constant"
    with pytest.raises(BadRequest, match="dynthres_mimic_mode"):
        request_from_flat({"dynthres_mimic_mode": "Sideways"}, "txt2img")


def _picture():
    return ImageRef("0" * 64, 8, 8, "image/png")


def test_every_value_belongs_to_a_method():
    shared = {"layers", "start", "end", "mimic_min", "cfg_min", "mode_value"}
    declared = {d.name for d in GuidanceMethods.part_declarations}
    assert declared == {*SWITCHES, *MASTERS, *shared}


def test_token_merging_acts_is_told_and_leaves(make, settings, plain):
    settings.update({"token_merging_ratio": 0.5})
    merged = make()
    assert not np.array_equal(pixels(merged), plain) and "Token merging ratio: 0.5" in merged.pictures[0].infotext
    hires = {"hires.enabled": True, "hires.scale": 1.5, "hires.steps": 2, "hires.upscaler": "Latent"}
    assert "Token merging ratio hr: 0.5" in make(**hires).pictures[0].infotext
    settings.update({"token_merging_ratio_hr": 0.3})
    other = make(**hires).pictures[0].infotext
    assert "Token merging ratio: 0.5, Token merging ratio hr: 0.3" in other
    settings.update({"token_merging_ratio": 0.0})
    text = make().pictures[0].infotext
    assert np.array_equal(pixels(make()), plain) and "Token merging" not in text


@pytest.mark.parametrize("setting", [{"sd_noise_schedule": "Zero Terminal SNR"}, {"use_downcasted_alpha_bar": True}])
def test_settings_about_noise_levels_reach_the_sampler(setting, make, settings, plain):
    settings.update(setting)
    result = make()
    assert not np.array_equal(pixels(result), plain)
    label = "Noise Schedule: Zero Terminal SNR" if "sd_noise_schedule" in setting else "Downcast alphas_cumprod: True"
    assert label in result.pictures[0].infotext


def test_joint_noise_of_sde_samplers_is_a_setting(make, settings):
    usual = pixels(make(**{"sampling.sampler": "DPM++ SDE"}))
    settings.update({"no_dpmpp_sde_batch_determinism": True})
    assert not np.array_equal(pixels(make(**{"sampling.sampler": "DPM++ SDE"})), usual)


def test_a_refiner_is_guided_by_its_own_layers(make, data):
    """From the first call the other model does it all, so its picture is the one that it makes alone."""
    write_tiny_checkpoint(data / "models" / "Stable-diffusion", "tuned", TinySizes(seed=9))
    values = paths({"pag_scale": 3.0, "sag_scale": 0.75, "freeu": True, "rescale": 0.5})
    refined = make(**values, **{"refiner.enabled": True, "refiner.checkpoint": "tuned", "refiner.switch_at": None})
    alone = make(**values, overrides={"sd_model_checkpoint": "tuned"})
    assert np.array_equal(pixels(refined), pixels(alone))
    # And neither network keeps anything.
    plain = make(overrides={"sd_model_checkpoint": "tuned"})
    assert not np.array_equal(pixels(plain), pixels(alone))


def limits(declaration):
    """The values at which a declared value ends."""
    low, high = declaration.param.limits
    return [value for value in (low, high) if value is not None]


@pytest.mark.parametrize("end", [0, -1])
def test_values_at_their_limits_give_a_picture_or_a_clear_failure(end, make):
    on = {"rescale": 0.5, "pag_scale": 3.0, "seg_scale": 3.0, "sag_scale": 1.0, "freeu": True, "apg": True,
          "threshold": True}  # fmt: skip
    extreme = {d.name: limits(d)[end] for d in GuidanceMethods.part_declarations if d.kind == "float"}
    for names in (set(extreme) - set(on), {"pag_scale", "seg_scale"}, {"sag_scale"}, {"rescale"}):
        values = {**on, **{name: extreme[name] for name in names}}
        try:
            assert make(**paths(values), **{"sampling.steps": 2}).state == "done"
        except AtelierError as error:
            assert error.remedy


def test_a_network_that_is_streamed_is_guided_in_the_same_way(make, movers, services, settings):
    settings.update({"token_merging_ratio": 0.4})
    values = paths({"pag_scale": 3.0, "seg_scale": 3.0, "sag_scale": 1.0, "freeu": True, "layers": "mid,up.2"})
    streamed = make(**values)
    assert all(mover.copies > 10 for mover in movers)
    services.residency = Residency(torch.device("cpu"))
    services.ladder = Ladder(services.residency)
    assert np.array_equal(pixels(streamed), pixels(make(**values)))
