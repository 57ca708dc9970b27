"""An ONNX graph as a torch module: what the engine of the runtime ``torch`` executes.

The graph becomes a ``torch.fx`` graph of plain torch calls, so that an inference runs
generated code as an ``nn.Module`` would, and not an interpreter. All shapes are static:
they are known by running each call on the meta device while building, and whatever
depends on constants alone is computed once. A batch normalisation behind a convolution
folds into its weights; nothing else is fused.

Stands alone (torch and onnx), as the engine does.
"""

import operator
from collections import Counter

import onnx
import torch
from onnx import helper, numpy_helper
from torch import fx

OPSETS = range(13, 24)
TYPES = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
}


class Value:
    """A tensor of the graph: a constant, or what a node computes.

    Args:
        tensor: The constant, or a meta tensor of the shape and type that will come.
        node: The fx node, ``None`` for a constant.
    """

    def __init__(self, tensor, node=None):
        self.tensor = tensor
        self.node = node
        self.convolution = None

    @property
    def shape(self):
        """Its static shape."""
        return tuple(self.tensor.shape)

    @property
    def rank(self):
        """How many axes it has."""
        return self.tensor.dim()


class Step:
    """One ONNX node while it is translated: what an operator's function sees.

    Args:
        builder: The builder.
        node: The node.
    """

    def __init__(self, builder, node):
        self.builder = builder
        self.node = node
        self.opset = builder.opset
        self.outputs = len(node.output)
        self._attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}

    def attribute(self, name, default=None):
        """An attribute; texts as ``str``."""
        value = self._attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def value(self, index):
        """An input, ``None`` where it is left out."""
        if index >= len(self.node.input) or not self.node.input[index]:
            return None
        return self.builder.values[self.node.input[index]]

    def values(self):
        """All inputs that are given."""
        return [self.builder.values[name] for name in self.node.input if name]

    def constant(self, index):
        """An input that must be constant, as a tensor; ``None`` where it is left out."""
        value = self.value(index)
        if value is not None and value.node is not None:
            raise self.refused(f"input {index} ('{self.node.input[index]}') is not constant")
        return None if value is None else value.tensor

    def integers(self, index):
        """An input of constant whole numbers as a list; ``None`` where it is left out."""
        tensor = self.constant(index)
        return None if tensor is None else [int(item) for item in tensor.reshape(-1)]

    def number(self, index):
        """A constant scalar input; ``None`` where it is left out."""
        tensor = self.constant(index)
        return None if tensor is None else tensor.reshape(-1)[0].item()

    def type(self, number):
        """The torch type of an ONNX type; floats take the session's precision."""
        if number not in TYPES:
            raise self.refused(f"type {onnx.TensorProto.DataType.Name(number)} is not known")
        return self.builder.precise(TYPES[number])

    def call(self, function, *args, **keywords):
        """The value, or the list of values, of a torch function called on values."""
        return self.builder.call(function, args, keywords)

    def once(self, value):
        """Whether nobody but this node uses a value."""
        return self.builder.uses[self.node.input[0]] == 1 and value.node is not None

    def refused(self, why):
        """The error that names this node."""
        return ValueError(
            f"operator {self.node.op_type} of node '{self.node.name or self.node.output[0]}': {why}"
        )


