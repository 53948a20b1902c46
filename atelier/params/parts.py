"""The parts of a request for pictures, each value declared once."""

from __future__ import annotations

from atelier.base.refs import ImageRef
from atelier.params.field import param, part
from atelier.params.guidance import GuidanceMethods

SEED_MAX = 2**63 - 1
RESIZE_MODES = ("Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)")
MASKED_CONTENT = ("fill", "original", "latent noise", "latent nothing")


@part("prompt")
class Prompt:
    positive: str = param("", label="Prompt", api="prompt", a1111="prompt", elem="prompt", infotext="Prompt",
                          help="What the picture should show.", max_length=100_000)
    negative: str = param("", label="Negative prompt", api="negative_prompt", a1111="negative_prompt",
                          elem="neg_prompt", infotext="Negative prompt", help="What the picture should not show.",
                          max_length=100_000)
    styles: tuple[str, ...] = param((), label="Styles", api="styles", a1111="styles", elem="styles",
                                    choices="styles", help="Saved prompt styles, applied in this order.")  # fmt: skip


@part("size")
class Size:
    width: int = param(512, label="Width", minimum=64, maximum=2048, step=8, hard=(8, 16384), api="width",
                       a1111="width", elem="width", infotext="Size-1", help="Width in pixels, a multiple of 8.")
    height: int = param(512, label="Height", minimum=64, maximum=2048, step=8, hard=(8, 16384), api="height",
                        a1111="height", elem="height", infotext="Size-2",
                        help="Height in pixels, a multiple of 8.")  # fmt: skip


@part("batch")
class Batch:
    count: int = param(1, label="Batch count", minimum=1, maximum=100, step=1, hard=(1, 10_000), api="n_iter",
                       a1111="n_iter", elem="batch_count", help="How many batches, one after the other.")
    size: int = param(1, label="Batch size", minimum=1, maximum=8, step=1, hard=(1, 128), api="batch_size",
                      a1111="batch_size", elem="batch_size", infotext="Batch size",
                      help="How many pictures at once; needs more memory.")  # fmt: skip


@part("seed")
class Seed:
    seed: int = param(-1, label="Seed", hard=(-1, SEED_MAX), api="seed", a1111="seed", elem="seed", infotext="Seed",
                      help="The same seed and settings give the same picture; -1 takes a new one.")
    subseed: int = param(-1, label="Variation seed", hard=(-1, SEED_MAX), api="subseed", a1111="subseed",
                         elem="subseed", infotext="Variation seed", help="The seed to vary towards.")
    subseed_strength: float = param(0.0, label="Variation strength", minimum=0, maximum=1, step=0.01,
                                    api="subseed_strength", a1111="subseed_strength", elem="subseed_strength",
                                    infotext="Variation seed strength", help="0 keeps the seed, 1 is the other one.")
    resize_from_w: int = param(0, label="Resize seed from width", minimum=0, maximum=2048, step=8, hard=(-1, 16384),
                               api="seed_resize_from_w", a1111="seed_resize_from_w", elem="seed_resize_from_w",
                               api_default=-1, infotext="Seed resize from-1",
                               help="Start from the noise that a picture of this width has.")
    resize_from_h: int = param(0, label="Resize seed from height", minimum=0, maximum=2048, step=8, hard=(-1, 16384),
                               api="seed_resize_from_h", a1111="seed_resize_from_h", elem="seed_resize_from_h",
                               api_default=-1, infotext="Seed resize from-2",
                               help="Start from the noise that a picture of this height has.")  # fmt: skip


