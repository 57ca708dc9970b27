"""What a runtime is to hwnas: a name, an engine file for workers, and a few questions to ask it."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from hwnas.errors import RequestError


class Runtime(Protocol):
    """An engine that runs ONNX models.

    One that runs them in more than one way also has ``providers`` and ``precisions``,
    tuples of the texts that a device may give (``("cpu",)`` and ``("fp32",)`` else), and
    ``why_not_with(options)``, why it cannot be used here in that way.
    """

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


def refuse_unknown(runtime: Runtime, options: Mapping[str, str]) -> None:
    """Refuse a provider or precision that a runtime does not have.

    Args:
        runtime: The runtime.
        options: A device's options, ``provider`` and ``precision`` among them.

    Raises:
        RequestError: It has none of that name.
    """
    for name, plain in (("provider", "cpu"), ("precision", "fp32")):
        allowed: tuple[str, ...] = getattr(runtime, f"{name}s", (plain,))
        if options.get(name, plain) not in allowed:
            raise RequestError(
                f"{name} must be {' or '.join(allowed)} on the runtime {runtime.name}, "
                f"received '{options[name]}'"
            )


def why_not(runtime: Runtime, options: Mapping[str, str]) -> str | None:
    """Why a runtime cannot be used here with a device's options, or ``None``."""
    ask = getattr(runtime, "why_not_with", None)
    reason = runtime.why_not()
    if reason is not None or ask is None:
        return reason
    found: str | None = ask(options)
    return found
