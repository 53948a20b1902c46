"""The library: swapping, keeping what works, and files that change under it."""

import gc
import os
import weakref
from dataclasses import replace

import pytest
import torch

from atelier.base.errors import BadModelFile, NotFound, OutOfMemory, UnknownModel
from atelier.base.files import HashCache
from atelier.checkpoints.kept_vaes import KeptVaes
from atelier.checkpoints.library import Library
from atelier.checkpoints.shelf import Shelf
from tests.checkpoints.files import LORA, SDXL, write_header_only
from tests.checkpoints.test_load import inputs_for
from tests.tiny import TinySizes, write_tiny_checkpoint, write_tiny_vae


@pytest.fixture
def library(models, shelf, placement):
    write_tiny_checkpoint(models, "one", TinySizes(seed=1))
    write_tiny_checkpoint(models, "two", TinySizes(seed=2))
    return Library(shelf, placement)


def output(model):
    with torch.no_grad():
        return model.call_denoiser(inputs_for())


def test_open_swap_and_current(library):
    assert library.current is None
    one = library.open()
    assert library.current is one and one.file.name == "one.safetensors" and len(one.file.short) == 10
    assert library.open("one") is one and library.open(None) is one
    two = library.open("two")
    assert library.current is two and library.open_models == (two,)
    assert not torch.allclose(output(one), output(two))


def test_a_model_for_one_request_is_not_what_no_name_means(library):
    assert library.open("two", lasting=False).file.stem == "two"
    assert library.open().file.stem == "one"
    two = library.open("two")
    library.open("one", lasting=False)
    assert library.current.file.stem == "one" and library.open().file.stem == "two"
    library.unload()
    assert library.open().file.path == two.file.path
    library.unload()
    two.file.path.unlink()
    assert library.open().file.stem == "one"


def test_limit_of_open_models(library):
    library.limit = 2
    one, two = library.open("one"), library.open("two")
    assert library.open("one") is one and library.current is one and library.open_models == (two, one)
    library.limit = 1
    library.open("two")
    assert library.open_models == (two,)


def test_listeners_and_unload(models, shelf, placement):
    write_tiny_checkpoint(models, "one")
    write_tiny_checkpoint(models, "two")
    heard = []
    library = Library(shelf, placement, on_opened=lambda m: heard.append(("+", m.file.stem)),
                      on_closed=lambda m: heard.append(("-", m.file.stem)))  # fmt: skip
    library.open("one")
    library.open("one")
    library.open("two")
    library.unload()
    assert heard == [("+", "one"), ("-", "one"), ("+", "two"), ("-", "two")] and library.current is None


def size_of(model):
    return sum(p.nbytes for module in model.components().values() for p in module.parameters())


