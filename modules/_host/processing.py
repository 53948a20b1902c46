"""StableDiffusionProcessing: A1111's mutable `p`, which here is the draft of a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from modules._host.attach import current, host


def _cache() -> list[Any]:
    return [None, None, None]


@dataclass(repr=False, eq=False)
class StableDiffusionProcessing:
    """The keywords and defaults of A1111's class. Any further attribute may be set; it stays on the object.

    What has a declaration in the program (see the `a1111` names in `atelier/params/parts.py`) flows back into the
    request; everything else is for the extensions among themselves.
    """

    sd_model: Any = None
    outpath_samples: str | None = None
    outpath_grids: str | None = None
    prompt: Any = ""
    prompt_for_display: str | None = None
    negative_prompt: Any = ""
    styles: list[str] | None = None
    seed: Any = -1
    subseed: Any = -1
    subseed_strength: float = 0
    seed_resize_from_h: int = -1
    seed_resize_from_w: int = -1
    seed_enable_extras: bool = True
    sampler_name: str | None = None
    scheduler: str | None = None
    batch_size: int = 1
    n_iter: int = 1
    steps: int = 50
    cfg_scale: float = 7.0
    width: int = 512
    height: int = 512
    restore_faces: bool | None = None
    tiling: bool | None = None
    do_not_save_samples: bool = False
    do_not_save_grid: bool = False
    extra_generation_params: dict[str, Any] | None = None
    overlay_images: list[Any] | None = None
    eta: float | None = None
    do_not_reload_embeddings: bool = False
    denoising_strength: float | None = None
    ddim_discretize: str | None = None
    s_min_uncond: float | None = None
    s_churn: float | None = None
    s_tmax: float | None = None
    s_tmin: float | None = None
    s_noise: float | None = None
    override_settings: dict[str, Any] | None = None
    override_settings_restore_afterwards: bool = True
    sampler_index: int | None = None
    refiner_checkpoint: str | None = None
    refiner_switch_at: float | None = None
    token_merging_ratio: float = 0
    token_merging_ratio_hr: float = 0
    disable_extra_networks: bool = False
    firstpass_image: Any = None

    scripts_value: Any = field(default=None, init=False)
    script_args_value: Any = field(default=None, init=False)
    scripts_setup_complete: bool = field(default=False, init=False)
    comments: dict[str, Any] = field(default_factory=dict, init=False)
    sampler: Any = field(default=None, init=False)
    is_using_inpainting_conditioning: bool = field(default=False, init=False)
    paste_to: Any = field(default=None, init=False)
    is_hr_pass: bool = field(default=False, init=False)
    c: Any = field(default=None, init=False)
    uc: Any = field(default=None, init=False)
    rng: Any = field(default=None, init=False)
    step_multiplier: int | None = field(default=None, init=False)
    color_corrections: Any = field(default=None, init=False)
    all_prompts: list[str] | None = field(default=None, init=False)
    all_negative_prompts: list[str] | None = field(default=None, init=False)
    all_seeds: list[int] | None = field(default=None, init=False)
    all_subseeds: list[int] | None = field(default=None, init=False)
    iteration: int = field(default=0, init=False)
    batch_index: int = field(default=0, init=False)
    main_prompt: str | None = field(default=None, init=False)
    main_negative_prompt: str | None = field(default=None, init=False)
    prompts: list[str] | None = field(default=None, init=False)
    negative_prompts: list[str] | None = field(default=None, init=False)
    seeds: list[int] | None = field(default=None, init=False)
    subseeds: list[int] | None = field(default=None, init=False)
    extra_network_data: dict[str, Any] | None = field(default=None, init=False)
    user: str | None = field(default=None, init=False)
    sd_model_name: str | None = field(default=None, init=False)
    sd_model_hash: str | None = field(default=None, init=False)
    sd_vae_name: str | None = field(default=None, init=False)
    sd_vae_hash: str | None = field(default=None, init=False)
    is_api: bool = field(default=False, init=False)
    sampler_noise_scheduler_override: Any = field(default=None, init=False)
    refiner_checkpoint_info: Any = field(default=None, init=False)
    extra_result_images: list[Any] = field(default_factory=list, init=False)

    cached_uc: ClassVar[list[Any]] = _cache()
    cached_c: ClassVar[list[Any]] = _cache()

    def __post_init__(self) -> None:
        self.styles = list(self.styles or [])
        self.extra_generation_params = {} if self.extra_generation_params is None else self.extra_generation_params
        self.override_settings = {} if self.override_settings is None else self.override_settings
        # Extensions empty these to have prompts encoded again; the program keys its encodings by what they hold.
        self.cached_c, self.cached_uc = type(self).cached_c, type(self).cached_uc

    @property
    def scripts(self) -> Any:
        return self.scripts_value

    @scripts.setter
    def scripts(self, value: Any) -> None:
        self.scripts_value = value
        self._setup_when_complete()

    @property
    def script_args(self) -> Any:
        return self.script_args_value

    @script_args.setter
    def script_args(self, value: Any) -> None:
        self.script_args_value = value
        self._setup_when_complete()

    def _setup_when_complete(self) -> None:
        if self.scripts_value and self.script_args_value and not self.scripts_setup_complete:
            self.setup_scripts()

    def setup_scripts(self) -> None:
        self.scripts_setup_complete = True
        self.scripts_value.setup_scrips(self, is_ui=not self.is_api)

    def comment(self, text: str) -> None:
        """Said to the person who asked for the picture."""
        self.comments[text] = 1

    def clear_prompt_cache(self) -> None:
        self.cached_c, self.cached_uc = _cache(), _cache()

    def get_token_merging_ratio(self, for_hr: bool = False) -> float:
        return self.token_merging_ratio_hr if for_hr and self.token_merging_ratio_hr else self.token_merging_ratio

    def save_samples(self) -> bool:
        return host().options.samples_save and not self.do_not_save_samples

    def init(self, all_prompts: Any, all_seeds: Any, all_subseeds: Any) -> None:
        """Preparing sizes, masks and latents is done by the program's own recipe."""

    def close(self) -> None:
        """Lets go of what only the run needed."""
        self.sampler = self.c = self.uc = None


