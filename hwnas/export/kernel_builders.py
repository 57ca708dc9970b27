"""How each operator is written again from its kernel.

What a runtime fuses into one operator is written as the operators that it fuses.
"""

import numpy as np

from hwnas.export.kernel_writer import Build, KernelWriter
from hwnas.export.onnx_graph import OPSET
from hwnas.export.sequence_builders import SEQUENCE_BUILDERS
from hwnas.kernels.contrib import CONTRIB_DOMAIN
from hwnas.kernels.traffic import COMPARED


def _plain(w: KernelWriter, tensors: list[str]) -> str:
    """The operator itself, with its attributes and random constants."""
    constants = [w.own(shape) for shape in w.kernel.weights]
    return w.op(w.kernel.op, *tensors, *constants, **w.kept())


def _reshape(w: KernelWriter, tensors: list[str]) -> str:
    return w.op("Reshape", *tensors, w.integers(w.kernel.outputs[0]))


def _activation(w: KernelWriter, tensors: list[str]) -> str:
    """An activation with the constants that it is used with."""
    if w.kernel.op == "Clip":
        tensors = tensors + [w.scalar(value) for value in (0.0, 6.0)]
    return w.op(w.kernel.op, *tensors)


def _power(w: KernelWriter, tensors: list[str]) -> str:
    """Squares: other powers of what is below zero are no numbers."""
    constants = [w.constant(np.full(shape, 2.0, np.float32)) for shape in w.kernel.weights]
    return w.op("Pow", *tensors, *constants)


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
    ends = [kept["starts"], kept["ends"]]
    # Only stated ones are part of the key.
    if "axes" in kept or "steps" in kept:
        ends.append(kept.get("axes", tuple(range(len(kept["starts"])))))
    ends += [kept["steps"]] if "steps" in kept else []
    return w.op("Slice", *tensors, *(w.integers(values) for values in ends))


def _pad(w: KernelWriter, tensors: list[str]) -> str:
    kept = w.kept()
    return w.op("Pad", *tensors, w.integers(kept["pads"]), mode=kept.get("mode", "constant"))


def _tile(w: KernelWriter, tensors: list[str]) -> str:
    sides = zip(w.kernel.outputs[0], w.kernel.inputs[0], strict=True)
    return w.op("Tile", *tensors, w.integers([out // own for out, own in sides]))


def _expand(w: KernelWriter, tensors: list[str]) -> str:
    return w.op("Expand", *tensors, w.integers(w.kernel.outputs[0]))


def _split(w: KernelWriter, tensors: list[str]) -> str:
    axis = int(w.kept().get("axis", 0))
    sizes = w.integers([shape[axis] for shape in w.kernel.outputs])
    return w.several("Split", [*tensors, sizes], [True] * len(w.kernel.outputs), axis=axis)


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


def _product_to_float(w: KernelWriter, tensors: list[str]) -> str:
    weight, *bias = w.kernel.weights
    scales = [w.scalar(0.05), w.scalar(0.01)]
    points = [w.constant(np.array(0, dtype)) for dtype in (_own(w), np.int8)]
    read = [*tensors, w.levels(weight, np.int8), *scales, *points]
    others = [w.random(shape) for shape in bias]
    return w.op("MatMulIntegerToFloat", *read, *others, domain=CONTRIB_DOMAIN)


def _quantise(w: KernelWriter, tensors: list[str]) -> str:
    dtype = np.uint8 if w.kernel.op == "QuantizeLinear" else _own(w)
    return w.op(w.kernel.op, *tensors, *_ends(w, dtype))


REBUILT: dict[str, Build] = {
    **dict.fromkeys(
        ("Conv", "ConvTranspose", "Gemm", "MaxPool", "AveragePool", "GlobalAveragePool")
        + ("GlobalMaxPool", "LpPool", "Add", "Mul", "Sub", "Div", "Max", "Min", "Sum")
        + ("Concat", "Transpose", "Softmax", "LogSoftmax", "LRN", "PRelu", "Gelu", "Einsum")
        + ("DepthToSpace", "SpaceToDepth", "ArgMax", "ArgMin", "LayerNormalization", *COMPARED)
        + ("Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "LeakyRelu", "Log", "Neg")
        + ("Cast", "Reciprocal", "Round", "Selu", "Sign", "Sin", "Softplus", "Sqrt"),
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
    "Pow": _power,
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
    "CumSum": _cumulative,
    "QLinearConv": _quantised_conv,
    "QLinearConcat": _quantised_concat,
    "DynamicQuantizeMatMul": _dynamic_product,
    "MatMulIntegerToFloat": _product_to_float,
    **SEQUENCE_BUILDERS,
}
"""What writes an operator, by its type."""
