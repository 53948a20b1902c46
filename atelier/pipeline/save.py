"""Saving: every finished picture goes to the blob store, and to the disk when asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from PIL import Image

from atelier.base.errors import SaveFailed
from atelier.base.events import PictureReady
from atelier.base.files import write_bytes, write_text
from atelier.base.version import PROGRAM_VERSION
from atelier.imaging.grid import grid_shape, make_grid
from atelier.imaging.masks import mask_composite
from atelier.imaging.naming import (
    MAX_LENGTH,
    NameContext,
    NameRules,
    default_pattern,
    file_stem,
    free_stem,
    grid_stem,
    subfolder,
)
from atelier.imaging.provenance import provenance_note
from atelier.imaging.watermark import embed, has_room
from atelier.imaging.writer import MEDIA, encode, save_side_text
from atelier.params.request import GenerationRequest
from atelier.params.settings import SettingsSnapshot
from atelier.pipeline.infotext import SOURCE_HASH, describe, describe_frame
from atelier.pipeline.sample import effective_sampler
from atelier.pipeline.state import Batch, Frame, Picture, PictureDraft, Run


def save_frames(batch: Batch) -> list[Image.Image]:
    """Saves the batch's pictures and gives their images back, with masks and composites where settings ask."""
    run = batch.run
    images = []
    for frame in batch.frames:
        text = describe_frame(frame)
        if frame.index == 0 and not run.nested and not run.services.arguments.get("no_prompt_history"):
            _remember_parameters(run, text)
        if frame.before_color is not None and run.settings.save_images_before_color_correction:
            save_one(run, frame.before_color, text, frame=frame, role="before-color-correction", listed=False)
        images.append(save_one(run, frame.image, text, frame=frame))
        for role, image, keep, send in _mask_images(frame):
            if keep or send:
                saved = save_one(run, image, text, frame=frame, role=role, save=keep, listed=send)
                images += [saved] if send else []
    return images


def save_sources(run: Run) -> None:
    """The pictures that img2img starts from, under the hash of their pixels, where settings ask for them."""
    if not run.settings.save_init_img:
        return
    for position, ref in enumerate(run.request.source.images):
        picture = run.services.blobs.image(ref, f"source.images[{position}]")
        name = hashlib.md5(picture.tobytes(), usedforsecurity=False).hexdigest()
        run.notes[SOURCE_HASH] = name
        path = run.services.paths.data / run.settings.outdir_init_images / f"{name}.png"
        if not run.request.output.save_images or path.exists():
            continue
        try:
            write_bytes(path, encode(picture, "png", ""))
        except SaveFailed as error:
            run.comment(str(error))


def save_before(
    batch: Batch, images: list[Image.Image], role: str = "before-highres-fix", first: int = 0
) -> None:  # fmt: skip
    """Copies of the batch's pictures, beginning with the one at `first`, as they were before a step that changes them;
    on disk only, not in the result."""
    run = batch.run
    done = len([p for p in run.pictures if p.role == "picture"])
    for position, image in enumerate(images, first):
        planned = batch.pictures[position]
        frame = Frame(
            batch, done + position, position, image, seed=batch.seeds[position], subseed=batch.subseeds[position],
            prompt=batch.prompts[position], negative=batch.negatives[position],
        )  # fmt: skip
        save_one(run, image, describe(run, planned), frame=frame, role=role, listed=False)


def _mask_images(frame: Frame) -> list[tuple[str, Image.Image, bool, bool]]:
    mask, settings = frame.mask_for_overlay, frame.batch.run.settings
    if mask is None:
        return []
    composite = (
        mask_composite(frame.image, mask) if settings.save_mask_composite or settings.return_mask_composite else mask
    )
    return [
        ("mask", mask, settings.save_mask, settings.return_mask),
        ("mask-composite", composite, settings.save_mask_composite, settings.return_mask_composite),
    ]


