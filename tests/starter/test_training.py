"""A few steps of training on a made-up world: the loop learns, saves, continues, and pauses."""

import json
import threading
import time

import pytest
import torch

from starter import latents, train_unet
from starter.models import UNetShape, start_text
from starter.pool import Pool
from starter.progress import Progress
from starter.run_state import RunState
from starter.scene import Item, Scene
from starter.tokens import END, START, Tokens, used_tokens
from starter.warmup import warm_up

SMALL = UNetShape((32, 32), (False, True), 4, 16)
WORDS = ["cat", "dog", "a", "on a background", "white", "red", ",", "an"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with a stage of two pictures, as latents."""
    folder = tmp_path_factory.mktemp("data")
    rows = [Scene("objects", "white", (Item(name),), held=i >= 8) for i in range(10) for name in ("cat", "dog")]
    place = folder / "latents/objects"
    place.mkdir(parents=True)
    (place / "scenes.json").write_text(json.dumps([row.to_json() for row in rows]))
    torch.save(
        torch.stack([torch.full((4, 16, 16), 1.0 if row.items[0].name == "cat" else -1.0) for row in rows]).half(),
        place / "000000.pt",
    )
    return folder


@pytest.fixture
def trainer(data, tmp_path):
    torch.manual_seed(0)
    used = used_tokens(WORDS)
    options = train_unet.Options(minutes=0.0, batch=8, draws=2, rate=1e-3)
    state = RunState(SMALL, used)
    # As every run begins. Without it the mean of a sentence, by which emphasis divides, may be 0 to the last bit.
    start_text(state.text)
    state.restart_average()
    return train_unet.Trainer(
        state,
        Pool(data, {"objects": 1.0}, 0),
        Tokens(used),
        Progress(tmp_path / "log"),
        options,
    )


def test_pool_leaves_out_what_is_held(data):
    pool = Pool(data, {"objects": 1.0}, 0)
    assert len(pool) == 16
    assert len(pool.held(10)[0]) == 4
    words, rows = pool.draw(6)
    assert rows.shape == (6, 4, 16, 16)
    assert all((float(row.mean()) > 0) == ("cat" in word) for word, row in zip(words, rows))


def test_missing_latents_name_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="starter.latents"):
        latents.load(tmp_path, "objects")


def test_loss_falls(trainer):
    trainer.state.set_rate(2e-3)
    losses = [float(trainer.step()) for _ in range(20)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_only_rows_near_the_picture_see_a_strangers_caption(trainer):
    number = 4000
    strange = [
        float((trainer._whose(torch.full((number,), time), number) != torch.arange(number)).float().mean())
        for time in (0, 249, 350, 450, 999)
    ]
    assert strange[0] == pytest.approx(0.5, abs=0.04) and strange[1] == pytest.approx(0.5, abs=0.04)
    assert strange[2] == pytest.approx(0.25, abs=0.04) and strange[3:] == [0, 0]


def test_weights_reach_the_unet(trainer, monkeypatch):
    seen = []
    forward = trainer.state.unet.forward
    monkeypatch.setattr(trainer.state.unet, "forward", lambda x, t, words: seen.append(words) or forward(x, t, words))
    rows = torch.zeros(4, 4, 16, 16)
    for sentence in ("a cat", "a (cat:1.5)"):
        monkeypatch.setattr(trainer.pool, "draw", lambda number, share, sentence=sentence: ([sentence] * 4, rows))
        monkeypatch.setattr(train_unet.torch, "rand", lambda *shape, generator=None: torch.full(shape, 0.99))
        trainer.step()
    plain, weighted = (rows[0].detach().float() for rows in seen)
    grown = weighted.norm(dim=-1) / plain.norm(dim=-1)
    assert float(grown[2] / grown[1]) == pytest.approx(1.5, abs=0.05)


def test_state_goes_on_where_it_was(trainer, tmp_path):
    trainer.state.set_rate(1e-3)
    trainer.step()
    trainer.state.counters.seen = 8
    trainer.state.save(tmp_path / "state.pt")
    again = RunState.load(tmp_path / "state.pt")
    assert again.counters.seen == 8 and again.shape == SMALL
    for before, after in zip(trainer.state.parameters, again.parameters):
        assert torch.equal(before, after)
    trainer.state.swap()
    again.swap()
    assert torch.equal(trainer.state.parameters[3], again.parameters[3])
    assert again.optimizer.state_dict()["state"].keys() == trainer.state.optimizer.state_dict()["state"].keys()


def test_warm_up_of_new_words_leaves_the_others(trainer):
    text = trainer.state.text
    only = torch.zeros(len(trainer.state.used), dtype=torch.bool)
    only[2] = True
    before = {name: value.clone() for name, value in text.state_dict().items()}
    warm_up(text, trainer.tokens, trainer.pool, 1.0, trainer.progress, only)
    for name, value in text.state_dict().items():
        if "token_embedding" in name:
            assert torch.equal(value[~only], before[name][~only])
        else:
            assert torch.equal(value, before[name])


def test_pause_file_holds_the_loop(tmp_path):
    pause = tmp_path / "pause"
    progress = Progress(tmp_path / "log", pause)
    assert progress.wait_while_paused() < 0.5
    pause.touch()
    threading.Timer(0.3, pause.unlink).start()
    begun = time.monotonic()
    assert progress.wait_while_paused() > 0.1
    assert time.monotonic() - begun > 0.1


def test_tokens_are_clips_and_fit_the_compact_table():
    assert Tokens()(["a photo of a cat"])[0, :7].tolist() == [START, 320, 1125, 539, 320, 2368, END]
    compact = Tokens(used_tokens(["a", "cat"]))
    assert compact(["a cat"])[0, :5].tolist() == [2, 0, 1, 3, 3]
    with pytest.raises(KeyError, match="dog"):
        compact(["a dog"])
