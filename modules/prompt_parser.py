"""`modules.prompt_parser`: the prompt language; really in atelier/prompts and modules/_host/prompt_shapes.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "SdConditioning": "modules._host.prompt_shapes:SdConditioning",
    "ScheduledPromptConditioning": "modules._host.prompt_shapes:ScheduledPromptConditioning",
    "ComposableScheduledPromptConditioning": "modules._host.prompt_shapes:ComposableScheduledPromptConditioning",
    "MulticondLearnedConditioning": "modules._host.prompt_shapes:MulticondLearnedConditioning",
    "DictWithShape": "modules._host.prompt_shapes:DictWithShape",
    "parse_prompt_attention": "modules._host.prompt_shapes:parse_prompt_attention",
    "get_learned_conditioning_prompt_schedules":
        "modules._host.prompt_shapes:get_learned_conditioning_prompt_schedules",
    "get_multicond_prompt_list": "modules._host.prompt_shapes:get_multicond_prompt_list",
    "get_learned_conditioning": "modules._host.prompt_shapes:get_learned_conditioning",
    "get_multicond_learned_conditioning": "modules._host.prompt_shapes:get_multicond_learned_conditioning",
    "reconstruct_cond_batch": "modules._host.prompt_shapes:reconstruct_cond_batch",
    "reconstruct_multicond_batch": "modules._host.prompt_shapes:reconstruct_multicond_batch",
    "stack_conds": "modules._host.prompt_shapes:stack_conds", "re_AND": "modules._host.prompt_shapes:re_AND",
    "re_weight": "modules._host.prompt_shapes:re_weight",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
