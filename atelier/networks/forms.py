"""All forms of small networks, and the change that one layer's entry of a file makes."""

from __future__ import annotations

import torch

from atelier.base.errors import BadModelFile
from atelier.networks.dora import decomposed, is_dora
from atelier.networks.form import Form, Parts, shaped
from atelier.networks.glora import GLORA
from atelier.networks.loha import LOHA
from atelier.networks.lokr import LOKR
from atelier.networks.lora import LORA
from atelier.networks.oft import BOFT, OFT
from atelier.networks.peft import PEFT_BOFT, PEFT_IA3, PEFT_OFT
from atelier.networks.whole import BIASES, FULL, IA3, NORM

#: in the order in which they are tried
FORMS = (LORA, LOHA, LOKR, OFT, BOFT, GLORA, IA3, FULL, NORM, PEFT_OFT, PEFT_BOFT, PEFT_IA3)


def form_of(parts: Parts) -> Form | None:
    """None for an entry that changes only a bias. Raises `BadModelFile` for one that is of no known form."""
    found = next((form for form in FORMS if form.fits(parts)), None)
    if found is None and not any(name in parts for name in BIASES):
        raise BadModelFile(f"its tensors {', '.join(sorted(parts))} are of no known form.")
    return found


def scale_of(form: Form, parts: Parts) -> float:
    """`scale` where the file has it, else alpha / rank, else 1."""
    if "scale" in parts:
        return float(parts["scale"])
    rank = form.rank(parts)
    return float(parts["alpha"]) / rank if "alpha" in parts and rank else 1.0


def weight_delta(parts: Parts, weight: torch.Tensor, dyn: int | None = None) -> torch.Tensor | None:
    """What is added to the weight at a multiplier of 1, in the weight's shape and type; None for nothing.

    `weight` and `parts` are float32 or wider, on one device. Raises `BadModelFile` where the entry is for a layer of
    another size, and what torch raises for tensors that do not fit each other.
    """
    form = form_of(parts)
    if form is None:
        return None
    delta = form.delta(parts, weight, dyn)
    extra = _sparse(parts)
    if extra is not None:
        delta = delta + shaped(extra, weight)
    delta = delta * scale_of(form, parts)
    return decomposed(weight, delta, parts) if is_dora(parts) else delta


def bias_delta(parts: Parts) -> torch.Tensor | None:  # [out]
    """What is added to the bias at a multiplier of 1."""
    return next((parts[name].reshape(-1) for name in BIASES if name in parts), None)


def _sparse(parts: Parts) -> torch.Tensor | None:
    """The change that stands beside the form's own: whole, or as places, values and size."""
    if "bias" in parts:
        return parts["bias"]
    if "bias_indices" not in parts:
        return None
    size = tuple(int(n) for n in parts["bias_size"])
    places = parts["bias_indices"].long()
    # Unchecked, places outside of the tensor would write anywhere.
    return torch.sparse_coo_tensor(places, parts["bias_values"], size, check_invariants=True).to_dense()
