"""Denoiser: network, texts by call, guidance and hooks as one callable that samplers use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from atelier.base.cancel import CancelToken
from atelier.sampling.conditioning import Conditioning, StepConditioning
from atelier.sampling.guidance import Guidance
from atelier.sampling.guides.ask import Ask, asks_of
from atelier.sampling.prediction import Prediction, per_row
from atelier.sampling.step import BLANK, ModelInputs, Row, Step, StepHooks


def _no_call(index: int, total: int) -> None:
    """Listens to nothing."""


#: asked before each call: sigma, and the timestep where the sampler walks timesteps; may change the denoiser
Switch = Callable[["Denoiser", Tensor, "float | None"], None]
#: what the guess becomes where a source is to be kept in part
Blend = Callable[[Step], Tensor]


@dataclass(eq=False)
class Denoiser:
    """`denoiser(x, sigma)` gives the guided guess of the clean latents; `denoiser.eps(x, t)` the guided noise.

    `call` runs the network on `ModelInputs` and returns its raw output [N, C, H, W]. Every call first checks `token`
    and raises `Interrupted`; `last_denoised` then still holds the latest guess. `total_calls` is what the plan expects.
    `mask` is 1 where `init_latents` stay. With `mask_noise` the kept part is brought to the current noise level
    before the network sees it (samplers over timesteps only). `blend` takes the place of the plain mask.
    """

    call: Callable[[ModelInputs], Tensor]
    prediction: Prediction
    conditioning: Conditioning
    guidance: Guidance
    hooks: StepHooks = field(default_factory=StepHooks)
    token: CancelToken = field(default_factory=CancelToken)
    total_calls: int = 0
    on_call: Callable[[int, int], None] = _no_call
    mask: Tensor | None = None  # [B or 1, 1 or C, H, W]
    nmask: Tensor | None = None
    init_latents: Tensor | None = None  # [B, C, H, W]
    mask_noise: Tensor | None = None  # [B, C, H, W]
    batch_cond_uncond: bool = True
    switch: Switch | None = None
    blend: Blend | None = None
    cfg_multiplier: float = 1.0
    always_uncond: bool = False
    calls: int = field(default=0, init=False)
    last_denoised: Tensor | None = field(default=None, init=False)
    #: what the first part of each picture's prompt gives alone, and what its negative prompt does
    last_cond: Tensor | None = field(default=None, init=False)
    last_uncond: Tensor | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.mask is not None and self.nmask is None:
            self.nmask = 1 - self.mask

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:  # [B, C, H, W], [] or [B] -> [B, C, H, W]
        sigmas = torch.as_tensor(sigma, dtype=torch.float32).cpu().expand(x.shape[0])
        self._consider(sigmas, None)
        return self._denoise(x, sigmas, self.prediction.sigma_to_t(sigmas), blend=self.mask is not None)

    def pair(self, x: Tensor, sigma: Tensor | float) -> tuple[Tensor, Tensor]:  # as __call__
        """The guided guess, and beside it the one of the negative text alone."""
        return self(x, sigma), self.last_uncond

    def eps(self, x: Tensor, t: float) -> Tensor:  # [B, C, H, W] -> [B, C, H, W]
        """Guided noise at timestep `t` of x = sqrt(a) * x0 + sqrt(1 - a) * noise. The mask is applied before."""
        return self.eps_pair(x, t)[0]

    def eps_pair(self, x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """As `eps`, and beside it the noise that the negative text alone gives."""
        alpha = self.prediction.alpha_bar(t)
        sigma = ((1 - alpha) / alpha) ** 0.5
        self._consider(torch.full((1,), sigma), float(t))
        soft = self.blend is not None
        if self.mask is not None and not soft:
            kept = self.init_latents
            if self.mask_noise is not None:
                kept = kept * alpha**0.5 + self.mask_noise * (1 - alpha) ** 0.5
            x = x * self.nmask + kept * self.mask
        scaled = x / alpha**0.5
        rows = x.shape[0]
        denoised = self._denoise(scaled, torch.full((rows,), sigma), torch.full((rows,), float(t)), blend=soft)
        return (scaled - denoised) / sigma, (scaled - self.last_uncond) / sigma

    def _consider(self, sigma: Tensor, t: float | None) -> None:
        self.token.check()
        if self.switch is not None:
            self.switch(self, sigma, t)

    def _denoise(self, x: Tensor, sigma: Tensor, t: Tensor, blend: bool) -> Tensor:
        self.on_call(self.calls, self.total_calls)
        step = self._begin(x, sigma)
        self.hooks.before_denoise(step)
        asks = [ask for ask in asks_of(self.guidance) if ask.wanted(step)]
        with ExitStack() as watches:
            for ask in asks:
                watches.enter_context(ask.watching(step))
            self._run_rows(step, t, asks)
        self.hooks.after_denoise(step)
        for ask in asks:
            self._ask(step, t, ask)
        step.denoised = self.guidance.combine(step)
        if blend:
            step.unblended = step.denoised
            plain = self.blend is None
            step.denoised = step.denoised * self.nmask + self.init_latents * self.mask if plain else self.blend(step)
            self.hooks.blend_mask(step)
        self.hooks.after_guidance(step)
        self.calls += 1
        self.last_denoised = step.denoised.to(x.dtype)
        uncond, first = step.uncond_denoised, [step.cond.images.index(image) for image in range(x.shape[0])]
        self.last_cond = step.cond_denoised[first].to(x.dtype)
        self.last_uncond = self.last_denoised if uncond is None else uncond.to(x.dtype)
        return self.last_denoised

    def _begin(self, x: Tensor, sigma: Tensor) -> Step:
        # Half precision has too few digits for x + sigma * noise at large sigma.
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        step = Step(
            x=x,
            sigma=sigma.to(x.device),
            index=self.calls,
            total=self.total_calls,
            cond=self.conditioning.at(self.calls),
            cfg_scale=self.guidance.cfg_scale,
            cfg_multiplier=self.cfg_multiplier,
            mask=self.mask,
            nmask=self.nmask,
            init_latents=self.init_latents,
        )
        step.without_uncond = (False,) * x.shape[0] if self.always_uncond else self.guidance.without_uncond(step)
        step.uncond_skipped = all(step.without_uncond)
        step.rows = _rows_of(step.cond, step.uncond_skipped, x.shape[0])
        where = [row.image for row in step.rows]
        step.x_rows, step.sigma_rows = x[where], step.sigma[where]
        return step

    def _ask(self, step: Step, t: Tensor, ask: Ask) -> None:
        """A further guess for some rows of the step, with the texts and inputs that they have."""
        self.token.check()
        question = ask.question(step)
        places = list(question.places)
        again = replace(
            step, rows=tuple(step.rows[place] for place in places), x_rows=question.x,
            sigma_rows=step.sigma_rows[places], denoised_rows=None,
        )  # fmt: skip
        with ask.applied(step):
            self._run_rows(again, t, ())
        step.further[ask.name] = again.denoised_rows

    def _run_rows(self, step: Step, t: Tensor, asks: Sequence[Ask]) -> None:
        """Calls the network on groups of rows whose texts have one length; usually that is a single call."""
        t_rows = t[[row.image for row in step.rows]]
        results: list[Tensor | None] = [None] * len(step.rows)
        for places, length in self._groups(step):
            inputs = _inputs(step, places, length, self.prediction, t_rows)
            self.hooks.amend_model_inputs(inputs)
            output = self.call(inputs).to(step.x_rows.dtype)
            for ask in asks:
                ask.watched(inputs.rows)
            x, sigma = _take(step.x_rows, places), _take(step.sigma_rows, places)
            denoised = self.prediction.denoised(x, output, sigma)
            if len(places) == len(results):
                step.denoised_rows = denoised
                return
            for place, row in zip(places, denoised):
                results[place] = row
        step.denoised_rows = torch.stack(results)

    def _groups(self, step: Step) -> list[tuple[list[int], int]]:
        cond = step.cond
        lengths = _own_lengths(cond.vectors, cond.lengths)
        negative = _own_lengths(cond.negative, cond.negative_lengths)
        groups: dict[tuple[int, int], list[int]] = {}
        for place, row in enumerate(step.rows):
            length = negative[row.image] if row.negative else lengths[_text_of(cond, row)]
            apart = row.part if row.negative and not self.batch_cond_uncond else 0
            groups.setdefault((apart, length), []).append(place)
        return [(places, length) for (_, length), places in groups.items()]


def _rows_of(cond: StepConditioning, uncond_skipped: bool, images: int) -> tuple[Row, ...]:
    rows = [Row(image, cond.images[:place].count(image)) for place, image in enumerate(cond.images)]
    if not uncond_skipped:
        rows += [Row(image) for image in range(images)]
        rows += [Row(image, BLANK) for image in range(images if cond.blank_concat is not None else 0)]
    return tuple(rows)


def _text_of(cond: StepConditioning, row: Row) -> int:
    """Where the text of a row with a prompt stands."""
    return [place for place, image in enumerate(cond.images) if image == row.image][row.part]


def _own_lengths(vectors: Tensor, lengths: Sequence[int]) -> Sequence[int]:
    """The rows' own lengths, unless a hook has put in texts of another shape."""
    fits = len(lengths) == vectors.shape[0] and max(lengths) == vectors.shape[1]
    return lengths if fits else [vectors.shape[1]] * vectors.shape[0]


