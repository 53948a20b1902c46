"""The settings that the program itself declares, under A1111's names."""

from __future__ import annotations

from atelier.params.field import param, part
from atelier.params.groups_tools import TOOL_GROUPS

FORMATS = ("png", "jpg", "jpeg", "webp", "avif")


@part("saving", "Saving images/grids", "Saving images")
class Saving:
    samples_save: bool = param(True, label="Always save all generated images")
    samples_format: str = param("png", label="File format for images", choices=FORMATS)
    samples_filename_pattern: str = param("", label="Images filename pattern",
                                          help="Such as [seed]-[prompt_spaces]; empty takes the usual one.")
    save_images_add_number: bool = param(True, label="Add number to filename when saving")
    save_images_replace_action: str = param("Replace", label="Saving the image to an existing file",
                                            choices=("Replace", "Add number suffix"))
    grid_save: bool = param(True, label="Always save all generated image grids")
    grid_format: str = param("png", label="File format for grids", choices=FORMATS)
    grid_extended_filename: bool = param(False, label="Add extended info (seed, prompt) to filename when saving grid")
    grid_prevent_empty_spots: bool = param(False, label="Prevent empty spots in grid (when set to autodetect)")
    grid_only_if_multiple: bool = param(True, label="Do not save grids consisting of one picture")
    n_rows: int = param(-1, label="Grid row count; -1 for autodetect, 0 for batch size", minimum=-1, maximum=16, step=1)
    jpeg_quality: int = param(80, label="Quality for saved jpeg and avif images", minimum=1, maximum=100, step=1)
    webp_lossless: bool = param(False, label="Use lossless compression for webp images")
    img_max_size_mp: int = param(200, label="Maximum image size, in megapixels", minimum=1, maximum=1000, step=1)
    save_images_before_highres_fix: bool = param(False, label="Save a copy of image before applying highres fix")
    save_images_before_color_correction: bool = param(
        False, label="Save a copy of image before applying color correction to img2img results")
    save_mask: bool = param(False, label="Save the inpainting mask")
    save_mask_composite: bool = param(False, label="Save the masked composite")
    save_init_img: bool = param(False, label="Save init images when using img2img")
    save_incomplete_images: bool = param(False, label="Save interrupted images")
    save_txt: bool = param(False, label="Save parameters in a text file next to each image")
    enable_pnginfo: bool = param(True, label="Write parameters into image files")
    watermark: str = param("", label="Invisible watermark", max_length=8,
                           help="A word of up to 8 letters, hidden in every picture and told by PNG Info. Empty hides "
                                "none. It outlives JPEG, not cropping and resizing.")
    provenance_note: bool = param(False, label="Write into image files that a trained model made them",
                                  help="As XMP, in the words of the IPTC (DigitalSourceType).")
    font: str = param("", label="Font for image grids that have text", help="A file, or a name; empty takes our own.")
    grid_text_active_color: str = param("#000000", label="Text color for image grids")
    grid_text_inactive_color: str = param("#999999", label="Inactive text color for image grids")
    grid_background_color: str = param("#ffffff", label="Background color for image grids")  # fmt: skip


@part("paths", "Paths for saving", "Saving images")
class SavingPaths:
    outdir_samples: str = param("", label="Output directory for images; if empty, defaults to the next two",
                                restrict_api=True)
    outdir_txt2img_samples: str = param("outputs/txt2img-images", label="Output directory for txt2img images",
                                        restrict_api=True)
    outdir_img2img_samples: str = param("outputs/img2img-images", label="Output directory for img2img images",
                                        restrict_api=True)
    outdir_extras_samples: str = param("outputs/extras-images", label="Output directory for images from extras tab",
                                       restrict_api=True)
    outdir_init_images: str = param("outputs/init-images", label="Directory for saving init images when using img2img",
                                    restrict_api=True)
    outdir_grids: str = param("", label="Output directory for grids; if empty, defaults to the next two",
                              restrict_api=True)
    outdir_txt2img_grids: str = param("outputs/txt2img-grids", label="Output directory for txt2img grids",
                                      restrict_api=True)
    outdir_img2img_grids: str = param("outputs/img2img-grids", label="Output directory for img2img grids",
                                      restrict_api=True)
    outdir_save: str = param("log/images", label="Directory for saving images using the Save button",
                             restrict_api=True)
    save_to_dirs: bool = param(True, label="Save images to a subdirectory")
    grid_save_to_dirs: bool = param(True, label="Save grids to a subdirectory")
    directories_filename_pattern: str = param("[date]", label="Directory name pattern", restrict_api=True)
    directories_max_prompt_words: int = param(8, label="Max prompt words for [prompt_words]", minimum=1, maximum=40,
                                              step=1)  # fmt: skip


