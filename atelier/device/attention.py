"""AttentionChoice: which attention kernel is used, and why; how a network is given it and gets its own back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0, XFormersAttnProcessor
from torch import nn

from atelier.base.log import fields, logger
from atelier.device.eight_bits import working_type

log = logger(__name__)

SDPA, XFORMERS, SPLIT = "sdpa", "xformers", "split"
#: the setting's values
SETTINGS = MappingProxyType({"sdp": SDPA, "split": SPLIT, "xformers": XFORMERS})
#: options of the command line in the order in which they count, and the kernel that each asks for
FLAGS = (
    ("force_enable_xformers", XFORMERS), ("xformers", XFORMERS),
    ("opt_sub_quad_attention", SPLIT), ("opt_split_attention", SPLIT),
    ("opt_sdp_no_mem_attention", SDPA), ("opt_sdp_attention", SDPA),
)  # fmt: skip
#: bytes that the scores of one slice may take
SLICE_BYTES = 64 << 20


@dataclass(frozen=True)
class AttentionChoice:
    """`kernel` is sdpa (torch's own), xformers or split. `reason` is for people.

    `queries` limits the rows of a slice, 0 leaves it to their bytes; `upcast` counts in float32; `may_split` allows
    the out-of-memory ladder to change to split.
    """

    kernel: str = SDPA
    reason: str = "torch's own kernels are the default"
    queries: int = 0
    upcast: bool = False
    may_split: bool = True


def choose_attention(
    arguments: Mapping[str, Any],
    setting: str,
    device: torch.device,
    upcast: bool = False,
    xformers: Callable[[torch.device], str] | None = None,
) -> AttentionChoice:
    """A setting other than "Automatic" counts before the command line, as in A1111.

    `arguments` are the command line's. `xformers` says why xformers cannot be used on the device, "" when it can.
    """
    flag = next((name for name, _ in FLAGS if arguments.get(name)), "")
    if setting in SETTINGS:
        kernel, reason = SETTINGS[setting], f"chosen in Settings ({setting})"
    elif flag:
        kernel, reason = dict(FLAGS)[flag], f"--{flag.replace('_', '-')} was given"
    else:
        kernel, reason = AttentionChoice.kernel, AttentionChoice.reason
    if kernel == XFORMERS and (trouble := (xformers or xformers_trouble)(device)):
        kernel, reason = SDPA, f"{reason}, but xformers cannot be used: {trouble}"
    if upcast and kernel == XFORMERS:
        kernel, reason = SDPA, f"{reason}, but only torch's own kernels count in float32 here"
    queries = int(arguments.get("sub_quad_q_chunk_size") or 0) if arguments.get("opt_sub_quad_attention") else 0
    return AttentionChoice(kernel, reason, queries, upcast, not arguments.get("disable_opt_split_attention"))


def xformers_trouble(device: torch.device) -> str:
    """Why xformers cannot be used on the device, "" when a small kernel ran. Not measured on a device."""
    if device.type != "cuda":
        return f"it needs CUDA, and the device is {device}"
    try:
        from xformers.ops import memory_efficient_attention
    except (ImportError, OSError) as error:
        return f"it cannot be imported ({error})"
    try:
        # A build for another torch or another chip imports, and fails only here.
        probe = torch.zeros(1, 8, 1, 32, dtype=torch.float16, device=device)
        memory_efficient_attention(probe, probe, probe)
    except (NotImplementedError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        return f"its build does not fit ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    return ""


def split_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None, queries: int = 0
) -> torch.Tensor:  # [B, H, Q, D], [B, H, K, D], [B, H, K, D] -> [B, H, Q, D]
    """torch's attention over some queries at a time. Each row of scores is whole, so the result is the same.

    `queries` rows a slice, or as many as `SLICE_BYTES` of float32 scores hold.
    """
    batch, heads, total, _ = q.shape
    rows = queries or max(1, SLICE_BYTES // (batch * heads * k.shape[2] * 4))
    if rows >= total:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    out = q.new_empty(batch, heads, total, v.shape[-1])
    for start in range(0, total, rows):
        part = slice(start, start + rows)
        own = mask if mask is None or mask.shape[-2] == 1 else mask[..., part, :]
        out[:, :, part] = F.scaled_dot_product_attention(q[:, :, part], k, v, attn_mask=own)
    return out


class SlicedProcessor:
    """An attention processor for diffusers' `Attention` layers: as its `AttnProcessor2_0`, in slices, or in float32."""

    def __init__(self, split: bool = True, queries: int = 0, upcast: bool = False) -> None:
        self.split = split
        self.queries = queries
        self.upcast = upcast

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: torch.Tensor,  # [B, N, C] or [B, C, H, W]
        encoder_hidden_states: torch.Tensor | None = None,  # [B, K, C']
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
        **_unused: Any,
    ) -> torch.Tensor:  # as hidden_states
        residual = hidden_states
        if attn.spatial_norm is not None:
            hidden_states = attn.spatial_norm(hidden_states, temb)
        if residual.ndim == 4:
            hidden_states = hidden_states.flatten(2).transpose(1, 2)
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        if attention_mask is not None:
            attention_mask = attn.prepare_attention_mask(attention_mask, context.shape[1], context.shape[0])
            attention_mask = attention_mask.view(context.shape[0], attn.heads, -1, attention_mask.shape[-1])
        if attn.group_norm is not None:
            hidden_states = attn.group_norm(hidden_states.transpose(1, 2)).transpose(1, 2)
        if encoder_hidden_states is None:
            context = hidden_states
        elif attn.norm_cross:
            context = attn.norm_encoder_hidden_states(context)
        out = self._attend(attn, attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context), attention_mask)
        out = attn.to_out[1](attn.to_out[0](out))
        if residual.ndim == 4:
            out = out.transpose(1, 2).reshape(residual.shape)
        if attn.residual_connection:
            out = out + residual
        return out / attn.rescale_output_factor

    def _attend(
        self, attn: nn.Module, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:  # [B, N, C]
        q, k, v = (t.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for t in (q, k, v))
        q = q if attn.norm_q is None else attn.norm_q(q)
        k = k if attn.norm_k is None else attn.norm_k(k)
        dtype = v.dtype
        if self.upcast:
            q, k, v = q.float(), k.float(), v.float()
            mask = mask if mask is None else mask.float()
        out = split_attention(q, k, v, mask, self.queries if self.split else q.shape[2])
        return out.transpose(1, 2).flatten(2).to(dtype)


class XformersProcessor:
    """xformers where a head is narrow enough for its kernels, torch's own elsewhere (the VAE's one wide head)."""

    WIDEST = 256

    def __init__(self) -> None:
        self._fast, self._plain = XFormersAttnProcessor(), AttnProcessor2_0()

    def __call__(self, attn: nn.Module, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        processor = self._fast if attn.inner_dim // attn.heads <= self.WIDEST else self._plain
        return processor(attn, hidden_states, *args, **kwargs)


def _precise(choice: AttentionChoice, module: nn.Module) -> AttentionChoice:
    """Single heads of some families (Stable Diffusion 2.1) overflow in half precision; bfloat16 reaches as far as
    float32. Not measured on a device."""
    asked = getattr(getattr(module, "config", None), "upcast_attention", False)
    if not asked or working_type(module) != torch.float16:
        return choice
    return replace(choice, kernel=SDPA if choice.kernel == XFORMERS else choice.kernel, upcast=True)


#: what may be replaced: processors that only attend. Those that an extension or an adapter brought stay.
PLAIN = (AttnProcessor, AttnProcessor2_0, XFormersAttnProcessor, XformersProcessor, SlicedProcessor)


def processor_for(choice: AttentionChoice) -> Any:
    """None where the network's own processors are what was chosen."""
    if choice.kernel == XFORMERS:
        return XformersProcessor()
    if choice.kernel == SPLIT or choice.upcast:
        return SlicedProcessor(choice.kernel == SPLIT, choice.queries, choice.upcast)
    return None


@dataclass
class _Changed:
    """A network inside of `using`, how many blocks use it, and the processors that were taken from it."""

    module: Any
    uses: int = 0
    original: dict[str, Any] | None = None


@dataclass
class Attention:
    """Gives networks the chosen kernel for as long as they work. Belongs to one worker."""

    choice: AttentionChoice = field(default_factory=AttentionChoice)
    _changed: dict[int, _Changed] = field(default_factory=dict)
    _before: AttentionChoice | None = None

    @property
    def chosen(self) -> AttentionChoice:
        """What holds when no job has had to split."""
        return self._before or self.choice

    def begin_job(self) -> None:
        """Returns to what was chosen, when the job before had to split."""
        self.choice, self._before = self.chosen, None

    def choose(self, choice: AttentionChoice) -> None:
        """From the next network on. Between jobs only."""
        if choice != self.chosen:
            log.info("attention chosen: %s", fields(kernel=choice.kernel, reason=choice.reason))
        self.choice, self._before = choice, None

    @contextmanager
    def using(self, module: nn.Module) -> Iterator[None]:
        """Inside the block the network attends as chosen; after it, as before. Other modules are left alone."""
        if not hasattr(module, "set_attn_processor"):
            yield
            return
        entry = self._changed.get(id(module))
        if entry is None:
            entry = self._changed[id(module)] = _Changed(module)
            self._give(entry)
        entry.uses += 1
        try:
            yield
        finally:
            entry.uses -= 1
            if entry.uses == 0:
                del self._changed[id(module)]
                if entry.original is not None:
                    module.set_attn_processor(entry.original)

    def split(self) -> bool:
        """For the rest of the job attention goes in slices, also in networks at work. False when it already does."""
        if self.choice.kernel == SPLIT or not self.choice.may_split:
            return False
        self._before = self.chosen
        reason = f"to save memory in this job; otherwise {self.choice.kernel}"
        self.choice = AttentionChoice(SPLIT, reason, self.choice.queries, self.choice.upcast)
        for entry in self._changed.values():
            self._give(entry)
        return True

    def _give(self, entry: _Changed) -> None:
        processor = processor_for(_precise(self.choice, entry.module))
        if processor is None:
            return
        if entry.original is None:
            entry.original = dict(entry.module.attn_processors)
        changed = {k: processor if type(p) in PLAIN else p for k, p in entry.original.items()}
        entry.module.set_attn_processor(changed)