@part("sampling")
class Sampling:
    sampler: str = param("DPM++ 2M", label="Sampling method", choices="samplers", api="sampler_name",
                         a1111="sampler_name", elem="sampling", infotext="Sampler", api_default="Euler",
                         help="The algorithm that walks from noise to picture.", max_length=200)
    scheduler: str = param("Automatic", label="Schedule type", choices="schedulers", api="scheduler",
                           a1111="scheduler", elem="scheduler", infotext="Schedule type",
                           help="How noise levels are spaced; Automatic takes the sampler's own.", max_length=200)
    steps: int = param(20, label="Sampling steps", minimum=1, maximum=150, step=1, hard=(1, 1000), api="steps",
                       a1111="steps", elem="steps", infotext="Steps", api_default=50,
                       help="More steps are finer and slower.")
    cfg_scale: float = param(7.0, label="CFG Scale", minimum=1, maximum=30, step=0.5, hard=(-100, 1000),
                             api="cfg_scale", a1111="cfg_scale", elem="cfg_scale", infotext="CFG scale",
                             help="How strongly the prompt is followed.")
    eta: float | None = param(None, label="Eta", hard=(0, 100), api="eta", a1111="eta", infotext="Eta",
                              help="Noise added back at each step; empty takes the setting.")
    s_churn: float | None = param(None, label="Sigma churn", hard=(0, 1000), api="s_churn", a1111="s_churn",
                                  infotext="Sigma churn", help="Extra noise of Euler, Heun and DPM2.")
    s_tmin: float | None = param(None, label="Sigma tmin", hard=(0, 1000), api="s_tmin", a1111="s_tmin",
                                 infotext="Sigma tmin", help="Lowest noise level at which churn acts.")
    s_tmax: float | None = param(None, label="Sigma tmax", hard=(0, 1e9), api="s_tmax", a1111="s_tmax",
                                 infotext="Sigma tmax", help="Highest noise level at which churn acts; 0 is no limit.")
    s_noise: float | None = param(None, label="Sigma noise", hard=(0, 100), api="s_noise", a1111="s_noise",
                                  infotext="Sigma noise", help="Strength of the noise that churn adds.")
    s_min_uncond: float | None = param(None, label="Negative Guidance minimum sigma", hard=(0, 100),
                                       api="s_min_uncond", a1111="s_min_uncond", infotext="NGMS",
                                       help="Below this level every other step skips the negative prompt.")  # fmt: skip


@part("hires")
class HiRes:
    """The second pass at a larger size."""

    enabled: bool = param(False, label="Hires. fix", api="enable_hr", a1111="enable_hr", elem="hr",
                          help="Make the picture small first, enlarge it, then refine it.")
    scale: float = param(2.0, label="Upscale by", minimum=1, maximum=4, step=0.05, hard=(0.05, 16), api="hr_scale",
                         a1111="hr_scale", elem="hr_scale", infotext="Hires upscale", help="Factor of the second pass.")
    upscaler: str = param("Latent", label="Upscaler", choices="hires_upscalers", api="hr_upscaler",
                          a1111="hr_upscaler", elem="hr_upscaler", infotext="Hires upscaler",
                          help="How the first pass is enlarged.", max_length=200)
    steps: int = param(0, label="Hires steps", minimum=0, maximum=150, step=1, hard=(0, 1000),
                       api="hr_second_pass_steps", a1111="hr_second_pass_steps", elem="hires_steps",
                       infotext="Hires steps", help="0 takes the steps of the first pass.")
    denoising_strength: float = param(0.7, label="Denoising strength", minimum=0, maximum=1, step=0.01,
                                      elem="denoising_strength", infotext="Denoising strength",
                                      help="How much the second pass may change.")
    resize_x: int = param(0, label="Resize width to", minimum=0, maximum=2048, step=8, hard=(0, 16384),
                          api="hr_resize_x", a1111="hr_resize_x", elem="hr_resize_x", infotext="Hires resize-1",
                          help="0 follows the factor, or the other side.")
    resize_y: int = param(0, label="Resize height to", minimum=0, maximum=2048, step=8, hard=(0, 16384),
                          api="hr_resize_y", a1111="hr_resize_y", elem="hr_resize_y", infotext="Hires resize-2",
                          help="0 follows the factor, or the other side.")
    checkpoint: str | None = param(None, label="Hires checkpoint", api="hr_checkpoint_name",
                                   a1111="hr_checkpoint_name", infotext="Hires checkpoint",
                                   help="Another checkpoint for the second pass.")
    sampler: str | None = param(None, label="Hires sampling method", api="hr_sampler_name", a1111="hr_sampler_name",
                                infotext="Hires sampler", help="Empty takes the sampler of the first pass.")
    scheduler: str | None = param(None, label="Hires schedule type", api="hr_scheduler", a1111="hr_scheduler",
                                  infotext="Hires schedule type", help="Empty takes the schedule of the first pass.")
    prompt: str = param("", label="Hires prompt", api="hr_prompt", a1111="hr_prompt", elem="hires_prompt",
                        infotext="Hires prompt", help="Empty takes the prompt of the first pass.", max_length=100_000)
    negative: str = param("", label="Hires negative prompt", api="hr_negative_prompt", a1111="hr_negative_prompt",
                          elem="hires_neg_prompt", infotext="Hires negative prompt",
                          help="Empty takes the negative prompt of the first pass.", max_length=100_000)
    cfg_scale: float = param(0.0, label="Hires CFG Scale", minimum=0, maximum=30, step=0.5, hard=(0, 1000),
                             api="hr_cfg", a1111="hr_cfg", elem="hr_cfg", infotext="Hires CFG Scale",
                             help="0 takes the CFG scale of the first pass.")
    image: ImageRef | None = param(None, label="Finished picture",
                                   help="Taken in the place of a first pass.")  # fmt: skip


