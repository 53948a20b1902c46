"""The built-in scripts: what each lets a person set, declared once, in the order of A1111's arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from atelier.base.errors import BadRequest
from atelier.params.field import Declaration, declarations_of, param, part
from atelier.params.parts import MASKED_CONTENT
from atelier.params.request import KINDS, GenerationRequest

#: the name under which `request.extras` holds the script that was asked for
EXTRA = "script"
IMG2IMG = ("img2img",)
SIDES = ("left", "right", "up", "down")
CURVES = ("Aggressive", "Linear", "Lazy")
CAPTIONS = ("None", "CLIP", "DeepBooru")

_TEXT = 100_000
_MARGIN = {"label": "Grid margins (px)", "minimum": 0, "maximum": 500, "step": 2, "hard": (0, 500)}.items()


@part("xyz_plot")
class XyzPlot:
    """An axis type is a label, or the number that the label has in the list of A1111."""

    x_type: str = param("Seed", label="X type", infotext="X Type", widget="axis", max_length=200)
    x_values: str = param("", label="X values", infotext="X Values", max_length=_TEXT)
    x_values_dropdown: tuple[str, ...] = param((), label="X values", widget="axis values")
    y_type: str = param("Nothing", label="Y type", infotext="Y Type", widget="axis", max_length=200)
    y_values: str = param("", label="Y values", infotext="Y Values", max_length=_TEXT)
    y_values_dropdown: tuple[str, ...] = param((), label="Y values", widget="axis values")
    z_type: str = param("Nothing", label="Z type", infotext="Z Type", widget="axis", max_length=200)
    z_values: str = param("", label="Z values", infotext="Z Values", max_length=_TEXT)
    z_values_dropdown: tuple[str, ...] = param((), label="Z values", widget="axis values")
    draw_legend: bool = param(True, label="Draw legend")
    include_lone_images: bool = param(False, label="Include Sub Images")
    include_sub_grids: bool = param(False, label="Include Sub Grids")
    no_fixed_seeds: bool = param(False, label="Keep -1 for seeds")
    vary_seeds_x: bool = param(False, label="Vary seeds for X", help="Other seeds for the pictures along X.")
    vary_seeds_y: bool = param(False, label="Vary seeds for Y", help="Other seeds for the pictures along Y.")
    vary_seeds_z: bool = param(False, label="Vary seeds for Z", help="Other seeds for the pictures along Z.")
    margin_size: int = param(0, **dict(_MARGIN))
    csv_mode: bool = param(False, label="Use text inputs instead of dropdowns")


@part("prompt_matrix")
class PromptMatrix:
    put_at_start: bool = param(False, label="Put variable parts at start of prompt", infotext="Matrix at start")
    different_seeds: bool = param(False, label="Use different seed for each picture", infotext="Matrix seeds")
    prompt_type: str = param(
        "positive", label="Select prompt", choices=("positive", "negative"), widget="radio", infotext="Matrix prompt"
    )
    variations_delimiter: str = param(
        "comma", label="Select joining char", choices=("comma", "space"), widget="radio", infotext="Matrix joining char"
    )
    margin_size: int = param(0, **dict(_MARGIN))  # fmt: skip


@part("prompts_from_file")
class PromptsFromFile:
    checkbox_iterate: bool = param(False, label="Iterate seed every line")
    checkbox_iterate_batch: bool = param(False, label="Use same random seed for all lines")
    prompt_position: str = param("start", label="Insert prompts at the", choices=("start", "end"), widget="radio")
    prompt_txt: str = param("", label="List of prompt inputs", widget="lines", max_length=2_000_000)


@part("sd_upscale")
class SdUpscale:
    overlap: int = param(
        64, label="Tile overlap", minimum=0, maximum=256, step=16, hard=(0, 2048), infotext="SD upscale overlap"
    )
    upscaler_index: str = param(
        "None", label="Upscaler", choices="upscalers", widget="upscaler", infotext="SD upscale upscaler", max_length=200
    )
    scale_factor: float = param(2.0, label="Scale Factor", minimum=1, maximum=4, step=0.05, hard=(1, 16),
                                infotext="SD upscale scale factor")  # fmt: skip


@part("loopback")
class Loopback:
    loops: int = param(4, label="Loops", minimum=1, maximum=32, step=1, hard=(1, 1000), infotext="Loops")
    final_denoising_strength: float = param(
        0.5, label="Final denoising strength", minimum=0, maximum=1, step=0.01, infotext="Final denoising strength"
    )
    denoising_curve: str = param("Linear", label="Denoising strength curve", choices=CURVES, infotext="Denoising curve")
    append_interrogation: str = param("None", label="Append interrogated prompt at each iteration",
                                      choices=CAPTIONS)  # fmt: skip


@part("outpainting_mk2")
class OutpaintingMk2:
    pixels: int = param(
        128, label="Pixels to expand", minimum=8, maximum=256, step=8, hard=(8, 2048), infotext="Outpainting pixels"
    )
    mask_blur: int = param(8, label="Mask blur", minimum=0, maximum=64, step=1, infotext="Outpainting mask blur")
    direction: tuple[str, ...] = param(
        SIDES, label="Outpainting direction", choices=SIDES, widget="checks", infotext="Outpainting direction"
    )
    noise_q: float = param(
        1.0,
        label="Fall-off exponent (lower=higher detail)",
        minimum=0,
        maximum=4,
        step=0.01,
        infotext="Outpainting fall-off",
    )
    color_variation: float = param(0.05, label="Color variation", minimum=0, maximum=1, step=0.01,
                                   infotext="Outpainting color variation")  # fmt: skip


@part("poor_man_s_outpainting")
class PoorMansOutpainting:
    pixels: int = param(
        128, label="Pixels to expand", minimum=8, maximum=256, step=8, hard=(8, 2048), infotext="Outpainting pixels"
    )
    mask_blur: int = param(4, label="Mask blur", minimum=0, maximum=64, step=1, infotext="Outpainting mask blur")
    inpainting_fill: int = param(
        0, label="Masked content", hard=(0, 3), widget="fill", infotext="Outpainting masked content"
    )
    direction: tuple[str, ...] = param(SIDES, label="Outpainting direction", choices=SIDES, widget="checks",
                                       infotext="Outpainting direction")  # fmt: skip


@part("img2img_alternative_test")
class Img2ImgAlternative:
    override_sampler: bool = param(True, label="Override `Sampling method` to Euler?")
    override_prompt: bool = param(True, label="Override `prompt` to the same value as `original prompt`?")
    original_prompt: str = param("", label="Original prompt", infotext="Decode prompt", max_length=_TEXT)
    original_negative_prompt: str = param(
        "", label="Original negative prompt", infotext="Decode negative prompt", max_length=_TEXT
    )
    override_steps: bool = param(True, label="Override `Sampling Steps` to the same value as `Decode steps`?")
    st: int = param(50, label="Decode steps", minimum=1, maximum=150, step=1, hard=(1, 1000), infotext="Decode steps")
    override_strength: bool = param(True, label="Override `Denoising strength` to 1?")
    cfg: float = param(
        1.0, label="Decode CFG scale", minimum=0, maximum=15, step=0.1, hard=(0, 100), infotext="Decode CFG scale"
    )
    randomness: float = param(0.0, label="Randomness", minimum=0, maximum=1, step=0.01, infotext="Randomness")
    sigma_adjustment: bool = param(False, label="Sigma adjustment for finding noise for image",
                                   infotext="Sigma Adjustment")  # fmt: skip


@dataclass(frozen=True)
class BuiltinScript:
    """`notes` are the texts that A1111's page shows before the controls; each takes the place of one argument."""

    title: str
    values: type
    kinds: tuple[str, ...] = KINDS
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.values.part_name

    @property
    def declarations(self) -> tuple[Declaration, ...]:
        return declarations_of(self.values)

    def read(self, values: Any) -> Any:
        """The values as one checked object; what is left out is at its default. Raises `BadRequest` with the name."""
        if not isinstance(values, Mapping):
            raise BadRequest(f"extras.{EXTRA}.values", "expected an object.", remedy="Write names and values.")
        known = [d.name for d in self.declarations]
        for name in values:
            if name not in known:
                raise BadRequest(
                    f"{self.name}.{name}", "there is no such value.", remedy=f"{self.title} has: {', '.join(known)}."
                )
        return self.values(**{name: value for name, value in values.items() if value is not None})

    def from_args(self, args: Sequence[Any]) -> dict[str, Any]:
        """Names for the arguments of A1111, in its order; a short list leaves the rest at its default."""
        given = list(args)[len(self.notes) :]
        named = {d.name: value for d, value in zip(self.declarations, given) if value is not None}
        # A number where a name is expected is the place in a list.
        words = {d.name for d in self.declarations if d.kind == "str"}
        return {
            name: str(value) if name in words and isinstance(value, int) else value for name, value in named.items()
        }

    def to_args(self, values: Any) -> list[Any]:
        return ["" for _ in self.notes] + [getattr(values, d.name) for d in self.declarations]


