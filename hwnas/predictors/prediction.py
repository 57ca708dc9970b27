"""What is said of one model: its latency, how sure that is, and what it is made of."""

from dataclasses import dataclass

from hwnas.kernels import Kernel


@dataclass(frozen=True)
class KernelShare:
    """One kernel's part in a prediction.

    Args:
        kernel: The kernel.
        count: How often it occurs.
        ms: What it costs in all, milliseconds.
        source: ``table``, ``model`` or ``roofline``.
    """

    kernel: Kernel
    count: int
    ms: float
    source: str


@dataclass(frozen=True)
class Prediction:
    """The predicted latency of one model.

    Args:
        latency_ms: The prediction.
        low_ms: Lower end of the interval.
        high_ms: Upper end.
        covered: Share of the predicted time that the table or the model prices.
        kernels: The kernels, dearest first.
    """

    latency_ms: float
    low_ms: float
    high_ms: float
    covered: float
    kernels: tuple[KernelShare, ...]
