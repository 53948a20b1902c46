"""Graph: a ComfyUI workflow as nodes with inputs, from the prompt that was run or from the drawing of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

#: what the boxes of common nodes hold, in their order on the drawing; None is not part of what is run
WIDGETS: Mapping[str, tuple[str | None, ...]] = MappingProxyType({
    "KSampler": ("seed", None, "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": ("add_noise", "noise_seed", None, "steps", "cfg", "sampler_name", "scheduler", "start_at_step",
                         "end_at_step", "return_with_leftover_noise"),
    "SamplerCustom": ("add_noise", "noise_seed", None, "cfg"), "RandomNoise": ("noise_seed", None),
    "KSamplerSelect": ("sampler_name",), "BasicScheduler": ("scheduler", "steps", "denoise"),
    "KarrasScheduler": ("steps", "sigma_max", "sigma_min", "rho"), "CFGGuider": ("cfg",), "FluxGuidance": ("guidance",),
    "CLIPTextEncode": ("text",), "CLIPTextEncodeSDXL": ("width", "height", "crop_w", "crop_h", "target_width",
                                                         "target_height", "text_g", "text_l"),
    "CheckpointLoaderSimple": ("ckpt_name",), "UNETLoader": ("unet_name", "weight_dtype"), "VAELoader": ("vae_name",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"), "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "EmptyLatentImage": ("width", "height", "batch_size"), "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "LatentUpscale": ("upscale_method", "width", "height", "crop"),
    "LatentUpscaleBy": ("upscale_method", "scale_by"), "ImageScaleBy": ("upscale_method", "scale_by"),
    "ImageScale": ("upscale_method", "width", "height", "crop"), "UpscaleModelLoader": ("model_name",),
    "PrimitiveNode": ("value",), "LoadImage": ("image",), "SaveImage": ("filename_prefix",),
})  # fmt: skip
#: drawn nodes that are not run: muted ones give nothing, bypassed ones hand on what they are given
MUTED, BYPASSED = 2, 4


@dataclass(frozen=True)
class Node:
    """`inputs` are values, or links as (id of a node, number of its output)."""

    id: str
    kind: str
    inputs: Mapping[str, Any]

    def value(self, *names: str) -> Any:
        """The first of these inputs that is a plain value."""
        return next((self.inputs[n] for n in names if n in self.inputs and not is_link(self.inputs[n])), None)

    @property
    def links(self) -> dict[str, Sequence[Any]]:
        return {name: value for name, value in self.inputs.items() if is_link(value)}


class Graph:
    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self.nodes = nodes

    @classmethod
    def from_prompt(cls, data: Mapping[str, Any]) -> Graph:
        """What was run: {id: {class_type, inputs}}."""
        return cls({
            str(id): Node(str(id), str(node.get("class_type", "")), node["inputs"])
            for id, node in data.items() if isinstance(node, Mapping) and isinstance(node.get("inputs"), Mapping)
        })  # fmt: skip

    @classmethod
    def from_workflow(cls, data: Mapping[str, Any]) -> Graph:
        """What was drawn: nodes with boxes in an order that only their programs know, and a list of links."""
        nodes = [n for n in data.get("nodes") or () if isinstance(n, Mapping)]
        links = {link[0]: (str(link[1]), link[2]) for link in data.get("links") or () if _drawn(link)}
        return cls({
            str(n.get("id")): Node(str(n.get("id")), _kind(n), _drawn_inputs(n, links))
            for n in nodes if n.get("mode") != MUTED
        })  # fmt: skip

    def source(self, node: Node, *names: str) -> tuple[Node, int] | None:
        """The node behind the first of these inputs that is linked, and which of its outputs."""
        return next((self.follow(node.inputs[n]) for n in names if is_link(node.inputs.get(n))), None)

    def follow(self, link: Sequence[Any]) -> tuple[Node, int] | None:
        """Past reroutes and bypassed nodes. None where the link leads nowhere."""
        for _ in range(len(self.nodes) + 1):
            node = self.nodes.get(str(link[0]))
            if node is None or not (node.kind in ("Reroute", "Bypassed") or node.kind.endswith("Reroute (rgthree)")):
                return None if node is None else (node, int(link[1]))
            onward = node.inputs.get(f"output {link[1]}") or next(iter(node.links.values()), None)
            if onward is None:
                return None
            link = onward
        return None

    def upstream(self, node: Node) -> Iterator[Node]:
        """The node and all that lead to it, nearest first."""
        seen, waiting = set(), [node]
        while waiting:
            current = waiting.pop(0)
            if current.id in seen:
                continue
            seen.add(current.id)
            yield current
            found = (self.follow(link) for link in current.links.values())
            waiting += [pair[0] for pair in found if pair is not None]

    def resolve(self, value: Any, depth: int = 0) -> Any:
        """A plain value, also where it comes from a node that only holds it, or None."""
        if not is_link(value):
            return value
        found = self.follow(value)
        if found is None or depth > 20:
            return None
        node = found[0]
        for name in ("value", "Value", "seed", "noise_seed", "int", "float", "number", "Number", "text", "string"):
            if name in node.inputs:
                return self.resolve(node.inputs[name], depth + 1)
        plain = [v for v in node.inputs.values() if isinstance(v, (int, float, str))]
        return plain[0] if len(plain) == 1 else None


def is_link(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[0], (str, int))
        and isinstance(value[1], int) and not isinstance(value[1], bool)
    )  # fmt: skip


def _kind(node: Mapping[str, Any]) -> str:
    return "Bypassed" if node.get("mode") == BYPASSED else str(node.get("type", ""))


def _drawn(link: Any) -> bool:
    return isinstance(link, (list, tuple)) and len(link) >= 5


def _drawn_inputs(node: Mapping[str, Any], links: Mapping[Any, tuple[str, int]]) -> dict[str, Any]:
    boxes = node.get("widgets_values")
    if isinstance(boxes, Mapping):
        inputs = {str(k): v for k, v in boxes.items() if not isinstance(v, (list, dict))}
    else:
        names = WIDGETS.get(str(node.get("type")), ())
        inputs = {name: value for name, value in zip(names, boxes or ()) if name is not None}
    linked = [i for i in node.get("inputs") or () if isinstance(i, Mapping) and i.get("link") in links]
    inputs.update({str(i.get("name")): links[i["link"]] for i in linked})
    if node.get("mode") == BYPASSED:
        # What goes in comes out at the output of the same type.
        for place, output in enumerate(node.get("outputs") or ()):
            kind = output.get("type") if isinstance(output, Mapping) else None
            same = next((i for i in linked if i.get("type") == kind), None)
            if same is not None:
                inputs[f"output {place}"] = links[same["link"]]
    return inputs
