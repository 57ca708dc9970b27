"""Shapes and constants of a model, node by node in one pass.

ONNX infers the shapes of one operator; what it is told of the constants before it
is what folding gives, so that sizes which exporters compute inside the graph
(``Shape``, ``Gather``, ``Concat``, ``Reshape``) become static, as they do in the
runtime. No weight is copied.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TypeProto, helper, numpy_helper

from hwnas.errors import ShapeError
from hwnas.kernels.constants import constant_value, evaluated, small_value
from hwnas.kernels.contrib import CONTRIB_DOMAIN, contrib_type
from hwnas.kernels.faults import check_inputs, check_outputs
from hwnas.kernels.graph import Graph, Node
from hwnas.kernels.input_shapes import input_shapes
from hwnas.kernels.kernel import Shape
from hwnas.kernels.model_file import (
    check_sizes,
    declared_types,
    dtype_name,
    element_type,
    stated_types,
)
from hwnas.kernels.reading import ONNX_DOMAINS, Reading, plain_node
from hwnas.kernels.schemas import check_arity, output_types, schema_of
from hwnas.kernels.subgraphs import branch_nodes, captured, graph_attribute

_RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli"}
    | {"Multinomial"}
)


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
    inference = _Inference(model, model.graph, name, {} if shapes else declared_types(model))
    inference.feed(input_shapes(model, name, shapes))
    return inference.run()


class _Inference:
    """What is known of the tensors of one graph, which may stand inside another.

    Args:
        model: Where the graph stands.
        graph: The graph.
        name: What to call the model in errors.
        declared: Shapes and element types that it states.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        graph: onnx.GraphProto,
        name: str,
        declared: Mapping[str, tuple[Shape, str]],
    ) -> None:
        self.model = model
        self.graph = graph
        self.name = name
        self.declared = dict(declared)
        self.imports = [item for item in model.opset_import if item.domain in ONNX_DOMAINS]
        self.version = max((item.version for item in self.imports), default=1)
        self.protos: dict[str, TypeProto] = {}
        self.types: dict[str, tuple[Shape, str]] = {}
        self.values: dict[str, NDArray[Any]] = {}
        self.constants: set[str] = set()
        self.captured: list[str] = []

    def feed(self, given: Mapping[str, Shape]) -> None:
        """Give the inputs of the whole model their shapes."""
        for item in self.graph.input:
            if item.name in given:
                self._learn_input(item, given[item.name])

    def run(self) -> Graph:
        self._learn_constants(self.graph.initializer)
        for sparse in self.graph.sparse_initializer:
            self._learn(sparse.values.name, tuple(sparse.dims), sparse.values.data_type)
            self.constants.add(sparse.values.name)
        nodes = list(self._nodes(self.graph.node))
        outputs = [item.name for item in self.graph.output]
        self._check_declared(outputs)
        # What a graph inside another operator reads must be there, as what the model gives.
        return Graph(nodes, self.types, self.values, self.constants, [*outputs, *self.captured])

    def _learn_constants(self, tensors: Iterable[onnx.TensorProto]) -> None:
        for constant in tensors:
            self._learn(constant.name, tuple(constant.dims), constant.data_type)
            self.constants.add(constant.name)
            value = small_value(constant)
            if value is not None:
                self.values[constant.name] = value

    def _nodes(self, protos: Iterable[onnx.NodeProto]) -> Iterator[Node]:
        for proto in protos:
            node = plain_node(proto)
            branch = self._branch(node, proto)
            if branch is not None:
                # The runtime takes the branch that a constant chooses when it loads the model.
                inside, constants, stated = branch_nodes(branch, node.outputs, node.outputs[0])
                self._learn_constants(constants)
                self.declared.update(stated_types(stated))
                yield from self._nodes(inside)
                continue
            if not self._loop(node, proto):
                self._visit(node, proto)
            if node.reason or node.body is not None:
                self.captured += sorted(captured(proto))
            yield node

    def _branch(self, node: Node, proto: onnx.NodeProto) -> onnx.GraphProto | None:
        if node.op != "If" or node.domain or not node.inputs or not node.outputs:
            return None
        condition = self.values.get(node.inputs[0])
        if condition is None or condition.size != 1:
            return None
        name = "then_branch" if condition.reshape(-1)[0] else "else_branch"
        branch = graph_attribute(proto, name)
        return branch if branch is not None and not branch.input else None

    def _loop(self, node: Node, proto: onnx.NodeProto) -> bool:
        """Give a loop that runs a constant number of times its body; whether it is one."""
        body = graph_attribute(proto, "body") if node.op == "Loop" and not node.domain else None
        trips, go_on = (self.values.get(tensor) for tensor in [*node.inputs, "", ""][:2])
        if body is None or trips is None or trips.size != 1 or int(trips.reshape(-1)[0]) < 0:
            return False
        if [*node.inputs, "", ""][1] and (go_on is None or not go_on.all()):
            return False
        carried, times = node.inputs[2:], int(trips.reshape(-1)[0])
        if len(body.input) != len(carried) + 2 or len(body.output) < len(carried) + 1:
            return False
        if len(node.outputs) != len(body.output) - 1:
            return False
        if any(tensor not in self.types for tensor in carried):
            return False
        inner = self._inside(body)
        inner._learn(body.input[0].name, (), onnx.TensorProto.INT64)
        inner._learn(body.input[1].name, (), onnx.TensorProto.BOOL)
        inner.values[body.input[1].name] = np.asarray(True)
        for item, tensor in zip(body.input[2:], carried, strict=True):
            shape, dtype = self.types[tensor]
            inner._learn(item.name, shape, element_type(dtype))
        graph = inner.run()
        found = [inner.types.get(item.name) for item in body.output[1:]]
        ends = inner.values.get(body.output[0].name)
        if ends is None or not ends.all() or None in found:
            return False
        if found[: len(carried)] != [self.types[tensor] for tensor in carried]:
            return False
        for index, (tensor, kind) in enumerate(zip(node.outputs, found, strict=True)):
            if tensor and kind is not None:
                stacked = kind[0] if index < len(carried) else (times, *kind[0])
                self._learn(tensor, stacked, element_type(kind[1]))
        node.reason, node.body, node.times = "", graph, times
        return True

    def _inside(self, graph: onnx.GraphProto) -> "_Inference":
        """The same for a graph that an operator holds, which knows what is known here."""
        inner = _Inference(self.model, graph, self.name, stated_types(graph.value_info))
        inner.protos = dict(self.protos)
        inner.types, inner.values = dict(self.types), dict(self.values)
        inner.constants = set(self.constants)
        return inner

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
        schema = None if node.domain else schema_of(node.op, self.version)
        if schema is not None:
            check_arity(schema, node, self.name)
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
        if any(tensor not in self.protos for tensor in inputs):
            self._believe(node)
            return
        self._infer(node, proto, schema)

    def _folded(self, node: Node, inputs: Sequence[str]) -> NDArray[Any] | None:
        if node.domain or not node.outputs:
            return None
        if node.op == "Constant":
            return constant_value(node.attributes)
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

    def _infer(self, node: Node, proto: onnx.NodeProto, schema: onnx.defs.OpSchema | None) -> None:
        if node.domain == CONTRIB_DOMAIN:
            found = contrib_type(node, self.types, self.values)
            if found is not None:
                self._learn(node.outputs[0], found[0], element_type(found[1]))
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
        reading = Reading(node, self.types, self.values, self.version)
        check_inputs(reading, proto.name, self.name)
        types = {tensor: self.protos[tensor] for tensor in node.inputs if tensor}
        data = {
            tensor: numpy_helper.from_array(self.values[tensor], tensor)
            for tensor in types
            if tensor in self.values
        }
        found_types = output_types(
            schema, proto, types, data, self.imports, self.model.ir_version, self.name
        )
        for tensor, kind_proto in found_types.items():
            self._accept(tensor, kind_proto)
        self._believe(node)
        check_outputs(reading, proto.name, self.name)

    def _accept(self, tensor: str, kind: TypeProto) -> None:
        if not kind.HasField("tensor_type"):
            self.protos[tensor] = kind
            return
        found = kind.tensor_type
        if not found.HasField("shape"):
            return
        known = [size.dim_value for size in found.shape.dim if size.HasField("dim_value")]
        check_sizes(tuple(known), tensor, self.name)
        if len(known) == len(found.shape.dim):
            self._learn(tensor, tuple(known), found.elem_type)

    def _believe(self, node: Node) -> None:
        """What the model states of outputs of which nothing could be inferred."""
        for tensor in node.outputs:
            if tensor and tensor not in self.protos and tensor in self.declared:
                shape, dtype = self.declared[tensor]
                self._learn(tensor, shape, element_type(dtype))

    def _check_declared(self, outputs: Sequence[str]) -> None:
        for tensor in outputs:
            stated, found = self.declared.get(tensor), self.types.get(tensor)
            if stated and found and stated[0] != found[0]:
                raise ShapeError(
                    f"'{self.name}': shapes do not fit together: output '{tensor}' is stated as "
                    f"{stated[0]}, but comes out as {found[0]}"
                )