@part("sd", "Stable Diffusion", "Stable Diffusion")
class StableDiffusion:
    sd_model_checkpoint: str = param("", label="Stable Diffusion checkpoint", choices="models")
    sd_checkpoints_limit: int = param(1, label="Maximum number of checkpoints loaded at the same time", minimum=1,
                                      maximum=10, step=1)
    sd_vae: str = param("Automatic", label="SD VAE", choices="vaes", infotext="VAE")
    allow_pickle: bool = param(False, label="Load .ckpt and other pickle files",
                               help="Pickles are read by a guarded reader that allows only tensors; still, prefer "
                                    "safetensors.", restrict_api=True)
    emphasis: str = param("Original", label="Emphasis mode", choices=("None", "Ignore", "Original", "No norm"),
                          infotext="Emphasis")
    enable_prompt_comments: bool = param(True, label="Enable comments in prompts")
    comma_padding_backtrack: int = param(20, label="Prompt word wrap length limit", minimum=0, maximum=74, step=1)
    CLIP_stop_at_last_layers: int = param(1, label="Clip skip", minimum=1, maximum=12, step=1, infotext="Clip skip")
    upcast_attn: bool = param(False, label="Upcast cross attention layer to float32",
                              help="Against NaN and black pictures of models in half precision.")
    randn_source: str = param("CPU", label="Random number generator source", choices=("GPU", "CPU", "NV"),
                              infotext="RNG", help="CPU and NV give the same pictures on every device.")
    tiling: bool = param(False, label="Tiling", infotext="Tiling")
    hires_fix_refiner_pass: str = param("second pass", label="Hires fix: which pass to enable refiner for",
                                        choices=("first pass", "second pass", "both passes"),
                                        infotext="Hires refiner")  # fmt: skip


@part("vae", "VAE", "Stable Diffusion")
class Vae:
    sd_vae_checkpoint_cache: int = param(0, label="VAE Checkpoints to cache in RAM", minimum=0, maximum=10, step=1,
                                         help="How many stay in memory beside the one in use, so that going back to "
                                              "one reads no file.")
    sd_vae_overrides_per_model_preferences: bool = param(
        True, label="Selected VAE overrides per-model preferences",
        help="Off: the VAE named in a checkpoint's own notes, or beside it, comes before the one selected.")
    auto_vae_precision_bfloat16: bool = param(
        False, label="Automatically convert VAE to bfloat16",
        help="Tried first when a VAE in float16 gives NaN; needs less memory than float32.")
    auto_vae_precision: bool = param(True, label="Automatically revert VAE to 32-bit floats",
                                     help="Redo the work of a VAE in float32 when it gives NaN.")
    sd_vae_encode_method: str = param("Full", label="VAE type for encode", choices=("Full", "TAESD"),
                                      infotext="VAE Encoder",
                                      help="TAESD is fast and approximate; its file belongs into models/VAE-approx.")
    sd_vae_decode_method: str = param("Full", label="VAE type for decode", choices=("Full", "TAESD"),
                                      infotext="VAE Decoder")  # fmt: skip


