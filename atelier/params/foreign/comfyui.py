"""ComfyUI: the parameters that a workflow amounts to, found by following the links of the last sampler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atelier.params.foreign.found import Found, file_stem, json_object, sampler_of, schedule_of, size_of
from atelier.params.foreign.graph import Graph, Node, is_link
from atelier.params.infotext_legacy import has_weights

PROGRAM = "ComfyUI"
OUTPUTS = ("save", "preview", "output")
#: conditionings that are joined, and the words that do it in a prompt
JOINED = {"ConditioningCombine": " AND ", "ConditioningConcat": " BREAK "}.items()
#: bound for a graph that runs in circles
DEEPEST = 60


def read(texts: Mapping[str, str], size: tuple[int, int]) -> Found | None:
    """`prompt` is what was run; where only the drawing was kept, as far as its nodes are known."""
    run = json_object(texts.get("prompt"))
    graph = Graph.from_prompt(run)
    if not graph.nodes:
        graph = Graph.from_workflow(json_object(texts.get("workflow")))
    if not graph.nodes:
        return None
    chain = _samplers(graph)
    return _Reader(graph, size).read(chain) if chain else None


def is_sampler(node: Node) -> bool:
    """By what it is given, since there are hundreds of variants."""
    if "guider" in node.inputs and "sigmas" in node.inputs:
        return True
    conditioned = "positive" in node.inputs or "basic_pipe" in node.inputs
    return conditioned and ("steps" in node.inputs or "sigmas" in node.inputs) and "Detailer" not in node.kind


def _samplers(graph: Graph) -> list[Node]:
    """From the first to the last on the way to the picture."""
    ends = [n for n in graph.nodes.values() if any(word in n.kind.lower() for word in OUTPUTS) and n.links]
    ends.sort(key=lambda n: "save" not in n.kind.lower())
    for end in [*ends, *graph.nodes.values()]:
        last = next((n for n in graph.upstream(end) if is_sampler(n)), None)
        if last is not None:
            break
    else:
        return []
    chain = [last]
    while len(chain) < DEEPEST:
        before = _before(graph, chain[0])
        if before is None or before in chain:
            break
        chain.insert(0, before)
    return chain


def _before(graph: Graph, node: Node) -> Node | None:
    """The sampler whose latents this one goes on from."""
    found = graph.source(node, "latent_image", "latent", "samples", "optional_latent")
    return next((n for n in graph.upstream(found[0]) if is_sampler(n)), None) if found else None


class _Reader:
    def __init__(self, graph: Graph, size: tuple[int, int]) -> None:
        self.graph = graph
        self.size = size

    def read(self, chain: list[Node]) -> Found:
        first, last = chain[0], chain[-1]
        positive, negative = self._prompts(first)
        values = {**self._sampling(first), **self._model(first), **self._latents(first)}
        found = Found(PROGRAM, positive, negative, values)
        if len(chain) > 1:
            values.update(self._second(first, last))
        vae = self._vae(last)
        values.update({"VAE": file_stem(vae) if vae else None, "RNG": "CPU"})
        if has_weights(positive) or has_weights(negative):
            values["Emphasis"] = "No norm"
        found.add_networks(self._networks(first))
        return found

    # -- the sampler itself

    def _near(self, node: Node, *names: str) -> Any:
        """A value of the sampler, or of the small nodes that newer samplers are put together from."""
        for name in names:
            if name in node.inputs:
                value = self.graph.resolve(node.inputs[name])
                if value is not None:
                    return value
        parts = (self.graph.source(node, part) for part in ("noise", "sampler", "sigmas", "guider"))
        for part in parts:
            if part is not None and not is_sampler(part[0]):
                value = self._near(part[0], *names)
                if value is not None:
                    return value
        return None

    def _sampling(self, node: Node) -> dict[str, Any]:
        sigmas = self.graph.source(node, "sigmas")
        scheduler = self._near(node, "scheduler")
        if scheduler is None and sigmas is not None and sigmas[0].kind.endswith("Scheduler"):
            scheduler = sigmas[0].kind.removesuffix("Scheduler")
        return {
            "Steps": self._near(node, "steps"), "Sampler": sampler_of(self._near(node, "sampler_name")) or None,
            "Schedule type": schedule_of(scheduler) or None, "CFG scale": self._near(node, "cfg"),
            "Distilled CFG Scale": self._guidance(node), "Seed": self._near(node, "seed", "noise_seed"),
        }  # fmt: skip

    def _guidance(self, node: Node) -> Any:
        found = next((n for n in self.graph.upstream(node) if n.kind == "FluxGuidance"), None)
        return found.value("guidance") if found else None

    # -- prompts

    def _prompts(self, node: Node) -> tuple[str, str]:
        guider = self.graph.source(node, "guider")
        host = guider[0] if guider is not None else node
        positive = self._conditioning(host.inputs.get("positive", host.inputs.get("conditioning")), "positive")
        return positive, self._conditioning(host.inputs.get("negative"), "negative")

    def _conditioning(self, value: Any, side: str, depth: int = 0) -> str:
        """The text behind a conditioning; nodes that change both sides are passed on the same side."""
        if isinstance(value, str):
            return value
        found = self.graph.follow(value) if is_link(value) else None
        if found is None or depth > DEEPEST:
            return ""
        node, slot = found
        if node.kind == "ConditioningZeroOut":
            return ""
        word = dict(JOINED).get(node.kind)
        if word:
            parts = [self._conditioning(link, side, depth + 1) for link in node.links.values()]
            return word.join(part for part in parts if part)
        own = self._text_of(node, side)
        if own is not None:
            return own
        if is_link(node.inputs.get("positive")) and is_link(node.inputs.get("negative")):
            side = "positive" if slot == 0 else "negative" if slot == 1 else side
            return self._conditioning(node.inputs[side], side, depth + 1)
        names = sorted(node.links, key=lambda name: "conditioning" not in name.lower())
        texts = (self._conditioning(node.links[n], side, depth + 1) for n in names if n not in ("clip", "vae", "model"))
        return next((text for text in texts if text), "")

    def _text_of(self, node: Node, side: str) -> str | None:
        """None for a node that holds no prompt of its own."""
        if "text" in node.inputs and ("clip" in node.inputs or "Encode" in node.kind):
            return self._words(node.inputs["text"])
        pairs = [n for n in ("text_g", "text_l", "clip_l", "t5xxl", "prompt") if n in node.inputs]
        if pairs and ("clip" in node.inputs or "Encode" in node.kind):
            return ", ".join(dict.fromkeys(t for t in (self._words(node.inputs[n]) for n in pairs) if t))
        if isinstance(node.inputs.get(side), str):
            return node.inputs[side]
        return None

    def _words(self, value: Any, depth: int = 0) -> str:
        """A text, also one that other nodes put together."""
        if not is_link(value):
            return str(value) if isinstance(value, str) else ""
        found = self.graph.follow(value)
        if found is None or depth > DEEPEST:
            return ""
        texts = [
            self._words(v, depth + 1) for name, v in found[0].inputs.items()
            if (isinstance(v, str) or is_link(v)) and not any(w in name.lower() for w in ("delim", "separat", "clip"))
        ]  # fmt: skip
        delimiter = found[0].value("delimiter", "separator")
        glue = delimiter if isinstance(delimiter, str) else ", " if len(texts) > 1 else ""
        return glue.join(text for text in texts if text)

    # -- model and its networks

    def _model_nodes(self, node: Node) -> list[Node]:
        """From the sampler up to the loader, along the model alone."""
        guider = self.graph.source(node, "guider")
        current, found = (guider[0] if guider is not None else node), []
        for _ in range(DEEPEST):
            pair = self.graph.source(current, "model", "model1", "lora_stack", "pipe", "basic_pipe", "sdxl_tuple")
            if pair is None:
                break
            current = pair[0]
            found.append(current)
        return found

    def _model(self, node: Node) -> dict[str, Any]:
        nodes = self._model_nodes(node)
        name = next((n.value("ckpt_name", "unet_name", "base_ckpt_name", "model_name") for n in nodes
                     if n.value("ckpt_name", "unet_name", "base_ckpt_name", "model_name")), None)  # fmt: skip
        layers = (n.value("stop_at_clip_layer", "clip_skip") for n in self.graph.upstream(node))
        layer = next((n for n in layers if isinstance(n, int)), None)
        skip = -layer if layer is not None and layer < -1 else None
        return {"Model": file_stem(name) if name else None, "Clip skip": skip}

    def _networks(self, node: Node) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        for loader in reversed(self._model_nodes(node)):
            name = loader.value("lora_name")
            if isinstance(name, str) and name not in ("", "None"):
                weight = self.graph.resolve(loader.inputs.get("strength_model", loader.inputs.get("lora_wt", 1)))
                found.append((name, 1 if weight is None else weight))
            for value in loader.inputs.values():
                # Loaders of many LoRAs hold each as an object.
                if isinstance(value, Mapping) and value.get("lora") not in (None, "", "None") and value.get("on", True):
                    found.append((str(value["lora"]), value.get("strength", 1)))
        return found

    def _vae(self, node: Node) -> str | None:
        for decoder in self.graph.nodes.values():
            if "samples" in decoder.inputs and "vae" in decoder.inputs and node in self.graph.upstream(decoder):
                pair = self.graph.source(decoder, "vae")
                name = pair[0].value("vae_name") if pair else None
                return name if isinstance(name, str) and name != "Baked VAE" else None
        return None

    # -- latents

    def _latents(self, node: Node) -> dict[str, Any]:
        pair = self.graph.source(node, "latent_image", "latent", "samples", "optional_latent")
        for source in self.graph.upstream(pair[0]) if pair else ():
            width, height = (self.graph.resolve(source.inputs.get(side)) for side in ("width", "height"))
            if "Empty" in source.kind or "empty_latent_width" in source.inputs:
                width = self.graph.resolve(source.inputs.get("empty_latent_width", width))
                height = self.graph.resolve(source.inputs.get("empty_latent_height", height))
                return {"Size": size_of(width, height) or f"{self.size[0]}x{self.size[1]}"}
            if "pixels" in source.inputs:
                denoise = self._near(node, "denoise")
                return {"Size": f"{self.size[0]}x{self.size[1]}", "Denoising strength": denoise}
        return {"Size": f"{self.size[0]}x{self.size[1]}"}

    def _second(self, first: Node, last: Node) -> dict[str, Any]:
        """A second sampler with another checkpoint that goes on where the first ended is a refiner, else hires fix."""
        start, steps = self._near(last, "start_at_step"), self._near(last, "steps")
        own, other = self._model(first)["Model"], self._model(last)["Model"]
        if isinstance(start, int) and isinstance(steps, int) and 0 < start < steps:
            return {"Refiner": other, "Refiner switch at": round(start / steps, 4)} if other != own else {}
        between = []
        pair = self.graph.source(last, "latent_image", "latent", "samples", "optional_latent")
        for node in self.graph.upstream(pair[0]) if pair else ():
            if node is first or is_sampler(node):
                break
            between.append(node)
        scale = next((n.value("scale_by", "upscale_by") for n in between if n.value("scale_by", "upscale_by")), None)
        target = next((n for n in between if "width" in n.inputs and "height" in n.inputs), None)
        sampling, base = self._sampling(last), self._sampling(first)
        return {
            "Denoising strength": self._near(last, "denoise"), "Hires upscale": scale,
            "Hires resize": size_of(target.value("width"), target.value("height")) if target and not scale else None,
            "Hires steps": sampling["Steps"], "Hires upscaler": self._upscaler(between),
            "Hires sampler": sampling["Sampler"] if sampling["Sampler"] != base["Sampler"] else None,
            "Hires CFG Scale": sampling["CFG scale"] if sampling["CFG scale"] != base["CFG scale"] else None,
            "Hires checkpoint": other if other != own else None,
        }  # fmt: skip

    def _upscaler(self, between: list[Node]) -> str:
        behind = (n for node in between for n in self.graph.upstream(node))
        loader = next((n for n in behind if n.kind == "UpscaleModelLoader"), None)
        if loader is not None:
            return file_stem(loader.value("model_name"))
        method = next((n.value("upscale_method") for n in between if n.value("upscale_method")), "nearest-exact")
        words = {"bicubic": "Latent (bicubic)", "bilinear": "Latent", "nearest-exact": "Latent (nearest-exact)"}
        return words.get(str(method), "Latent (nearest-exact)")
