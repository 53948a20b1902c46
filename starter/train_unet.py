"""The training of UNet and text encoder together, with v-prediction, in chunks that continue each other.

First chunk, from a checkpoint for half the picture size:
    python -m starter.train_unet --data DATA --run DATA/run --start STUDY.safetensors --mix objects=1 --minutes 30
Every later chunk:
    python -m starter.train_unet --data DATA --run DATA/run --mix objects=1,concepts=1 --minutes 30
A sibling, once `beside` is built for its stages:
    python -m starter.train_unet --kind depth --data DATA --run DATA/depth --start STARTER.safetensors --mix objects=1
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from starter import checkpoint
from starter.beside import CHANNELS
from starter.captions import caption, vocabulary
from starter.export import export
from starter.gap import as_line, measure
from starter.growth import grow, widened
from starter.models import UNetShape, alphas_cumprod, start_text
from starter.pointing import Pointing
from starter.pool import Pool
from starter.progress import Progress
from starter.recall import Options as RecallOptions
from starter.recall import Recall, fitted, learn
from starter.run_state import RunState
from starter.tokens import Tokens, emphasised, used_tokens
from starter.warmup import warm_up
from starter.world import STAGES, scenes


@dataclass(frozen=True)
class Options:
    """One chunk. `draws`: noise draws per caption and picture; `cool`: let the rate fall to nothing over this chunk.

    `recall`: weight of what `recall` asks of the text encoder, on `recall_rows` further captions too; `pointing`: of
    what `pointing` asks of cross-attention; `unnamed`: share of empty captions; `open_share`: share of captions that
    leave something open; `strange`: share of rows near the picture (see `_whose`) that see another row's caption;
    `lean`: 0 draws all times alike, 0.3 draws the last ones 1.4 times as often.
    """

    minutes: float
    batch: int = 16
    draws: int = 2
    rate: float = 6e-4
    cool: bool = False
    memory: float = 0.999
    unnamed: float = 0.1
    open_share: float = 0.25
    strange: float = 0.5
    lean: float = 0.0
    recall: float = 0.3
    recall_rows: int = 16
    pointing: float = 0.05
    seed: int = 0
    measure_seconds: float = 240.0


class Trainer:
    """Runs chunks of training on a `RunState`."""

    def __init__(
        self,
        state: RunState,
        pool: Pool,
        tokens: Tokens,
        progress: Progress,
        options: Options,
        recall: Recall | None = None,
    ) -> None:
        """`recall`: goes on teaching the text encoder what stands where, beside the UNet's own wishes."""
        self.state, self.pool, self.tokens, self.progress, self.options = state, pool, tokens, progress, options
        self.recall, self.recalled, self.pointed = recall, 0.0, 0.0
        self.pointing = Pointing(state.unet) if recall is not None else None
        self._alphas = alphas_cumprod().to(state.device)
        self._generator = torch.Generator().manual_seed(options.seed + state.counters.steps)

    def _rate(self, begun_step: int, share: float) -> float:
        warm = min(1.0, (self.state.counters.steps - begun_step + 1) / 50)
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, share))) if self.options.cool else 1.0
        return self.options.rate * warm * max(fall, 0.01)

    def _times(self) -> torch.Tensor:  # [B]
        """Spread so that each batch sees all noise levels; above `lean` 0, more of the high ones that need the text."""
        batch = self.options.batch
        spread = (
            torch.rand(1, generator=self._generator) + torch.randperm(batch, generator=self._generator) / batch
        ) % 1
        spread = spread ** (1 - self.options.lean)
        return (spread * len(self._alphas)).long().to(self.state.device)

    def _whose(self, times: torch.Tensor, number: int) -> torch.Tensor:  # [B]
        """The caption that each row of the batch sees: its own, but below t=450 sometimes a stranger's.

        The less noise, the more the picture itself must count: else img2img at a low strength paints everything anew.
        """
        rows = len(times)
        chance = self.options.strange * ((450 - times.cpu()) / 200).clamp(0, 1)
        strange = torch.rand(rows, generator=self._generator) < chance
        others = torch.randint(number, (rows,), generator=self._generator)
        return torch.where(strange, others, torch.arange(rows) % number)

    def step(self) -> torch.Tensor:
        """One optimiser step; returns the mean squared error of v."""
        options, device = self.options, self.state.device
        words, latents = self.pool.draw(options.batch // options.draws, options.open_share)
        left_out = torch.rand(len(words), generator=self._generator) < options.unnamed
        words = ["" if empty else sentence for sentence, empty in zip(words, left_out)]
        ids, weights = self.tokens(words).to(device), self.tokens.weights(words)
        latents = latents.to(device).repeat(options.draws, 1, 1, 1)
        clean, beside = latents[:, :4], latents[:, 4:]
        times = self._times()
        whose = self._whose(times, len(ids)).to(device)
        noise = torch.randn(clean.shape, generator=self._generator).to(device)
        alpha = self._alphas[times][:, None, None, None]
        noisy = torch.cat([alpha.sqrt() * clean + (1 - alpha).sqrt() * noise, beside], 1)
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        asked = options.recall_rows if self.recall is not None else 0
        further, shown = self.pool.draw(asked, options.open_share) if asked else ([], None)
        both = torch.cat([ids, self.tokens(further).to(device)]) if further else ids
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            hidden = self.state.text(both).last_hidden_state
            seen = emphasised(hidden[: len(ids)], weights.to(device))[whose]
            output = self.state.unet(noisy, times, seen).sample
        loss = (output.float() - (alpha.sqrt() * noise - (1 - alpha).sqrt() * clean)).pow(2).mean()
        more = torch.zeros((), device=device)
        if self.recall is not None:
            # The text encoder does not see weights, so it is not asked what a weight does to the picture.
            evenly = (torch.cat([weights, self.tokens.weights(further)]) == 1).all(1)
            named = (torch.cat([~left_out, torch.ones(len(further), dtype=torch.bool)]) & evenly).to(device)
            rows = torch.cat([clean[: len(ids)], shown[:, :4].to(device)])[named]
            more = self.recall.loss(hidden[named], both[named], rows, len(self.tokens.used) - 1)
            own = whose == torch.arange(len(whose), device=device) % len(ids)
            aside = self.pointing.loss(~left_out.to(device)[whose] & own)
            self.recalled, self.pointed = float(more.detach()), float(aside.detach())
            more = options.recall * more + options.pointing * aside
        self.state.optimizer.zero_grad()
        (loss + more).backward()
        torch.nn.utils.clip_grad_norm_(self.state.parameters, 1.0)
        self.state.optimizer.step()
        self.state.average(options.memory)
        return loss.detach()

    def report_gap(self) -> None:
        words, latents = self.pool.held(32)
        self.state.swap()
        gap = measure(
            self.state.unet,
            self.state.text,
            self.tokens(words).to(self.state.device),
            self.tokens.weights(words).to(self.state.device),
            latents.to(self.state.device),
        )
        self.state.swap()
        self.progress.say("gap", seen=self.state.counters.seen, errors=as_line(gap))

    def run(self, save: Path) -> None:
        """Trains for the options' minutes, pauses not counted; saves the state at every measurement and at the end.

        A file `stop` beside the state ends the chunk early, with its state saved.
        """
        stop = save.parent / "stop"
        counters, limit = self.state.counters, self.options.minutes * 60
        begun = measured = time.monotonic()
        first_step, first_seen, total, number = counters.steps, counters.seen, 0.0, 0
        while (passed := time.monotonic() - begun) < limit and not stop.exists():
            slept = self.progress.wait_while_paused()
            begun, measured = begun + slept, measured + slept
            self.state.set_rate(self._rate(first_step, passed / limit))
            total, number = total + float(self.step()), number + 1
            counters.steps += 1
            counters.seen += self.options.batch
            speed = (counters.seen - first_seen) / max(time.monotonic() - begun, 1e-6)
            if self.progress.every(
                30,
                "step",
                steps=counters.steps,
                seen=counters.seen,
                speed=speed,
                loss=total / number,
                recall=self.recalled,
                pointing=self.pointed,
            ):
                total, number = 0.0, 0
            if time.monotonic() - measured > self.options.measure_seconds:
                self.report_gap()
                self.state.save(save)
                measured = time.monotonic()
        counters.seconds += time.monotonic() - begun
        self.report_gap()
        self.state.save(save)


def start(first: Path | None, progress: Progress, device: str, kind: str | None = None) -> RunState:
    """A new run: from a checkpoint, grown if it is one for half the size, or from nothing.

    `kind`: of `beside.CHANNELS`, a sibling that begins as the checkpoint itself.
    """
    used, channels = used_tokens(vocabulary()), 4 + (CHANNELS[kind] if kind else 0)
    state = RunState(UNetShape(channels=channels), used, device=device)
    if first is None:
        start_text(state.text)
        with torch.no_grad():
            state.unet.conv_out.weight.zero_()
            state.unet.conv_out.bias.zero_()
    else:
        shape = checkpoint.shape_of(first)
        unet, text = checkpoint.read(first, shape, used)
        if len(shape.widths) < len(state.shape.widths):
            unet, shape = grow(unet, shape)
        if shape.channels < channels:
            unet = widened(unet, channels)
        state.unet.load_state_dict(unet)
        state.text.load_state_dict(text, strict=False)
        progress.say("started", checkpoint=first.name, widths=shape.widths)
    state.restart_average()
    return state


def new_words(state: RunState, stage: str) -> torch.Tensor:  # [V] bool
    """The rows of the token table that this stage uses and that no stage before it does."""

    def of(name: str) -> torch.Tensor:
        return torch.isin(state.used, used_tokens([caption(scene) for scene in scenes(name)]))

    earlier = list(STAGES)[: list(STAGES).index(stage)]
    out = of(stage)
    for name in earlier:
        out &= ~of(name)
    return out


def _mix(text: str) -> dict[str, float]:
    return {name: float(share or 1) for name, _, share in (part.partition("=") for part in text.split(","))}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with latents/ and vae.safetensors")
    parser.add_argument(
        "--run", type=Path, required=True, help="folder of state.pt, train.log and the exported checkpoint"
    )
    parser.add_argument("--start", type=Path, help="checkpoint that a new run begins with; one for 128 pixels is grown")
    parser.add_argument("--kind", choices=sorted(CHANNELS), help="train this sibling instead of the starter itself")
    parser.add_argument(
        "--mix", type=_mix, default={"objects": 1.0}, help="stages and their shares, as objects=2,concepts=1"
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--batch", type=int, default=Options.batch)
    parser.add_argument("--draws", type=int, default=Options.draws, help="noise draws per picture in a batch")
    parser.add_argument("--rate", type=float, default=Options.rate)
    parser.add_argument("--memory", type=float, default=Options.memory, help="of the running average, per step")
    parser.add_argument("--lean", type=float, default=Options.lean, help="0..0.5: draw noisy times more often")
    parser.add_argument(
        "--unnamed", type=float, default=Options.unnamed, help="share of empty captions; more teaches a sibling's map"
    )
    parser.add_argument("--cool", action="store_true", help="let the rate fall to nothing over this chunk")
    parser.add_argument(
        "--warm-seconds", type=float, default=0.0, help="contrastive warm-up of the text encoder before this chunk"
    )
    parser.add_argument(
        "--recall-seconds",
        type=float,
        default=0.0,
        help="let the text encoder learn what stands where, before this chunk",
    )
    parser.add_argument(
        "--recall-fixed", action="store_true", help="keep the rows' meaning, for a UNet that knows them"
    )
    parser.add_argument("--recall", type=float, default=Options.recall, help="weight of the recall beside; 0: none")
    parser.add_argument("--warm-stage", choices=sorted(STAGES), help="stage whose new words alone are warmed up")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def _recall(args: argparse.Namespace, state: RunState, pool: Pool, tokens: Tokens, progress: Progress) -> Recall | None:
    """What reads the text encoder's rows: learned with it now, or fitted to it as it is."""
    if args.recall_seconds:
        options = RecallOptions(args.recall_seconds, fixed=args.recall_fixed)
        recall = learn(state.text, tokens, pool, options, progress)
        state.restart_average()
        return recall
    return fitted(state.text, tokens, pool) if args.recall else None


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(args.seed)
    progress, saved = Progress(args.run / "train.log"), args.run / "state.pt"
    state = RunState.load(saved, args.device) if saved.exists() else start(args.start, progress, args.device, args.kind)
    pool, tokens = Pool(args.data, args.mix, args.seed + state.counters.steps, args.kind), Tokens(state.used)
    progress.say(
        "chunk", mix=args.mix, pictures=len(pool), steps=state.counters.steps, seen=state.counters.seen, rate=args.rate
    )
    if args.warm_seconds:
        only = new_words(state, args.warm_stage) if args.warm_stage else None
        warm_up(state.text, tokens, pool, args.warm_seconds, progress, only)
        state.restart_average()
    recall = _recall(args, state, pool, tokens, progress)
    options = Options(
        args.minutes,
        args.batch,
        args.draws,
        args.rate,
        args.cool,
        args.memory,
        unnamed=args.unnamed,
        lean=args.lean,
        recall=args.recall,
        seed=args.seed,
    )
    Trainer(state, pool, tokens, progress, options, recall).run(saved)
    name = "atelier-starter" + (f"-{args.kind}" if args.kind else "")
    size = export(state, args.data / "vae.safetensors", args.run / f"{name}.safetensors")
    progress.say("exported", megabytes=size / 1e6, steps=state.counters.steps, seen=state.counters.seen)


if __name__ == "__main__":
    main()
