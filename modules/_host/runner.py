"""The host's side of a run: the core's hooks, handed on to A1111 scripts in the order that they know.

At each moment the carrier is copied into `p`, the scripts are called, and `p` is copied out again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from atelier.base.errors import ExtensionError
from atelier.base.events import Event, PictureReady
from atelier.params.picture_batch import EXTRA as PICTURES
from atelier.params.scripts import EXTRA as SCRIPT
from atelier.pipeline.hooks import ResultDraft
from atelier.pipeline.state import Batch, PictureDraft, PlanDraft, RequestDraft, Result, Run
from atelier.plugins.hooks import hookimpl
from modules._host.args import EXTRAS, script_args
from modules._host.draft import draft_of, request_of
from modules._host.infotext import carry_out
from modules._host.processed import Processed, pictures_of, processed_of
from modules._host.ticket import NOTE, Ticket, ticket_of

#: fields of the HTTP API that only scripts and `p` know
PASSED_ON = ("disable_extra_networks",)


class RunHooks:
    """The moments of a run as a whole and of its batches. Those of a pass and a frame are in `runner_steps.py`."""

    def __init__(self, host: Any) -> None:
        self.host = host

    # -- the request -------------------------------------------------------------------------------------------

    @hookimpl
    def amend_request(self, run: Run, draft: RequestDraft) -> None:
        host = self.host
        ticket = host.tickets.handed_over()
        if ticket is None:
            if not run.nested:
                host.tickets.pop_to(None)
            ticket = Ticket(draft_of(draft.request, host.blobs), outer=host.tickets.current, inner=run.nested)
            self._dress(ticket.p, run, draft.request)
            ticket.hosting = bool({SCRIPT, PICTURES} & draft.request.extras.keys())
            host.axes.put_into(ticket.p, draft.request)
        ticket.run = run
        run.notes[NOTE] = ticket
        host.tickets.push(ticket)
        ticket.publish = run.publish
        run.publish = self._listener(ticket, run.publish)
        p = ticket.p
        if not ticket.inner:
            host.state.begin(run.job or run.request.kind)
            host.state.token = run.token
            ticket.taken = host.takes(p)
        if not ticket.taken:
            if p.scripts is not None:
                p.scripts.fire("before_process", p)
            self._freeze_into(draft, p)

    def _dress(self, p: Any, run: Run, request: Any) -> None:
        """Gives a draft its scripts and their arguments, as the page and the HTTP API do; `setup` follows from it."""
        host = self.host
        given = request.extras.get(EXTRAS) or {}
        p.is_api = "args" not in given
        p.force_task_id = run.job
        for name in PASSED_ON:
            if given.get(name) is not None:
                setattr(p, name, given[name])
        options = host.options
        p.outpath_samples = p._outpath_given = options.outdir_samples or options.data[f"outdir_{request.kind}_samples"]
        p.outpath_grids = options.outdir_grids or options.data[f"outdir_{request.kind}_grids"]
        runner = host.runner(request.kind)
        if runner.scripts:
            p.scripts = runner
            p.script_args = script_args(runner, given, host.packer)

    def _freeze_into(self, draft: RequestDraft, p: Any) -> None:
        draft.request = self.host.known_overrides(request_of(p, draft.request, self.host.blobs), p)

    @hookimpl
    def take_over(self, run: Run) -> Result | None:
        """A selected script makes the pictures itself; so does what an extension has put over the usual function."""
        ticket = ticket_of(run)
        if ticket is None or not ticket.taken:
            return None
        host, p = self.host, ticket.p
        ticket.taking = True
        host.state.job_count = p.n_iter
        try:
            processed = p.scripts.run(p, *p.script_args) if p.scripts is not None else None
        except ExtensionError:
            if run.token.mode is None:
                raise
            processed = _so_far(ticket)
        if processed is None:
            processed = host.process_images(p)
        return self._result(run, ticket, processed)

    def _result(self, run: Run, ticket: Ticket, processed: Any) -> Result:
        known = {key: picture for key, (image, picture) in ticket.made.items()}
        pictures = pictures_of(processed, known, self.host.blobs)
        for picture, image in zip(pictures, processed.images):
            if id(image) not in known:
                run.publish(_ready(run, replace(picture, index=ticket.shown)))
                ticket.shown += 1
        self.host.tickets.pop_to(ticket.outer)
        self.host.state.end()
        state = "stopped" if run.token.mode == "stop" else "done"
        return Result(
            tuple(replace(picture, index=index) for index, picture in enumerate(pictures)), state,
            comments=tuple(run.comments), info=processed.facts(), images=tuple(processed.images),
        )  # fmt: skip

    def _listener(self, ticket: Ticket, publish: Callable[[Event], Any]) -> Callable[[Event], Any]:
        """Tells scripts of saved pictures. Those of runs inside a run are numbered one after the other when a script
        makes the result of them, and are nobody else's business otherwise."""

        def listen(event: Event) -> Any:
            if not isinstance(event, PictureReady):
                return publish(event)
            if event.path not in ticket.told:
                self.host.picture_ready(ticket, event)
            outer = ticket.outer
            if outer is not None and ticket.inner:
                outer.told.add(event.path)
                if outer.hosting:
                    return publish(event)
                if not outer.taking:
                    return None
                event = replace(event, index=outer.shown)
                outer.shown += 1
            return publish(event)

        return listen

    # -- the plan ----------------------------------------------------------------------------------------------

    @hookimpl
    def amend_plan(self, run: Run, draft: PlanDraft) -> None:
        ticket = ticket_of(run)
        if ticket is None:
            return
        p = ticket.p
        _spread_lists(p, draft)
        p.all_prompts, p.all_negative_prompts = draft.prompts, draft.negatives
        p.all_seeds, p.all_subseeds = draft.seeds, draft.subseeds
        p.main_prompt, p.main_negative_prompt = _first(draft.prompts), _first(draft.negatives)
        second = getattr(p, "enable_hr", False)
        if hasattr(p, "all_hr_prompts"):
            p.all_hr_prompts = draft.hires_prompts if second else None
            p.all_hr_negative_prompts = draft.hires_negatives if second else None
        self._model_facts(run, p)
        p.job_timestamp, p.clip_skip = run.timestamp, run.settings.CLIP_stop_at_last_layers
        p.version = run.services.version
        if p.scripts is not None:
            p.scripts.fire("process", p)
        if self.host.state.job_count == -1:
            self.host.state.job_count = p.n_iter
        # A1111 makes n_iter batches of what the scripts have left in the lists.
        count = max(1, int(p.n_iter) * int(p.batch_size))
        draft.prompts, draft.negatives = list(p.all_prompts)[:count], list(p.all_negative_prompts)
        draft.seeds, draft.subseeds = list(p.all_seeds), list(p.all_subseeds)
        if hasattr(p, "all_hr_prompts"):
            draft.hires_prompts = list(p.all_hr_prompts or draft.prompts)
            draft.hires_negatives = list(p.all_hr_negative_prompts or draft.negatives)
        self._copy_out(run, ticket)

    def _model_facts(self, run: Run, p: Any) -> None:
        model = run.model
        if model is not None:
            p.sd_model_name, p.sd_model_hash = model.file.name, model.file.short
            p.sd_vae_name = model.vae_file.name if model.vae_file else None
            p.sd_vae_hash = model.vae_file.short if model.vae_file else None
            p.is_using_inpainting_conditioning = model.is_inpainting

    def _copy_out(self, run: Run, ticket: Ticket) -> None:
        run.request = self.host.known_overrides(request_of(ticket.p, run.request, self.host.blobs), ticket.p)
        carry_out(run, ticket)

    # -- batches -----------------------------------------------------------------------------------------------

    @hookimpl
    def before_batch(self, batch: Batch) -> None:
        ticket = ticket_of(batch.run)
        if ticket is not None:
            p, state = ticket.p, self.host.state
            p.iteration = batch.index
            if not ticket.inner or ticket.outer is None or ticket.outer.taking:
                state.job = f"Batch {batch.index + 1} out of {p.n_iter}" if p.n_iter > 1 else state.job
            self._batch_moment(batch, ticket, "before_process_batch")

    @hookimpl
    def networks_applied(self, batch: Batch) -> None:
        ticket = ticket_of(batch.run)
        if ticket is None:
            return
        data = self.host.network_data(batch.tags)
        ticket.p.extra_network_data = data
        if not ticket.p.disable_extra_networks:
            ticket.networks = data
            self.host.networks.activate(ticket.p, data)
            self._batch_moment(batch, ticket, "after_extra_networks_activate", extra_network_data=data)

    @hookimpl
    def amend_batch(self, batch: Batch) -> None:
        ticket = ticket_of(batch.run)
        if ticket is not None:
            self._batch_moment(batch, ticket, "process_batch")

    def _batch_moment(self, batch: Batch, ticket: Ticket, method: str, **more: Any) -> None:
        p = ticket.p
        _batch_in(batch, p)
        if p.scripts is not None:
            p.scripts.fire(
                method, p, batch_number=batch.index, prompts=p.prompts, seeds=p.seeds, subseeds=p.subseeds, **more
            )
        _batch_out(batch, p)
        self._copy_out(batch.run, ticket)

    # -- the end -----------------------------------------------------------------------------------------------

    @hookimpl
    def before_save(self, draft: PictureDraft) -> None:
        ticket = ticket_of(draft.run)
        if ticket is not None:
            self.host.before_save(ticket, draft)

    @hookimpl
    def after_run(self, run: Run, result: ResultDraft) -> None:
        ticket = ticket_of(run)
        if ticket is None:
            return
        host, p = self.host, ticket.p
        if ticket.networks is not None:
            host.networks.deactivate(p, ticket.networks)
        processed = ticket.processed = processed_of(p, run, result.result)
        known = {id(image): picture for image, picture in zip(result.result.images, result.result.pictures)}
        if p.scripts is not None:
            p.scripts.fire("postprocess", p, processed)
        carry_out(run, ticket)
        pictures = pictures_of(processed, known, host.blobs)
        for picture, image in zip(pictures, processed.images):
            if id(image) not in known:
                run.publish(_ready(run, picture))
        result.result = replace(
            result.result,
            pictures=tuple(replace(picture, index=index) for index, picture in enumerate(pictures)),
            images=tuple(processed.images), comments=tuple(run.comments),
            info={**result.result.info, "infotexts": list(processed.infotexts)},
        )  # fmt: skip
        if ticket.outer is not None:
            ticket.outer.made.update({id(i): (i, picture) for i, picture in zip(processed.images, pictures)})
        host.tickets.pop_to(ticket.outer)
        if not ticket.inner:
            host.state.end()


