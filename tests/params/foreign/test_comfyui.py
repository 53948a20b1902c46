"""ComfyUI's graphs: the sampler behind the picture is found, and its links are followed, in all the usual forms."""

from __future__ import annotations

import json
from typing import Any

from atelier.params.foreign.catalogue import translate
from atelier.params.infotext import parse_infotext


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def read(graph: dict[str, Any], key: str = "prompt") -> dict[str, str]:
    found = translate("", {key: json.dumps(graph)}, (512, 512))
    assert found.program == "ComfyUI" and found.original
    return parse_infotext(found.infotext, defaults=False)


def simple(**changes: Any) -> dict[str, Any]:
    graph = {
        "3": node("KSampler", seed=156680208700286, steps=20, cfg=8.0, sampler_name="euler", scheduler="normal",
                  denoise=1.0, model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0]),
        "4": node("CheckpointLoaderSimple", ckpt_name="sub\\v1-5-pruned.safetensors"),
        "5": node("EmptyLatentImage", width=512, height=640, batch_size=1),
        "6": node("CLIPTextEncode", text="beautiful scenery", clip=["4", 1]),
        "7": node("CLIPTextEncode", text="text, watermark", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
    }  # fmt: skip
    return {**graph, **changes}


def test_the_default_workflow():
    assert read(simple()) == {
        "Prompt": "beautiful scenery", "Negative prompt": "text, watermark", "Steps": "20", "Sampler": "Euler",
        "Schedule type": "Normal", "CFG scale": "8.0", "Seed": "156680208700286", "Size-1": "512", "Size-2": "640",
        "Model": "v1-5-pruned", "RNG": "CPU",
    }  # fmt: skip


def test_networks_clip_skip_vae_and_values_from_other_nodes():
    graph = simple(**{
        "10": node("LoraLoader", lora_name="styles/ink.safetensors", strength_model=0.8, strength_clip=1,
                   model=["4", 0], clip=["4", 1]),
        "11": node("Power Lora Loader (rgthree)", model=["10", 0], clip=["10", 1],
                   lora_1={"on": True, "lora": "a.safetensors", "strength": 0.5},
                   lora_2={"on": False, "lora": "b.safetensors", "strength": 1}),
        "12": node("CLIPSetLastLayer", stop_at_clip_layer=-2, clip=["11", 1]),
        "13": node("PrimitiveInt", value=77), "14": node("VAELoader", vae_name="vae-ft-mse.safetensors"),
        "15": node("StringConcatenate", string_a="a (red:1.3)", string_b=["16", 0], delimiter=", "),
        "16": node("Text Multiline", text="b"),
    })  # fmt: skip
    graph["3"]["inputs"] |= {"model": ["11", 0], "seed": ["13", 0]}
    graph["6"]["inputs"] |= {"clip": ["12", 0], "text": ["15", 0]}
    graph["8"]["inputs"]["vae"] = ["14", 0]
    values = read(graph)
    assert values["Prompt"] == "a (red:1.3), b <lora:ink:0.8><lora:a:0.5>"
    assert (values["Clip skip"], values["VAE"], values["Seed"]) == ("2", "vae-ft-mse", "77")
    assert values["Model"] == "v1-5-pruned" and values["Emphasis"] == "No norm"


def test_conditionings_that_are_joined_or_pass_through():
    graph = simple(**{
        "20": node("ControlNetApplyAdvanced", positive=["21", 0], negative=["7", 0], strength=1.0,
                   control_net=["30", 0], image=["31", 0]),
        "21": node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["22", 0]),
        "22": node("CLIPTextEncodeSDXL", text_g="second", text_l="second", width=1024, height=1024, clip=["4", 1]),
        "30": node("ControlNetLoader", control_net_name="canny"), "31": node("LoadImage", image="x.png"),
    })  # fmt: skip
    graph["3"]["inputs"] |= {"positive": ["20", 0], "negative": ["20", 1]}
    values = read(graph)
    assert values["Prompt"] == "beautiful scenery AND second" and values["Negative prompt"] == "text, watermark"


def test_img2img():
    graph = simple(**{"5": node("VAEEncode", pixels=["31", 0], vae=["4", 2]), "31": node("LoadImage", image="x.png")})
    graph["3"]["inputs"]["denoise"] = 0.6
    values = read(graph)
    assert values["Denoising strength"] == "0.6" and values["Size-1"] == "512"


def test_a_second_sampler_is_hires_fix():
    graph = simple(**{
        "40": node("LatentUpscaleBy", samples=["3", 0], upscale_method="bicubic", scale_by=1.5),
        "41": node("KSampler", seed=1, steps=12, cfg=6, sampler_name="dpmpp_2m", scheduler="karras", denoise=0.45,
                   model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["40", 0]),
    })  # fmt: skip
    graph["8"]["inputs"]["samples"] = ["41", 0]
    values = read(graph)
    assert (values["Steps"], values["Sampler"], values["Seed"]) == ("20", "Euler", "156680208700286")
    assert (values["Denoising strength"], values["Hires upscale"], values["Hires steps"]) == ("0.45", "1.5", "12")
    assert (values["Hires upscaler"], values["Hires sampler"]) == ("Latent (bicubic)", "DPM++ 2M")
    assert values["Hires CFG Scale"] == "6"