#: in the order of A1111's list
SCRIPTS: tuple[BuiltinScript, ...] = (
    BuiltinScript("img2img alternative test", Img2ImgAlternative, IMG2IMG, (
        "Finds the noise from which the model would draw the given picture, and draws anew from it. CFG Scale "
        "should be 2 or lower.",)),
    BuiltinScript("Loopback", Loopback, IMG2IMG),
    BuiltinScript("Outpainting mk2", OutpaintingMk2, IMG2IMG, (
        "Recommended: 80 to 100 sampling steps, Euler a, denoising strength 0.8 or more.",)),
    BuiltinScript("Poor man's outpainting", PoorMansOutpainting, IMG2IMG),
    BuiltinScript("Prompt matrix", PromptMatrix),
    BuiltinScript("Prompts from file or textbox", PromptsFromFile),
    BuiltinScript("SD upscale", SdUpscale, IMG2IMG, (
        "Enlarges the picture by the scale factor, then draws it anew in tiles of the chosen width and height.",)),
    BuiltinScript("X/Y/Z plot", XyzPlot),
)  # fmt: skip


def scripts_for(kind: str) -> tuple[BuiltinScript, ...]:
    return tuple(script for script in SCRIPTS if kind in script.kinds)


def find_script(name: str, kind: str) -> BuiltinScript | None:
    """By title or by name, in any case; None when there is none for this kind of run."""
    wanted = name.strip().lower()
    return next((s for s in scripts_for(kind) if wanted in (s.title.lower(), s.name)), None)


