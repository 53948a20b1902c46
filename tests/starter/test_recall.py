"""The recall: cells of a picture, rows that words cover, and that a text encoder learns pictures by its captions."""

import json

import pytest
import torch

from starter import recall
from starter.models import build_text
from starter.pool import Pool
from starter.progress import Progress
from starter.scene import Item, Scene
from starter.tokens import Tokens, used_tokens


def test_cells_are_the_places_of_the_picture():
    latents = torch.zeros(1, 4, 32, 32)
    latents[0, :, 8:12, 20:24] = 1.0
    cells = recall.cells_of(latents)
    assert cells.shape == (1, 64, 64)
    assert bool((cells[0, 2 * 8 + 5] == 1).all()) and float(cells.sum()) == 64


def test_rows_under_words_do_not_count():
    head, latents = recall.Recall(64), torch.zeros(1, 4, 32, 32)
    hidden, ids = torch.randn(1, 77, 128), torch.full((1, 77), 9)
    before = head.loss(hidden, ids, latents, 9)
    ids[0, recall.FIRST] = 3
    hidden[0, recall.FIRST] = 1e3
    assert float(head.loss(hidden, ids, latents, 9)) < 2 * float(before)


@pytest.fixture
def pool(tmp_path):
    rows = [Scene("objects", "white", (Item(name),), held=i == 0) for i in range(3) for name in ("cat", "dog")]
    place = tmp_path / "latents/objects"
    place.mkdir(parents=True)
    (place / "scenes.json").write_text(json.dumps([row.to_json() for row in rows]))
    torch.manual_seed(0)
    cat, dog = torch.randn(2, 4, 32, 32)
    torch.save(torch.stack([cat if row.items[0].name == "cat" else dog for row in rows]).half(), place / "000000.pt")
    return Pool(tmp_path, {"objects": 1.0}, 0)


def test_it_learns_two_pictures(pool, tmp_path):
    torch.manual_seed(0)
    used = used_tokens(["cat", "dog", "a", "on a background", ",", "white", "an"])
    text, tokens = build_text(len(used)), Tokens(used)
    words, latents = pool.held(2)
    ids = tokens(words)

    def loss(head: recall.Recall) -> float:
        with torch.no_grad():
            return float(head.loss(text(ids).last_hidden_state, ids, latents, len(used) - 1))

    before = loss(recall.Recall())
    head = recall.learn(text, tokens, pool, recall.Options(6.0, batch=4), Progress(tmp_path / "log"))
    assert loss(head) < before
    assert "recall of held-out rows" in (tmp_path / "log").read_text()


def test_the_best_reader_of_a_text_encoder_is_found(pool):
    torch.manual_seed(0)
    used = used_tokens(["cat", "dog", "a", "on a background", ",", "white", "an"])
    text, tokens = build_text(len(used)), Tokens(used)
    words, latents = pool.draw(4)
    ids = tokens(words)
    with torch.no_grad():
        hidden = text(ids).last_hidden_state
        fresh, best = (
            float(head.loss(hidden, ids, latents, len(used) - 1))
            for head in (recall.Recall(), recall.fitted(text, tokens, pool, 64))
        )
    assert best < fresh
