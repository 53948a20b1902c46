"""BareLoop: the same modules called with nothing around them, as the least that a picture can cost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from atelier.checkpoints.load import LoadedModel
from atelier.families.family import EncodeOptions
from atelier.families.model import place_of
from atelier.sampling.catalogue import default_catalogue
from atelier.sampling.noise import PictureNoise
from atelier.sampling.session import plan_sampling
from bench.studio import Scene
from bench.timing import Figures, StepClock


class BareLoop:
    """Euler with classifier-free guidance over a model's own modules. Texts, noise, levels and timesteps are made
    beforehand and are those of Atelier, so that both give the same picture."""

    def __init__(self, model: LoadedModel, scene: Scene, settle: Callable[[], None]) -> None:
        self.model, self.scene, self.settle = model, scene, settle
        catalogue = default_catalogue()
        sampler, label = catalogue.resolve("Euler", "Automatic")
        plan = plan_sampling(sampler, catalogue.schedule_for(sampler, label), scene.steps, model.prediction)
        device = model.device
        with torch.no_grad():
            positive, negative = model.encode_texts([scene.prompt, scene.negative], EncodeOptions())
        self.context = torch.stack([positive.vectors, negative.vectors]).to(device)  # [2, T, C]
        cells = scene.side // model.latent.factor
        noise = PictureNoise((model.latent.channels, cells, cells), [scene.seed], source="CPU", device=device).first()
        self.start = plan.start(noise)  # [1, C, h, w]
        self.sigmas = [float(s) for s in plan.sigmas]
        self.times = model.prediction.sigma_to_t(plan.sigmas[:-1]).to(device)

    def paint(self, unet: nn.Module | None = None) -> tuple[Figures, np.ndarray]:
        """`unet` takes the place of the model's own, in its own precision."""
        unet = unet or self.model.denoiser
        clock = StepClock(self.settle)
        with torch.no_grad(), clock.watching(unet):
            latents = self.sample(unet, clock)
            raw = self.model.latent.raw(latents).to(place_of(self.model.vae)[1])
            pixels = self.model.vae.decode(raw, return_dict=False)[0]
            picture = to_picture(pixels)
        return clock.figures(), picture

    def sample(self, unet: nn.Module, clock: StepClock) -> torch.Tensor:  # [1, C, h, w]
        _, dtype = place_of(unet)
        x, context, scale = self.start, self.context.to(dtype), self.scene.cfg
        velocity = self.model.prediction.kind == "v"
        for index, time in enumerate(self.times):
            clock.mark()
            sigma, following = self.sigmas[index], self.sigmas[index + 1]
            shrink = (sigma**2 + 1) ** -0.5
            out = unet(
                torch.cat([x, x]).to(dtype) * shrink, time.expand(2), encoder_hidden_states=context, return_dict=False
            )[0].float()  # fmt: skip
            wanted, unwanted = out.chunk(2)
            guided = unwanted + scale * (wanted - unwanted)
            slope = x * (sigma * shrink**2) + guided * shrink if velocity else guided
            x = x + slope * (following - sigma)
        return x


def to_picture(pixels: torch.Tensor) -> np.ndarray:  # [1, 3, H, W], about -1..1 -> [H, W, 3], bytes
    shown = ((pixels[0].float() + 1) / 2).clamp(0, 1) * 255
    return shown.round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def difference(first: np.ndarray, second: np.ndarray) -> tuple[int, float]:
    """The largest and the mean difference of two pictures, in steps of 1/255."""
    apart = np.abs(first.astype(np.int16) - second.astype(np.int16))
    return int(apart.max()), float(apart.mean())