@dataclass(frozen=True)
class AskedScript:
    """A script with its checked values. `resume` is a job whose finished pictures are taken over."""

    script: BuiltinScript
    values: Any
    resume: str = ""

    def to_extra(self) -> dict[str, Any]:
        values = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self.values).items()}
        extra: dict[str, Any] = {"name": self.script.title, "values": values}
        return {**extra, "resume": self.resume} if self.resume else extra


def asked_script(request: GenerationRequest) -> AskedScript | None:
    """The script that a request asks for, or None. Raises `BadRequest` for an unknown one and for bad values."""
    extra = request.extras.get(EXTRA)
    if extra is None:
        return None
    field = f"extras.{EXTRA}"
    if not isinstance(extra, Mapping) or not isinstance(extra.get("name", ""), str):
        raise BadRequest(field, "expected an object.", remedy='Write {"name": "X/Y/Z plot", "values": {}}.')
    name = extra.get("name") or ""
    if not name or name.lower() == "none":
        return None
    script = find_script(name, request.kind)
    if script is None:
        known = ", ".join(s.title for s in scripts_for(request.kind))
        raise BadRequest(f"{field}.name", f"{request.kind} has no script {name!r}.", remedy=f"Use one of: {known}.")
    values = extra.get("values")
    return AskedScript(script, script.read({} if values is None else values), str(extra.get("resume") or ""))


def resumed(request: GenerationRequest, job: str) -> GenerationRequest:
    """The request of an ended job once more; a script takes over what that job had finished."""
    asked = asked_script(request)
    if asked is None:
        return request
    return request.with_values(extras={**request.extras, EXTRA: replace(asked, resume=job).to_extra()})


def without_script(request: GenerationRequest) -> GenerationRequest:
    """The same request for the runs that a script makes."""
    return request.with_values(extras={k: v for k, v in request.extras.items() if k != EXTRA})


def script_from_infotext(values: Mapping[str, Any], kind: str) -> AskedScript | None:
    """The script that made a picture, from its parameters; None when there was none, or its values fit no more."""
    script = find_script(str(values.get("Script", "")), kind)
    if script is None:
        return None
    found = {d.name: values[d.param.infotext] for d in script.declarations if d.param.infotext in values}
    for declaration in script.declarations:
        if declaration.kind == "list" and isinstance(found.get(declaration.name), str):
            found[declaration.name] = [word.strip() for word in found[declaration.name].split(",") if word.strip()]
    if "inpainting_fill" in found and found["inpainting_fill"] in MASKED_CONTENT:
        found["inpainting_fill"] = MASKED_CONTENT.index(found["inpainting_fill"])
    try:
        return AskedScript(script, script.read(found))
    except BadRequest:
        # A text of another program, or of an older version.
        return None


def script_fields(asked: AskedScript) -> dict[str, Any]:
    """Label -> value for the infotext: what differs from the default, and everything that has no other meaning."""
    found: dict[str, Any] = {"Script": asked.script.title}
    for declaration in asked.script.declarations:
        value = getattr(asked.values, declaration.name)
        if not declaration.param.infotext or value == declaration.default and declaration.kind == "bool":
            continue
        if declaration.param.widget == "fill":
            value = MASKED_CONTENT[value]
        found[declaration.param.infotext] = ", ".join(value) if isinstance(value, tuple) else value
    return found
