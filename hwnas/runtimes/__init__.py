"""Runtimes: one file per engine. Nothing model-shaped comes in but ONNX bytes."""

from hwnas.runtimes.base import Runtime, refuse_unknown
from hwnas.runtimes.registry import RUNTIMES, runtime

__all__ = ["RUNTIMES", "Runtime", "refuse_unknown", "runtime"]
