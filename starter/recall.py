"""The recall of the text encoder: the rows behind a sentence learn what stands in each of 8x8 cells of its picture.

A UNet as small as this one learns very slowly to paint details from words: each must find its way through noise,
cross-attention and two halvings. The text encoder alone learns them in minutes, without noise, when it is asked
directly. What is left for cross-attention is to fetch a cell's row at that cell, the same for everything in the world.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import nn
from transformers import CLIPTextModel

from starter.models import TEXT_WIDTH
from starter.pool import Pool
from starter.progress import Progress
from starter.tokens import LENGTH, Tokens

CELLS = 8
FIRST = LENGTH - CELLS * CELLS
"""Rows from here on stand for the cells, row by row; a sentence that reaches into them takes their place."""


@dataclass(frozen=True)
class Options:
    """`fixed`: the reader stays as it is, so that a UNet that understands the rows goes on understanding them."""

    seconds: float
    fixed: bool = False
    batch: int = 32
    rate: float = 4e-3
    embedding_factor: float = 3.0


def cells_of(latents: torch.Tensor) -> torch.Tensor:  # [B, 4, h, w] -> [B, 64, 4 * h/8 * w/8]
    """The latents of each cell, as one row."""
    b, c, h, w = latents.shape
    parts = latents.reshape(b, c, CELLS, h // CELLS, CELLS, w // CELLS).permute(0, 2, 4, 1, 3, 5)
    return parts.reshape(b, CELLS * CELLS, -1)


class Recall(nn.Module):
    """Reads the cells off the text encoder's rows; thrown away after training."""

    def __init__(self, numbers: int = 64) -> None:
        super().__init__()
        self.read = nn.Linear(TEXT_WIDTH, numbers)
        nn.init.normal_(self.read.weight, std=0.02)

    def loss(self, hidden: torch.Tensor, ids: torch.Tensor, latents: torch.Tensor, end: int) -> torch.Tensor:
        """hidden [B, 77, 128], ids [B, 77], latents [B, 4, h, w]: mean squared error over cells that no word covers."""
        free = (ids[:, FIRST:] == end).float()[..., None]  # [B, 64, 1]
        wrong = (self.read(hidden[:, FIRST:].float()) - cells_of(latents)).pow(2)
        return (wrong * free).sum() / (free.sum() * wrong.shape[-1]).clamp_min(1)


@torch.no_grad()
def fitted(text: CLIPTextModel, tokens: Tokens, pool: Pool, number: int = 512) -> Recall:
    """What reads the cells best off a text encoder as it is now: least squares over rows of the pool."""
    device, end = next(text.parameters()).device, len(tokens.used) - 1
    rows, cells = [], []
    for _ in range(number // 64):
        words, latents = pool.draw(64)
        ids = tokens(words)
        free = ids[:, FIRST:] == end
        with torch.autocast(device.type, torch.bfloat16):
            hidden = text(ids.to(device)).last_hidden_state.float().cpu()
        rows.append(hidden[:, FIRST:][free])
        cells.append(cells_of(latents[:, :4])[free])
    known = torch.cat(rows)
    known = torch.cat([known, torch.ones(len(known), 1)], 1).double()  # [N, 129]
    wanted = torch.cat(cells).double()
    ridge = 1e-3 * len(known) * torch.eye(known.shape[1], dtype=torch.double)
    solved = torch.linalg.solve(known.T @ known + ridge, known.T @ wanted).float()
    recall = Recall(wanted.shape[1])
    recall.read.weight.copy_(solved[:-1].T)
    recall.read.bias.copy_(solved[-1])
    return recall.to(device)


def learn(text: CLIPTextModel, tokens: Tokens, pool: Pool, options: Options, progress: Progress) -> Recall:
    """Trains the whole text encoder for the options' seconds; the rate falls to a tenth."""
    recall, device = fitted(text, tokens, pool), next(text.parameters()).device
    end = len(tokens.used) - 1
    tables = [p for name, p in text.named_parameters() if "embedding" in name]
    body = [p for name, p in text.named_parameters() if "embedding" not in name]
    reader = [] if options.fixed else list(recall.parameters())
    matrices, vectors = [p for p in body if p.ndim == 2], [p for p in body if p.ndim < 2]
    optimizers = (
        torch.optim.Muon(matrices, lr=options.rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(
            [{"params": vectors + reader}, {"params": tables, "factor": options.embedding_factor}],
            lr=options.rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True,
        ),
    )  # fmt: skip
    begun, step, total, number = time.monotonic(), 0, 0.0, 0
    held_words, held = pool.held(64)
    while (passed := time.monotonic() - begun) < options.seconds:
        begun += progress.wait_while_paused()
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            fall = 1 - 0.9 * min(1.0, passed / options.seconds)
            group["lr"] = options.rate * min(1, (step + 1) / 30) * fall * group.get("factor", 1.0)
        words, latents = pool.draw(options.batch)
        ids, latents = tokens(words).to(device), latents[:, :4].to(device)
        with torch.autocast(device.type, torch.bfloat16):
            hidden = text(ids).last_hidden_state
        loss = recall.loss(hidden, ids, latents, end)
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*tables, *body], 1.0)
        for optimizer in optimizers:
            optimizer.step()
        step, total, number = step + 1, total + float(loss.detach()), number + 1
        if progress.every(20, "recall", step=step, loss=total / number):
            total, number = 0.0, 0
    with torch.no_grad():
        ids = tokens(held_words).to(device)
        left = recall.loss(text(ids).last_hidden_state, ids, held[:, :4].to(device), end)
    progress.say("recall of held-out rows", steps=step, loss=float(left), variance=float(held[:, :4].var()))
    return recall
