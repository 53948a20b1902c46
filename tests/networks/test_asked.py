"""What a tag asks for: strengths, blocks, steps."""

import pytest

from atelier.base.errors import BadRequest
from atelier.networks.asked import BLOCKS, LAYOUTS, PRESETS, Curve, ask_of
from tests.networks.conftest import tags


def ask(text, hires=False):
    return ask_of(tags(text)[0], hires)


@pytest.mark.parametrize(("text", "te", "unet", "dyn"), [
    ("<lora:a>", 1, 1, None), ("<lora:a:0.5>", 0.5, 0.5, None), ("<lyco:a:0.5:0.25>", 0.5, 0.25, None),
    ("<lora:a:1:2:8>", 1, 2, 8), ("<lora:a:te=0:unet=-1.5>", 0, -1.5, None), ("<lora:a:0.5:unet=2:dyn=4>", 0.5, 2, 4),
    ("<lora:a:unet=2>", 1, 2, None), ("<hypernet:a:0.3>", 0.3, 0.3, None),
])  # fmt: skip
def test_strengths(text, te, unet, dyn):
    found = ask(text)
    assert (found.name, found.te, found.unet.first, found.dyn) == ("a", te, unet, dyn)
    assert found.unet.steady and found.ratio("IN04") == 1 and found.kind == ("hypernet" if "hyper" in text else "lora")


@pytest.mark.parametrize("text", [
    "<lora:a:high>", "<lora:a:1:nan>", "<lora:te=1>", "<lora::1>", "<lora:a:1:lbw=1,2,3>", "<lora:a:1:lbw=QUITE>",
    "<lora:a:1:start=soon>", "<lora:a:1@x>", "<lora:a:0@0,y@1>", "<lora:a:1:step=3-z>",
])  # fmt: skip
def test_what_is_no_number_is_refused(text):
    with pytest.raises(BadRequest) as caught:
        ask(text)
    assert "lora" in caught.value.message or "lbw" in caught.value.message


@pytest.mark.parametrize("count", LAYOUTS)
def test_lists_by_block(count):
    values = [round(0.01 * i, 2) for i in range(count)]
    found = ask(f"<lora:a:1:lbw={','.join(map(str, values))}>")
    for block, value in zip(LAYOUTS[count], values, strict=True):
        assert found.ratio(block) == value
    assert {name for name, _ in found.blocks} == set(BLOCKS)


def test_blocks_that_a_list_leaves_out_follow_the_one_before():
    found = ask(f"<lora:a:1:lbw={','.join(str(i) for i in range(17))}>")
    assert found.ratio("IN00") == found.ratio("IN01") == 1 and found.ratio("IN03") == found.ratio("IN02") == 2
    assert found.ratio("OUT02") == found.ratio("M00") == 7 and found.ratio("OUT03") == 8


def test_presets_and_lists_without_a_name():
    assert len({len(text.split(",")) for text in PRESETS.values()}) == 1
    named, loose = ask("<lora:a:0.5:lbw=outs>"), ask("<lora:a:0.5:OUTS>")
    assert named == loose and named.ratio("OUT11") == 1 and named.ratio("IN05") == 0 and named.te == 0.5
    plain = ask(f"<lora:a:0.5:0.25:{PRESETS['INS']}>")
    assert plain.unet.first == 0.25 and plain.ratio("IN01") == 1 and plain.ratio("OUT04") == 0


def test_a_window_of_steps():
    found = ask("<lora:a:0.8:step=3-5>").unet
    assert not found.steady and ask("<lora:a:0.8:start=3:stop=5>").unet == found
    assert [found.at(i, 10, 10) for i in range(10)] == [0, 0, 0.8, 0.8, 0.8, 0, 0, 0, 0, 0]
    assert [ask("<lora:a:1:start=2>").unet.at(i, 4, 4) for i in range(4)] == [0, 1, 1, 1]
    assert [ask("<lora:a:1:stop=0.5>").unet.at(i, 5, 5) for i in range(5)] == [1, 1, 1, 0, 0]


def test_weights_at_steps():
    found = ask("<lora:a:0@0,1@0.5,0@1>")
    assert found.te == 0
    assert [round(found.unet.at(i, 5, 5), 6) for i in range(5)] == [0, 0.5, 1, 0.5, 0]
    steps = ask("<lora:a:te=1:unet=0@5;1@6>")
    assert steps.te == 1 and [steps.unet.at(i, 8, 8) for i in range(8)] == [0, 0, 0, 0, 0, 1, 1, 1]
    late = ask("<lora:a:0.25@0.5,1@1>").unet
    assert late.at(0, 11, 11) == late.at(5, 11, 11) == 0.25 and late.at(10, 11, 11) == 1


def test_samplers_that_call_the_model_twice_a_step_see_steps():
    found = Curve(((0.0, 0.0), (1.0, 1.0)))
    assert [round(found.at(i, 6, 3), 6) for i in range(6)] == [0, 0, 0.5, 0.5, 1, 1]
    assert found.at(0, 1, 1) == 0 and Curve(((0.0, 0.7),)).at(3, 4, 20) == 0.7


def test_the_second_pass_has_its_own_strengths():
    text = "<lora:a:0.5:0.25:hr=1>"
    assert ask(text).te == 0.5 and (ask(text, True).te, ask(text, True).unet.first) == (1, 1)
    text = "<lora:a:0.5:0.25:hrunet=2>"
    assert (ask(text, True).te, ask(text, True).unet.first) == (0.5, 2) and ask(text).unet.first == 0.25
