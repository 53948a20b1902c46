"""Networks in ONNX files: run by onnxruntime where it is installed, on the CPU."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from atelier.base.errors import BadModelFile, ModelMissing

INSTALL = "Install onnxruntime: pip install -r requirements/onnx.txt"


class Session(Protocol):
    """What of onnxruntime's session is used."""

    def get_inputs(self) -> list[Any]: ...

    def run(self, names: Any, feed: dict[str, np.ndarray]) -> list[np.ndarray]: ...


def open_session(path: Path) -> Session:
    """Raises `ModelMissing` when onnxruntime is not there, `BadModelFile` when the file cannot be read."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise ModelMissing(f"{path.name} needs onnxruntime, which is not installed.", remedy=INSTALL, file=path.name)
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (RuntimeError, ValueError, OSError) as error:
        # onnxruntime's own errors are RuntimeErrors of its C++ side.
        reason = " ".join(str(error).split())[:200]
        raise BadModelFile(f"{path.name} cannot be read: {reason}", remedy="Download it again.") from error


def side_of(session: Session, usual: int) -> int:
    """The side of the square picture that a network takes, where its file tells."""
    sizes = [n for n in session.get_inputs()[0].shape if isinstance(n, int) and n > 4]
    return max(sizes, default=usual)


def run_one(session: Session, values: np.ndarray) -> np.ndarray:
    """One picture in, the first output out."""
    return session.run(None, {session.get_inputs()[0].name: values})[0]
