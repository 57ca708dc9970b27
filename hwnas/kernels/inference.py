"""Shapes and constants of a model, node by node in one pass.

ONNX infers the shapes of one operator; what it is told of the constants before it
is what folding gives, so that sizes which exporters compute inside the graph
(``Shape``, ``Gather``, ``Concat``, ``Reshape``) become static, as they do in the
runtime. No weight is copied.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TypeProto, helper, numpy_helper, shape_inference

from hwnas.errors import ModelFileError, ShapeError
from hwnas.kernels.constants import evaluated, small_value
from hwnas.kernels.contrib import CONTRIB_DOMAIN, contrib_type
from hwnas.kernels.graph import Graph, Node
from hwnas.kernels.kernel import Shape
from hwnas.kernels.model_file import (
    check_sizes,
    declared_types,
    dtype_name,
    first_line,
    input_shapes,
)
from hwnas.kernels.weights import check_node

_RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli"}
    | {"Multinomial"}
)
_GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
ONNX_DOMAINS = ("", "ai.onnx")
FEW = 16


def graph_of(model: onnx.ModelProto, name: str, shapes: Mapping[str, Shape] | None = None) -> Graph:
    """A model's graph with what can be known of its shapes and constants.

    Args:
        model: A valid ONNX model.
        name: What to call it in errors.
        shapes: Shapes of its inputs by name; needed where they are dynamic.

    Raises:
        ShapeError: Input shapes are dynamic and not given, or shapes do not fit together.
        ModelFileError: The model cannot be read, for example as its nodes are in no order.
    """
    return _Inference(model, name, shapes).run()


def declared_graph(model: onnx.ModelProto) -> Graph:
    """A model's graph with the shapes that it states, where it states all of them.

    Values are read of constants of a few elements only: factors and axes, of which it
    depends what is fused.
    """
    constants = {item.name for item in model.graph.initializer}
    values = {
        item.name: value
        for item in model.graph.initializer
        if math.prod(item.dims) <= FEW and (value := small_value(item)) is not None
    }
    nodes = []
    for proto in model.graph.node:
        node = plain_node(proto)
        if node.inputs and not node.reason and all(t in constants for t in node.inputs if t):
            constants.update(node.outputs)
        nodes.append(node)
    outputs = [item.name for item in model.graph.output]
    return Graph(nodes, declared_types(model), values, constants, outputs)


def plain_node(proto: onnx.NodeProto) -> Node:
    """An operator with its attributes read."""
    domain = "" if proto.domain in ONNX_DOMAINS else proto.domain
    node = Node(proto.op_type, list(proto.input), list(proto.output), {}, domain)
    attributes: dict[str, Any] = {}
    for item in proto.attribute:
        if item.type in _GRAPHS:
            node.reason = "sub-graph"
        elif item.ref_attr_name:
            node.reason = "attribute of a function"
        else:
            attributes[item.name] = _value(item)
    node.attributes = attributes
    if domain and domain != CONTRIB_DOMAIN:
        node.reason = "custom domain"
    return node


def _value(item: onnx.AttributeProto) -> Any:
    try:
        value = helper.get_attribute_value(item)
    except ValueError:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if item.type in (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS):
        return tuple(value)
    return value


@lru_cache(maxsize=4096)
def _schema(op: str, version: int) -> onnx.defs.OpSchema | None:
    try:
        return onnx.defs.get_schema(op, version, "")
    except onnx.defs.SchemaError:
        return None


class _Inference:
    def __init__(
        self, model: onnx.ModelProto, name: str, shapes: Mapping[str, Shape] | None
    ) -> None:
        self.model = model
        self.name = name
        self.imports = [item for item in model.opset_import if item.domain in ONNX_DOMAINS]
        self.version = max((item.version for item in self.imports), default=1)
        self.protos: dict[str, TypeProto] = {}
        self.types: dict[str, tuple[Shape, str]] = {}
        self.values: dict[str, NDArray[Any]] = {}
        self.constants: set[str] = set()
        self.declared = {} if shapes else declared_types(model)
        given = input_shapes(model, name, shapes)
        for item in model.graph.input:
            if item.name in given:
                self._learn_input(item, given[item.name])
        for constant in model.graph.initializer:
            self._learn(constant.name, tuple(constant.dims), constant.data_type)
            self.constants.add(constant.name)
            value = small_value(constant)
            if value is not None:
                self.values[constant.name] = value
        for sparse in model.graph.sparse_initializer:
            self._learn(sparse.values.name, tuple(sparse.dims), sparse.values.data_type)
            self.constants.add(sparse.values.name)

    def run(self) -> Graph:
        nodes = []
        for proto in self.model.graph.node:
            node = plain_node(proto)
            self._visit(node, proto)
            nodes.append(node)
        outputs = [item.name for item in self.model.graph.output]
        self._check_declared(outputs)
        return Graph(nodes, self.types, self.values, self.constants, outputs)

    def _learn_input(self, item: onnx.ValueInfoProto, shape: Shape) -> None:
        if item.type.HasField("tensor_type"):
            self._learn(item.name, shape, item.type.tensor_type.elem_type)
        else:
            self.protos[item.name] = item.type

    def _learn(self, tensor: str, shape: Shape, kind: int) -> None:
        check_sizes(shape, tensor, self.name)
        self.types[tensor] = (shape, dtype_name(kind))
        self.protos[tensor] = helper.make_tensor_type_proto(kind, shape)

    def _visit(self, node: Node, proto: onnx.NodeProto) -> None:
        if node.reason:
            self._believe(node)
            return
        inputs = [tensor for tensor in node.inputs if tensor]
        if node.op not in _RANDOM and all(tensor in self.constants for tensor in inputs):
            self.constants.update(filter(None, node.outputs))
        value = self._folded(node, inputs)
        if value is not None:
            tensor = node.outputs[0]
            self.values[tensor] = value
            self.constants.add(tensor)
            kind = helper.np_dtype_to_tensor_dtype(value.dtype)
            self._learn(tensor, value.shape, kind)
            return
        schema = None if node.domain else _schema(node.op, self.version)
        if schema is not None and not (
            schema.min_input <= len(node.inputs) <= schema.max_input
            and schema.min_output <= len(node.outputs) <= schema.max_output
        ):
            raise ModelFileError(
                f"'{self.name}': {node.op} has {len(node.inputs)} inputs and "
                f"{len(node.outputs)} outputs, which it cannot have; export the model again"
            )
        if any(tensor not in self.protos for tensor in inputs):
            self._believe(node)
            return
        self._infer(node, proto, schema)

    def _folded(self, node: Node, inputs: Sequence[str]) -> NDArray[Any] | None:
        if node.domain or not node.outputs:
            return None
        if node.op == "Constant":
            return self._constant(node)
        if node.op in ("Shape", "Size") and inputs and inputs[0] in self.types:
            shape = self.types[inputs[0]][0]
            if node.op == "Size":
                return np.asarray(int(np.prod(shape, dtype=np.int64)), np.int64)
            begin, end = node.attributes.get("start", 0), node.attributes.get("end", len(shape))
            return np.asarray(shape[begin:end], np.int64)
        if not inputs or any(tensor not in self.values for tensor in inputs):
            return None
        if len(inputs) != len(node.inputs):
            return None
        return evaluated(node.op, [self.values[tensor] for tensor in inputs], node.attributes)

    def _constant(self, node: Node) -> NDArray[Any] | None:
        attributes = node.attributes
        if isinstance(attributes.get("value"), onnx.TensorProto):
            return small_value(attributes["value"])
        for name, dtype in (("value_int", np.int64), ("value_float", np.float32)):
            for key in (name, f"{name}s"):
                if attributes.get(key) is not None:
                    return np.asarray(attributes[key], dtype)
        return None

    def _infer(self, node: Node, proto: onnx.NodeProto, schema: onnx.defs.OpSchema | None) -> None:
        if node.domain == CONTRIB_DOMAIN:
            found = contrib_type(node, self.types, self.values)
            if found is not None:
                self.types[node.outputs[0]] = found
                kind = _element_type(found[1])
                self.protos[node.outputs[0]] = helper.make_tensor_type_proto(kind, found[0])
            else:
                node.reason = "custom domain"
                self._believe(node)
            return
        if schema is None:
            node.reason = "unknown operator"
            self._believe(node)
            return
        if node.op == "Constant" and isinstance(node.attributes.get("value"), onnx.TensorProto):
            tensor = node.attributes["value"]
            self._learn(node.outputs[0], tuple(tensor.dims), tensor.data_type)
            return
        # Checked first, as it says what is wrong better than what ONNX infers with.
        check_node(proto, self.types, self.name)
        types = {tensor: self.protos[tensor] for tensor in node.inputs if tensor}
        data = {
            tensor: numpy_helper.from_array(self.values[tensor], tensor)
            for tensor in types
            if tensor in self.values
        }
        try:
            found_types = self._ask_onnx(schema, proto, types, data)
        except (
            shape_inference.InferenceError,
            onnx.checker.ValidationError,
            ValueError,
            RuntimeError,
        ) as error:
            raise ShapeError(
                f"'{self.name}': the shapes of {node.op} '{node.outputs[0]}' do not fit "
                f"together: {first_line(error)}"
            ) from error
        for tensor, kind_proto in found_types.items():
            self._accept(tensor, kind_proto)
        self._believe(node)

    def _ask_onnx(
        self,
        schema: onnx.defs.OpSchema,
        proto: onnx.NodeProto,
        types: dict[str, TypeProto],
        data: dict[str, onnx.TensorProto],
    ) -> dict[str, TypeProto]:
        if schema.has_type_and_shape_inference_function:
            return shape_inference.infer_node_outputs(
                schema,
                proto,
                types,
                data,
                opset_imports=self.imports,
                ir_version=self.model.ir_version,
            )
        # An operator that is defined by others: a model of its own goes through them.
        graph = helper.make_graph(
            [proto],
            "one",
            [helper.make_value_info(t, kind) for t, kind in types.items() if t not in data],
            [helper.make_empty_tensor_value_info(t) for t in proto.output if t],
            list(data.values()),
        )
        model = helper.make_model(
            graph, opset_imports=self.imports, ir_version=self.model.ir_version
        )
        inferred = shape_inference.infer_shapes(model, data_prop=True)
        return {item.name: item.type for item in inferred.graph.output}

    def _accept(self, tensor: str, kind: TypeProto) -> None:
        if not kind.HasField("tensor_type"):
            self.protos[tensor] = kind
            return
        found = kind.tensor_type
        if not found.HasField("shape"):
            return
        sizes = [size.dim_value if size.HasField("dim_value") else -1 for size in found.shape.dim]
        if min(sizes, default=0) < 0:
            return
        self._learn(tensor, tuple(sizes), found.elem_type)

    def _believe(self, node: Node) -> None:
        """What the model states of outputs of which nothing could be inferred."""
        for tensor in node.outputs:
            if tensor and tensor not in self.protos and tensor in self.declared:
                shape, dtype = self.declared[tensor]
                self._learn(tensor, shape, _element_type(dtype))

    def _check_declared(self, outputs: Sequence[str]) -> None:
        for tensor in outputs:
            stated, found = self.declared.get(tensor), self.types.get(tensor)
            if stated and found and stated[0] != found[0]:
                raise ShapeError(
                    f"'{self.name}': shapes do not fit together: output '{tensor}' is stated as "
                    f"{stated[0]}, but comes out as {found[0]}"
                )


def _element_type(dtype: str) -> int:
    name = {"float32": "FLOAT", "float64": "DOUBLE"}.get(dtype, dtype.upper())
    return int(onnx.TensorProto.DataType.Value(name))