def test_a_refiner():
    graph = simple(**{
        "3": node("KSamplerAdvanced", add_noise="enable", noise_seed=5, steps=25, cfg=8.0, sampler_name="dpmpp_2m",
                  scheduler="karras", start_at_step=0, end_at_step=20, model=["4", 0], positive=["6", 0],
                  negative=["7", 0], latent_image=["5", 0]),
        "50": node("CheckpointLoaderSimple", ckpt_name="sd_xl_refiner_1.0.safetensors"),
        "51": node("KSamplerAdvanced", add_noise="disable", noise_seed=0, steps=25, cfg=8.0, sampler_name="dpmpp_2m",
                   scheduler="karras", start_at_step=20, end_at_step=10000, model=["50", 0], positive=["6", 0],
                   negative=["7", 0], latent_image=["3", 0]),
    })  # fmt: skip
    graph["8"]["inputs"]["samples"] = ["51", 0]
    values = read(graph)
    assert (values["Refiner"], values["Refiner switch at"]) == ("sd_xl_refiner_1.0", "0.8")
    assert values["Seed"] == "5" and "Denoising strength" not in values


def test_a_sampler_in_parts():
    graph = simple(**{
        "3": node("SamplerCustomAdvanced", noise=["60", 0], guider=["61", 0], sampler=["62", 0], sigmas=["63", 0],
                  latent_image=["5", 0]),
        "60": node("RandomNoise", noise_seed=9), "62": node("KSamplerSelect", sampler_name="res_multistep"),
        "61": node("CFGGuider", cfg=3.5, model=["4", 0], positive=["6", 0], negative=["7", 0]),
        "63": node("BasicScheduler", scheduler="beta", steps=15, denoise=1, model=["4", 0]),
    })  # fmt: skip
    values = read(graph)
    assert (values["Seed"], values["CFG scale"], values["Steps"]) == ("9", "3.5", "15")
    assert (values["Sampler"], values["Schedule type"], values["Model"]) == ("Res Multistep", "Beta", "v1-5-pruned")
    assert values["Prompt"] == "beautiful scenery"


def test_efficient_nodes():
    graph = {
        "1": node("Efficient Loader", ckpt_name="a.ckpt", vae_name="Baked VAE", clip_skip=-2,
                  lora_name="ink.safetensors", lora_model_strength=1, positive="a cat", negative="bad",
                  empty_latent_width=640, empty_latent_height=512),
        "2": node("KSampler (Efficient)", seed=3, steps=20, cfg=7, sampler_name="euler_ancestral", scheduler="karras",
                  denoise=1, model=["1", 0], positive=["1", 1], negative=["1", 2], latent_image=["1", 3]),
        "3": node("PreviewImage", images=["2", 5]),
    }  # fmt: skip
    values = read(graph)
    assert values["Prompt"] == "a cat <lora:ink:1>" and values["Negative prompt"] == "bad"
    assert (values["Size-1"], values["Clip skip"], values["Model"]) == ("640", "2", "a")


def test_only_the_drawing():
    def drawn(id: int, kind: str, boxes: list[Any], links: dict[str, int] | None = None, **more: Any) -> dict[str, Any]:
        inputs = [{"name": name, "type": more.get("type", "X"), "link": link} for name, link in (links or {}).items()]
        return {"id": id, "type": kind, "widgets_values": boxes, "inputs": inputs, **more}

    workflow = {
        "nodes": [
            drawn(3, "KSampler", [42, "randomize", 30, 6.5, "dpmpp_2m", "karras", 1],
                  {"model": 1, "positive": 2, "negative": 3, "latent_image": 4}),
            drawn(4, "CheckpointLoaderSimple", ["model.safetensors"]), drawn(5, "EmptyLatentImage", [768, 512, 1]),
            drawn(6, "CLIPTextEncode", ["a house"], {"clip": 5}), drawn(7, "CLIPTextEncode", ["bad"], {"clip": 6}),
            drawn(8, "Reroute", [], {"": 7}), drawn(9, "SaveImage", ["x"], {"images": 8}),
            drawn(10, "LoraLoaderModelOnly", ["off.safetensors", 1], {"model": 7}, mode=4, type="MODEL",
                  outputs=[{"name": "MODEL", "type": "MODEL"}]),
        ],
        "links": [[1, 8, 0, 3, 0, "MODEL"], [2, 6, 0, 3, 1, "C"], [3, 7, 0, 3, 2, "C"], [4, 5, 0, 3, 3, "L"],
                  [5, 4, 1, 6, 0, "CLIP"], [6, 4, 1, 7, 0, "CLIP"], [7, 4, 0, 8, 0, "MODEL"], [8, 3, 0, 9, 0, "I"]],
    }  # fmt: skip
    values = read(workflow, "workflow")
    assert (values["Prompt"], values["Negative prompt"], values["Steps"]) == ("a house", "bad", "30")
    assert (values["Seed"], values["Sampler"], values["Size-1"], values["Model"]) == ("42", "DPM++ 2M", "768", "model")


def test_a_graph_in_a_circle_ends():
    average = node("ConditioningAverage", conditioning_to=["20", 0])
    graph = simple(**{"6": average, "20": node("X", conditioning=["6", 0])})
    assert read(graph)["Prompt"] == ""
