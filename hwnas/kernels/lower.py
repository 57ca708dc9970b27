"""Lowering: an ONNX model to the bag of fused kernels that a runtime executes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx
import onnx.inliner

from hwnas.errors import ModelFileError, ShapeError
from hwnas.kernels.fusion import FusionRules
from hwnas.kernels.graph import Graph, Node
from hwnas.kernels.inference import graph_of
from hwnas.kernels.kernel import Kernel, Shape
from hwnas.kernels.make import kernel_of
from hwnas.kernels.model_file import first_line
from hwnas.kernels.rewrites import rewrite


@dataclass
class _Group:
    """A kernel in the making: a node and what is fused to it."""

    node: Node
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

    Both are empty of a model that computes nothing (``Identity``, constants): nothing
    of it is unpriced.
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
) -> Lowered:
    """The bag of kernels of a model on a runtime.

    Args:
        model: A valid ONNX model.
        rules: What the runtime fuses.
        name: What to call the model in errors.
        shapes: Shapes of its inputs by name; needed where they are dynamic.
        inside: Lower the model as a part that stands inside a network: an image
            that it receives is then in the runtime's own layout.

    Raises:
        ShapeError: Input shapes are dynamic and not given, or do not fit,
            or weights do not fit what they are applied to.
        ModelFileError: Operators that the model defines itself cannot be written out.
    """
    model = _written_out(model, name)
    graph = graph_of(model, name, shapes)
    for item in model.graph.input:
        if 0 in (graph.shape(item.name) or ()):
            raise ShapeError(
                f"'{name}': input '{item.name}' has no elements, shape {graph.shape(item.name)}"
            )
    fed = [item.name for item in model.graph.input]
    return lower_graph(graph, rules, images=fed if inside else [])


def _written_out(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model with what it defines by functions of its own written out, as runtimes do."""
    if not model.functions:
        return model
    try:
        return onnx.inliner.inline_local_functions(model)
    except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelFileError(
            f"'{name}': its functions cannot be written out: {first_line(error)}"
        ) from error


def lower_graph(graph: Graph, rules: FusionRules, *, images: Sequence[str] = ()) -> Lowered:
    """As :func:`lower`, of a graph whose shapes are known; its nodes are rewritten in place.

    Args:
        graph: The graph.
        rules: What the runtime fuses.
        images: Inputs that, where they are images, are in the runtime's own layout.
    """
    _remove(graph, rules)
    rewrite(graph, rules.rewrites)
    _fold(graph)
    return _Grouping(graph, rules, images).run()


def _remove(graph: Graph, rules: FusionRules) -> None:
    """Take out what leaves no kernel, and what nothing reads."""
    graph.sweep()
    for node in list(graph.nodes):
        if not node.inputs or node.outputs[0] in graph.constants:
            continue
        plain = node.op in rules.removed and not node.domain
        if plain and not any(graph.uses[tensor] for tensor in node.outputs[1:]):
            graph.drop(node, node.inputs[0])


def _fold(graph: Graph) -> None:
    """Take out what computes constants: the runtime does so when it loads the model."""
    graph.discard(
        [
            node
            for node in graph.nodes
            if not node.reason and all(t in graph.constants for t in node.outputs if t)
        ]
    )
    graph.sweep()


