"""ONNX Runtime on the CPU."""

import importlib
import importlib.util
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import helper

from hwnas.errors import MissingExtraError, RuntimeFailure

_NAMES = {
    "FusedConv": "Conv",
    "FusedGemm": "Gemm",
    "FusedMatMul": "MatMul",
    "Flatten": "Reshape",
    "Squeeze": "Reshape",
    "Unsqueeze": "Reshape",
    "com.microsoft.nchwc.Upsample": "Resize",
}
_CHANNELS_LAST = ([0, 2, 3, 1], [0, 3, 1, 2])


class OnnxRuntime:
    """ONNX Runtime's CPU provider."""

    name = "onnxruntime"

    @property
    def engine(self) -> Path:
        """The stand-alone file that a worker process loads."""
        return Path(__file__).with_name("ort_engine.py")

    def why_not(self) -> str | None:
        """Why it cannot be used here, or ``None``."""
        if importlib.util.find_spec("onnxruntime") is None:
            return "onnxruntime is not installed: pip install onnxruntime"
        return None

    def _module(self) -> ModuleType:
        reason = self.why_not()
        if reason is not None:
            raise MissingExtraError(reason)
        return importlib.import_module("hwnas.runtimes.ort_engine")

    def version(self) -> str:
        """Version of the installed onnxruntime."""
        return str(self._module().VERSION)

    def run(
        self, model: bytes, feeds: Mapping[str, NDArray[Any]], *, threads: int = 1
    ) -> dict[str, NDArray[Any]]:
        """Outputs by name.

        Raises:
            RuntimeFailure: The runtime does not load or run the model.
        """
        module = self._module()
        try:
            outputs: dict[str, NDArray[Any]] = module.Session(model, threads).run(dict(feeds))
        except Exception as error:  # the runtime has no common base for what it raises
            raise RuntimeFailure(f"onnxruntime does not run the model: {error}") from error
        return outputs

    def metadata(self, model: bytes) -> dict[str, str]:
        """The metadata that a model carries."""
        return dict(self._module().Session(model).metadata())

    def fused_graph(self, model: bytes) -> Counter[str]:
        """Names of the kernels that it executes, without layout reorders."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "fused.onnx"
            self._module().write_fused(model, str(path))
            graph = onnx.load(path).graph
        found: Counter[str] = Counter()
        # Around quantised convolutions, the runtime puts channels last.
        moved = any(
            _flag(node, "channels_last")
            for node in graph.node
            if not node.op_type.startswith("Reorder")
        )
        for node in graph.node:
            if node.op_type.startswith("Reorder"):
                continue
            name = _NAMES.get(node.op_type, node.op_type)
            name = _NAMES.get(f"{node.domain}.{node.op_type}", name)
            attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
            if moved and name == "Transpose" and list(attributes["perm"]) in _CHANNELS_LAST:
                continue
            parts = [name]
            if name == "Conv" and len(node.input) > 3:
                parts.append("Add")
            if "activation" in attributes:
                parts.append(attributes["activation"].decode())
            found["+".join(parts)] += 1
        return found


def _flag(node: onnx.NodeProto, name: str) -> bool:
    return any(item.name == name and item.i == 1 for item in node.attribute)
