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
        high_ms: Upper end; infinity where an operator has no price.
        covered: Share of the predicted time that the table or the model prices.
        kernels: The kernels, dearest first.
        level: Level of the interval: what was asked for, or the highest that the measured
            networks tell where that is less.
        not_covered: Operators without a price; the latency is that of the others.
    """

    latency_ms: float
    low_ms: float
    high_ms: float
    covered: float
    kernels: tuple[KernelShare, ...]
    level: float
    not_covered: int
