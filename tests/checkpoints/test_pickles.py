"""Pickles: tensors are found in place, everything outside the list is refused by name, damage is typed."""

import collections
import os
import pickle
import sys
import types

import pytest
import torch

from atelier.base.errors import BadModelFile, ForbiddenPickle
from atelier.checkpoints.pickles import Shell, StoredTensor, read_pickle
from atelier.checkpoints.reader import read_header, read_object, read_state_dict


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/atelier-was-here",)


def tensors():
    return {
        "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
        "b": torch.tensor([1.5], dtype=torch.float16),
        "t": torch.arange(6, dtype=torch.int64).reshape(2, 3).t(),
        "scalar": torch.tensor(3.0),
        "bf": torch.tensor([1.0, 2.0], dtype=torch.bfloat16),
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_both_forms_of_pytorch_files(tmp_path, zipped):
    path = tmp_path / "m.ckpt"
    shared = torch.arange(10.0)
    state = collections.OrderedDict(tensors(), part=shared[2:5], parameter=torch.nn.Parameter(torch.ones(2)))
    torch.save({"state_dict": state, "epoch": 3}, path, _use_new_zipfile_serialization=zipped)
    read = read_state_dict(path, allow_pickle=True)
    assert set(read) == set(state)
    for name, value in state.items():
        assert torch.equal(read[name], value) and read[name].dtype == value.dtype
    header = read_header(path, allow_pickle=True)
    assert header.pickled and header.shape("t") == (3, 2)


def test_refused_without_the_setting(tmp_path):
    path = tmp_path / "m.ckpt"
    torch.save(tensors(), path)
    with pytest.raises(ForbiddenPickle, match="switched off") as caught:
        read_header(path)
    assert caught.value.fields["setting"] == "allow_pickle"


@pytest.mark.parametrize("zipped", [True, False])
def test_a_forbidden_class_is_named_and_not_run(tmp_path, zipped):
    path = tmp_path / "evil.ckpt"
    marker = "/tmp/atelier-was-here"
    torch.save({"state_dict": tensors(), "x": Evil()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ForbiddenPickle, match=r"system") as caught:
        read_pickle(path)
    assert caught.value.fields["forbidden"].endswith(".system")
    assert not os.path.exists(marker)


@pytest.mark.parametrize("call", [b"cbuiltins\neval\n(V1+1\ntR.", b"cbuiltins\ngetattr\n.", b"ctorch\nload\n."])
def test_bare_pickles_with_calls(tmp_path, call):
    path = tmp_path / "evil.pt"
    path.write_bytes(b"\x80\x02" + call)
    with pytest.raises(ForbiddenPickle):
        read_pickle(path)


def test_objects_of_trainers_become_shells(tmp_path, monkeypatch):
    """The oldest Stable Diffusion files carry a training callback beside the weights."""
    path = tmp_path / "old.ckpt"
    name = "pytorch_lightning.callbacks.model_checkpoint"
    kind = type("ModelCheckpoint", (), {"__module__": name})
    for index in range(3):
        part = ".".join(name.split(".")[: index + 1])
        monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
    sys.modules[name].ModelCheckpoint = kind
    instance = kind()
    instance.best = 1
    torch.save({"state_dict": tensors(), "callbacks": {kind: {"best": instance}}}, path)
    value = read_pickle(path)
    assert type(value["callbacks"][Shell]["best"]) is Shell
    assert isinstance(value["state_dict"]["a"], StoredTensor)


def test_nested_objects_keep_their_form(tmp_path):
    path = tmp_path / "hyper.pt"
    torch.save({320: ({"linear.0.weight": torch.ones(2, 2)}, {"x": torch.zeros(1)}), "name": "h", "step": 4}, path)
    value = read_object(path, allow_pickle=True)
    assert value["name"] == "h" and value["step"] == 4
    assert torch.equal(value[320][0]["linear.0.weight"], torch.ones(2, 2))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04rubbish", b"\x80\x02garbage", b"\x80\x02]q\x00."])
def test_rubbish_is_a_bad_model_file(tmp_path, content):
    path = tmp_path / "m.ckpt"
    path.write_bytes(content)
    with pytest.raises(BadModelFile):
        read_pickle(path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("keep", [0.3, 0.7, 0.95])
def test_cut_files(tmp_path, zipped, keep):
    path = tmp_path / "m.ckpt"
    torch.save({"state_dict": {"a": torch.zeros(100, 100)}}, path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(BadModelFile):
        read_pickle(path)


def test_a_tensor_that_reaches_outside_its_storage(tmp_path):
    path = tmp_path / "m.ckpt"
    torch.save({"a": torch.zeros(4)}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    # Shape (4,) becomes (9,): the storage still holds 4.
    assert data.count(b"K\x04\x85") == 1
    path.write_bytes(data.replace(b"K\x04\x85", b"K\x09\x85"))
    with pytest.raises(BadModelFile, match="ValueError"):
        read_pickle(path)


def test_plain_pickle_that_is_no_model(tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(BadModelFile, match="not a PyTorch file"):
        read_pickle(path)
