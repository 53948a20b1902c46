"""The functions behind the built-in scripts, by the names of their declarations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from atelier.params.scripts import AskedScript
from atelier.pipeline.state import Result, Run
from atelier.scripts.alternative import run_alternative
from atelier.scripts.lines import run_lines
from atelier.scripts.loopback import run_loopback
from atelier.scripts.matrix import run_matrix
from atelier.scripts.outpaint import run_outpainting
from atelier.scripts.outpaint_plain import run_plain_outpainting
from atelier.scripts.upscale import run_upscale
from atelier.scripts.xyz import run_xyz

RUNNERS: Mapping[str, Callable[[Run, AskedScript], Result]] = MappingProxyType({
    "img2img_alternative_test": run_alternative, "loopback": run_loopback, "outpainting_mk2": run_outpainting,
    "poor_man_s_outpainting": run_plain_outpainting, "prompt_matrix": run_matrix, "prompts_from_file": run_lines,
    "sd_upscale": run_upscale, "xyz_plot": run_xyz,
})  # fmt: skip
