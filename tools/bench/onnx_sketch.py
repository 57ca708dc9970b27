"""Writes an ONNX model line by line, for models that benchmarks and tests are made of."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper, shape_inference

IR_VERSION = 10


class Sketch:
    """Writes an ONNX model line by line.

    Args:
        opset: Version of ONNX's operators.
    """

    def __init__(self, opset: int = 20) -> None:
        self.opset = opset
        self._rng = np.random.default_rng(0)
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._constants: list[onnx.TensorProto] = []

    def input(self, *shape: int | str, dtype: type[np.generic] = np.float32) -> str:
        """A tensor that is fed."""
        name, kind = f"x{len(self._inputs)}", helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, value: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        """A constant of a value."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def ints(self, *values: int) -> str:
        """A constant vector of integers."""
        return self.constant(values, np.int64)

    def random(self, *shape: int, dtype: type[np.generic] = np.float32) -> str:
        """A random constant of a shape."""
        value: NDArray[Any] = self._rng.standard_normal(shape)
        if np.issubdtype(dtype, np.integer):
            value = np.clip(np.abs(30 * value), 1, 100)
        return self.constant(0.1 + 0.2 * value if dtype is np.float32 else value, dtype)

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """A node; its output's name. Further outputs end in ``.1``, ``.2`` and so on."""
        name = f"t{len(self._nodes)}"
        names = [name, *(f"{name}.{position}" for position in range(1, outputs))]
        domain, _, kind = kind.rpartition(":")
        self._nodes.append(helper.make_node(kind, inputs, names, name, domain=domain, **attributes))
        return name

    def model(self, *outputs: str) -> onnx.ModelProto:
        """The finished model."""
        values = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph(self._nodes, "small", self._inputs, values, self._constants)
        domains = {node.domain for node in self._nodes} - {""}
        imports = [helper.make_opsetid("", self.opset)]
        imports += [helper.make_opsetid(domain, 1) for domain in sorted(domains)]
        model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=imports)
        inferred = shape_inference.infer_shapes(model, data_prop=True).graph.output
        del model.graph.output[:]
        model.graph.output.extend(inferred)
        return model
