"""The simulated device as a runtime; its outputs are those of ONNX Runtime."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from hwnas.kernels import FUSION, lower
from hwnas.runtimes.onnxruntime import OnnxRuntime


class SimulatedRuntime:
    """Known kernel costs and a simulated clock; for tests and demonstrations."""

    name = "simulated"

    @property
    def engine(self) -> Path:
        """The file that a worker process loads."""
        return Path(__file__).with_name("sim_engine.py")

    def why_not(self) -> str | None:
        """It is always at hand."""
        return None

    def version(self) -> str:
        """Version of the simulation."""
        return "2"

    def run(
        self, model: bytes, feeds: Mapping[str, NDArray[Any]], *, threads: int = 1
    ) -> dict[str, NDArray[Any]]:
        """Outputs by name, computed by ONNX Runtime."""
        return OnnxRuntime().run(model, feeds, threads=threads)

    def metadata(self, model: bytes) -> dict[str, str]:
        """The metadata that a model carries."""
        return {item.key: item.value for item in onnx.load_model_from_string(model).metadata_props}

    def fused_graph(self, model: bytes) -> Counter[str]:
        """What it executes: the fusion rules' own kernels."""
        bag = lower(onnx.load_model_from_string(model), FUSION["onnxruntime"]).kernels
        found: Counter[str] = Counter()
        for kernel, count in bag.items():
            found["+".join((kernel.op, *kernel.fused))] += count
        return found
