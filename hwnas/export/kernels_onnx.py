"""One kernel as a model: its operator with its attributes, shapes and random constants.

What a runtime fuses into one operator is written as the operators that it fuses,
so that the model is ONNX where it can be, and becomes that kernel again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hwnas.errors import HwnasError
from hwnas.export.onnx_graph import IR_VERSION, OPSET
from hwnas.export.weights import RandomWeights, serialised
from hwnas.kernels import FUSION, lower
from hwnas.kernels.contrib import CONTRIB_DOMAIN
from hwnas.kernels.kernel import Kernel, Shape

MIN_EDGE_CHANNELS = 5
"""Images of fewer channels are a network's input, which nothing stands before."""

_TYPES: Mapping[str, int] = {
    "float32": TensorProto.FLOAT,
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
}


def is_edge(shape: Shape) -> bool:
    """Whether an image of this shape, with batch, is wrapped."""
    return len(shape) == 4 and shape[1] >= MIN_EDGE_CHANNELS and shape[2] * shape[3] > 1


def kernel_model(kernel: Kernel) -> tuple[bytes, tuple[Shape, ...]] | None:
    """A kernel's model, and the images at its wrapped edges.

    Images stand between 1×1 depthwise convolutions, but for kernels that would
    be fused to these.

    Returns:
        ``None`` where a model that contains the kernel cannot be written.
    """
    if (
        kernel.op not in _REBUILT
        or kernel.dtype not in _TYPES
        or (len(kernel.outputs) != 1 and kernel.op != "Split")
    ):
        return None
    if kernel.op in _SURE and len(kernel.inputs) == 1:
        return KernelWriter(kernel, wrapped=True).written()
    for wrapped in (True, False):
        try:
            model, edges = KernelWriter(kernel, wrapped=wrapped).written()
            found = lower(onnx.load_model_from_string(model), FUSION["onnxruntime"]).kernels
        # Constants in places of their own, or shapes that only a cast would give.
        except (HwnasError, ValueError, IndexError, ZeroDivisionError):
            continue
        if kernel in found and found.total() == 1 + len(edges):
            return model, edges
    return None


class KernelWriter:
    """Writes one kernel.

    Args:
        kernel: The kernel.
        wrapped: Put images between 1×1 depthwise convolutions.
    """

    def __init__(self, kernel: Kernel, *, wrapped: bool) -> None:
        self.kernel = kernel
        self._wrapped = wrapped and kernel.dtype == "float32"
        self._random = RandomWeights()
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, NDArray[Any]] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._edges: list[Shape] = []
        self._others: list[str] = []

    def written(self) -> tuple[bytes, tuple[Shape, ...]]:
        """The serialised model, and the images at its wrapped edges."""
        kernel = self.kernel
        tensors = [self._input(index, shape) for index, shape in enumerate(kernel.inputs)]
        extra = tensors.pop() if "Add" in kernel.fused else None
        tensor = _REBUILT[kernel.op](self, tensors)
        for name in kernel.fused:
            tensor = self.op(name, tensor, *self._companions(name, extra), **_ACTIVE.get(name, {}))
        kind = _OUTPUT_TYPES.get(kernel.op, _TYPES[kernel.dtype])
        values = [
            self._end(name, f"output{index or ''}", shape, kind)
            for index, (name, shape) in enumerate(
                zip((tensor, *self._others), kernel.outputs, strict=True)
            )
        ]
        graph = helper.make_graph(self._nodes, "kernel", self._inputs, values)
        domains = sorted({node.domain for node in self._nodes} - {""})
        model = helper.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[
                helper.make_opsetid("", OPSET),
                *(helper.make_opsetid(domain, 1) for domain in domains),
            ],
            producer_name="hwnas",
        )
        return serialised(model, self._weights), tuple(self._edges)

    def _end(self, tensor: str, name: str, shape: Shape, kind: int) -> onnx.ValueInfoProto:
        """Make a tensor an output of the model, behind a convolution where it is an image."""
        if self._wrapped and is_edge(shape) and kind == TensorProto.FLOAT:
            tensor = self._depthwise(tensor, shape)
        for node in self._nodes:
            for index, output in enumerate(node.output):
                if output == tensor:
                    node.output[index] = name
        return helper.make_tensor_value_info(name, kind, list(shape))

    def _companions(self, name: str, extra: str | None) -> list[str]:
        if name == "Add" and extra is not None:
            return [extra]
        if name == "Clip":
            return [self.constant(np.array(v, np.float32)) for v in (0.0, 6.0)]
        return []

    def _input(self, index: int, shape: Shape) -> str:
        name = f"input{index}"
        kind = _TYPES[self.kernel.dtype]
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return self._depthwise(name, shape) if self._wrapped and is_edge(shape) else name

    def _depthwise(self, tensor: str, shape: Shape) -> str:
        self._edges.append(shape)
        weight = self.random((shape[1], 1, 1, 1))
        return self.op("Conv", tensor, weight, group=shape[1], kernel_shape=[1, 1])

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node; its output's name."""
        name = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], domain=domain, **attributes))
        return name

    def split(self, tensor: str) -> str:
        """A split into the kernel's outputs; the first of them, the others are kept."""
        axis = int(self.kept().get("axis", 0))
        sizes = self.integers([shape[axis] for shape in self.kernel.outputs])
        first = self.op("Split", tensor, sizes, axis=axis)
        self._others = [f"{first}.{index}" for index in range(1, len(self.kernel.outputs))]
        self._nodes[-1].output.extend(self._others)
        return first

    def constant(self, value: NDArray[Any]) -> str:
        """A constant of a value."""
        name = f"constant{len(self._weights)}"
        self._weights[name] = value
        return name

    def scalar(self, value: float) -> str:
        """A constant of one number."""
        return self.constant(np.array(value, np.float32))

    def integers(self, values: Sequence[int]) -> str:
        """A constant vector of integers."""
        return self.constant(np.array(values, np.int64))

    def random(self, shape: Shape) -> str:
        """A random constant of a shape."""
        return self.constant(self._random.draw(shape))

    def levels(self, shape: Shape, dtype: type[np.generic]) -> str:
        """Random quantised weights of a shape."""
        return self.constant(np.asarray(np.clip(40 * self._random.draw(shape), -99, 99), dtype))

    def kept(self) -> dict[str, Any]:
        """The kernel's attributes."""
        return dict(self.kernel.attributes)


