"""The shelf: names, titles, hashes, and which file a text means."""

import hashlib
import json
from dataclasses import replace

import pytest

from atelier.base.errors import NotFound
from atelier.base.files import HashCache
from atelier.checkpoints.shelf import Shelf, old_hash


def put(folder, name, content=b"x"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def stocked(models, shelf):
    for name in ("model-10.safetensors", "model-2.ckpt", "sub/photo.safetensors", "notes.txt", "photo.vae.safetensors"):
        put(models, name, name.encode() * 100)
    put(models, ".hidden.safetensors")
    return shelf


def test_what_is_found_and_in_which_order(stocked):
    assert [f.name for f in stocked.checkpoints()] == ["model-2.ckpt", "model-10.safetensors", "sub/photo.safetensors"]
    assert [v.name for v in stocked.vaes()] == ["photo.vae.safetensors"]


def test_title_gets_the_hash_once_it_is_known(stocked, models, paths):
    file = stocked.find_checkpoint("sub/photo.safetensors")
    assert (file.title, file.short, file.short_title, file.stem) == ("sub/photo.safetensors", "", "photo", "photo")
    digest = hashlib.sha256((models / "sub/photo.safetensors").read_bytes()).hexdigest()
    known = stocked.hashed(file)
    assert known.title == f"sub/photo.safetensors [{digest[:10]}]" and known.sha256 == digest
    assert stocked.hashed(known) is known
    assert stocked.checkpoints()[2].short_title == f"photo [{digest[:10]}]"
    stocked.scan()
    assert stocked.checkpoints()[2].short == digest[:10]
    assert (paths.cache / "hashes.json").exists()


def test_every_name_of_a_file_finds_it(stocked, models):
    file = stocked.hashed(stocked.find_checkpoint("sub/photo.safetensors"))
    names = ["sub_photo.safetensors", file.title, file.name, str(file.path), "photo", file.short, file.sha256,
             f"photo [{file.short}]", f"sub/photo.safetensors [{file.sha256}]", " photo "]  # fmt: skip
    for name in names:
        assert stocked.find_checkpoint(name).path == models / "sub/photo.safetensors", name


def test_shortest_title_with_the_text_then_without_the_hash(stocked):
    assert stocked.find_checkpoint("model").name == "model-2.ckpt"
    assert stocked.find_checkpoint("model-1").name == "model-10.safetensors"
    assert stocked.find_checkpoint("photo [0123456789]").name == "sub/photo.safetensors"
    assert stocked.find_checkpoint("PHOTO").name == "sub/photo.safetensors"


def test_a_hash_that_cannot_be_kept_is_still_used(models, shelf, paths):
    path = put(models, "one.safetensors")
    paths.cache.parent.mkdir(parents=True, exist_ok=True)
    paths.cache.write_text("a file stands where the folder should be")
    assert shelf.hashed(shelf.find_checkpoint("one")).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    gone = shelf.find_checkpoint("one")
    path.unlink()
    assert shelf.hashed(replace(gone, sha256=None)).sha256 is None


def test_old_hash(stocked, models):
    path = put(models, "big.safetensors", b"a" * 0x100000 + b"b" * 0x20000)
    assert old_hash(path) == hashlib.sha256(b"b" * 0x10000).hexdigest()[:8]
    assert old_hash(models / "model-2.ckpt") == hashlib.sha256(b"").hexdigest()[:8]
    stocked.scan()
    assert stocked.find_checkpoint(old_hash(path)).path == path


def test_unknown_names_get_the_closest(stocked):
    with pytest.raises(NotFound, match="foto") as caught:
        stocked.find_checkpoint("foto")
    assert "photo" in caught.value.remedy
    with pytest.raises(NotFound):
        stocked.find_checkpoint("")
    with pytest.raises(NotFound, match="nothing.vae"):
        stocked.find_vae("nothing.vae")


def test_default_is_the_users_own_before_the_shipped(models, shelf):
    with pytest.raises(NotFound, match="no checkpoint"):
        shelf.default_checkpoint()
    for name in ("atelier-starter", "atelier-starter-depth", "atelier-starter-inpainting"):
        put(models, f"{name}.safetensors")
    shelf.scan()
    assert shelf.default_checkpoint().name == "atelier-starter.safetensors"
    put(models, "mine.safetensors")
    shelf.scan()
    assert shelf.default_checkpoint().name == "mine.safetensors"


def test_configuration_beside_the_file(models, shelf):
    path = put(models, "small.safetensors")
    put(models, "small.yaml")
    put(models, "other.safetensors")
    assert shelf.find_checkpoint("small").config == path.with_suffix(".yaml")
    assert shelf.find_checkpoint("other").config is None


def test_vae_of_a_checkpoint(models, shelf, paths):
    put(models, "photo.safetensors")
    put(models, "plain.safetensors")
    put(models, "photo.vae.pt")
    put(paths.models / "VAE", "bright.safetensors")
    assert shelf.vae_for(shelf.find_checkpoint("photo")).name == "photo.vae.pt"
    assert shelf.vae_for(shelf.find_checkpoint("plain")) is None
    (models / "plain.json").write_text(json.dumps({"vae": "bright.safetensors"}))
    assert shelf.vae_for(shelf.find_checkpoint("plain")).name == "bright.safetensors"
    (models / "photo.json").write_text(json.dumps({"vae": "gone.safetensors"}))
    assert shelf.vae_for(shelf.find_checkpoint("photo")).name == "photo.vae.pt"
    (models / "photo.json").write_text("{")
    assert shelf.vae_for(shelf.find_checkpoint("photo")).name == "photo.vae.pt"
    assert shelf.find_vae("bright").name == "bright.safetensors"
    assert len(shelf.hashed_vae(shelf.find_vae("bright")).short) == 10


def test_own_folder_wins_and_links_do_not_loop(models, shelf, paths):
    put(paths.program / "models" / "Stable-diffusion", "same.safetensors")
    mine = put(models, "same.safetensors", b"mine")
    (models / "loop").symlink_to(models, target_is_directory=True)
    (models / "broken.safetensors").symlink_to(models / "nowhere")
    assert [f.path for f in shelf.checkpoints()] == [mine]


def test_one_more_checkpoint_and_a_configuration_for_all(stocked, models, paths, tmp_path):
    given, config = put(tmp_path, "own.safetensors"), put(tmp_path, "any.yaml")
    beside = put(models, "model-10.yaml")
    shelf = Shelf(
        replace(paths, checkpoint_file=given, model_config=config), HashCache(paths.cache / "hashes.json")
    )  # fmt: skip
    assert shelf.find_checkpoint("own").path == given and shelf.find_checkpoint("own").config == config
    assert shelf.find_checkpoint("model-10").config == beside


def test_nothing_is_hashed_when_that_is_switched_off(stocked, models, paths):
    stocked.hashed(stocked.find_checkpoint("model-2"))
    shelf = Shelf(paths, HashCache(paths.cache / "hashes.json"), hashing=False)
    assert shelf.find_checkpoint("model-2").short, "a hash that is known is told"
    file = shelf.find_checkpoint("photo")
    assert shelf.hashed(file).sha256 is None and shelf.hashed_vae(shelf.vaes()[0]).sha256 is None
