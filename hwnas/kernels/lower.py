"""Lowering: an ONNX model to the bag of fused kernels that a runtime executes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx
from onnx import helper

from hwnas.errors import ShapeError
from hwnas.kernels.fusion import FusionRules
from hwnas.kernels.kernel import Attribute, Kernel, Shape
from hwnas.kernels.model_file import declared_types, tensor_types, with_static_shapes
from hwnas.kernels.weights import check_weights

_KEPT_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "Conv": ("group", "kernel_shape", "strides", "pads", "dilations", "auto_pad"),
    "ConvTranspose": ("group", "kernel_shape", "strides", "pads", "dilations", "output_padding"),
    "MaxPool": ("kernel_shape", "strides", "pads", "dilations", "ceil_mode"),
    "AveragePool": ("kernel_shape", "strides", "pads", "count_include_pad"),
    "Gemm": ("transA", "transB"),
    "Concat": ("axis",),
    "Transpose": ("perm",),
    "Softmax": ("axis",),
    "LayerNormalization": ("axis",),
    "Flatten": ("axis",),
    "Gather": ("axis",),
    "Split": ("axis",),
    "Resize": ("mode", "coordinate_transformation_mode", "nearest_mode"),
    "LRN": ("size",),
}
_DEFAULTS: Mapping[str, Any] = {
    "auto_pad": "NOTSET",
    "group": 1,
    "ceil_mode": 0,
    "transA": 0,
    "transB": 0,
    "count_include_pad": 0,
}
_ALIASES = {"Squeeze": "Reshape", "Unsqueeze": "Reshape", "Flatten": "Reshape"}


@dataclass
class _Group:
    """A kernel in the making: a node and what is fused to it."""

    node: onnx.NodeProto
    fused: list[str] = field(default_factory=list)
    extra_inputs: list[str] = field(default_factory=list)
    output: str = ""
    blocked: bool = False

    def accepts_residual(self) -> bool:
        return not self.fused and not self.extra_inputs


@dataclass(frozen=True)
class Lowered:
    """What a model is made of.

    Args:
        kernels: How often each kernel occurs.
        not_covered: Operators whose kernels cannot be known (sub-graphs, unknown
            shapes, custom domains), with how often they occur.
    """

    kernels: Counter[Kernel]
    not_covered: Counter[str]


def lower(
    model: onnx.ModelProto,
    rules: FusionRules,
    *,
    name: str = "model",
    shapes: Mapping[str, Shape] | None = None,
    inside: bool = False,
    shapes_known: bool = False,
) -> Lowered:
    """The bag of kernels of a model on a runtime.

    Args:
        model: A valid ONNX model.
        rules: What the runtime fuses.
        name: What to call the model in errors.
        shapes: Shapes of its inputs by name; needed where they are dynamic.
        inside: Lower the model as a part that stands inside a network: an image
            that it receives is then in the runtime's own layout.
        shapes_known: The model states the shape of every tensor; skip inference.

    Raises:
        ShapeError: Input shapes are dynamic and not given, or do not fit,
            or weights do not fit what they are applied to.
    """
    if shapes_known:
        types = declared_types(model)
    else:
        model = with_static_shapes(model, name, shapes)
        types = tensor_types(model, name)
        check_weights(model.graph, types, name)
    for tensor, (shape, _) in types.items():
        if 0 in shape and tensor in {item.name for item in model.graph.input}:
            raise ShapeError(f"'{name}': input '{tensor}' has no elements, shape {shape}")
    return _Lowering(model, rules, types, inside).run()


class _Lowering:
    def __init__(
        self,
        model: onnx.ModelProto,
        rules: FusionRules,
        types: dict[str, tuple[Shape, str]],
        inside: bool,
    ) -> None:
        self.graph = model.graph
        self.rules = rules
        self.types = types
        self.constants = {item.name for item in model.graph.initializer}
        self.alias: dict[str, str] = {}
        self.groups: list[_Group] = []
        self.by_output: dict[str, _Group] = {}
        self.blocked: set[str] = set()
        self.not_covered: Counter[str] = Counter()
        self.uses: Counter[str] = Counter(
            tensor for node in model.graph.node for tensor in node.input if tensor
        )
        self.uses.update(item.name for item in model.graph.output)
        if inside:
            self.blocked |= {item.name for item in model.graph.input if self._is_image(item.name)}

    def _is_image(self, tensor: str) -> bool:
        shape = self.types.get(tensor, ((), ""))[0]
        return len(shape) == 4 and shape[1] % 4 == 0 and shape[2] * shape[3] > 1

    def run(self) -> Lowered:
        for node in self.graph.node:
            self._visit(node)
        kernels: Counter[Kernel] = Counter()
        for group in self.groups:
            kernel = self._kernel(group)
            if kernel is None:
                self.not_covered[group.node.op_type] += 1
            else:
                kernels[kernel] += 1
        return Lowered(kernels, self.not_covered)

    def _resolve(self, tensor: str) -> str:
        return self.alias.get(tensor, tensor)

    def _visit(self, node: onnx.NodeProto) -> None:
        inputs = [self._resolve(tensor) for tensor in node.input]
        if any(
            attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
            for attribute in node.attribute
        ) or node.domain not in ("", "ai.onnx"):
            label = (
                node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
            )
            self.not_covered[label] += 1
            return
        if all(tensor in self.constants for tensor in inputs if tensor):
            self.constants.update(node.output)
            return
        if node.op_type in self.rules.removed:
            self.alias[node.output[0]] = inputs[0]
            self.uses[inputs[0]] += self.uses[node.output[0]] - 1
            return
        if self._folds(node, inputs) or self._activates(node, inputs) or self._adds(node, inputs):
            return
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        del copy.input[:]
        copy.input.extend(inputs)
        group = _Group(copy, output=node.output[0])
        data = self.types.get(inputs[0], ((), ""))[0] if inputs else ()
        weight = self.types.get(inputs[1], ((), ""))[0] if len(inputs) > 1 else None
        group.blocked = self.rules.runs_blocked(
            node.op_type, _integer(node, "group", 1), data, weight
        ) and (node.op_type == "Conv" or self._all_blocked(inputs))
        self._open(group)

    def _all_blocked(self, inputs: list[str]) -> bool:
        return all(tensor in self.blocked for tensor in inputs if tensor not in self.constants)

    def _open(self, group: _Group) -> None:
        self.groups.append(group)
        self.by_output[group.output] = group
        if group.blocked:
            self.blocked.add(group.output)

    def _extend(self, group: _Group, output: str) -> None:
        del self.by_output[group.output]
        group.output = output
        self.by_output[output] = group
        if group.blocked:
            self.blocked.add(output)

    def _single(self, tensor: str) -> _Group | None:
        """The group that computes a tensor that nothing else reads."""
        return self.by_output.get(tensor) if self.uses[tensor] == 1 else None

    def _folds(self, node: onnx.NodeProto, inputs: list[str]) -> bool:
        group = self._single(inputs[0])
        if group is None or group.fused or group.extra_inputs:
            return False
        if node.op_type not in self.rules.folded.get(group.node.op_type, frozenset()):
            return False
        if group.node.op_type == "Conv" and len(group.node.input) == 2:
            group.node.input.append(inputs[2])
        self._extend(group, node.output[0])
        return True

    def _activates(self, node: onnx.NodeProto, inputs: list[str]) -> bool:
        group = self._single(inputs[0])
        if group is None or any(item != "Add" for item in group.fused):
            return False
        allowed = self.rules.activations.get(group.node.op_type, frozenset())
        if node.op_type not in allowed:
            return False
        if any(tensor not in self.constants for tensor in inputs[1:] if tensor):
            return False
        group.fused.append(node.op_type)
        self._extend(group, node.output[0])
        return True

    def _adds(self, node: onnx.NodeProto, inputs: list[str]) -> bool:
        if node.op_type not in ("Add", "Sum") or len(inputs) != 2:
            return False
        shapes = [self.types.get(tensor, ((), ""))[0] for tensor in inputs]
        if shapes[0] != shapes[1] or not self._all_blocked(inputs):
            return False
        for own, other in ((inputs[0], inputs[1]), (inputs[1], inputs[0])):
            group = self._single(own)
            if group and group.node.op_type in self.rules.residual and group.accepts_residual():
                group.fused.append("Add")
                group.extra_inputs.append(other)
                self._extend(group, node.output[0])
                # The kernel now runs after both of its inputs.
                self.groups.remove(group)
                self.groups.append(group)
                return True
        return False

    def _kernel(self, group: _Group) -> Kernel | None:
        node = group.node
        tensors = [tensor for tensor in (*node.input, *group.extra_inputs) if tensor]
        outputs = [group.output, *node.output[1:]]
        known = [self.types.get(tensor) for tensor in (*tensors, group.output)]
        if any(item is None for item in known):
            return None
        types = {
            tensor: item
            for tensor, item in zip((*tensors, group.output), known, strict=True)
            if item
        }
        data = [tensor for tensor in tensors if tensor not in self.constants]
        return Kernel(
            op=_ALIASES.get(node.op_type, node.op_type),
            fused=tuple(group.fused),
            attributes=_attributes(node),
            inputs=tuple(types[tensor][0] for tensor in data),
            weights=tuple(types[tensor][0] for tensor in tensors if tensor in self.constants)
            if node.op_type not in ("Reshape", "Squeeze", "Unsqueeze")
            else (),
            outputs=tuple(self.types[tensor][0] for tensor in outputs if tensor in self.types),
            dtype=types[data[0]][1] if data else types[group.output][1],
        )


def _integer(node: onnx.NodeProto, name: str, default: int) -> int:
    for attribute in node.attribute:
        if attribute.name == name:
            return int(attribute.i)
    return default


def _attributes(node: onnx.NodeProto) -> tuple[tuple[str, Attribute], ...]:
    if node.op_type in _ALIASES:
        return ()
    kept = _KEPT_ATTRIBUTES.get(node.op_type, ())
    found: dict[str, Attribute] = {}
    for attribute in node.attribute:
        if attribute.name not in kept:
            continue
        value = helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif (
            isinstance(value, (list, tuple))
            or hasattr(value, "__iter__")
            and not isinstance(value, str)
        ):
            value = tuple(value)
        if value == _DEFAULTS.get(attribute.name):
            continue
        if attribute.name == "dilations" and set(value) == {1}:
            continue
        found[attribute.name] = value
    return tuple(sorted(found.items()))
