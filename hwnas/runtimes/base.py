"""What a runtime is to hwnas: a name, an engine file for workers, and a few questions to ask it."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray


class Runtime(Protocol):
    """An engine that runs ONNX models."""

    name: str

    @property
    def engine(self) -> Path:
        """The stand-alone file that a worker process loads."""
        ...

    def why_not(self) -> str | None:
        """Why the runtime cannot be used here and what to install, or ``None``."""
        ...

    def version(self) -> str:
        """Version of the engine."""
        ...

    def run(
        self, model: bytes, feeds: Mapping[str, NDArray[Any]], *, threads: int = 1
    ) -> dict[str, NDArray[Any]]:
        """Outputs by name."""
        ...

    def metadata(self, model: bytes) -> dict[str, str]:
        """The metadata that a model carries, as the runtime reads it."""
        ...

    def fused_graph(self, model: bytes) -> Counter[str]:
        """What the runtime executes: ``op+fused`` names with how often they occur."""
        ...
