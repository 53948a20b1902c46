"""Processed: A1111's result object."""

from __future__ import annotations

import json
from typing import Any

from atelier.pipeline.state import Picture, Result, Run

#: attributes that a result copies from `p`
COPIED = (
    "prompt", "negative_prompt", "subseed_strength", "width", "height", "sampler_name", "cfg_scale",
    "image_cfg_scale", "steps", "batch_size", "restore_faces", "sd_model_name", "sd_model_hash", "sd_vae_name",
    "sd_vae_hash", "seed_resize_from_w", "seed_resize_from_h", "denoising_strength", "extra_generation_params",
    "styles", "token_merging_ratio", "token_merging_ratio_hr", "eta", "ddim_discretize", "s_churn", "s_tmin",
    "s_tmax", "s_noise", "s_min_uncond", "sampler_noise_scheduler_override", "is_using_inpainting_conditioning",
)  # fmt: skip


class Processed:
    """`images` holds the grid first when `index_of_first_image` is 1; `infotexts` runs parallel to it."""

    def __init__(
        self, p: Any, images_list: list[Any], seed: Any = -1, info: str = "", subseed: Any = None,
        all_prompts: list[str] | None = None, all_negative_prompts: list[str] | None = None,
        all_seeds: list[int] | None = None, all_subseeds: list[int] | None = None, index_of_first_image: int = 0,
        infotexts: list[str] | None = None, comments: str = "", extra_images_list: Any = (),
    ) -> None:  # fmt: skip
        for name in COPIED:
            setattr(self, name, getattr(p, name, None))
        self.prompt, self.negative_prompt = _first(self.prompt), _first(self.negative_prompt)
        self.images = images_list
        self.extra_images = list(extra_images_list)
        self.info = info
        self.comments = comments or "".join(f"{comment}\n" for comment in getattr(p, "comments", None) or ())
        self.face_restoration_model = None
        self.job_timestamp = getattr(p, "job_timestamp", "")
        self.clip_skip = getattr(p, "clip_skip", 1)
        self.version = getattr(p, "version", "")
        self.index_of_first_image = index_of_first_image
        self.seed = int(_first(getattr(p, "seed", -1)) if seed == -1 else seed)
        self.subseed = -1 if subseed is None else subseed
        self.all_prompts = all_prompts or getattr(p, "all_prompts", None) or [self.prompt]
        self.all_negative_prompts = (
            all_negative_prompts or getattr(p, "all_negative_prompts", None) or [self.negative_prompt]
        )
        self.all_seeds = all_seeds or getattr(p, "all_seeds", None) or [self.seed]
        self.all_subseeds = all_subseeds or getattr(p, "all_subseeds", None) or [self.subseed]
        self.infotexts = infotexts or [info] * len(images_list)
        self.all_prompts, self.all_negative_prompts = list(self.all_prompts), list(self.all_negative_prompts)

    def facts(self) -> dict[str, Any]:
        """What clients of the HTTP API read as `info`."""
        names = (
            "prompt", "all_prompts", "negative_prompt", "all_negative_prompts", "seed", "all_seeds", "subseed",
            "all_subseeds", "subseed_strength", "width", "height", "sampler_name", "cfg_scale", "steps", "batch_size",
            "restore_faces", "face_restoration_model", "sd_model_name", "sd_model_hash", "sd_vae_name",
            "sd_vae_hash", "seed_resize_from_w", "seed_resize_from_h", "denoising_strength",
            "extra_generation_params", "index_of_first_image", "infotexts", "styles", "job_timestamp", "clip_skip",
            "is_using_inpainting_conditioning", "version",
        )  # fmt: skip
        return json.loads(json.dumps({name: getattr(self, name) for name in names}, default=lambda _: None))

    def js(self) -> str:
        return json.dumps(self.facts())

    def infotext(self, p: Any, index: int) -> str:
        return self.infotexts[index] if index < len(self.infotexts) else self.info

    def get_token_merging_ratio(self, for_hr: bool = False) -> float:
        return self.token_merging_ratio_hr if for_hr else self.token_merging_ratio


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) and value else value


def processed_of(p: Any, run: Run, result: Result) -> Processed:
    """The result of a run as scripts know it; every image carries its parameters."""
    infotexts = [picture.infotext for picture in result.pictures]
    images = list(result.images)
    for image, text in zip(images, infotexts):
        image.info["parameters"] = text
    info = dict(result.info)
    made = Processed(
        p, images,
        seed=info.get("seed", -1), info=infotexts[0] if infotexts else "", subseed=info.get("subseed", -1),
        all_prompts=list(info.get("all_prompts") or ()),
        all_negative_prompts=list(info.get("all_negative_prompts") or ()),
        all_seeds=list(info.get("all_seeds") or ()), all_subseeds=list(info.get("all_subseeds") or ()),
        index_of_first_image=info.get("index_of_first_image", 0), infotexts=infotexts,
        comments="".join(f"{comment}\n" for comment in run.comments), extra_images_list=p.extra_result_images,
    )  # fmt: skip
    for name in ("sampler_name", "clip_skip", "version", "job_timestamp", "width", "height"):
        setattr(made, name, info.get(name, getattr(made, name, None)))
    return made


def pictures_of(processed: Processed, known: dict[int, Picture], blobs: Any) -> tuple[Picture, ...]:
    """A picture for every image of the result: the one it was saved as, or a new one that only the page shows."""
    pictures = []
    for index, image in enumerate(processed.images):
        infotext = processed.infotexts[index] if index < len(processed.infotexts) else processed.info
        found = known.get(id(image))
        if found is None:
            role = "grid" if index < processed.index_of_first_image else "picture"
            place = max(0, index - processed.index_of_first_image)
            found = Picture(
                index, blobs.put_image(_as_picture(image), infotext or ""), infotext or "",
                seed=int(_at(processed.all_seeds, place, -1)), subseed=int(_at(processed.all_subseeds, place, -1)),
                role=role, prompt=str(_at(processed.all_prompts, place, "")),
                negative=str(_at(processed.all_negative_prompts, place, "")),
            )  # fmt: skip
        pictures.append(found)
    return tuple(pictures)


def _as_picture(image: Any) -> Any:
    return image if image.mode in ("RGB", "RGBA") else image.convert("RGBA" if "A" in image.getbands() else "RGB")


def _at(values: Any, index: int, default: Any) -> Any:
    return values[index] if values and index < len(values) else (values[-1] if values else default)