Build = Callable[[KernelWriter, list[str]], str]


def _plain(w: KernelWriter, tensors: list[str]) -> str:
    """The operator itself, with its attributes and random constants."""
    constants = [w.random(shape) for shape in w.kernel.weights]
    return w.op(w.kernel.op, *tensors, *constants, **w.kept())


def _reshape(w: KernelWriter, tensors: list[str]) -> str:
    return w.op("Reshape", *tensors, w.integers(w.kernel.outputs[0]))


def _activation(w: KernelWriter, tensors: list[str]) -> str:
    """An activation with the constants that it is used with."""
    if w.kernel.op == "Clip":
        tensors = tensors + [w.scalar(value) for value in (0.0, 6.0)]
    return w.op(w.kernel.op, *tensors)


def _product(w: KernelWriter, tensors: list[str]) -> str:
    """A product, behind the transposes that run inside its kernel."""
    shapes = [*w.kernel.inputs, *w.kernel.weights]
    names = [*tensors, *(w.random(shape) for shape in w.kernel.weights)]
    attributes = w.kept()
    if not attributes and len(tensors) == 1 and shapes[0][-1] != shapes[1][-2:][0]:
        names.reverse()
    for side, name in enumerate(("transA", "transB")):
        if attributes.get(name):
            order = list(range(len(shapes[side])))
            order[-2:] = order[:-3:-1]
            names[side] = w.op("Transpose", names[side], perm=order)
    return w.op("MatMul", *names)


def _normalisation(w: KernelWriter, tensors: list[str]) -> str:
    constants = [w.constant(np.ones(shape, np.float32)) for shape in w.kernel.weights]
    return w.op(w.kernel.op, *tensors, *constants, **w.kept())


def _skip_normalisation(w: KernelWriter, tensors: list[str]) -> str:
    constants = [w.random(shape) for shape in w.kernel.weights]
    return w.op("LayerNormalization", w.op("Add", *tensors), *constants, axis=-1)


def _root_mean_square(w: KernelWriter, tensors: list[str]) -> str:
    square = w.op("Pow", tensors[0], w.scalar(2.0))
    mean = w.op("ReduceMean", square, w.integers([-1]))
    deviation = w.op("Sqrt", w.op("Add", mean, w.scalar(1e-6)))
    return w.op("Mul", w.op("Div", tensors[0], deviation), w.random(w.kernel.weights[0]))


def _bias_gelu(w: KernelWriter, tensors: list[str]) -> str:
    return w.op("Gelu", w.op("Add", tensors[0], w.random(w.kernel.weights[0])))


