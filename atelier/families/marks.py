"""Marks: what a file says about its prediction beside the weights, in empty tensors and in a trainer's notes."""

from __future__ import annotations

from atelier.families.family import Evidence

V_HINTS = ("modelspec.prediction_type", "prediction_type", "ss_v_parameterization")


def marked_velocity(evidence: Evidence) -> bool:
    """True when the file says that its network predicts velocity ("v")."""
    hints = [evidence.metadata.get(name) for name in V_HINTS]
    return "v_pred" in evidence.shapes or any(hint in ("v", "v_prediction", "True") for hint in hints)


def marked_terminal(evidence: Evidence) -> bool:
    """True when the file says that it was trained down to a signal of zero."""
    return "ztsnr" in evidence.shapes or evidence.metadata.get("ss_zero_terminal_snr") == "True"
