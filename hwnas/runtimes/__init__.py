"""Runtimes: one file per engine. Nothing model-shaped comes in but ONNX bytes."""

from hwnas.runtimes.base import Runtime, refuse_unknown, why_not
from hwnas.runtimes.registry import RUNTIMES, runtime

__all__ = ["RUNTIMES", "Runtime", "refuse_unknown", "runtime", "why_not"]