@part("sdxl", "Stable Diffusion XL", "Stable Diffusion")
class StableDiffusionXL:
    sdxl_crop_top: int = param(0, label="crop top coordinate", minimum=0, maximum=1024, step=1, hard=(0, 16384),
                               help="Told to the network as if the picture were cut from a larger one.")
    sdxl_crop_left: int = param(0, label="crop left coordinate", minimum=0, maximum=1024, step=1, hard=(0, 16384))
    sdxl_refiner_low_aesthetic_score: float = param(2.5, label="SDXL low aesthetic score", minimum=0, maximum=10,
                                                    step=0.1, help="For the refiner's negative prompt.")
    sdxl_refiner_high_aesthetic_score: float = param(6.0, label="SDXL high aesthetic score", minimum=0, maximum=10,
                                                     step=0.1, help="For the refiner's prompt.")
    sdxl_clip_l_skip: bool = param(False, label="Clip skip SDXL",
                                   help="Lets Clip skip reach the first text encoder of SDXL.")  # fmt: skip


@part("img2img", "img2img", "Stable Diffusion")
class Img2Img:
    inpainting_mask_weight: float = param(1.0, label="Inpainting conditioning mask strength", minimum=0, maximum=1,
                                          step=0.01, infotext="Conditional mask weight")
    initial_noise_multiplier: float = param(1.0, label="Noise multiplier for img2img", minimum=0, maximum=1.5,
                                            step=0.001, infotext="Noise multiplier")
    img2img_extra_noise: float = param(0.0, label="Extra noise multiplier for img2img and hires fix", minimum=0,
                                       maximum=1, step=0.01, infotext="Extra noise")
    img2img_color_correction: bool = param(
        False, label="Apply color correction to img2img results to match original colors.",
        infotext="Color correction")
    img2img_batch_show_results_limit: int = param(
        32, label="Show the first N batch img2img results in UI", minimum=-1, maximum=1000, step=1,
        help="-1 shows all; all are saved.")
    img2img_fix_steps: bool = param(False, label="With img2img, do exactly the amount of steps the slider specifies")
    img2img_background_color: str = param("#ffffff", label="Fill transparent parts of the input image with this colour")
    return_mask: bool = param(False, label="Return the mask with the results")
    return_mask_composite: bool = param(False, label="Return the masked composite with the results")
    overlay_inpaint: bool = param(True, label="Overlay the original when inpainting")  # fmt: skip


@part("sampler", "Sampler parameters", "Stable Diffusion")
class SamplerParameters:
    eta_ddim: float = param(0.0, label="Eta for DDIM", minimum=0, maximum=1, step=0.01, infotext="Eta DDIM")
    eta_ancestral: float = param(1.0, label="Eta for k-diffusion samplers", minimum=0, maximum=1, step=0.01,
                                 infotext="Eta")
    tcd_gamma: float = param(0.3, label="Gamma for TCD", minimum=0, maximum=1, step=0.01, infotext="TCD gamma",
                             help="Share of noise: 0 is none, 1 as LCM. More steps want more.")
    s_churn: float = param(0.0, label="sigma churn", minimum=0, maximum=100, step=0.01, infotext="Sigma churn")
    s_tmin: float = param(0.0, label="sigma tmin", minimum=0, maximum=10, step=0.01, infotext="Sigma tmin")
    s_tmax: float = param(0.0, label="sigma tmax", minimum=0, maximum=999, step=0.01, infotext="Sigma tmax")
    s_noise: float = param(1.0, label="sigma noise", minimum=0, maximum=1.1, step=0.001, infotext="Sigma noise")
    sigma_min: float = param(0.0, label="sigma min", minimum=0, maximum=10, step=0.001,
                             infotext="Schedule min sigma", help="0 takes the model's.")
    sigma_max: float = param(0.0, label="sigma max", minimum=0, maximum=100, step=0.001,
                             infotext="Schedule max sigma", help="0 takes the model's.")
    rho: float = param(0.0, label="rho", minimum=0, maximum=50, step=0.1, infotext="Schedule rho",
                       help="0 takes the schedule's own.")
    eta_noise_seed_delta: int = param(0, label="Eta noise seed delta", hard=(-(2**31), 2**31), infotext="ENSD")
    always_discard_next_to_last_sigma: bool = param(False, label="Always discard next-to-last sigma",
                                                    infotext="Discard penultimate sigma")
    sgm_noise_multiplier: bool = param(False, label="SGM noise multiplier", infotext="SGM noise multiplier")
    s_min_uncond: float = param(0.0, label="Negative Guidance minimum sigma", minimum=0, maximum=15, step=0.01,
                                infotext="NGMS")
    s_min_uncond_all: bool = param(False, label="Negative Guidance minimum sigma, all steps",
                                   infotext="NGMS all steps")
    skip_early_cond: float = param(0.0, label="Ignore negative prompt during early sampling", minimum=0, maximum=1,
                                   step=0.01, infotext="Skip Early CFG")
    uni_pc_variant: str = param("bh1", label="UniPC variant", choices=("bh1", "bh2", "vary_coeff"),
                                infotext="UniPC variant")
    uni_pc_skip_type: str = param("time_uniform", label="UniPC skip type",
                                  choices=("time_uniform", "time_quadratic", "logSNR"), infotext="UniPC skip type")
    uni_pc_order: int = param(3, label="UniPC order", minimum=1, maximum=50, step=1, infotext="UniPC order")
    uni_pc_lower_order_final: bool = param(True, label="UniPC lower order final",
                                           infotext="UniPC lower order final")
    sd_noise_schedule: str = param("Default", label="Noise schedule", choices=("Default", "Zero Terminal SNR"),
                                   infotext="Noise Schedule")
    beta_dist_alpha: float = param(0.6, label="Beta scheduler - alpha", minimum=0.01, maximum=1, step=0.01,
                                   infotext="Beta scheduler alpha")
    beta_dist_beta: float = param(0.6, label="Beta scheduler - beta", minimum=0.01, maximum=1, step=0.01,
                                  infotext="Beta scheduler beta")  # fmt: skip