@dataclass(repr=False, eq=False)
class StableDiffusionProcessingTxt2Img(StableDiffusionProcessing):
    enable_hr: bool = False
    denoising_strength: float = 0.75
    firstphase_width: int = 0
    firstphase_height: int = 0
    hr_scale: float = 2.0
    hr_upscaler: str | None = None
    hr_second_pass_steps: int = 0
    hr_resize_x: int = 0
    hr_resize_y: int = 0
    hr_checkpoint_name: str | None = None
    hr_sampler_name: str | None = None
    hr_scheduler: str | None = None
    hr_prompt: str = ""
    hr_negative_prompt: str = ""
    hr_cfg: float = 0.0
    force_task_id: str | None = None

    hr_checkpoint_info: Any = field(default=None, init=False)
    hr_upscale_to_x: int = field(default=0, init=False)
    hr_upscale_to_y: int = field(default=0, init=False)
    truncate_x: int = field(default=0, init=False)
    truncate_y: int = field(default=0, init=False)
    applied_old_hires_behavior_to: Any = field(default=None, init=False)
    latent_scale_mode: Any = field(default=None, init=False)
    hr_c: Any = field(default=None, init=False)
    hr_uc: Any = field(default=None, init=False)
    all_hr_prompts: list[str] | None = field(default=None, init=False)
    all_hr_negative_prompts: list[str] | None = field(default=None, init=False)
    hr_prompts: list[str] | None = field(default=None, init=False)
    hr_negative_prompts: list[str] | None = field(default=None, init=False)
    hr_extra_network_data: dict[str, Any] | None = field(default=None, init=False)

    cached_hr_uc: ClassVar[list[Any]] = _cache()
    cached_hr_c: ClassVar[list[Any]] = _cache()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cached_hr_c, self.cached_hr_uc = type(self).cached_hr_c, type(self).cached_hr_uc

    def calculate_target_resolution(self) -> None:
        """Sets the size of the second pass."""
        if self.hr_resize_x == 0 and self.hr_resize_y == 0:
            self.hr_upscale_to_x = int(self.width * self.hr_scale)
            self.hr_upscale_to_y = int(self.height * self.hr_scale)
        else:
            self.hr_upscale_to_x = self.hr_resize_x or self.hr_resize_y * self.width // self.height
            self.hr_upscale_to_y = self.hr_resize_y or self.hr_resize_x * self.height // self.width


@dataclass(repr=False, eq=False)
class StableDiffusionProcessingImg2Img(StableDiffusionProcessing):
    init_images: list[Any] | None = None
    resize_mode: int = 0
    denoising_strength: float = 0.75
    image_cfg_scale: float | None = None
    mask: Any = None
    mask_blur_x: int = 4
    mask_blur_y: int = 4
    mask_blur: int | None = None
    mask_round: bool = True
    inpainting_fill: int = 0
    inpaint_full_res: bool = True
    inpaint_full_res_padding: int = 0
    inpainting_mask_invert: int = 0
    initial_noise_multiplier: float | None = None
    latent_mask: Any = None
    force_task_id: str | None = None

    image_mask: Any = field(default=None, init=False)
    nmask: Any = field(default=None, init=False)
    image_conditioning: Any = field(default=None, init=False)
    init_img_hash: str | None = field(default=None, init=False)
    mask_for_overlay: Any = field(default=None, init=False)
    init_latent: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.image_mask = self.mask


def _read_model(p: StableDiffusionProcessing) -> Any:
    attached = current()
    return None if attached is None else attached.model_view()


def _read_blur(p: StableDiffusionProcessingImg2Img) -> int | None:
    return p.mask_blur_x if p.mask_blur_x == p.mask_blur_y else None


def _write_blur(p: StableDiffusionProcessingImg2Img, value: int | None) -> None:
    # The constructor writes it last; None leaves the two values as they were given.
    if value is not None:
        p.mask_blur_x = p.mask_blur_y = value


# Both are keywords of the constructor and computed afterwards; a dataclass cannot say that in its body.
StableDiffusionProcessing.sd_model = property(_read_model, lambda p, value: None)
StableDiffusionProcessingImg2Img.mask_blur = property(_read_blur, _write_blur)
