"""hwnas: profile your device, predict latency, search architectures under a limit, export ONNX.

A bare import loads neither torch nor a vendor runtime.
"""

from hwnas._version import __version__

__all__ = ["__version__"]