@part("optimizations", "Optimizations", "Stable Diffusion")
class Optimizations:
    fp8_storage: str = param("Disable", label="FP8 weight", choices=("Disable", "Enable for SDXL", "Enable"),
                             infotext="FP8 weight",
                             help="Denoiser and text encoders are stored in 8 bits a number, which needs half of the "
                                  "memory of half precision; they calculate as before. Networks of prompts are added "
                                  "at full precision.")
    token_merging_ratio: float = param(0.0, label="Token merging ratio", minimum=0, maximum=0.9, step=0.1,
                                       hard=(0, 1), infotext="Token merging ratio",
                                       help="Share of the places in a picture that are attended to together: faster, "
                                            "and less exact. At most 0.75 has an effect.")
    token_merging_ratio_img2img: float = param(0.0, label="Token merging ratio for img2img", minimum=0, maximum=0.9,
                                               step=0.1, hard=(0, 1), help="0 takes the one above.")
    token_merging_ratio_hr: float = param(0.0, label="Token merging ratio for high-res pass", minimum=0, maximum=0.9,
                                          step=0.1, hard=(0, 1), infotext="Token merging ratio hr",
                                          help="0 takes the one above.")  # fmt: skip


@part("compatibility", "Compatibility", "Stable Diffusion")
class Compatibility:
    auto_backcompat: bool = param(True, label="Apply backward compatibility settings of pasted parameters")
    use_old_karras_scheduler_sigmas: bool = param(False, label="Use old karras scheduler sigmas (0.1 to 10)")
    no_dpmpp_sde_batch_determinism: bool = param(False, label="Do not make DPM++ SDE deterministic across batch sizes")
    use_downcasted_alpha_bar: bool = param(False, label="Downcast model alphas_cumprod to fp16 before sampling",
                                           infotext="Downcast alphas_cumprod",
                                           help="Repeats seeds of programs before A1111 1.8.")
    use_old_scheduling: bool = param(False, label="Use old prompt editing timelines",
                                     infotext="Old prompt editing timelines")
    hires_fix_use_firstpass_conds: bool = param(
        False, label="For hires fix, calculate conds of second pass using extra networks of first pass")
    use_old_hires_fix_width_height: bool = param(
        False, label="For hires fix, use width/height sliders to set final resolution rather than first pass")
    refiner_switch_by_sample_steps: bool = param(False, label="Switch to refiner by sampling steps instead of model "
                                                              "timesteps",
                                                 infotext="Refiner switch by sampling steps")
    enable_quantization: bool = param(False, label="Round noise levels to the model's table in k-samplers")
    batch_cond_uncond: bool = param(True, label="Batch positive and negative prompt in one model call")
    pad_cond_uncond: bool = param(False, label="Pad prompt and negative prompt to the same length",
                                  infotext="Pad conds")
    pad_cond_uncond_v0: bool = param(False, label="Pad prompt and negative prompt to the same length (v0)",
                                     infotext="Pad conds v0",
                                     help="As before 1.6.0: the negative prompt is cut or filled to the length of "
                                          "the prompt.")
    persistent_cond_cache: bool = param(True, label="Keep encoded prompts between jobs")  # fmt: skip


