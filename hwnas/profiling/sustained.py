"""Latency under a load that does not pause: whether a device stays as fast as it starts."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hwnas.errors import RuntimeFailure
from hwnas.profiles import DeviceProfile
from hwnas.targets import Target

WINDOW_MS = 1000.0
MODEL = "model"


@dataclass(frozen=True)
class Stretch:
    """What one stretch of a sustained load took.

    Args:
        at_s: Its end, seconds from the start of the load.
        median_ms: Median inference.
        least_ms: Fastest inference.
        high_ms: 95th percentile of the inferences.
        runs: Inferences.
    """

    at_s: float
    median_ms: float
    least_ms: float
    high_ms: float
    runs: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(self).items()}


def sustained(
    profile: DeviceProfile,
    target: Target,
    model: bytes,
    *,
    seconds: float,
    window_ms: float = WINDOW_MS,
    timeout_s: float = 60.0,
    on_window: Callable[[Stretch], None] | None = None,
) -> list[Stretch]:
    """Run a model without a pause, and say how long inferences took as time went by.

    Ctrl-C ends it early; what was seen by then is returned.

    Args:
        profile: The device; held for itself meanwhile, nothing is added.
        target: Where to run.
        model: Serialised ONNX.
        seconds: How long, in the device's time.
        window_ms: Length of one stretch.
        timeout_s: Time for loading, and for a stretch beyond its length.
        on_window: Called after each stretch.

    Raises:
        RuntimeFailure: The model does not load or run, or not even one stretch was seen.
    """
    found: list[Stretch] = []
    with profile.exclusive(), target.open() as worker:
        loaded = worker.load(MODEL, model, timeout_s=timeout_s)
        if not loaded.finite:
            raise RuntimeFailure("the outputs are not finite (NaN or infinity)")
        limit_s = timeout_s + (window_ms + loaded.first_ms) / 1e3
        at_s = 0.0
        try:
            while at_s < seconds:
                seen = worker.window(MODEL, window_ms=window_ms, timeout_s=limit_s)
                at_s += max(seen.wall_ns, 1) / 1e9
                samples = np.array(seen.samples_ns) / 1e6
                low, median, high = np.quantile(samples, [0.0, 0.5, 0.95])
                found.append(Stretch(at_s, float(median), float(low), float(high), len(samples)))
                if on_window is not None:
                    on_window(found[-1])
        except KeyboardInterrupt:
            if not found:
                raise
    return found


def drift_pct(series: list[Stretch]) -> float:
    """How much slower the last tenth of a series was than its first, per cent, by the medians."""
    tenth = max(1, len(series) // 10)
    first = np.median([item.median_ms for item in series[:tenth]])
    last = np.median([item.median_ms for item in series[-tenth:]])
    return float(100 * (last / first - 1))
