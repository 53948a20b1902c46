"""Weights are recognised by names and shapes alone, in every naming, and give what the reference gives."""

import sys

import pytest
import torch
from safetensors.torch import save_file

from atelier.base.errors import BadModelFile, ForbiddenPickle, UnknownModel
from atelier.tools.architectures import _without_torchvision, has_spandrel, open_network
from atelier.tools.compact import Compact, compact
from atelier.tools.rrdb import rrdb
from tests.tools.networks import old_names, small_rrdb, write_rrdb

PICTURE = torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("ups", "fold", "scale"), [(0, 1, 1), (1, 1, 2), (2, 1, 4), (3, 1, 8), (2, 2, 2), (2, 4, 1)])
def test_the_shape_tells_the_scale(ups, fold, scale):
    network = small_rrdb(ups, fold)
    opened = rrdb(network.state_dict())
    assert (opened.scale, opened.multiple, opened.kind) == (scale, fold, "ESRGAN")
    assert torch.equal(opened.run(PICTURE), network(PICTURE))
    assert opened.run(PICTURE).shape[-2:] == (12 * scale, 16 * scale)


@pytest.mark.parametrize("ups", [0, 1, 2])
def test_names_of_the_first_release(ups):
    network = small_rrdb(ups, blocks=2)
    opened = rrdb(old_names(network.state_dict(), 2, ups))
    assert opened.scale == 2**ups
    assert torch.equal(opened.run(PICTURE), network(PICTURE))


def test_names_of_bsrgan():
    network = small_rrdb(2)
    names = {"body.0.rdb": "RRDB_trunk.0.RDB", "conv_body": "trunk_conv", "conv_up": "upconv", "conv_hr": "HRconv"}
    state = {}
    for name, tensor in network.state_dict().items():
        old = next((n for n in names if name.startswith(n)), "")
        state[names.get(old, "") + name[len(old) :]] = tensor
    assert torch.equal(rrdb(state).run(PICTURE), network(PICTURE))


@pytest.mark.parametrize("prelu", [True, False])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_compact(scale, prelu):
    network = Compact(3, 8, 4, scale, prelu).eval()
    opened = compact(network.state_dict())
    assert (opened.scale, opened.kind) == (scale, "Compact")
    assert torch.equal(opened.run(PICTURE), network(PICTURE))


@pytest.mark.skipif(not has_spandrel(), reason="spandrel is not installed")
def test_spandrel_agrees_and_needs_no_torchvision():
    with _without_torchvision():
        import spandrel
        from spandrel.architectures.SwinIR import SwinIR

    assert not any(name.startswith("torchvision") for name in sys.modules)
    network = small_rrdb(2, growth=32)
    theirs = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(network.state_dict()))
    assert torch.equal(theirs(PICTURE), network(PICTURE).clamp(0, 1))
    assert theirs.scale == rrdb(network.state_dict()).scale
    assert SwinIR is not None


@pytest.mark.skipif(not has_spandrel(), reason="spandrel is not installed")
def test_an_architecture_of_spandrel_opens(tmp_path):
    with _without_torchvision():
        from spandrel.architectures.SPAN import SPAN

    torch.manual_seed(0)
    network = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2).eval()
    path = tmp_path / "2x.safetensors"
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)
    opened = open_network(path)
    assert (opened.kind, opened.scale) == ("SPAN", 2)
    assert opened.run(PICTURE).shape == (1, 3, 24, 32)


def test_refusals_name_file_and_remedy(tmp_path):
    strange = tmp_path / "strange.safetensors"
    save_file({"a.weight": torch.zeros(2)}, strange)
    with pytest.raises(UnknownModel, match="strange.safetensors"):
        open_network(strange)
    cut = write_rrdb(tmp_path)
    cut.write_bytes(cut.read_bytes()[:-100])
    with pytest.raises(BadModelFile):
        open_network(cut)
    pickled = tmp_path / "old.pth"
    torch.save(small_rrdb().state_dict(), pickled)
    with pytest.raises(ForbiddenPickle) as refused:
        open_network(pickled)
    assert refused.value.remedy
    assert open_network(pickled, allow_pickle=True).scale == 4


def test_weights_that_do_not_fit(tmp_path):
    state = dict(small_rrdb().state_dict())
    state["conv_hr.weight"] = torch.zeros(8, 9, 3, 3)
    with pytest.raises(BadModelFile, match="ESRGAN"):
        rrdb(state)