@part("memory", "Memory", "System")
class Memory:
    memory_policy: str = param("keep", label="Where models stay", choices=("keep", "rotate", "stream"),
                               help="keep: all on the device; rotate: one component at a time; stream: large "
                                    "components block by block, for the smallest GPUs. --medvram and kin come first.")
    cross_attention_optimization: str = param(
        "Automatic", label="Cross attention optimization", choices=("Automatic", "sdp", "split", "xformers"),
        help="sdp: torch's own; split: in slices, for little memory. Automatic takes what the command line says, else "
             "sdp.")
    vae_tile_from: int = param(1536, label="VAE works in tiles from this side length, in pixels; 0 never", minimum=0,
                               maximum=8192, step=64)  # fmt: skip


@part("networks", "Extra networks", "Stable Diffusion")
class ExtraNetworks:
    sd_lora: str = param("None", label="Add network to prompt", choices="default_loras")
    sd_hypernetwork: str = param("None", label="Add hypernetwork to prompt", choices="default_hypernetworks")
    extra_networks_default_multiplier: float = param(1.0, label="Default multiplier for extra networks", minimum=0,
                                                     maximum=2, step=0.01)
    extra_networks_add_text_separator: str = param(" ", label="Separator before what a card adds to a prompt")
    extra_networks_card_width: int = param(0, label="Width of cards, in pixels", minimum=0, maximum=1000, step=1,
                                           help="0: as wide as suits the page.")
    extra_networks_card_height: int = param(0, label="Height of cards, in pixels", minimum=0, maximum=1000, step=1,
                                            help="0: as high as suits the width.")
    extra_networks_card_text_scale: float = param(1.0, label="Scale of the text on cards", minimum=0.5, maximum=2,
                                                  step=0.01)
    extra_networks_card_show_desc: bool = param(True, label="Show descriptions on cards")
    extra_networks_card_order_field: str = param("Path", label="Order of cards",
                                                 choices=("Path", "Name", "Date Created", "Date Modified"))
    extra_networks_card_order: str = param("Ascending", label="Direction of the order of cards",
                                           choices=("Ascending", "Descending"))
    ui_extra_networks_tab_reorder: str = param("", label="Order of the tabs with cards", restart=True,
                                               help="Names with commas between: Lora, Checkpoints.")
    lora_preferred_name: str = param("Alias from file", label="Name of a Lora that its card adds to a prompt",
                                     choices=("Alias from file", "Filename"),
                                     help="An alias that several files share is never used.")
    lora_add_hashes_to_infotext: bool = param(True, label="Add Lora hashes to infotext")
    lora_bundled_ti_to_infotext: bool = param(True, label="Add embeddings that come with a Lora to the hashes in "
                                                          "infotext")
    lora_in_memory_limit: int = param(0, label="Number of Lora networks to keep in memory beside those in use",
                                      minimum=0, maximum=64, step=1)  # fmt: skip


@part("interface", "User interface", "Interface")
class Interface:
    quicksettings_list: tuple[str, ...] = param(("sd_model_checkpoint",), label="Quicksettings list", restart=True)
    hidden_tabs: tuple[str, ...] = param((), label="Hidden tabs", restart=True)
    ui_tab_order: tuple[str, ...] = param((), label="Order of tabs", restart=True)
    send_seed: bool = param(True, label="Send seed when sending prompt or image to other interface")
    send_size: bool = param(True, label="Send size when sending prompt or image to another interface")
    interrupt_after_current: bool = param(False, label="Interrupt finishes the current image first")
    return_grid: bool = param(True, label="Show grid in gallery")
    hires_button_gallery_insert: bool = param(False, label="Insert [✨] hires button results to gallery",
                                              help="Off: the result takes the place of the picture it was made from.")
    localization: str = param("None", label="Localization", restart=True)
    keyedit_precision_attention: float = param(0.1, label="Precision for (attention:1.1) when editing the prompt",
                                               minimum=0.01, maximum=0.2, step=0.001)  # fmt: skip