def test_where_memory_holds_one_the_old_model_is_closed_before_the_next_is_read(models, shelf, placement):
    write_tiny_checkpoint(models, "one")
    write_tiny_checkpoint(models, "two")
    heard, free = [], [10**12]
    library = Library(shelf, placement, on_closed=lambda m: (heard.append(m.file.stem), free.append(free.pop() + size)),
                      free_bytes=lambda: free[-1])  # fmt: skip
    size = size_of(library.open("one"))
    free[:] = [size // 2]
    assert library.open("two").file.stem == "two" and heard == ["one"]
    # Where closing would not help everything stays.
    free[:], heard[:] = [-size], []
    with pytest.raises(OutOfMemory) as caught:
        library.open("one")
    assert heard == [] and library.current.file.stem == "two"
    assert caught.value.fields["needed"] == size and "--precision half" in caught.value.remedy


def test_models_that_a_run_holds_are_not_closed_for_another(models, shelf, placement):
    for name in ("one", "two", "three"):
        write_tiny_checkpoint(models, name)
    heard, free = [], [10**12]
    library = Library(shelf, placement, on_closed=lambda m: (heard.append(m.file.stem), free.append(size)),
                      free_bytes=lambda: free[-1])  # fmt: skip
    size = size_of(library.open("one"))
    with library.holding(3):
        library.open("two")
        free[:] = [0]
        library.open("three")
        assert heard == ["one"]
        free[:] = [0]
        with pytest.raises(OutOfMemory):
            library.open("one")
        assert heard == ["one"] and len(library.open_models) == 2
    assert library.current.file.stem == "three"


def test_a_wrong_file_closes_nothing(models, shelf, placement):
    write_tiny_checkpoint(models, "one")
    write_header_only(models / "wrong.safetensors", SDXL)
    library = Library(shelf, placement, free_bytes=lambda: 10**12)
    library.open("one")
    library._free_bytes = lambda: 0
    with pytest.raises(UnknownModel):
        library.open("wrong")
    assert library.current.file.stem == "one"


def test_networks_that_point_at_each_other_go_with_their_model(library):
    one = library.open("one")
    one.denoiser.around = [one.denoiser]
    gone = weakref.ref(one.denoiser)
    del one
    gc.disable()
    try:
        library.open("two")
        assert gone() is None
        two = weakref.ref(library.current.denoiser)
        library.current.denoiser.around = [library.current.denoiser]
        library.unload()
        assert two() is None and library.current is None
    finally:
        gc.enable()


def test_closed_models_give_their_memory_back(library):
    dead = weakref.ref(library.open("one").denoiser)
    library.open("two")
    gc.collect()
    assert dead() is None


@pytest.mark.parametrize("kind", ["cut", "empty", "text", "lora", "sdxl", "missing"])
def test_a_failure_leaves_the_previous_model(library, models, kind):
    one = library.open("one")
    before = output(one)
    path = models / "bad.safetensors"
    if kind == "cut":
        data = write_tiny_checkpoint(models, "bad").read_bytes()
        path.write_bytes(data[: len(data) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not a model " * 100)
    elif kind != "missing":
        write_header_only(path, LORA if kind == "lora" else SDXL)
    library.shelf.scan()
    with pytest.raises((BadModelFile, UnknownModel, NotFound)) as caught:
        library.open("bad")
    assert caught.value.message and library.current is one
    assert torch.equal(output(library.open()), before)


def test_a_file_deleted_while_loaded(library, models):
    one = library.open("one")
    before = output(one)
    (models / "one.safetensors").unlink()
    (models / "one.yaml").unlink()
    assert torch.equal(output(library.open("one")), before)
    library.shelf.scan()
    assert library.open("one") is one and library.open(one.file.title) is one
    assert torch.equal(output(one), before)
    library.open("two")
    with pytest.raises(NotFound):
        library.open("one.safetensors [0000000000]")
    assert library.current.file.stem == "two"


def test_a_file_overwritten_in_place_while_loaded(library, models):
    one = library.open("one")
    before = output(one)
    path = models / "one.safetensors"
    with open(path, "r+b") as file:
        file.write(b"\xff" * 100_000)
        file.truncate(100_000)
    assert torch.equal(output(one), before)
    with pytest.raises(BadModelFile):
        library.open("one")
    assert library.current is one


def test_a_replaced_file_is_loaded_again(library, models):
    one = library.open("one")
    path = write_tiny_checkpoint(models, "one", TinySizes(seed=7))
    os.utime(path, (1, 1))
    again = library.open("one")
    assert again is not one and not torch.allclose(output(again), output(one))
    assert library.open_models == (again,)


def test_reload(library, models):
    one = library.open("one")
    again = library.reload()
    assert again is not one and library.current is again and torch.equal(output(again), output(one))
    (models / "one.safetensors").write_bytes(b"")
    library.shelf.scan()
    with pytest.raises(BadModelFile):
        library.reload()
    assert library.current is again


def test_vae_choice(library, models, paths):
    write_tiny_vae(paths.models / "VAE", "bright", TinySizes(seed=30))
    write_tiny_vae(paths.models / "VAE", "one-own", TinySizes(seed=31))
    library.shelf.scan()
    own = library.open("one", "None")
    assert own.vae_file is None
    automatic = library.open("one")
    assert automatic.vae_file.name == "one-own.safetensors" and len(automatic.vae_file.short) == 10
    assert automatic.denoiser is own.denoiser and library.current is automatic
    bright = library.open("one", "bright.safetensors")
    assert bright.vae_file.name == "bright.safetensors" and library.open("one", "bright") is bright
    assert library.open("two").vae_file is None
    with pytest.raises(NotFound):
        library.open("two", "none-such")
    assert library.current.file.stem == "two"
    assert library.open("one", "None").vae_file is None


def test_kept_vaes_come_back_without_reading(library, paths):
    for name, seed in (("bright", 30), ("warm", 31)):
        write_tiny_vae(paths.models / "VAE", name, TinySizes(seed=seed))
    dropped = []
    library.kept_vaes = KeptVaes(dropped.append)
    library.kept_vaes.limit = 1
    own = library.open("one", "None").vae
    bright = library.open("one", "bright").vae
    assert own in library.kept_vaes and library.open("one", "None").vae is own
    assert library.open("one", "bright").vae is bright and dropped == []
    warm = library.open("one", "warm").vae
    assert dropped == [own] and library.open("one", "None").vae is not own and dropped[1:] == [bright]
    # A file that has changed since is read again.
    os.utime(paths.models / "VAE" / "warm.safetensors", ns=(1, 1))
    assert library.open("one", "warm").vae is not warm
    library.open("two")
    assert warm in dropped and not any(vae in library.kept_vaes for vae in (own, bright, warm))


def test_no_vae_is_kept_unless_asked_for(library, paths):
    write_tiny_vae(paths.models / "VAE", "bright", TinySizes(seed=30))
    own = library.open("one", "None").vae
    library.open("one", "bright")
    assert own not in library.kept_vaes and library.open("one", "None").vae is not own


def test_the_command_lines_vae_counts_while_the_setting_is_automatic(library, paths, tmp_path):
    write_tiny_vae(paths.models / "VAE", "one-own", TinySizes(seed=31))
    write_tiny_vae(tmp_path, "given", TinySizes(seed=30))
    given = replace(paths, vae_file=tmp_path / "given.safetensors")
    library = Library(Shelf(given, HashCache(paths.cache / "hashes.json")), library.placement)
    assert library.open("one").vae_file.path == given.vae_file and len(library.open("one").vae_file.short) == 10
    assert library.open("one", "one-own").vae_file.name == "one-own.safetensors"
    assert library.open("one", "None").vae_file is None
    assert library.open("two", "given").vae_file.path == given.vae_file
    given.vae_file.unlink()
    with pytest.raises(NotFound) as caught:
        library.open("one")
    assert "--vae-path" in caught.value.remedy


def held() -> tuple[int, int]:
    """Number of all objects that Python tracks, and bytes in all tensors among them."""
    gc.collect()
    objects = gc.get_objects()
    return len(objects), sum(o.nbytes for o in objects if issubclass(type(o), torch.Tensor))


def test_many_swaps_hold_nothing_more(library):
    for _ in range(2):
        library.open("one"), library.open("two")
    objects, tensors = held()
    for _ in range(4):
        library.open("one"), library.open("two")
    more_objects, more_tensors = held()
    assert more_tensors == tensors
    assert more_objects < objects + 200