def save_one(
    run: Run, image: Image.Image, text: str, *, frame: Frame | None = None, role: str = "picture",
    save: bool | None = None, listed: bool = True,
) -> Image.Image:  # fmt: skip
    """Writes one picture, tells everybody, and gives back the image as it was saved."""
    draft = _draft(run, image, text, frame, role)
    if save is not None:
        draft.save = draft.save and save
    run.services.hooks.before_save(draft=draft)
    _mark(run, draft)
    data = _encoded(run, draft)
    path = _write(run, draft, data) if draft.save else ""
    ref = run.services.blobs.put_encoded(data, draft.image.size, MEDIA[draft.format])
    picture = Picture(
        index=len(run.pictures), ref=ref, infotext=draft.infotext, path=path, role=role,
        seed=frame.seed if frame else -1, subseed=frame.subseed if frame else -1,
        prompt=frame.prompt if frame else "", negative=frame.negative if frame else "",
    )  # fmt: skip
    if listed:
        run.pictures.append(picture)
        run.publish(
            PictureReady(
                job=run.job, index=picture.index, sha256=ref.sha256, path=path, infotext=draft.infotext,
                seed=picture.seed, width=ref.width, height=ref.height, role=role,
            )
        )  # fmt: skip
    if path:
        run.services.picture_saved(run, picture)
    return draft.image


def _draft(run: Run, image: Image.Image, text: str, frame: Frame | None, role: str) -> PictureDraft:
    settings = run.settings
    grid = role == "grid"
    wanted = settings.grid_save if grid else settings.samples_save
    if run.token.mode is not None and not grid and not (frame is not None and frame.batch.whole):
        wanted = wanted and settings.save_incomplete_images
    context, rules = _context(run, image, frame), _rules(run)
    root = _folder(run, grid)
    in_folders = settings.grid_save_to_dirs if grid else settings.save_to_dirs
    folder = subfolder(root, settings.directories_filename_pattern, context, rules) if in_folders else root
    pattern = settings.samples_filename_pattern or default_pattern(in_folders)
    stem = "" if grid else file_stem(pattern, context, suffix="" if role == "picture" else f"-{role}", rules=rules)
    return PictureDraft(
        run, image, text, str(folder), stem, settings.grid_format if grid else settings.samples_format,
        save=run.request.output.save_images and wanted, role=role, frame=frame,
    )  # fmt: skip


def _mark(run: Run, draft: PictureDraft) -> None:
    """The last change of a picture: whatever came after would wear the mark off."""
    word = run.settings.watermark.strip()
    if not word or draft.role == "mask":
        return
    if has_room(draft.image.size):
        draft.image = embed(draft.image, word)
    else:
        run.comment("The picture is too small for the invisible watermark; it carries none.")


def _encoded(run: Run, draft: PictureDraft) -> bytes:
    """Encoded once, for the disk and for the blob store. A picture too long for its format becomes a PNG."""
    settings = run.settings
    text = draft.infotext if settings.enable_pnginfo else ""
    note = provenance_note(run.request.kind, f"Atelier {PROGRAM_VERSION}") if settings.provenance_note else b""
    how = {"quality": settings.jpeg_quality, "lossless": settings.webp_lossless}
    try:
        return encode(draft.image, draft.format, text, **how, xmp=note)
    except SaveFailed as error:
        run.comment(f"{error} It was saved as PNG.")
        draft.format = "png"
        return encode(draft.image, "png", text, xmp=note)


def _write(run: Run, draft: PictureDraft, data: bytes) -> str:
    """The path, or empty when the disk refused: the picture then lives on in the blob store, and the person is told."""
    settings, folder = run.settings, Path(draft.folder)
    try:
        stem = draft.stem
        if draft.role == "grid":
            told = _context(run, draft.image, None) if settings.grid_extended_filename else None
            stem = grid_stem(run.services.numbering.take(folder, "grid-"), told, _rules(run))
        elif settings.save_images_add_number:
            stem = (
                f"{run.services.numbering.take(folder):05d}-{stem}"
                if stem
                else f"{run.services.numbering.take(folder):05d}"
            )
        elif settings.save_images_replace_action == "Add number suffix":
            stem = free_stem(folder, stem, draft.format)
        path = folder / f"{stem}.{draft.format}"
        write_bytes(path, data)
        if settings.save_txt and draft.infotext:
            save_side_text(path, draft.infotext)
        return str(path)
    except SaveFailed as error:
        run.comment(f"{error} The picture can still be downloaded from the page.")
        return ""


