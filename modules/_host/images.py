"""`modules.images`: pictures on disk, resized, laid out in grids, under A1111's signatures."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from atelier.imaging.decode import flatten as flatten_on
from atelier.imaging.grid import grid_shape, make_grid
from atelier.imaging.metadata import read_metadata
from atelier.imaging.naming import NameContext, clean_part, default_pattern, file_stem, fill_pattern, subfolder
from atelier.imaging.numbering import highest_number
from atelier.imaging.resize import lanczos, resize
from atelier.imaging.writer import save_picture, save_side_text
from atelier.params.foreign.catalogue import translate
from modules._host.attach import host
from modules._host.callback_params import ImageGridLoopParams, ImageSaveParams

LANCZOS = Image.Resampling.LANCZOS
NEAREST = Image.Resampling.NEAREST
Grid = namedtuple("Grid", ["tiles", "tile_w", "tile_h", "image_w", "image_h", "overlap"])


def flatten(img: Image.Image, bgcolor: str) -> Image.Image:
    return flatten_on(img, bgcolor)


def read_info_from_image(image: Image.Image) -> tuple[str | None, dict[str, Any]]:
    """(parameters or None, the other texts of the file)."""
    found = read_metadata(image)
    return translate(found.infotext, found.items, image.size).infotext or None, dict(found.items)


def resize_image(
    resize_mode: int, im: Image.Image, width: int, height: int, upscaler_name: str | None = None,
    force_RGBA: bool = False,  # noqa: N803 - the name that callers use
) -> Image.Image:  # fmt: skip
    """Modes 0 stretch, 1 crop, 2 fill; enlarging with the named upscaler."""

    def resampler(image: Image.Image, wide: int, high: int) -> Image.Image:
        services = host().services
        if upscaler_name in (None, "None") or services is None or (wide <= image.width and high <= image.height):
            return lanczos(image, wide, high)
        return services.upscalers.get(upscaler_name, "upscaler").enlarge(image, wide, high)

    return resize(im, int(width), int(height), resize_mode, resampler)


def sanitize_filename_part(text: str | None, replace_spaces: bool = True) -> str | None:
    return None if text is None else clean_part(text, spaces=not replace_spaces)


def get_next_sequence_number(path: str, basename: str) -> int:
    """One more than the highest number that a file of the folder begins with; 0 in an empty one."""
    prefix = f"{basename}-" if basename else ""
    return highest_number(Path(path), prefix) + 1


class FilenameGenerator:
    """Fills patterns such as `[seed]-[prompt_spaces]`."""

    def __init__(
        self, p: Any, seed: Any, prompt: str, image: Image.Image | None, zip: bool = False, basename: str = ""
    ) -> None:
        self.p, self.seed, self.prompt, self.image, self.zip, self.basename = p, seed, prompt, image, zip, basename

    @property
    def context(self) -> NameContext:
        p, image = self.p, self.image
        return NameContext(
            seed=int(self.seed) if self.seed not in (None, "") else None,
            steps=getattr(p, "steps", None), cfg=float(p.cfg_scale) if hasattr(p, "cfg_scale") else None,
            width=image.width if image is not None else None, height=image.height if image is not None else None,
            styles=tuple(getattr(p, "styles", None) or ()), sampler=getattr(p, "sampler_name", None) or "",
            scheduler=getattr(p, "scheduler", None) or "", model_name=getattr(p, "sd_model_name", None) or "",
            model_hash=getattr(p, "sd_model_hash", None) or "", vae_filename=getattr(p, "sd_vae_name", None) or "",
            prompt=self.prompt or "", negative_prompt=str(getattr(p, "negative_prompt", "") or ""),
            job_time=datetime.now(), batch_number=getattr(p, "batch_index", None), basename=self.basename,
            denoising=getattr(p, "denoising_strength", None), user=getattr(p, "user", None) or "", image=image,
            max_prompt_words=host().options.directories_max_prompt_words,
        )  # fmt: skip

    def apply(self, x: str) -> str:
        return fill_pattern(x, self.context)


def save_image(
    image: Image.Image, path: str | None, basename: str, seed: Any = None, prompt: str | None = None,
    extension: str = "png", info: str | None = None, short_filename: bool = False, no_prompt: bool = False,
    grid: bool = False, pnginfo_section_name: str = "parameters", p: Any = None, existing_info: dict | None = None,
    forced_filename: str | None = None, suffix: str = "", save_to_dirs: bool | None = None,
) -> tuple[str, str | None]:  # fmt: skip
    """Writes a picture with its parameters inside. Returns its path, and that of the text beside it.

    Raises `SaveFailed` when the disk refuses.
    """
    home, options = host(), host().options
    names = FilenameGenerator(p, seed, prompt or "", image, basename=basename)
    root = Path(path or options.outdir_samples or options.outdir_txt2img_samples)
    root = root if root.is_absolute() else home.paths.data / root
    if save_to_dirs is None:
        save_to_dirs = (options.grid_save_to_dirs if grid else options.save_to_dirs) and not no_prompt
    if save_to_dirs:
        root = subfolder(root, options.directories_filename_pattern or "[prompt_words]", names.context)
    stem = forced_filename or _stem(names, root, basename, seed, prompt, suffix, short_filename)
    texts = {**{str(k): str(v) for k, v in (existing_info or {}).items()}}
    if info:
        texts[pnginfo_section_name] = info
    params = ImageSaveParams(image, p, str(root / f"{stem}.{extension}"), texts)
    home.callbacks.fire("before_image_saved", params)
    target = Path(params.filename)
    parameters = str(params.pnginfo.get("parameters") or params.pnginfo.get(pnginfo_section_name) or "")
    written = {str(k): str(v) for k, v in params.pnginfo.items() if v is not None}
    saved = save_picture(
        params.image, target.parent, target.stem, target.suffix.lstrip(".") or extension,
        written if options.enable_pnginfo else "", quality=options.jpeg_quality, lossless=options.webp_lossless,
    )  # fmt: skip
    image.already_saved_as = str(saved)
    beside = str(save_side_text(saved, parameters)) if options.save_txt and parameters else None
    home.callbacks.fire("image_saved", ImageSaveParams(params.image, p, str(saved), params.pnginfo))
    return str(saved), beside


def _stem(names: FilenameGenerator, root: Path, basename: str, seed: Any, prompt: Any, suffix: str, short: bool) -> str:
    options = host().options
    pattern = "" if short or seed is None else options.samples_filename_pattern or default_pattern(options.save_to_dirs)
    if not options.save_images_add_number and pattern:
        return file_stem(pattern, names.context, suffix=suffix)
    number = get_next_sequence_number(str(root), basename)
    filled = names.apply(pattern)
    front = f"{basename}-{number:04d}" if basename else f"{number:05d}"
    return clean_part(f"{front}-{filled}{suffix}" if filled else f"{front}{suffix}", spaces=True)


def image_grid(imgs: Sequence[Image.Image], batch_size: int = 1, rows: int | None = None) -> Image.Image:
    home = host()
    given = home.options.n_rows if rows is None else rows
    lines, columns = grid_shape(len(imgs), n_rows=int(given), batch_size=batch_size)
    params = ImageGridLoopParams(list(imgs), columns, lines)
    home.callbacks.fire("image_grid", params)
    return make_grid(params.imgs, params.rows, params.cols, limit_mp=home.options.img_max_size_mp)


class GridAnnotation:
    def __init__(self, text: str = "", is_active: bool = True) -> None:
        self.text = text
        self.is_active = is_active
        self.size: tuple[int, int] | None = None


def get_font(fontsize: int) -> Any:
    given = host().options.font
    return ImageFont.truetype(given, fontsize) if given else ImageFont.load_default(fontsize)


def draw_grid_annotations(
    im: Image.Image, width: int, height: int, hor_texts: list[list[GridAnnotation]],
    ver_texts: list[list[GridAnnotation]], margin: int = 0,
) -> Image.Image:  # fmt: skip
    """A grid with a line of texts above each column and beside each row. `width` and `height` are one cell's."""
    font = get_font((width + height) // 25)
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    for annotation in (a for line in (*hor_texts, *ver_texts) for a in line):
        box = measure.multiline_textbbox((0, 0), annotation.text, font=font)
        annotation.size = (int(box[2] - box[0]), int(box[3] - box[1]) + 4)
    left = width * 3 // 4 if any(a.text for line in ver_texts for a in line) else 0
    top = max((sum(a.size[1] for a in line) for line in hor_texts), default=0) + (10 if hor_texts else 0)
    columns, lines = len(hor_texts), len(ver_texts)
    sheet = Image.new(
        "RGB", (im.width + left + margin * max(0, columns - 1), im.height + top + margin * max(0, lines - 1)), "white"
    )
    for row in range(lines):
        for column in range(columns):
            cell = im.crop((width * column, height * row, width * (column + 1), height * (row + 1)))
            sheet.paste(cell, (left + (width + margin) * column, top + (height + margin) * row))
    draw = ImageDraw.Draw(sheet)
    for column, line in enumerate(hor_texts):
        _write(draw, font, line, left + (width + margin) * column + width // 2, 5)
    for row, line in enumerate(ver_texts):
        middle = top + (height + margin) * row + height // 2 - sum(a.size[1] for a in line) // 2
        _write(draw, font, line, left // 2, middle)
    return sheet


def _write(draw: Any, font: Any, line: list[GridAnnotation], x: int, y: int) -> None:
    options = host().options
    for annotation in line:
        color = options.grid_text_active_color if annotation.is_active else options.grid_text_inactive_color
        draw.multiline_text((x, y), annotation.text, font=font, fill=color, anchor="ma", align="center")
        y += annotation.size[1]


def split_grid(image: Image.Image, tile_w: int = 512, tile_h: int = 512, overlap: int = 64) -> Grid:
    """Overlapping tiles: rows of [y, height, [[x, width, image], ...]]."""
    tops, lefts = _starts(image.height, tile_h, overlap), _starts(image.width, tile_w, overlap)
    tiles = [[y, tile_h, [[x, tile_w, image.crop((x, y, x + tile_w, y + tile_h))] for x in lefts]] for y in tops]
    return Grid(tiles, tile_w, tile_h, image.width, image.height, overlap)


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    if length <= tile:
        return [0]
    count = int(np.ceil((length - overlap) / (tile - overlap)))
    step = (length - tile) / (count - 1) if count > 1 else 0
    return [int(step * place) for place in range(count)]


def combine_grid(grid: Grid) -> Image.Image:
    """The tiles put together; where they overlap one fades into the other."""
    sheet = Image.new("RGB", (grid.image_w, grid.image_h))
    fade = np.linspace(0, 255, max(1, grid.overlap)).astype(np.uint8)
    for y, height, row in grid.tiles:
        line = Image.new("RGB", (grid.image_w, height))
        for x, _, tile in row:
            line.paste(tile, (x, 0), _ramp(tile.size, fade if x else None, False))
        sheet.paste(line, (0, y), _ramp(line.size, fade if y else None, True))
    return sheet


def _ramp(size: tuple[int, int], fade: np.ndarray | None, downwards: bool) -> Image.Image:
    mask = np.full((size[1], size[0]), 255, np.uint8)
    if fade is not None:
        if downwards:
            mask[: len(fade)] = fade[: mask.shape[0], None]
        else:
            mask[:, : len(fade)] = fade[None, : mask.shape[1]]
    return Image.fromarray(mask)
