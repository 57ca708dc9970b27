"""Runtimes: one file per engine. Nothing model-shaped comes in but ONNX bytes."""

from hwnas.runtimes.base import Runtime
from hwnas.runtimes.registry import RUNTIMES, runtime

__all__ = ["RUNTIMES", "Runtime", "runtime"]
