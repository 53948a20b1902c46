"""The settings of upscalers, face restorers, the Extras tab and captions, under A1111's names."""

from __future__ import annotations

from atelier.params.field import param, part
from atelier.params.finishing import STEPS

CAPTION_ACTIONS = ("Ignore", "Keep", "Prepend", "Append")


@part("upscaling", "Upscaling", "Postprocessing")
class Upscaling:
    ESRGAN_tile: int = param(
        192, label="Tile size for ESRGAN and other upscalers; 0 is no tiling", minimum=0, maximum=2048, step=16
    )
    ESRGAN_tile_overlap: int = param(8, label="Tile overlap, in pixels", minimum=0, maximum=256, step=1)
    SWIN_tile: int = param(192, label="Tile size for SwinIR", minimum=0, maximum=2048, step=16)
    SWIN_tile_overlap: int = param(8, label="Tile overlap for SwinIR, in pixels", minimum=0, maximum=256, step=1)
    DAT_tile: int = param(192, label="Tile size for DAT", minimum=0, maximum=2048, step=16)
    DAT_tile_overlap: int = param(8, label="Tile overlap for DAT, in pixels", minimum=0, maximum=256, step=1)
    upscaler_for_img2img: str = param("None", label="Upscaler for img2img", choices="upscalers")
    use_upscaler_name_as_suffix: bool = param(False, label="Use upscaler name as filename suffix in the extras tab")
    use_original_name_batch: bool = param(True, label="Use original name for output filename during batch process in "
                                                      "extras tab")  # fmt: skip


@part("face", "Face restoration", "Postprocessing")
class FaceRestoration:
    face_restoration: bool = param(
        False,
        label="Restore faces",
        help="Repair faces in every picture of txt2img and img2img.",
    )
    face_restoration_model: str = param("CodeFormer", label="Face restoration model", choices="face_restorers")
    code_former_weight: float = param(
        0.5,
        label="CodeFormer weight",
        minimum=0,
        maximum=1,
        step=0.01,
        help="0 is the strongest effect, 1 the weakest.",
    )
    save_images_before_face_restoration: bool = param(False, label="Save a copy of the picture before face "
                                                                   "restoration")  # fmt: skip


@part("postprocessing", "Postprocessing", "Postprocessing")
class Postprocessing:
    postprocessing_operation_order: tuple[str, ...] = param(
        (), label="Order of postprocessing steps", help="Names of steps, the first to be done first; the others follow."
    )
    postprocessing_enable_in_main_ui: tuple[str, ...] = param(
        (), label="Postprocessing steps in txt2img and img2img", choices=tuple(STEPS), restart=True,
        help=f"Each picture goes through them when it is done. One a line, of {', '.join(STEPS)}.",
    )
    postprocessing_disable_in_extras: tuple[str, ...] = param(
        (), label="Postprocessing steps that are not done in the extras tab"
    )
    postprocessing_existing_caption_action: str = param("Ignore", label="Action for existing captions",
                                                        choices=CAPTION_ACTIONS)  # fmt: skip


@part("interrogate", "Interrogate", "Uncategorised")
class Interrogate:
    interrogate_return_ranks: bool = param(False, label="Include ranks of model tags matches in results")
    interrogate_clip_num_beams: int = param(1, label="BLIP: num_beams", minimum=1, maximum=16, step=1)
    interrogate_clip_min_length: int = param(
        24, label="BLIP: minimum description length", minimum=1, maximum=128, step=1
    )
    interrogate_clip_max_length: int = param(
        48, label="BLIP: maximum description length", minimum=1, maximum=256, step=1
    )
    interrogate_clip_dict_limit: int = param(
        1500, label="CLIP: maximum number of lines in text file", minimum=0, hard=(0, 1_000_000), help="0 is no limit."
    )
    interrogate_deepbooru_score_threshold: float = param(
        0.5, label="deepbooru: score threshold", minimum=0, maximum=1, step=0.01
    )
    deepbooru_sort_alpha: bool = param(
        True, label="deepbooru: sort tags alphabetically", help="Off sorts them by score."
    )
    deepbooru_use_spaces: bool = param(True, label="deepbooru: use spaces in tags")
    deepbooru_escape: bool = param(True, label="deepbooru: escape brackets")
    deepbooru_filter_tags: str = param("", label="deepbooru: filter out those tags", help="Separated by commas.")
    # fmt: skip


TOOL_GROUPS = (Upscaling, FaceRestoration, Postprocessing, Interrogate)
