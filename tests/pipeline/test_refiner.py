"""Several models in one run: which of them makes which step, and what happens to them."""

import pytest
import torch

from atelier.base.errors import BadRequest, Interrupted
from atelier.device.residency import Residency
from atelier.pipeline.run import generate
from tests.pipeline.test_run import StopAt, same
from tests.tiny import TinySizes, write_tiny_checkpoint

REFINED = {"refiner.enabled": True, "refiner.checkpoint": "tuned", "sampling.steps": 10, "sampling.sampler": "Euler"}


@pytest.fixture
def two(data):
    """A second checkpoint beside the first, with other weights."""
    write_tiny_checkpoint(data / "models" / "Stable-diffusion", "tuned", TinySizes(seed=9))


@pytest.fixture
def asked(services, two, monkeypatch):
    """Which model each call went to, with its timestep, in order: ("tiny", 999.0), ..."""
    calls = []
    model = type(services.library.open())
    original = model.call_denoiser

    def call(self, inputs):
        calls.append((self.file.stem, float(inputs.t.max())))
        return original(self, inputs)

    monkeypatch.setattr(model, "call_denoiser", call)
    return calls


def stems(calls):
    return [stem for stem, _ in calls]


def test_a_checkpoint_of_one_request_does_not_stay(make, two):
    first = make()
    other = make(overrides={"sd_model_checkpoint": "tuned"})
    assert "Model: tuned" in other.pictures[0].infotext and not same(other.images[0], first.images[0])
    assert same(make().images[0], first.images[0])


def test_the_refiner_makes_the_steps_after_the_switch(make, asked, services):
    result = make(**REFINED, **{"refiner.switch_at": 0.6})
    # Ten uniform steps from timestep 999 to 0: a share of 0.6 is passed at 399 of 1000.
    assert len(asked) == 10
    for stem, t in asked:
        assert stem == ("tuned" if (999 - t) / 1000 >= 0.6 else "tiny")
    assert stems(asked).count("tuned") == 4
    text = result.pictures[0].infotext
    assert "Refiner: tuned [" in text and "Refiner switch at: 0.6" in text and "Model: tiny" in text
    # The first model is the current one again, and the limit counts again.
    assert services.library.current.file.stem == "tiny" and len(services.library.open_models) == 1


def test_the_picture_is_neither_models_own(make, two):
    refined = make(**REFINED, **{"refiner.switch_at": 0.5}).images[0]
    alone = make(**{**REFINED, "refiner.enabled": False}).images[0]
    other = make(**{**REFINED, "refiner.switch_at": None}).images[0]
    second = make(**{**REFINED, "refiner.enabled": False, "overrides": {"sd_model_checkpoint": "tuned"}}).images[0]
    assert not same(refined, alone) and not same(refined, second)
    # Without a switch point the refiner does it all.
    assert same(other, second)


def test_by_steps_the_share_of_calls_counts(make, asked):
    make(**REFINED, **{"refiner.switch_at": 0.3, "overrides": {"refiner_switch_by_sample_steps": True}})
    assert stems(asked) == ["tiny"] * 3 + ["tuned"] * 7


@pytest.mark.parametrize("sampler", ("DDIM", "UniPC", "DPM++ 2M SDE"))
def test_every_kind_of_sampler_switches(make, asked, sampler):
    result = make(**{**REFINED, "sampling.sampler": sampler, "refiner.switch_at": 0.5})
    assert set(stems(asked)) == {"tiny", "tuned"} and stems(asked) == sorted(stems(asked))
    assert result.state == "done"


@pytest.mark.parametrize(
    ("which", "first", "second"),
    [("second pass", False, True), ("first pass", True, False), ("both passes", True, True)],
)
def test_with_hires_fix_a_setting_says_in_which_pass(make, asked, which, first, second):
    result = make(**{
        **REFINED, "sampling.steps": 4, "hires.enabled": True, "hires.scale": 1.5, "hires.denoising_strength": 0.9,
        "refiner.switch_at": 0.5, "overrides": {"hires_fix_refiner_pass": which},
    })  # fmt: skip
    assert ("tuned" in stems(asked[:4])) is first and ("tuned" in stems(asked[4:])) is second
    # Every pass begins with its own model.
    assert stems(asked)[0] == "tiny" and stems(asked)[4] == "tiny"
    assert ("Hires refiner" in result.pictures[0].infotext) is (which != "second pass")


def test_a_refiner_that_is_the_hires_checkpoint_too_acts_in_the_first_pass_only(make, asked):
    both = {
        **REFINED, "sampling.steps": 4, "hires.enabled": True, "hires.scale": 1.5, "hires.checkpoint": "tuned",
        "refiner.switch_at": 0.5,
    }  # fmt: skip
    text = make(**both, **{"overrides": {"hires_fix_refiner_pass": "both passes"}}).pictures[0].infotext
    assert stems(asked) == ["tiny"] * 2 + ["tuned"] * 6
    assert "Refiner: tuned [" in text and "Hires checkpoint: tuned [" in text
    assert "Refiner" not in make(**both).pictures[0].infotext


def test_each_batch_begins_with_the_first_model(make, asked):
    make(**{**REFINED, "sampling.steps": 4, "batch.count": 2, "refiner.switch_at": 0.5})
    half = len(asked) // 2
    assert stems(asked)[:half] == stems(asked)[half:] and stems(asked)[half] == "tiny"