def _rules(run: Run) -> NameRules:
    """What the command line says about names of files."""
    given = run.services.arguments
    return NameRules(bool(given.get("unix_filenames_sanitization")), given.get("filenames_max_length") or MAX_LENGTH)


def _folder(run: Run, grid: bool) -> Path:
    settings, kind = run.settings, run.request.kind
    if grid:
        folder = settings.outdir_grids or settings[f"outdir_{kind}_grids"]
    else:
        folder = settings.outdir_samples or settings[f"outdir_{kind}_samples"]
    return run.services.paths.data / folder


def _context(run: Run, image: Image.Image, frame: Frame | None) -> NameContext:
    request, model, plan = run.request, run.model, run.plan
    first = plan.pictures[0] if plan.pictures else None
    sampler, schedule = effective_sampler(run)
    planned = frame.batch.pictures[min(frame.position, len(frame.batch.pictures) - 1)] if frame else first
    return NameContext(
        seed=frame.seed if frame else (first.seed if first else None),
        seeds=tuple(p.seed for p in plan.pictures),
        steps=request.sampling.steps,
        cfg=float(request.sampling.cfg_scale),
        width=image.width,
        height=image.height,
        styles=request.prompt.styles,
        sampler=sampler.name,
        scheduler=schedule,
        model_name=model.file.path.stem,
        model_hash=model.file.short or "",
        vae_filename=model.vae_file.name if model.vae_file else "",
        prompt=planned.prompt if planned else "",
        prompt_no_styles=request.prompt.positive,
        negative_prompt=planned.negative if planned else "",
        job_time=datetime.strptime(run.timestamp, "%Y%m%d%H%M%S"),
        batch_number=frame.position + 1 if frame else None,
        batch_size=request.batch.size,
        generation_number=frame.index + 1 if frame else None,
        generation_count=len(plan.pictures),
        clip_skip=run.settings.CLIP_stop_at_last_layers,
        denoising=request.source.denoising_strength if request.kind == "img2img" else None,
        image=image,
        max_prompt_words=run.settings.directories_max_prompt_words,
    )


def save_grid(run: Run, images: list[Image.Image]) -> list[Image.Image]:
    """All pictures of the job on one sheet, first in the result. Empty when settings do not ask for one."""
    settings = run.settings
    several = len(images) > 1 or not settings.grid_only_if_multiple
    wanted = settings.return_grid or settings.grid_save
    if run.nested or not images or not several or not wanted or not run.request.output.save_images:
        return []
    sheet = sheet_of(run.request, settings, images)
    text = describe(run, run.plan.pictures[0])
    before = len(run.pictures)
    saved = save_one(run, sheet, text, role="grid", listed=settings.return_grid)
    # Clients expect the grid first.
    run.pictures[:] = run.pictures[before:] + run.pictures[:before]
    return [saved] if settings.return_grid else []


def sheet_of(request: GenerationRequest, settings: SettingsSnapshot, images: Sequence[Image.Image]) -> Image.Image:
    """All pictures of a request side by side, in as many rows as the settings say."""
    no_gaps = settings.grid_prevent_empty_spots
    rows, columns = grid_shape(len(images), n_rows=settings.n_rows, batch_size=request.batch.size, no_gaps=no_gaps)
    return make_grid(images, rows, columns, limit_mp=settings.img_max_size_mp)


def _remember_parameters(run: Run, text: str) -> None:
    """`params.txt` lets the page bring back the last run's parameters."""
    try:
        write_text(run.services.paths.data / "params.txt", text)
    except SaveFailed as error:
        run.comment(str(error))