@part("previews", "Live previews", "Interface")
class Previews:
    live_previews_enable: bool = param(True, label="Show live previews of the created image")
    show_progress_every_n_steps: int = param(1, label="Live preview display period, in steps; -1 shows none",
                                             minimum=-1, maximum=32, step=1)
    show_progress_type: str = param("Approx cheap", label="Live preview method",
                                    choices=("Full", "Approx NN", "Approx cheap", "TAESD"),
                                    help="Full: the VAE, slow. TAESD: a small decoder, whose file belongs into "
                                         "models/VAE-approx. Approx NN: the same at half size. Approx cheap: one "
                                         "colour a cell, at no cost; also where a file is missing.")
    live_preview_content: str = param("Prompt", label="Live preview subject",
                                      choices=("Combined", "Prompt", "Negative prompt"),
                                      help="Prompt and Negative prompt: what the network makes of that text alone; "
                                           "Combined: what becomes of both.")
    live_preview_refresh_period: int = param(500, label="Progress and preview period, in milliseconds", minimum=100,
                                             maximum=10_000, step=100)
    live_previews_image_format: str = param("jpeg", label="Live preview file format",
                                            choices=("jpeg", "png", "webp"))  # fmt: skip


@part("infotext", "Infotext", "Interface")
class Infotext:
    add_model_name_to_info: bool = param(True, label="Add model name to generation information")
    add_model_hash_to_info: bool = param(True, label="Add model hash to generation information")
    add_vae_name_to_info: bool = param(True, label="Add VAE name to generation information")
    add_vae_hash_to_info: bool = param(True, label="Add VAE hash to generation information")
    add_version_to_infotext: bool = param(True, label="Add program version to generation information")
    add_replay_to_infotext: bool = param(True, label="Add what a replay needs to generation information",
                                         help="Device, precision, attention, torch and the hash of a source picture.")
    add_user_name_to_info: bool = param(False, label="Add user name to generation information")
    textual_inversion_add_hashes_to_infotext: bool = param(True, label="Add embedding hashes to infotext")
    disable_weights_auto_swap: bool = param(True, label="Ignore the checkpoint when pasting parameters")
    infotext_skip_pasting: tuple[str, ...] = param((), label="Fields to leave out when pasting")
    infotext_styles: str = param("Apply if any", label="Styles in pasted prompts",
                                 choices=("Ignore", "Apply", "Discard", "Apply if any"))  # fmt: skip


@part("system", "System", "System")
class System:
    jobs_per_client: int = param(64, label="Most jobs that one client may have waiting", minimum=1, maximum=10_000,
                                 step=1)
    api_enable_requests: bool = param(False, label="Allow http:// and https:// URLs as input images in the API",
                                      restrict_api=True)
    api_forbid_local_requests: bool = param(True, label="Forbid URLs to local addresses", restrict_api=True)
    api_useragent: str = param("", label="User agent for such requests", restrict_api=True)
    extensions_max_failures: int = param(3, label="Switch an extension off after this many failures", minimum=1,
                                         maximum=100, step=1)
    disabled_extensions: tuple[str, ...] = param((), label="Disabled extensions", restart=True)
    disable_all_extensions: str = param("none", label="Disable all extensions", choices=("none", "extra", "all"),
                                        restart=True)  # fmt: skip


GROUPS = (Saving, SavingPaths, StableDiffusion, StableDiffusionXL, Vae, Img2Img, SamplerParameters, Optimizations,
          Compatibility, Memory, ExtraNetworks, Interface, Previews, Infotext, System, *TOOL_GROUPS)  # fmt: skip
