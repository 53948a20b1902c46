"""The smaller names of `modules.shared`: files in order, progress bars, upscalers, memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from types import MappingProxyType, SimpleNamespace
from typing import Any

from tqdm import tqdm

from modules._host.attach import host

latent_upscale_default_mode = "Latent"
latent_upscale_modes = MappingProxyType({
    "Latent": {"mode": "bilinear", "antialias": False},
    "Latent (antialiased)": {"mode": "bilinear", "antialias": True},
    "Latent (bicubic)": {"mode": "bicubic", "antialias": False},
    "Latent (bicubic antialiased)": {"mode": "bicubic", "antialias": True},
    "Latent (nearest)": {"mode": "nearest", "antialias": False},
    "Latent (nearest-exact)": {"mode": "nearest-exact", "antialias": False},
})  # fmt: skip


def natural_sort_key(s: str, regex: re.Pattern[str] = re.compile("([0-9]+)")) -> list[Any]:
    return [int(text) if text.isdigit() else text.lower() for text in regex.split(s)]


def listfiles(dirname: str) -> list[str]:
    """Paths of the files directly inside, in natural order, without hidden ones."""
    if not os.path.isdir(dirname):
        return []
    names = [n for n in sorted(os.listdir(dirname), key=natural_sort_key) if not n.startswith(".")]
    return [path for path in (os.path.join(dirname, n) for n in names) if os.path.isfile(path)]


def walk_files(path: str, allowed_extensions: Sequence[str] | None = None) -> Iterator[str]:
    """Paths of all files below a folder, in natural order."""
    if not os.path.isdir(path):
        return
    allowed = None if allowed_extensions is None else {e.lower() for e in allowed_extensions}
    entries = sorted(os.walk(path, followlinks=True), key=lambda entry: natural_sort_key(entry[0]))
    for root, _, files in entries:
        for name in sorted(files, key=natural_sort_key):
            if allowed is None or os.path.splitext(name)[1].lower() in allowed:
                yield os.path.join(root, name)


def html_path(filename: str) -> str:
    return os.path.join(str(host().paths.program), "html", filename)


def html(filename: str) -> str:
    path = html_path(filename)
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf8") as file:
        return file.read()


def ldm_print(*args: Any, **kwargs: Any) -> None:
    """Old model code prints through this; nothing listens."""


class TotalTQDM:
    """The bar over all steps of a job, for scripts that drive their own loops."""

    def __init__(self) -> None:
        self._tqdm: Any = None

    def reset(self) -> None:
        state = host().state
        total = max(state.job_count, 1) * max(state.sampling_steps, 1)
        quiet = bool(getattr(host().cmd_opts, "disable_console_progressbars", False))
        self._tqdm = tqdm(desc="Total progress", total=total, disable=quiet, leave=False)

    def update(self) -> None:
        if host().options.multiple_tqdm and not getattr(host().cmd_opts, "disable_console_progressbars", False):
            if self._tqdm is None:
                self.reset()
            self._tqdm.update()

    def updateTotal(self, new_total: int) -> None:  # noqa: N802 - the name that extensions call
        if self._tqdm is None:
            self.reset()
        self._tqdm.total = new_total

    def clear(self) -> None:
        if self._tqdm is not None:
            self._tqdm.refresh()
            self._tqdm.close()
            self._tqdm = None


class MemMon:
    """`shared.mem_mon`: figures only; nothing is measured in the background."""

    disabled = True

    def cuda_mem_get_info(self) -> tuple[int, int]:
        return (0, 0)

    def read(self) -> dict[str, int]:
        return {}

    def stop(self) -> dict[str, int]:
        return {}

    def monitor(self) -> None:
        """Nothing to begin."""


class UpscalerData:
    """One upscaler as A1111 lists it; `scaler.upscale(image, scale, data_path)` does the work."""

    def __init__(self, name: str, path: str | None, upscaler: Any = None, scale: float = 4, model: Any = None) -> None:
        self.name = name
        self.data_path = self.local_data_path = path
        self.scaler = upscaler
        self.scale = scale
        self.model = model

    def __repr__(self) -> str:
        return f"<UpscalerData name={self.name} path={self.data_path} scale={self.scale}>"


def upscalers() -> list[UpscalerData]:
    services = host().services
    return [] if services is None else [_upscaler(u) for u in services.upscalers]


def _upscaler(found: Any) -> UpscalerData:
    def upscale(image: Any, scale: float, selected_model: Any = None) -> Any:
        return found.enlarge(image, int(image.width * scale) // 8 * 8, int(image.height * scale) // 8 * 8)

    return UpscalerData(
        found.name, found.model_path or None, SimpleNamespace(upscale=upscale, name=found.name), found.scale
    )


class Styles:
    """`shared.prompt_styles`: A1111's names over the style book."""

    no_style = SimpleNamespace(name="None", prompt="", negative_prompt="", path=None)

    @property
    def _book(self) -> Any:
        return host().app.styles

    @property
    def styles(self) -> dict[str, Any]:
        return {s.name: SimpleNamespace(name=s.name, prompt=s.prompt, negative_prompt=s.negative_prompt,
                                        path=str(self._book.file_of(s.name) or "")) for s in self._book}  # fmt: skip

    def reload(self) -> None:
        self._book.reload()

    def get_style_prompts(self, styles: Sequence[str]) -> list[str]:
        return [self.styles.get(name, self.no_style).prompt for name in styles]

    def get_negative_style_prompts(self, styles: Sequence[str]) -> list[str]:
        return [self.styles.get(name, self.no_style).negative_prompt for name in styles]

    def apply_styles_to_prompt(self, prompt: str, styles: Sequence[str]) -> str:
        return self._book.apply(prompt, "", styles)[0]

    def apply_negative_styles_to_prompt(self, prompt: str, styles: Sequence[str]) -> str:
        return self._book.apply("", prompt, styles)[1]

    def extract_styles_from_prompt(self, prompt: str, negative_prompt: str) -> tuple[list[str], str, str]:
        names, prompt, negative_prompt = self._book.extract(prompt, negative_prompt)
        return list(names), prompt, negative_prompt

    def save_styles(self, path: str | None = None) -> None:
        self._book.save()


total_tqdm = TotalTQDM()
mem_mon = MemMon()
prompt_styles = Styles()
