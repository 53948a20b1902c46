"""Session: the runs that a script makes inside its own run, with progress over all of them, and what is kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from atelier.base.errors import BadImage, NotFound
from atelier.base.events import Event, PictureReady, StepDone
from atelier.base.log import fields, logger
from atelier.base.refs import ImageRef
from atelier.imaging.grid import grid_shape, make_grid
from atelier.params.finishing import EXTRA as FINISHING
from atelier.params.picture_batch import AskedBatch
from atelier.params.request import GenerationRequest
from atelier.params.schema import request_to_json
from atelier.params.scripts import AskedScript, without_script
from atelier.pipeline.infotext import result_info
from atelier.pipeline.plan import draft_plan, draw_seed, freeze_plan
from atelier.pipeline.run import generate
from atelier.pipeline.save import save_one
from atelier.pipeline.state import Picture, Result, Run

log = logger(__name__)

#: the name in `request.extras` under which an inner run finds what its pictures are to tell
FIELDS = "script_fields"


@dataclass(frozen=True)
class Made:
    """One inner run: its pictures with their images, in the order of its result. `whole` is False when it was ended
    before its time."""

    request: GenerationRequest
    pictures: tuple[Picture, ...]
    images: tuple[Image.Image, ...]
    whole: bool = True

    @property
    def first(self) -> Picture:
        return self.pictures[0]

    def sheet(self, limit_mp: float) -> Image.Image:
        """The picture, or all of them on one sheet."""
        if len(self.images) == 1:
            return self.images[0]
        rows, columns = grid_shape(len(self.images), batch_size=self.request.batch.size)
        return make_grid(self.images, rows, columns, limit_mp=limit_mp)


class Session:
    """`request` is the asked request without the script, its random seeds drawn: the same after a crash.

    `base` replaces that request before the draw. With `parts`, inner runs make pieces of a larger picture, which are
    nobody else's business.
    """

    def __init__(
        self, run: Run, asked: AskedScript | AskedBatch, *, base: GenerationRequest | None = None,
        fixed_seeds: bool = True, parts: bool = False,
    ) -> None:  # fmt: skip
        self.run = run
        self._parts = parts
        self._inside = False
        self._publish = run.publish
        self.asked = asked
        self.values = asked.values
        self.settings = run.settings
        self.began = time.monotonic()
        self.base = without_script(run.request) if base is None else base
        if parts:
            # A piece is no finished picture.
            self.base = self.base.with_values(extras={k: v for k, v in self.base.extras.items() if k != FINISHING})
        self.request = self.fixed(self.base) if fixed_seeds else self.base
        self.made: list[Made] = []
        self._seen: Counter[str] = Counter()
        self._expected = self._done = self._runs = self._shown = 0
        self._weight = 1
        #: how far the inner run that is being made has come
        self._share = 0.0

    # -- ending, seeds, notes

    @property
    def ending(self) -> bool:
        """True when no further inner run should be begun."""
        return self.run.token.ending

    def fixed(self, request: GenerationRequest, name: str = "") -> GenerationRequest:
        """The request with random seeds drawn, once for the job and the given name."""
        seed, subseed = request.seed.seed, request.seed.subseed
        return request.with_values(**{
            "seed.seed": self.drawn(f"{name} seed") if seed == -1 else seed,
            "seed.subseed": self.drawn(f"{name} subseed") if subseed == -1 else subseed,
        })  # fmt: skip

    def drawn(self, name: str) -> int:
        """A random seed that stays the same when the job is taken up again."""
        return self.remembered(f"drawn {name}", lambda: {"seed": draw_seed()})["seed"]

    def remembered(self, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was noted under a key by this job, or by the one that it resumes; else it is made and noted."""
        notes, job = self.run.services.notes, self.run.job
        found = notes.get(job, key) if job else None
        if found is None and self.asked.resume:
            found = notes.get(self.asked.resume, key)
            if found is not None and job:
                notes.put(job, key, found)
        if found is None:
            found = make()
            if job:
                notes.put(job, key, found)
        return found

    # -- inner runs

    def expect(self, requests: Iterable[GenerationRequest]) -> None:
        """What is to come, for progress and the time left."""
        weights = [self._calls(request) for request in requests]
        self._expected += sum(weights)
        self._runs += len(weights)

    def make(self, request: GenerationRequest) -> Made:
        """The pictures of one request: kept ones from before the program ended, or made now.

        Raises what `generate` raises; after a stop the pictures are what there was.
        """
        key = self._key(request)
        self._weight = self._calls(request)
        self._inside = True
        made = self._kept(key, request)
        if made is None:
            self._share = 0.0
            result = generate(
                request, self.run.services, settings=self.settings, token=self.run.token, publish=self._heard,
                job=self.run.job, nested=True,
            )  # fmt: skip
            token = self.run.token
            # A wish that came after the last step has cut nothing short.
            whole = bool(result.pictures) and (self._share >= 1 or token.mode is None and not token.ending)
            made = Made(request, result.pictures, result.images, whole)
            if whole and self.run.job:
                self.run.services.notes.put(self.run.job, key, {"pictures": result.to_json()["pictures"]})
            for text in result.comments:
                if text not in self.run.comments:
                    self.run.comments.append(text)
        self._inside = False
        self._done += self._weight
        self.made.append(made)
        return made

    def _key(self, request: GenerationRequest) -> str:
        """The same for the same request under the same model; the count tells apart what is asked for twice."""
        model = [self.settings.sd_model_checkpoint, self.settings.sd_vae]
        text = json.dumps([request_to_json(request), model], sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()[:32]
        self._seen[digest] += 1
        return f"run {digest} {self._seen[digest]}"

    def _kept(self, key: str, request: GenerationRequest) -> Made | None:
        notes, job = self.run.services.notes, self.run.job
        found = notes.get(job, key) if job else None
        if found is None and self.asked.resume:
            found = notes.get(self.asked.resume, key)
            if found is not None and job:
                notes.put(job, key, found)
        if found is None:
            return None
        try:
            pictures = tuple(_picture(data) for data in found["pictures"])
            images = tuple(self.run.services.blobs.image(picture.ref) for picture in pictures)
        except (NotFound, BadImage, KeyError) as error:
            log.warning("kept pictures cannot be used, they are made anew: %s", fields(key=key, reason=str(error)))
            return None
        for picture in pictures:
            self._show(picture)
        return Made(request, pictures, images)

    def _calls(self, request: GenerationRequest) -> int:
        """About how many evaluations of the model a request takes."""
        services, settings = self.run.services, self.settings
        sampler, _ = services.catalogue.resolve(request.sampling.sampler, request.sampling.scheduler)
        steps = request.sampling.steps
        if request.kind == "img2img" and not settings.img2img_fix_steps:
            steps = int(min(request.source.denoising_strength, 0.999) * steps) + 1
        if request.hires.enabled and request.kind == "txt2img":
            steps += request.hires.steps or request.sampling.steps
        return max(1, steps * (2 if sampler.second_order else 1) * request.batch.count)

    # -- events

    def _heard(self, event: Event) -> Any:
        """Steps count over all inner runs, pictures are numbered one after the other."""
        if isinstance(event, StepDone) and event.steps > 0:
            share = self._share = min(1.0, event.step / event.steps)
            total = max(self._expected, self._done + self._weight)
            event = replace(
                event, step=min(total, self._done + max(1, round(share * self._weight))), steps=total,
                pass_index=len(self.made), passes=max(self._runs, len(self.made) + 1),
            )  # fmt: skip
        elif isinstance(event, PictureReady):
            if self._inside and self._parts:
                return None
            event = replace(event, index=self._shown)
            self._shown += 1
        return self._publish(event)

    def _show(self, picture: Picture) -> None:
        self._heard(PictureReady(
            job=self.run.job, index=picture.index, sha256=picture.ref.sha256, path=picture.path,
            infotext=picture.infotext, seed=picture.seed, width=picture.ref.width, height=picture.ref.height,
            role=picture.role,
        ))  # fmt: skip

    # -- the result

    def gathered(self) -> Result:
        """Everything that was made, in order, with a sheet of it first where settings ask for one."""
        pictures = [p for made in self.made for p in made.pictures]
        images = [i for made in self.made for i in made.images]
        settings = self.settings
        wanted = settings.return_grid or settings.grid_save
        if len(images) < 2 or not wanted or not self.base.output.save_images:
            return self.result(pictures, images, pictures)
        sheet = make_grid(images, *grid_shape(len(images), n_rows=settings.n_rows), limit_mp=settings.img_max_size_mp)
        grid = self.keep(sheet, pictures[0].infotext, role="grid")
        if not settings.return_grid:
            return self.result(pictures, images, pictures)
        return self.result([grid, *pictures], [sheet, *images], pictures)

    def keep(self, image: Image.Image, text: str, role: str = "picture", like: Picture | None = None) -> Picture:
        """Saves a picture that the script itself has put together, as any other picture is saved.

        `like` is a picture whose seed and prompts are its own as well.
        """
        self._adopt()
        run = self.run
        # Numbered with all the others.
        run.publish = self._heard
        try:
            save_one(run, image, text, role=role)
        finally:
            run.publish = self._publish
        made = run.pictures.pop()
        if like is None:
            return made
        return replace(made, seed=like.seed, subseed=like.subseed, prompt=like.prompt, negative=like.negative)

    def _adopt(self) -> None:
        """Lets the outer run speak of names and folders as an ordinary one does."""
        run = self.run
        if run.plan is not None:
            return
        run.request = self.fixed(self.base)
        library, settings = run.services.library, run.settings
        run.model = library.current or library.open(settings.sd_model_checkpoint or None, settings.sd_vae)
        run.hires_model = run.model
        run.plan = freeze_plan(draft_plan(run.request, run.services.styles), run.request, run.settings)

    def result(
        self, pictures: Sequence[Picture], images: Sequence[Image.Image], shown: Sequence[Picture] | None = None
    ) -> Result:
        """`pictures` with grids first. `shown` are the pictures whose prompts and seeds are told, by default all that
        were made."""
        self._adopt()
        run = self.run
        run.pictures = [replace(picture, index=index) for index, picture in enumerate(pictures)]
        told = list(shown) if shown is not None else [p for made in self.made for p in made.pictures]
        info = result_info(run)
        if told:
            info |= {
                "prompt": told[0].prompt, "negative_prompt": told[0].negative, "seed": told[0].seed,
                "subseed": told[0].subseed, "all_prompts": [p.prompt for p in told],
                "all_negative_prompts": [p.negative for p in told], "all_seeds": [p.seed for p in told],
                "all_subseeds": [p.subseed for p in told],
            }  # fmt: skip
        state = "stopped" if run.token.mode == "stop" else "done"
        return Result(
            tuple(run.pictures), state, tuple(run.comments), info, time.monotonic() - self.began, tuple(images)
        )


def with_text(request: GenerationRequest, values: dict[str, Any]) -> GenerationRequest:
    """The request of an inner run whose pictures tell these values beside their other parameters."""
    told = {**(request.extras.get(FIELDS) or {}), **values}
    return request.with_values(extras={**request.extras, FIELDS: told})


def _picture(data: dict[str, Any]) -> Picture:
    ref = ImageRef(data["sha256"], data["width"], data["height"])
    names = ("index", "infotext", "seed", "subseed", "path", "role", "prompt", "negative")
    return Picture(ref=ref, **{name: data[name] for name in names})
