"""What ONNX itself says of one operator: how much it may read, and what it writes."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import onnx
from onnx import TypeProto, helper, shape_inference

from hwnas.errors import ModelFileError, ShapeError
from hwnas.kernels.graph import Node
from hwnas.kernels.model_file import first_line


@lru_cache(maxsize=4096)
def schema_of(op: str, version: int) -> onnx.defs.OpSchema | None:
    """The definition of one of ONNX's own operators in an opset; ``None`` where it has none."""
    try:
        return onnx.defs.get_schema(op, version, "")
    except onnx.defs.SchemaError:
        return None


def check_arity(schema: onnx.defs.OpSchema, node: Node, name: str) -> None:
    """Refuse an operator that reads or writes more or fewer tensors than it can.

    Args:
        schema: Its definition.
        node: The operator.
        name: What to call the model in errors.

    Raises:
        ModelFileError: It does.
    """
    if not (
        schema.min_input <= len(node.inputs) <= schema.max_input
        and schema.min_output <= len(node.outputs) <= schema.max_output
    ):
        raise ModelFileError(
            f"'{name}': {node.op} has {len(node.inputs)} inputs and "
            f"{len(node.outputs)} outputs, which it cannot have; export the model again"
        )


def output_types(
    schema: onnx.defs.OpSchema,
    proto: onnx.NodeProto,
    types: Mapping[str, TypeProto],
    values: Mapping[str, onnx.TensorProto],
    imports: Sequence[onnx.OperatorSetIdProto],
    ir_version: int,
    name: str,
) -> dict[str, TypeProto]:
    """Types of what an operator writes, as far as ONNX infers them.

    Args:
        schema: Its definition.
        proto: The operator.
        types: Types of what it reads.
        values: Of these, what is constant and small.
        imports: The opsets of the model.
        ir_version: Its version of the format.
        name: What to call the model in errors.

    Raises:
        ShapeError: The shapes do not fit together.
    """
    try:
        if schema.has_type_and_shape_inference_function:
            return shape_inference.infer_node_outputs(
                schema,
                proto,
                dict(types),
                dict(values),
                opset_imports=list(imports),
                ir_version=ir_version,
            )
        # An operator that is defined by others: a model of its own goes through them.
        graph = helper.make_graph(
            [proto],
            "one",
            [helper.make_value_info(t, kind) for t, kind in types.items() if t not in values],
            [helper.make_empty_tensor_value_info(t) for t in proto.output if t],
            list(values.values()),
        )
        model = helper.make_model(graph, opset_imports=list(imports), ir_version=ir_version)
        inferred = shape_inference.infer_shapes(model, data_prop=True)
        return {item.name: item.type for item in inferred.graph.output}
    except (
        shape_inference.InferenceError,
        onnx.checker.ValidationError,
        ValueError,
        RuntimeError,
    ) as error:
        raise ShapeError(
            f"'{name}': the shapes of {proto.op_type} '{proto.output[0]}' do not fit "
            f"together: {first_line(error)}"
        ) from error