def _so_far(ticket: Ticket) -> Processed:
    """What a script had made when it was stopped."""
    made = list(ticket.made.values())
    texts = [picture.infotext for _, picture in made]
    return Processed(ticket.p, [image for image, _ in made], info=texts[0] if texts else "", infotexts=texts)


def _spread_lists(p: Any, draft: PlanDraft) -> None:
    """Prompts and seeds that an extension gave as lists, one for each picture."""
    for name, place in (
        ("prompt", "prompts"), ("negative_prompt", "negatives"), ("seed", "seeds"), ("subseed", "subseeds"),
    ):  # fmt: skip
        given = getattr(p, name)
        if isinstance(given, (list, tuple)) and given:
            setattr(draft, place, list(given))
    count = len(draft.prompts)
    for place in ("negatives", "seeds", "subseeds", "hires_prompts", "hires_negatives"):
        values = getattr(draft, place)
        setattr(draft, place, (values + values[-1:] * count)[:count])


def _batch_in(batch: Batch, p: Any) -> None:
    p.prompts, p.negative_prompts = batch.prompts, batch.negatives
    p.seeds, p.subseeds = batch.seeds, batch.subseeds
    if hasattr(p, "hr_prompts"):
        p.hr_prompts, p.hr_negative_prompts = batch.hires_prompts, batch.hires_negatives


def _batch_out(batch: Batch, p: Any) -> None:
    pairs = [("prompts", "prompts"), ("negatives", "negative_prompts"), ("seeds", "seeds"), ("subseeds", "subseeds")]
    if hasattr(p, "hr_prompts"):
        pairs += [("hires_prompts", "hr_prompts"), ("hires_negatives", "hr_negative_prompts")]
    for ours, theirs in pairs:
        given = getattr(p, theirs)
        if given is not None and given is not getattr(batch, ours):
            getattr(batch, ours)[:] = list(given)


def _ready(run: Run, picture: Any) -> PictureReady:
    return PictureReady(
        job=run.job, index=picture.index, sha256=picture.ref.sha256, path=picture.path, infotext=picture.infotext,
        seed=picture.seed, width=picture.ref.width, height=picture.ref.height, role=picture.role,
    )  # fmt: skip


def _first(values: list[str]) -> str:
    return values[0] if values else ""