@part("refiner")
class Refiner:
    """Another checkpoint that takes over in the middle of a pass."""

    enabled: bool = param(False, label="Refiner", elem="enable",
                          help="Let another checkpoint make the last steps of a picture.")
    checkpoint: str | None = param(None, label="Checkpoint", api="refiner_checkpoint", a1111="refiner_checkpoint",
                                   elem="checkpoint", infotext="Refiner", help="The checkpoint that takes over.",
                                   max_length=1000)
    switch_at: float | None = param(0.8, label="Switch at", minimum=0.01, maximum=1, step=0.01, hard=(0, 1),
                                    api="refiner_switch_at", api_default=None, a1111="refiner_switch_at",
                                    elem="switch_at", infotext="Refiner switch at",
                                    help="How much of the way is gone when it takes over.")  # fmt: skip


@part("source")
class Source:
    """The pictures that img2img starts from; none for txt2img."""

    images: tuple[ImageRef, ...] = param((), label="Image", help="One picture, or one for each of the batch.")
    resize_mode: int = param(0, label="Resize mode", choices=(0, 1, 2, 3), api="resize_mode", a1111="resize_mode",
                             elem="resize_mode", help="0 stretch, 1 crop, 2 fill, 3 stretch the latents.")
    denoising_strength: float = param(0.75, label="Denoising strength", minimum=0, maximum=1, step=0.01,
                                      api="denoising_strength", a1111="denoising_strength",
                                      elem="denoising_strength", infotext="Denoising strength",
                                      help="0 keeps the picture, 1 replaces it.")
    image_cfg_scale: float | None = param(None, label="Image CFG Scale", minimum=0, maximum=3, step=0.05,
                                          hard=(0, 100), api="image_cfg_scale", a1111="image_cfg_scale",
                                          elem="image_cfg_scale", infotext="Image CFG scale",
                                           help="How strongly models that edit by instruction follow the picture.")
    image_noise: int = param(0, label="Image noise level", minimum=0, maximum=999, step=1, api="image_noise_level",
                             elem="image_noise_level", infotext="Image noise level",
                             help="How freely an image variation model reads the picture.")
    depth: ImageRef | None = param(None, label="Depth map",
                                   help="For models that take one; near is white. Empty lets the model's own estimator "
                                        "look at the picture.")
    noise_multiplier: float | None = param(None, label="Noise multiplier", minimum=0, maximum=1.5, step=0.001,
                                           hard=(0, 10), api="initial_noise_multiplier",
                                           a1111="initial_noise_multiplier", infotext="Noise multiplier",
                                           help="Strength of the noise added; empty takes the setting.")  # fmt: skip


