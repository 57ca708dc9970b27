"""torch as a runtime: exported models on the CPU and on CUDA GPUs."""

import importlib
import importlib.util
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
from numpy.typing import NDArray

from hwnas.errors import MissingExtraError, RuntimeFailure
from hwnas.kernels import FUSION, lower


class TorchRuntime:
    """torch: ``cpu``, ``cuda`` (eager), ``cuda-graph`` and ``cuda-compile``."""

    name = "torch"
    providers = ("cpu", "cuda", "cuda-graph", "cuda-compile")
    precisions = ("fp32", "tf32", "fp16")

    @property
    def engine(self) -> Path:
        """The stand-alone file that a worker process loads."""
        return Path(__file__).with_name("torch_engine.py")

    def why_not(self) -> str | None:
        """Why it cannot be used here, or ``None``."""
        if importlib.util.find_spec("torch") is None:
            return "torch is not installed: pip install torch"
        return None

    def why_not_with(self, options: Mapping[str, str]) -> str | None:
        """Why it cannot be used here in the way that a device's options say, or ``None``."""
        if options.get("provider", "cpu") == "cpu" and options.get("precision", "fp32") == "fp32":
            return None  # without loading torch
        try:
            self._module().checked(dict(options))
        except ValueError as error:
            return str(error)
        return None

    def _module(self) -> ModuleType:
        reason = self.why_not()
        if reason is not None:
            raise MissingExtraError(reason)
        return importlib.import_module("hwnas.runtimes.torch_engine")

    def version(self) -> str:
        """Version of the installed torch, with what it is built for."""
        return str(self._module().VERSION)

    def run(
        self, model: bytes, feeds: Mapping[str, NDArray[Any]], *, threads: int = 1
    ) -> dict[str, NDArray[Any]]:
        """Outputs by name, computed on the CPU.

        Raises:
            RuntimeFailure: torch does not load or run the model.
        """
        module = self._module()
        try:
            outputs: dict[str, NDArray[Any]] = module.Session(model, threads).run(dict(feeds))
        except Exception as error:  # neither torch nor protobuf has a common base
            raise RuntimeFailure(f"torch does not run the model: {error}") from error
        return outputs

    def metadata(self, model: bytes) -> dict[str, str]:
        """The metadata that a model carries."""
        return {item.key: item.value for item in onnx.load_model_from_string(model).metadata_props}

    def fused_graph(self, model: bytes) -> Counter[str]:
        """What it executes: nothing is fused but normalisations folded into convolutions.

        ``cuda-compile`` fuses element-wise operators on top, which no rule describes: there
        the kernels' prices hold those of blocks together only through the residual.
        """
        bag = lower(onnx.load_model_from_string(model), FUSION[self.name]).kernels
        found: Counter[str] = Counter()
        for kernel, count in bag.items():
            found["+".join((kernel.op, *kernel.fused))] += count
        return found