def _fast_gelu(w: KernelWriter, tensors: list[str]) -> str:
    # Not as the operators that it stands for: the runtime looks for these behind a node only.
    bias = [w.random(shape) for shape in w.kernel.weights]
    return w.op("FastGelu", *tensors, *bias, domain=CONTRIB_DOMAIN)


def _silu(w: KernelWriter, tensors: list[str]) -> str:
    return w.op("Mul", tensors[0], w.op("Sigmoid", tensors[0]))


def _reduction(w: KernelWriter, tensors: list[str]) -> str:
    attributes = w.kept()
    axes = attributes.pop("axes", None)
    return w.op(w.kernel.op, *tensors, *([] if axes is None else [w.integers(axes)]), **attributes)


def _resize(w: KernelWriter, tensors: list[str]) -> str:
    sides = zip(w.kernel.outputs[0], w.kernel.inputs[0], strict=True)
    scales = w.constant(np.array([out / own for out, own in sides], np.float32))
    return w.op("Resize", tensors[0], "", scales, **w.kept())


def _slice(w: KernelWriter, tensors: list[str]) -> str:
    kept = w.kept()
    starts = kept["starts"]
    axes, steps = kept.get("axes", range(len(starts))), kept.get("steps", (1,) * len(starts))
    ends = (w.integers(values) for values in (starts, kept["ends"], tuple(axes), steps))
    return w.op("Slice", *tensors, *ends)


def _pad(w: KernelWriter, tensors: list[str]) -> str:
    kept = w.kept()
    return w.op("Pad", *tensors, w.integers(kept["pads"]), mode=kept.get("mode", "constant"))