class Builder:
    """Translates one model.

    Args:
        model: The model.
        operators: Function of each operator type: values of a :class:`Step`.
        shapes: Shapes of inputs that the model leaves open.
        half: Whether floats are float16.
    """

    def __init__(self, model, operators, shapes=None, half=False):
        self.opset = next((i.version for i in model.opset_import if i.domain in ("", "ai.onnx")), 0)
        if self.opset not in OPSETS:
            raise ValueError(
                f"the model has opset {self.opset}; allowed: {OPSETS.start} to {OPSETS.stop - 1}"
            )
        self.half = half
        self.fx = fx.Graph()
        self.root = torch.nn.Module()
        self.values = {}
        self.inputs = []
        self.outputs = [item.name for item in model.graph.output]
        self.uses = Counter(self.outputs)
        for node in model.graph.node:
            self.uses.update(node.input)
        self._names = {}
        for item in model.graph.initializer:
            self.values[item.name] = Value(self.load(numpy_helper.to_array(item)))
        for item in model.graph.input:
            if item.name not in self.values:
                self._input(item, shapes or {})
        lacking = sorted({n.op_type for n in model.graph.node if not self._known(n, operators)})
        if lacking:
            raise ValueError(
                f"the runtime torch has no operator {', '.join(lacking)}; "
                "allowed: those of hwnas/runtimes/torch_*.py. Add it there, "
                "or use a device with the runtime onnxruntime"
            )
        for node in model.graph.node:
            self._translate(node, operators[node.op_type])

    @staticmethod
    def _known(node, operators):
        return node.domain in ("", "ai.onnx") and node.op_type in operators

    def precise(self, dtype):
        """A type, with the session's precision in place of float32."""
        return torch.float16 if self.half and dtype == torch.float32 else dtype

    def load(self, array):
        """A constant's tensor."""
        tensor = torch.from_numpy(array.copy())
        return tensor.to(self.precise(tensor.dtype))

    def held(self, tensor):
        """A tensor as a constant of the graph."""
        return Value(tensor)

    def constant(self, given):
        """A constant node's attribute, a tensor or numbers, as a constant of the graph."""
        if isinstance(given, onnx.TensorProto):
            return Value(self.load(numpy_helper.to_array(given)))
        tensor = torch.tensor(given)
        return Value(tensor.to(self.precise(tensor.dtype)))

    def _input(self, item, shapes):
        tensor = item.type.tensor_type
        shape = shapes.get(item.name) or [
            size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim
        ]
        if None in shape:
            raise TypeError(
                f"input '{item.name}' leaves sizes open: {shape}; give its shape, "
                f"for example --input-shape {item.name}:1,3,224,224"
            )
        if tensor.elem_type not in TYPES:
            raise ValueError(f"input '{item.name}' is of a type that is not filled")
        meta = torch.empty(list(shape), dtype=self.precise(TYPES[tensor.elem_type]), device="meta")
        node = self.fx.placeholder(f"input{len(self.inputs)}")
        self.values[item.name] = Value(meta, node)
        self.inputs.append((item.name, TYPES[tensor.elem_type], meta))

    def _translate(self, node, function):
        step = Step(self, node)
        try:
            found = function(step)
        # All that torch raises for a node that does not fit; the model is refused by that node.
        except (RuntimeError, TypeError, IndexError, NotImplementedError) as error:
            raise step.refused(str(error).strip().splitlines()[0]) from error
        results = found if isinstance(found, list) else [found]
        for name, value in zip(node.output, results, strict=False):
            if name:
                self.values[name] = value

    def call(self, function, args, keywords):
        """Emit a call, or compute it where all values are constant."""
        flat = [
            item
            for arg in (*args, *keywords.values())
            for item in (arg if isinstance(arg, (list, tuple)) else [arg])
            if isinstance(item, Value)
        ]
        constant = all(value.node is None for value in flat)

        def spread(take):
            return tuple(_map(arg, take) for arg in args), {
                key: _map(arg, take) for key, arg in keywords.items()
            }

        own, named = spread(lambda v: v.tensor if constant else v.tensor.to("meta"))
        with torch.no_grad():
            result = function(*own, **named)
        node = None if constant else self.fx.call_function(function, *spread(self._node))
        if isinstance(result, torch.Tensor):
            return Value(result, node)
        return [
            Value(
                item,
                None if constant else self.fx.call_function(operator.getitem, (node, position)),
            )
            for position, item in enumerate(result)
        ]

    def _node(self, value):
        if value.node is not None:
            return value.node
        if id(value) not in self._names:
            name = f"constant{len(self._names)}"
            self.root.register_buffer(name, value.tensor, persistent=False)
            # The value is kept, so that its id stays its own.
            self._names[id(value)] = (name, value)
        return self.fx.get_attr(self._names[id(value)][0])

    def module(self):
        """The finished module: tensors of the inputs in, a tuple of outputs out."""
        self.fx.output(tuple(self._node(self.values[name]) for name in self.outputs))
        self.fx.eliminate_dead_code()
        used = {node.target for node in self.fx.nodes if node.op == "get_attr"}
        for name, _ in self._names.values():
            if name not in used:
                delattr(self.root, name)
        return fx.GraphModule(self.root, self.fx).eval()


def _map(value, take):
    if isinstance(value, Value):
        return take(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_map(item, take) for item in value)
    return value
