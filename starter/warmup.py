"""The warm-up of the text encoder: sentence and latents of a scene are drawn together, others apart (CLIP's loss)."""

from __future__ import annotations

import time

import torch
from torch.nn import functional as F
from transformers import CLIPTextModel

from starter.models import TEXT_WIDTH
from starter.pool import Pool
from starter.progress import Progress
from starter.tokens import Tokens

_SHARPNESS = 14.0


class LatentEncoder(torch.nn.Sequential):
    """A small network from latents to the text's width; thrown away after the warm-up."""

    def __init__(self) -> None:
        nn = torch.nn
        super().__init__(
            nn.AdaptiveAvgPool2d(16),
            nn.Conv2d(4, 64, 3, 2, 1),
            nn.SiLU(),
            nn.Conv2d(64, 128, 3, 2, 1),
            nn.GroupNorm(8, 128),
            nn.SiLU(),
            nn.Conv2d(128, 128, 3, 1, 1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(2048, TEXT_WIDTH),
        )


def contrast(
    sentences: torch.Tensor, pictures: torch.Tensor, same: torch.Tensor
) -> torch.Tensor:  # [B, D], [B, D], [B, B] bool
    """Symmetric cross entropy; rows with the same sentence count as each other's partner."""
    scores = F.normalize(sentences, dim=-1) @ F.normalize(pictures, dim=-1).T * _SHARPNESS
    target = same.float() / same.sum(1, keepdim=True)
    return -(target * scores.log_softmax(1)).sum(1).mean() - (target * scores.log_softmax(0)).sum(0).mean()


def warm_up(
    text: CLIPTextModel,
    tokens: Tokens,
    pool: Pool,
    seconds: float,
    progress: Progress,
    only: torch.Tensor | None = None,
) -> None:
    """Trains `text` for `seconds`. `only` [V] bool: train just these rows of the token table, nothing else.

    With `only`, a widened world gets its new words without moving those that the UNet already understands.
    """
    device = next(text.parameters()).device
    side, project = LatentEncoder().to(device), torch.nn.Linear(TEXT_WIDTH, TEXT_WIDTH).to(device)
    tables = [p for name, p in text.named_parameters() if "embedding" in name]
    rows = next(p for name, p in text.named_parameters() if "token_embedding" in name)
    body = [] if only is not None else [p for name, p in text.named_parameters() if "embedding" not in name]
    groups = [
        {"params": [*side.parameters(), *project.parameters(), *body], "factor": 1.0},
        {"params": tables if only is None else [rows], "factor": 5.0, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.01)
    begun, step = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < seconds:
        begun += progress.wait_while_paused()
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1, (step + 1) / 20) * (1 - 0.9 * min(1.0, passed / seconds)) * group["factor"]
        words, latents = pool.draw(64)
        ids, latents = tokens(words).to(device), latents.to(device)
        latents = latents + 0.3 * torch.rand(64, 1, 1, 1, device=device) * torch.randn_like(latents)
        with torch.autocast(device.type, torch.bfloat16):
            hidden = text(ids).last_hidden_state.float()
        place = torch.randint(12, 77, (64,), device=device)
        loss = contrast(
            project(hidden[torch.arange(64, device=device), place]), side(latents), (ids[:, None] == ids[None]).all(-1)
        )
        optimizer.zero_grad()
        text.zero_grad()
        loss.backward()
        if only is not None:
            rows.grad[~only] = 0
        optimizer.step()
        step += 1
        progress.every(15, "warm-up", step=step, loss=float(loss.detach()))