def test_the_models_take_turns_on_the_device(make, two, services, monkeypatch):
    held = []
    original = Residency.lease

    def lease(self, *modules, working=0):
        held.append(modules)
        return original(self, *modules, working=working)

    monkeypatch.setattr(Residency, "lease", lease)
    make(**{**REFINED, "sampling.steps": 4, "refiner.switch_at": 0.5})
    unets = [m for m, *_ in held if type(m).__name__ == "UNet2DConditionModel"]
    assert len(unets) == 2 and unets[0] is not unets[1]
    assert not any(entry.holds for entry in services.residency._ledger.values())


def test_a_stop_after_the_switch_shows_what_is_there(make, asked):
    result = make(token=StopAt("stop", 8), **REFINED, **{"refiner.switch_at": 0.5})
    assert result.state == "stopped" and stems(asked)[-1] == "tuned" and len(result.images) == 1
    asked.clear()
    again = make(**{**REFINED, "sampling.steps": 2})
    assert again.state == "done" and stems(asked)[0] == "tiny"


def test_a_missing_file_is_refused_before_anything_is_made(make, asked, data):
    with pytest.raises(BadRequest) as error:
        make(**{**REFINED, "refiner.checkpoint": "nowhere"})
    assert error.value.field == "refiner.checkpoint" and asked == [] and not (data / "outputs").exists()
    assert make(**{"sampling.steps": 1}).images


def test_latents_of_another_kind_are_refused(make, data):
    write_tiny_checkpoint(data / "models" / "Stable-diffusion", "unlike", TinySizes(extra={"scale_factor": 0.5}))
    with pytest.raises(BadRequest) as error:
        make(**{**REFINED, "refiner.checkpoint": "unlike"})
    assert error.value.field == "refiner.checkpoint"
    hires = {"hires.enabled": True, "hires.scale": 1.5, "hires.checkpoint": "unlike", "hires.steps": 1}
    with pytest.raises(BadRequest) as error:
        make(**hires)
    assert error.value.field == "hires.checkpoint" and "upscaler" in error.value.remedy
    assert make(**hires, **{"hires.upscaler": "Lanczos"}).images[0].size == (96, 96)


def test_a_hires_checkpoint_makes_the_second_pass(make, asked, services):
    result = make(**{
        "hires.enabled": True, "hires.scale": 1.5, "hires.checkpoint": "tuned", "hires.steps": 2, "sampling.steps": 3,
    })  # fmt: skip
    assert stems(asked) == ["tiny"] * 3 + ["tuned"] * 2
    text = result.pictures[0].infotext
    assert "Hires checkpoint: tuned [" in text and "Refiner" not in text
    assert services.library.current.file.stem == "tiny"


def test_a_nested_run_may_have_a_refiner_too(services, settings, two):
    from atelier.params.request import GenerationRequest

    request = GenerationRequest().with_values(**{**REFINED, "size.width": 64, "size.height": 64, "sampling.steps": 2})
    with services.library.holding(3):
        result = generate(request, services, settings=settings.snapshot(), nested=True)
    assert result.images and len(services.library.open_models) == 1


def test_a_network_in_half_precision_that_gives_nan_is_used_with_more_digits(make, services, monkeypatch):
    model = services.library.open()
    model.denoiser.to(torch.bfloat16)
    model.unet_dtype = torch.bfloat16
    kind = type(model)
    original = kind.call_denoiser
    calls = []

    def call(self, inputs):
        calls.append(self.unet_dtype)
        output = original(self, inputs)
        return output * float("nan") if self.unet_dtype != torch.float32 and len(calls) > 1 else output

    monkeypatch.setattr(kind, "call_denoiser", call)
    result = make(**{"sampling.sampler": "Euler a"})
    assert calls == [torch.bfloat16] * 2 + [torch.float32] * 3
    assert any("float32" in comment for comment in result.comments)
    # The pass was walked again with the same noise.
    calls.clear()
    assert same(result.images[0], make(**{"sampling.sampler": "Euler a"}).images[0])


def test_after_nan_of_a_half_refiner_the_pass_begins_with_the_first_model(make, two, services, monkeypatch):
    with services.library.holding(2):
        refiner = services.library.open("tuned")
        services.library.open("tiny")
        refiner.denoiser.to(torch.bfloat16)
        refiner.unet_dtype = torch.bfloat16
        kind, calls = type(refiner), []
        original = kind.call_denoiser

        def call(self, inputs):
            calls.append((self.file.stem, self.unet_dtype))
            output = original(self, inputs)
            return output * float("nan") if self.unet_dtype != torch.float32 else output

        monkeypatch.setattr(kind, "call_denoiser", call)
        make(**{**REFINED, "sampling.steps": 4, "refiner.switch_at": 0.5})
    names = [stem for stem, _ in calls]
    assert names == ["tiny", "tiny", "tuned", "tiny", "tiny", "tuned", "tuned"] and calls[2][1] == torch.bfloat16


def test_a_cancel_in_the_middle_discards(make, two):
    with pytest.raises(Interrupted):
        make(token=StopAt("cancel", 8), **REFINED, **{"refiner.switch_at": 0.5})