class _Grouping:
    """Joins operators to the kernels that run them."""

    def __init__(self, graph: Graph, rules: FusionRules, images: Sequence[str]) -> None:
        self.graph = graph
        self.rules = rules
        self.groups: list[_Group] = []
        self.by_output: dict[str, _Group] = {}
        self.blocked = {tensor for tensor in images if self._is_image(tensor)}

    def _is_image(self, tensor: str) -> bool:
        shape = self.graph.shape(tensor) or ()
        return len(shape) == 4 and shape[1] % 4 == 0 and shape[2] * shape[3] > 1

    def run(self) -> Lowered:
        kernels: Counter[Kernel] = Counter()
        not_covered: Counter[str] = Counter()
        for node in self.graph.nodes:
            if node.reason:
                not_covered[node.label] += 1
            elif node.body is None:
                self._visit(node)
            elif node.times:
                body = lower_graph(node.body, self.rules)
                for inner, count in body.kernels.items():
                    kernels[inner] += count * node.times
                for label, count in body.not_covered.items():
                    not_covered[label] += count * node.times
        for group in self.groups:
            node = group.node
            kernel = kernel_of(self.graph, node, group.fused, group.extra_inputs, group.output)
            if kernel is None:
                not_covered[node.label] += 1
            # What gives no element computes nothing.
            elif kernel.output_elements:
                kernels[kernel] += 1
        return Lowered(kernels, not_covered)

    def _visit(self, node: Node) -> None:
        if self._folds(node) or self._activates(node) or self._adds(node):
            return
        parts = self.rules.inlined.get(node.op)
        if parts is None:
            self._open(node)
            return
        # The first gives a factor for what the second reads.
        source, output = node.inputs[0], node.outputs[0]
        gate = f"gate@{output}"
        if source in self.graph.types:
            self.graph.types[gate] = self.graph.types[source]
        self._open(Node(parts[0], [source], [gate]))
        self._open(Node(parts[1], [source, gate], [output]))

    def _open(self, node: Node) -> None:
        group = _Group(node, output=node.outputs[0] if node.outputs else "")
        data = (self.graph.shape(node.inputs[0]) if node.inputs else None) or ()
        weight = self.graph.shape(node.inputs[1]) if len(node.inputs) > 1 else None
        known = self.graph.types.get(group.output, ((), ""))[1] == "float32"
        group.blocked = (
            known
            and self.rules.runs_blocked(node.op, node.attributes.get("group", 1), data, weight)
            and (node.op == "Conv" or self._all_blocked(node.inputs))
        )
        convolved = self._convolved(node) if node.op in self.rules.convolved else None
        if convolved is not None:
            group.node, group.blocked = convolved, True
        self.groups.append(group)
        self.by_output[group.output] = group
        if group.blocked:
            self.blocked.add(group.output)

    def _convolved(self, node: Node) -> Node | None:
        """A factor and a shift per channel as the 1×1 depthwise convolution that does both."""
        data = next((t for t in node.inputs if t not in self.graph.constants), "")
        shape, scales = self.graph.shape(data), [t for t in node.inputs if t != data]
        if shape is None or data not in self.blocked or node.outputs[0] not in self.graph.types:
            return None
        if shape[1] % 4 or any(tensor not in self.graph.constants for tensor in scales):
            return None
        if node.op == "Mul" and self.graph.shape(scales[0]) not in (
            (shape[1], 1, 1),
            (1, shape[1], 1, 1),
        ):
            return None
        weight = f"weight@{node.outputs[0]}"
        self.graph.types[weight] = ((shape[1], 1, 1, 1), self.graph.types[data][1])
        self.graph.constants.add(weight)
        attributes = {"group": shape[1], "kernel_shape": (1, 1)}
        return Node("Conv", [data, weight, *scales[1:2]], node.outputs, attributes)

    def _all_blocked(self, inputs: list[str]) -> bool:
        return all(
            tensor in self.blocked for tensor in inputs if tensor not in self.graph.constants
        )

    def _extend(self, group: _Group, output: str) -> None:
        del self.by_output[group.output]
        group.output = output
        self.by_output[output] = group
        if group.blocked:
            self.blocked.add(output)

    def _single(self, tensor: str) -> _Group | None:
        """The group that computes a tensor that nothing else reads."""
        return self.by_output.get(tensor) if self.graph.uses[tensor] == 1 else None

    def _folds(self, node: Node) -> bool:
        inputs = node.inputs
        if not inputs:
            return False
        group = self._single(inputs[0])
        if group is None or group.fused or group.extra_inputs:
            return False
        if node.op not in self.rules.folded.get(group.node.op, frozenset()):
            return False
        if group.node.op == "Conv" and len(group.node.inputs) == 2:
            group.node.inputs.append(inputs[2])
        self._extend(group, node.outputs[0])
        return True

    def _activates(self, node: Node) -> bool:
        inputs = node.inputs
        if not inputs:
            return False
        group = self._single(inputs[0])
        if group is None or any(item != "Add" for item in group.fused):
            return False
        allowed = self.rules.activations.get(group.node.op, frozenset())
        if node.op not in allowed or (node.op in self.rules.blocked_only and not group.blocked):
            return False
        if any(tensor not in self.graph.constants for tensor in inputs[1:] if tensor):
            return False
        group.fused.append(node.op)
        self._extend(group, node.outputs[0])
        return True

    def _adds(self, node: Node) -> bool:
        inputs = node.inputs
        if node.op not in ("Add", "Sum") or len(inputs) != 2:
            return False
        shapes = [self.graph.shape(tensor) for tensor in inputs]
        if shapes[0] != shapes[1] or not self._all_blocked(inputs):
            return False
        for own, other in ((inputs[0], inputs[1]), (inputs[1], inputs[0])):
            if other in self.graph.constants:
                continue
            group = self._single(own)
            if group and group.node.op in self.rules.residual and group.accepts_residual():
                group.fused.append("Add")
                group.extra_inputs.append(other)
                self._extend(group, node.outputs[0])
                # The kernel now runs after both of its inputs.
                self.groups.remove(group)
                self.groups.append(group)
                return True
        return False
