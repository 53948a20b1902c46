"""Extra networks: A1111's tags in prompts, and the networks that extensions register for tags of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from atelier.prompts.tags import NetworkTag, extract_tags
from modules._host.card_pages import register


class ExtraNetworkParams:
    """`items` are the arguments as written, `positional` those without `=`, `named` the others."""

    def __init__(self, items: Iterable[str] | None = None) -> None:
        self.items = list(items or [])
        self.positional = [item for item in self.items if item.count("=") != 1]
        self.named = dict(item.split("=") for item in self.items if item.count("=") == 1)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExtraNetworkParams) and self.items == other.items

    __hash__ = None  # type: ignore[assignment]


class ExtraNetwork:
    def __init__(self, name: str) -> None:
        self.name = name

    def activate(self, p: Any, params_list: list[ExtraNetworkParams]) -> None:
        """Called for each batch, with an empty list when the prompt does not name the network."""

    def deactivate(self, p: Any) -> None:
        """Called at the end of the job."""


def params_of(tag: NetworkTag) -> ExtraNetworkParams:
    return ExtraNetworkParams([*tag.positional, *(f"{key}={value}" for key, value in tag.named)])


def data_of(tags: Iterable[NetworkTag]) -> dict[str, list[ExtraNetworkParams]]:
    data: dict[str, list[ExtraNetworkParams]] = defaultdict(list)
    for tag in tags:
        data[tag.kind].append(params_of(tag))
    return data


def parse_prompt(prompt: str) -> tuple[str, dict[str, list[ExtraNetworkParams]]]:
    """The prompt without its tags, and the tags by name."""
    text, tags = extract_tags(prompt)
    return text, data_of(tags)


def parse_prompts(prompts: Iterable[str]) -> tuple[list[str], dict[str, list[ExtraNetworkParams]]]:
    """All prompts without tags; the tags are those of the first."""
    parsed = [parse_prompt(prompt) for prompt in prompts]
    return [text for text, _ in parsed], parsed[0][1] if parsed else {}


class NetworkRegistry:
    """The networks of extensions, by the name of their tag."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self.registry: dict[str, ExtraNetwork] = {}
        self.aliases: dict[str, ExtraNetwork] = {}
        #: pages of cards
        self.pages: list[Any] = []

    def register(self, network: ExtraNetwork) -> None:
        self.registry[network.name] = network

    def register_page(self, page: Any) -> None:
        register(self.pages, page)

    def register_alias(self, network: ExtraNetwork, alias: str) -> None:
        self.aliases[alias] = network

    def activate(self, p: Any, data: dict[str, list[ExtraNetworkParams]]) -> None:
        given: dict[str, list[ExtraNetworkParams]] = {name: [] for name in self.registry}
        for name, params in data.items():
            network = self.registry.get(name) or self.aliases.get(name)
            if network is not None:
                given.setdefault(network.name, []).extend(params)
        for name, params in given.items():
            network = self.registry.get(name) or next(n for n in self.aliases.values() if n.name == name)
            self._call(f"network {name}", "activate", network.activate, p, params)

    def deactivate(self, p: Any, data: Any = None) -> None:
        for name, network in self.registry.items():
            self._call(f"network {name}", "deactivate", network.deactivate, p)
