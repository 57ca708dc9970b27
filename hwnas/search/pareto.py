"""The front of latency against accuracy."""

from collections.abc import Sequence


def pareto_front(latency_ms: Sequence[float], value: Sequence[float]) -> list[int]:
    """Indices of the pairs that no other beats in both, by rising latency.

    Args:
        latency_ms: Lower is better.
        value: Higher is better; NaN is never on the front.
    """
    order = sorted(range(len(value)), key=lambda i: (latency_ms[i], -value[i]))
    front: list[int] = []
    best = float("-inf")
    for index in order:
        if value[index] > best:
            front.append(index)
            best = value[index]
    return front