def _tile(w: KernelWriter, tensors: list[str]) -> str:
    sides = zip(w.kernel.outputs[0], w.kernel.inputs[0], strict=True)
    return w.op("Tile", *tensors, w.integers([out // own for out, own in sides]))


def _expand(w: KernelWriter, tensors: list[str]) -> str:
    return w.op("Expand", *tensors, w.integers(w.kernel.outputs[0]))


def _gather(w: KernelWriter, tensors: list[str]) -> str:
    indices = w.constant(np.zeros(w.kernel.weights[0], np.int64))
    return w.op("Gather", *tensors, indices, **w.kept())


def _split(w: KernelWriter, tensors: list[str]) -> str:
    return w.split(*tensors)


def _cumulative(w: KernelWriter, tensors: list[str]) -> str:
    kept = w.kept()
    return w.op("CumSum", *tensors, w.integers([kept.pop("axis")]), **kept)


def _ends(w: KernelWriter, dtype: type[np.generic]) -> list[str]:
    """A scale and a zero point."""
    return [w.scalar(0.05), w.constant(np.array(0, dtype))]


def _own(w: KernelWriter) -> type[np.generic]:
    return np.uint8 if w.kernel.dtype == "uint8" else np.int8


def _levels(w: KernelWriter) -> list[str]:
    """The weights of a quantised kernel: levels with scale and zero point, and a bias."""
    weight, *bias = w.kernel.weights
    found = [w.levels(weight, np.int8), *_ends(w, np.int8)]
    return found + [w.levels(shape, np.int32) for shape in bias]


def _quantised_conv(w: KernelWriter, tensors: list[str]) -> str:
    ends = _ends(w, _own(w))
    weights = _levels(w)
    return w.op("QLinearConv", *tensors, *ends, *weights[:3], *ends, *weights[3:], **w.kept())


def _quantised_product(w: KernelWriter, tensors: list[str]) -> str:
    ends = _ends(w, _own(w))
    others = [*tensors[1:], *ends] if len(tensors) > 1 else _levels(w)
    if w.kernel.op == "QLinearMatMul":
        return w.op("QLinearMatMul", tensors[0], *ends, *others, *ends)
    bias = [] if len(others) > 3 else [""]
    return w.op(
        "QGemm", tensors[0], *ends, *others, *bias, *ends, domain=CONTRIB_DOMAIN, **w.kept()
    )


def _quantised_elements(w: KernelWriter, tensors: list[str]) -> str:
    """An element-wise operator or a pool on levels."""
    ends = _ends(w, _own(w))
    others = [w.levels(shape, _own(w)) for shape in w.kernel.weights]
    inputs = [item for tensor in (*tensors, *others) for item in (tensor, *ends)]
    attributes = w.kept()
    if w.kernel.op == "QLinearSoftmax":
        attributes["opset"] = OPSET
    if w.kernel.op == "QLinearGlobalAveragePool":
        attributes["channels_last"] = 0
    return w.op(w.kernel.op, *inputs, *ends, domain=CONTRIB_DOMAIN, **attributes)


def _quantised_concat(w: KernelWriter, tensors: list[str]) -> str:
    ends = _ends(w, _own(w))
    inputs = [item for tensor in tensors for item in (tensor, *ends)]
    return w.op("QLinearConcat", *ends, *inputs, domain=CONTRIB_DOMAIN, **w.kept())


def _integer(w: KernelWriter, tensors: list[str]) -> str:
    weight = w.levels(w.kernel.weights[0], np.int8)
    return w.op(w.kernel.op, *tensors, weight, **w.kept())


def _dynamic_product(w: KernelWriter, tensors: list[str]) -> str:
    weight, *bias = w.kernel.weights
    ends = [w.levels(weight, np.int8), *_ends(w, np.int8)]
    others = [w.random(shape) for shape in bias]
    return w.op("DynamicQuantizeMatMul", *tensors, *ends, *others, domain=CONTRIB_DOMAIN)


def _quantise(w: KernelWriter, tensors: list[str]) -> str:
    dtype = np.uint8 if w.kernel.op == "QuantizeLinear" else _own(w)
    return w.op(w.kernel.op, *tensors, *_ends(w, dtype))


_ACTIVE: Mapping[str, Mapping[str, Any]] = {"HardSigmoid": {"alpha": 1 / 6, "beta": 0.5}}
_COMPARED = ("Greater", "Less", "Equal", "GreaterOrEqual", "LessOrEqual")
_OUTPUT_TYPES: Mapping[str, int] = {
    **dict.fromkeys(("ArgMax", "ArgMin"), TensorProto.INT64),
    **dict.fromkeys(_COMPARED, TensorProto.BOOL),
    **dict.fromkeys(("ConvInteger", "MatMulInteger"), TensorProto.INT32),
    "QuantizeLinear": TensorProto.UINT8,
    "DequantizeLinear": TensorProto.FLOAT,
}
_SURE = frozenset(
    {"AveragePool", "Conv", "GlobalAveragePool", "GlobalMaxPool", "HardSwish", "MaxPool", "LRN"}
    | {"Reshape"}
)
"""Operators that become themselves again whatever stands around them."""

_REBUILT: dict[str, Build] = {
    **dict.fromkeys(
        ("Conv", "ConvTranspose", "Gemm", "MaxPool", "AveragePool", "GlobalAveragePool")
        + ("GlobalMaxPool", "LpPool", "Add", "Mul", "Sub", "Div", "Max", "Min", "Pow", "Sum")
        + ("Concat", "Transpose", "Softmax", "LogSoftmax", "LRN", "PRelu", "Gelu", "Einsum")
        + ("DepthToSpace", "SpaceToDepth", "ArgMax", "ArgMin", "LayerNormalization", *_COMPARED)
        + ("Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "LeakyRelu", "Log", "Neg")
        + ("Reciprocal", "Round", "Selu", "Sign", "Sin", "Softplus", "Sqrt"),
        _plain,
    ),
    **dict.fromkeys(("Relu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Clip"), _activation),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization"), _normalisation),
    **dict.fromkeys(
        [f"Reduce{name}" for name in "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum".split()],
        _reduction,
    ),
    **dict.fromkeys(
        ("QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax")
        + ("QLinearAveragePool", "QLinearGlobalAveragePool"),
        _quantised_elements,
    ),
    **dict.fromkeys(("QLinearMatMul", "QGemm"), _quantised_product),
    **dict.fromkeys(("ConvInteger", "MatMulInteger"), _integer),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), _quantise),
    "MatMul": _product,
    "Reshape": _reshape,
    "SkipLayerNormalization": _skip_normalisation,
    "SimplifiedLayerNormalization": _root_mean_square,
    "BiasGelu": _bias_gelu,
    "FastGelu": _fast_gelu,
    "QuickGelu": _silu,
    "Resize": _resize,
    "Slice": _slice,
    "Split": _split,
    "Pad": _pad,
    "Tile": _tile,
    "Expand": _expand,
    "Gather": _gather,
    "CumSum": _cumulative,
    "QLinearConv": _quantised_conv,
    "QLinearConcat": _quantised_concat,
    "DynamicQuantizeMatMul": _dynamic_product,
}