@part("mask")
class Mask:
    """Which part of the source is painted anew; white is painted."""

    image: ImageRef | None = param(None, label="Mask", help="White is painted anew.")
    blur_x: int = param(4, label="Mask blur", minimum=0, maximum=64, step=1, hard=(0, 512), api="mask_blur_x",
                        a1111="mask_blur_x", elem="mask_blur", infotext="Mask blur",
                        help="Softness of the mask's edge, in pixels.")
    blur_y: int = param(4, label="Mask blur, vertical", minimum=0, maximum=64, step=1, hard=(0, 512),
                        api="mask_blur_y", a1111="mask_blur_y", help="Softness in the other direction.")
    invert: bool = param(False, label="Inpaint not masked", api="inpainting_mask_invert",
                         a1111="inpainting_mask_invert", elem="mask_mode", help="Paint what is not masked.")
    fill: int = param(1, label="Masked content", choices=(0, 1, 2, 3), api="inpainting_fill", a1111="inpainting_fill",
                      elem="inpainting_fill", api_default=0,
                      help="0 fill, 1 original, 2 latent noise, 3 latent nothing.")
    only_masked: bool = param(False, label="Only masked", api="inpaint_full_res", a1111="inpaint_full_res",
                              elem="inpaint_full_res", api_default=True,
                              help="Work on the masked area alone, at the full size.")
    padding: int = param(32, label="Only masked padding, pixels", minimum=0, maximum=256, step=4, hard=(0, 4096),
                         api="inpaint_full_res_padding", a1111="inpaint_full_res_padding",
                         elem="inpaint_full_res_padding", infotext="Masked area padding", api_default=0,
                         help="How much of the surroundings is seen.")
    round: bool = param(True, label="Round the mask", api="mask_round", a1111="mask_round",
                        help="Latents are either kept or painted, nothing between.")  # fmt: skip


@part("soft")
class SoftInpainting:
    """Inpainting whose mask has as many shades as its edge, and that keeps what hardly changed."""

    enabled: bool = param(False, label="Soft inpainting", infotext="Soft inpainting enabled",
                          help="Blend new and old by degrees. Wants a mask with much blur.")
    mask_blend_power: float = param(1.0, label="Schedule bias", minimum=0, maximum=8, step=0.1, hard=(0, 100),
                                    infotext="Soft inpainting schedule bias",
                                    help="Above 1 the original is kept more in the early steps.")
    mask_blend_scale: float = param(0.5, label="Preservation strength", minimum=0, maximum=8, step=0.05,
                                    hard=(0, 100), infotext="Soft inpainting preservation strength",
                                    help="How strongly half-masked places are kept.")
    detail_preservation: float = param(4.0, label="Transition contrast boost", minimum=1, maximum=32, step=0.5,
                                       hard=(1, 1000), infotext="Soft inpainting transition contrast boost",
                                       help="How much contrast is kept where old and new are mixed.")
    mask_influence: float = param(0.0, label="Mask influence", minimum=0, maximum=1, step=0.05,
                                  infotext="Soft inpainting mask influence",
                                  help="How much the mask decides about the final blend.")
    difference_threshold: float = param(0.5, label="Difference threshold", minimum=0, maximum=8, step=0.25,
                                        hard=(0, 1000), infotext="Soft inpainting difference threshold",
                                        help="How much must have changed before the new picture is shown.")
    difference_contrast: float = param(2.0, label="Difference contrast", minimum=0, maximum=8, step=0.25,
                                       hard=(0, 100), infotext="Soft inpainting difference contrast",
                                       help="How sharp the final blend is between kept and new.")  # fmt: skip


@part("output")
class Output:
    save_images: bool = param(True, label="Save pictures", api="save_images", api_default=False,
                              help="Write the pictures to the output folder.")
    send_images: bool = param(True, label="Send pictures", api="send_images",
                              help="Return the pictures in the answer.")
    tiling: bool | None = param(None, label="Tiling", api="tiling", a1111="tiling", infotext="Tiling",
                                help="Make a picture whose edges fit together.")
    restore_faces: bool | None = param(None, label="Restore faces", api="restore_faces", a1111="restore_faces",
                                       help="Repair faces with the restorer chosen in Settings.")  # fmt: skip


PARTS = (Prompt, Size, Batch, Seed, Sampling, GuidanceMethods, HiRes, Refiner, Source, Mask, SoftInpainting, Output)
