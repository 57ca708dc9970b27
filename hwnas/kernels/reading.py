"""What is known of one operator: its attributes, and shapes and values of its tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import helper

from hwnas.kernels.contrib import CONTRIB_DOMAIN
from hwnas.kernels.graph import Node
from hwnas.kernels.kernel import Shape

ONNX_DOMAINS = ("", "ai.onnx")
_GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


@dataclass(frozen=True)
class Reading:
    """An operator where it stands.

    Args:
        node: The operator.
        types: Static shape and element type by tensor, as far as known.
        values: Values of small constants by tensor, as far as known.
        version: The opset.
    """

    node: Node
    types: Mapping[str, tuple[Shape, str]]
    values: Mapping[str, NDArray[Any]]
    version: int

    def shape(self, place: int) -> Shape | None:
        """The shape of an input; ``None`` where it is left out or not known."""
        found = self.types.get(self._input(place))
        return found[0] if found else None

    def value(self, place: int) -> NDArray[Any] | None:
        """The value of an input that is a small constant; ``None`` elsewhere."""
        return self.values.get(self._input(place))

    def output_shape(self) -> Shape | None:
        """The shape of the first output, where known."""
        found = self.types.get(self.node.outputs[0]) if self.node.outputs else None
        return found[0] if found else None

    def integer(self, name: str, default: int) -> int:
        """An attribute, or the default where it is left out or no integer."""
        value = self.node.attributes.get(name)
        return value if isinstance(value, int) else default

    def integers(self, name: str) -> tuple[int, ...] | None:
        """An attribute of integers; ``None`` where it is left out or is none."""
        value = self.node.attributes.get(name)
        if not isinstance(value, tuple) or not all(isinstance(item, int) for item in value):
            return None
        return value

    def _input(self, place: int) -> str:
        return self.node.inputs[place] if place < len(self.node.inputs) else ""


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


def sizes_text(shape: Shape) -> str:
    """A shape as it is written in errors."""
    return "(" + ",".join(map(str, shape)) + ")"
