"""The pointing: which rows belong to which positions, and that cross-attention learns to look there."""

import torch

from starter.models import UNetShape, build_unet
from starter.pointing import Pointing, _rows_of
from starter.recall import FIRST


def test_rows_of_grids_finer_and_coarser_than_the_cells():
    same, coarse, fine = _rows_of(64), _rows_of(16), _rows_of(256)
    assert same.sum(1).tolist() == [1] * 64 and bool(same[9, FIRST + 9])
    assert coarse.sum(1).tolist() == [4] * 16
    assert coarse[5].nonzero().flatten().tolist() == [FIRST + i for i in (18, 19, 26, 27)]
    assert fine.sum(1).tolist() == [1] * 256 and bool(fine[2 * 16 + 3, FIRST + 9])
    assert not same[:, :FIRST].any()


def test_heads_learn_to_look_at_their_cells():
    torch.manual_seed(0)
    unet = build_unet(UNetShape((32, 32), (False, True), 4, 8))
    pointing, optimizer = Pointing(unet), torch.optim.Adam(unet.parameters(), 2e-3)
    x, t, words = torch.randn(2, 4, 8, 8), torch.tensor([900, 900]), torch.randn(1, 77, 128).expand(2, -1, -1)
    losses = []
    for _ in range(40):
        unet(x, t, words)
        loss = pointing.loss(torch.tensor([True, False]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_nothing_is_kept_without_gradients():
    unet = build_unet(UNetShape((32, 32), (False, True), 4, 8))
    pointing = Pointing(unet)
    with torch.no_grad():
        unet(torch.randn(1, 4, 8, 8), torch.tensor([5]), torch.randn(1, 77, 128))
    assert not pointing._seen
    unet(torch.randn(1, 4, 8, 8), torch.tensor([5]), torch.randn(1, 77, 128))
    assert float(pointing.loss(torch.tensor([False]))) == 0 and not pointing._seen