def _take(rows: Tensor, places: list[int]) -> Tensor:
    """The rows at ascending `places`; without a copy where that is all of them."""
    return rows if len(places) == rows.shape[0] else rows[places]


def _beside(cond: StepConditioning, rows: Sequence[Row]) -> Tensor | None:  # [N, c, H, W]
    if cond.concat is None:
        return None
    return torch.stack([(cond.blank_concat if row.blank else cond.concat)[row.image] for row in rows])


def _inputs(step: Step, places: list[int], length: int, prediction: Prediction, t_rows: Tensor) -> ModelInputs:
    cond, rows = step.cond, tuple(step.rows[place] for place in places)
    x, sigma = _take(step.x_rows, places), _take(step.sigma_rows, places)
    texts = [
        cond.negative[row.image, :length] if row.negative else cond.vectors[_text_of(cond, row), :length]
        for row in rows
    ]
    added = {}
    for name in dict.fromkeys([*cond.added, *cond.negative_added]):
        values = [(cond.negative_added if row.negative else cond.added)[name][row.image] for row in rows]
        added[name] = torch.stack(values)
    if cond.pooled is not None and cond.negative_pooled is not None:
        pooled = [cond.negative_pooled[row.image] if row.negative else cond.pooled[_text_of(cond, row)] for row in rows]
        added["pooled"] = torch.stack(pooled)
    return ModelInputs(
        latents=x * per_row(prediction.c_in(sigma), x),
        t=_take(t_rows, places).to(x.device),
        context=torch.stack(texts),
        rows=rows,
        sigma=sigma,
        concat=_beside(cond, rows),
        added=added,
        step=step,
    )
