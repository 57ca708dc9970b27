"""A simulated device with a known truth, on a simulated clock: the fake that ships.

It prices the kernels that ONNX Runtime's fusion rules find: a roofline with a
quirk per kernel that is fixed by its key, reorders at the edges, and in a
network a slow-down that sums of parts miss. Time passes only by what runs, with
bursts of slow time and the cold first runs of a burst; all of it from a seed
(``HWNAS_SIMULATED_SEED``).
"""

import hashlib
import math
import os
import random

import onnx

from hwnas.kernels.fusion import ONNXRUNTIME_CPU
from hwnas.kernels.kernel import Kernel
from hwnas.kernels.lower import lower

NAME = "simulated"
VERSION = "1"

CALL_NS = 3000.0
GIGAMACS = 20.0
GIGABYTES = 12.0
REORDER_NS_PER_ELEMENT = 0.1

_state = {"now": 0.0}
_random = random.Random(int(os.environ.get("HWNAS_SIMULATED_SEED", "0")))


def clock_ns() -> int:
    """The simulated time."""
    return int(_state["now"])


def kernel_ns(kernel: Kernel) -> float:
    """The true time of a kernel inside a network."""
    quirk = int(hashlib.sha256(kernel.key.encode()).hexdigest()[:8], 16) / 2**32
    rate = {"depthwise": 0.25, "grouped": 0.5, "pointwise": 1.1}.get(kernel.family, 1.0)
    work = max(kernel.macs / (GIGAMACS * rate), kernel.bytes_moved / GIGABYTES)
    return 400.0 + work * (0.95 + 0.1 * quirk)


def model_ns(model: onnx.ModelProto) -> float:
    """The true time of one warm inference of a model."""
    bag = lower(model, ONNXRUNTIME_CPU).kernels
    total = sum(count * kernel_ns(kernel) for kernel, count in bag.items())
    convolutions = sum(count for kernel, count in bag.items() if kernel.op == "Conv")
    pressure = 1 + 0.02 * math.log1p(max(0, convolutions - 8))
    edges = sum(
        math.prod(size.dim_value for size in item.type.tensor_type.shape.dim)
        for item in (*model.graph.input, *model.graph.output)
        if len(item.type.tensor_type.shape.dim) == 4
    )
    return float(CALL_NS + total * pressure + REORDER_NS_PER_ELEMENT * edges)


class Session:
    """A prepared model on the simulated device."""

    def __init__(
        self, source: str, threads: int = 1, shapes: dict[str, list[int]] | None = None
    ) -> None:
        self._true_ns = model_ns(onnx.load(source))
        self.build_ns = int(2e6)
        _state["now"] += self.build_ns

    def time(self, runs: int) -> list[int]:
        """Simulated nanoseconds of each of ``runs`` inferences in a row."""
        samples = []
        for position in range(runs):
            # Slow time comes in bursts of a tenth of a second in every second.
            slow = 1.3 if int(_state["now"] / 1e8) % 10 == 3 else 1.0
            cold = (1.4, 1.08)[position] if position < 2 else 1.0
            sample = self._true_ns * slow * cold * (1 + abs(_random.gauss(0, 0.004)))
            _state["now"] += sample
            samples.append(int(sample))
        return samples

    def finite(self) -> bool:
        """Simulated outputs are always finite."""
        return True
