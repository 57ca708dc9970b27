"""Small models of the operators that networks are made of, which fusion rules are checked on."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx_sketch import Sketch


def _linear(net: Sketch, x: str, inputs: int, outputs: int) -> str:
    return net.op("Add", net.op("MatMul", x, net.random(inputs, outputs)), net.random(outputs))


def _gelu_erf(net: Sketch, x: str) -> str:
    ratio = net.op("Div", x, net.constant(2**0.5))
    gate = net.op("Add", net.op("Erf", ratio), net.constant(1.0))
    return net.op("Mul", net.op("Mul", x, gate), net.constant(0.5))


def _gelu_erf_torch(net: Sketch, x: str) -> str:
    """As torch's newer exporter writes it."""
    half = net.op("Mul", x, net.constant(0.5))
    gate = net.op("Erf", net.op("Div", x, net.constant(2**0.5)))
    return net.op("Mul", half, net.op("Add", gate, net.constant(1.0)))


def _gelu_tanh(net: Sketch, x: str) -> str:
    cube = net.op("Mul", net.op("Pow", x, net.constant(3.0)), net.constant(0.044715))
    inner = net.op("Mul", net.op("Add", x, cube), net.constant((2 / np.pi) ** 0.5))
    gate = net.op("Add", net.op("Tanh", inner), net.constant(1.0))
    return net.op("Mul", net.op("Mul", x, net.constant(0.5)), gate)


def _mean(net: Sketch, x: str) -> str:
    if net.opset >= 18:
        return net.op("ReduceMean", x, net.ints(-1))
    return net.op("ReduceMean", x, axes=[-1])


def _layer_norm(net: Sketch, x: str, width: int) -> str:
    """As it is written in operators older than ``LayerNormalization``."""
    centred = net.op("Sub", x, _mean(net, x))
    variance = _mean(net, net.op("Pow", centred, net.constant(2.0)))
    deviation = net.op("Sqrt", net.op("Add", variance, net.constant(1e-5)))
    scaled = net.op("Mul", net.op("Div", centred, deviation), net.random(width))
    return net.op("Add", scaled, net.random(width))


def _heads(net: Sketch, x: str, heads: int, width: int, perm: list[int]) -> str:
    split = net.op("Reshape", x, net.ints(0, -1, heads, width // heads))
    return net.op("Transpose", split, perm=perm)


def _attention(net: Sketch, x: str, width: int, heads: int, mask: bool = False) -> str:
    query, key, value = (
        _heads(net, _linear(net, x, width, width), heads, width, perm)
        for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
    )
    scores = net.op("Div", net.op("MatMul", query, key), net.constant((width / heads) ** 0.5))
    if mask:
        scores = net.op("Add", scores, net.random(1, 1, 10, 10))
    mixed = net.op("MatMul", net.op("Softmax", scores, axis=-1), value)
    joined = net.op("Transpose", mixed, perm=[0, 2, 1, 3])
    return _linear(net, net.op("Reshape", joined, net.ints(0, -1, width)), width, width)


def _encoder(opset: int, gelu: Callable[[Sketch, str], str], mask: bool = False) -> onnx.ModelProto:
    net, width = Sketch(opset), 32
    x = net.input(1, 10, width)
    for _ in range(2):
        found = net.op("Add", _attention(net, x, width, 4, mask), x)
        x = _layer_norm(net, found, width)
        hidden = gelu(net, _linear(net, x, width, 4 * width))
        x = _layer_norm(net, net.op("Add", _linear(net, hidden, 4 * width, width), x), width)
    return net.model(x)


def _norm_op(net: Sketch, x: str, width: int) -> str:
    scale, shift = net.random(width), net.random(width)
    return net.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-5)


def _vision_transformer() -> onnx.ModelProto:
    """Patches by convolution, normalisation first, as torchvision's are exported."""
    net, width = Sketch(20), 32
    image = net.input(1, 3, 32, 32)
    patch = net.random(width, 3, 8, 8)
    x = net.op("Conv", image, patch, net.random(width), kernel_shape=[8, 8], strides=[8, 8])
    x = net.op("Transpose", net.op("Reshape", x, net.ints(0, width, -1)), perm=[0, 2, 1])
    x = net.op(
        "Add", net.op("Concat", net.random(1, 1, width), x, axis=1), net.random(1, 17, width)
    )
    for _ in range(2):
        x = net.op("Add", x, _attention(net, _norm_op(net, x, width), width, 4))
        hidden = _linear(net, _norm_op(net, x, width), width, 4 * width)
        x = net.op("Add", x, _linear(net, net.op("Gelu", hidden), 4 * width, width))
    token = net.op("Gather", _norm_op(net, x, width), net.constant(0, np.int64), axis=1)
    return net.model(net.op("Gemm", token, net.random(10, width), net.random(10), transB=1))


def _language_model() -> onnx.ModelProto:
    """Embedding, RMS normalisation, gated SiLU."""
    net, width = Sketch(17), 32
    tokens = net.input(1, 10, dtype=np.int64)
    x = net.op("Gather", net.random(50, width), tokens)
    square = net.op("ReduceMean", net.op("Pow", x, net.constant(2.0)), axes=[-1])
    deviation = net.op("Sqrt", net.op("Add", square, net.constant(1e-6)))
    normal = net.op("Mul", net.op("Div", x, deviation), net.random(width))
    x = net.op("Add", x, _attention(net, normal, width, 2, mask=True))
    gate = net.op("MatMul", x, net.random(width, 64))
    active = net.op("Mul", gate, net.op("Sigmoid", gate))
    up = net.op("MatMul", x, net.random(width, 64))
    down = net.op("MatMul", net.op("Mul", active, up), net.random(64, width))
    return net.model(net.op("MatMul", net.op("Add", x, down), net.random(width, 50)))


def _torch_shapes() -> onnx.ModelProto:
    """Sizes that are computed in the graph, as torch's older exporter writes views."""
    net = Sketch(17)
    x = net.input(2, 8, 6, 6)
    shape = net.op("Shape", x)
    batch = net.op("Gather", shape, net.constant(0, np.int64), axis=0)
    channels = net.op("Gather", shape, net.constant(1, np.int64), axis=0)
    half = net.op("Div", channels, net.constant(2, np.int64))
    parts = [net.op("Unsqueeze", size, net.ints(0)) for size in (batch, half)]
    view = net.op("Concat", parts[0], net.ints(2), parts[1], net.ints(6, 6), axis=0)
    mixed = net.op("Transpose", net.op("Reshape", x, view), perm=[0, 2, 1, 3, 4])
    back = net.op("Concat", parts[0], net.ints(-1, 6, 6), axis=0)
    x = net.op("Reshape", mixed, back)
    x = net.op("Conv", x, net.random(16, 8, 3, 3), pads=[1] * 4)
    ones = net.op(
        "ConstantOfShape", net.op("Shape", x), value=helper.make_tensor("v", 1, [1], [1.0])
    )
    return net.model(net.op("Add", x, net.op("Mul", ones, net.constant(2.0))))


def _decoder() -> onnx.ModelProto:
    """Up-sampling by transposed convolution and by resizing, with skips."""
    net = Sketch(20)
    x = net.input(1, 16, 8, 8)
    y = net.op("Relu", net.op("Conv", x, net.random(32, 16, 3, 3), pads=[1] * 4, strides=[2, 2]))
    weight, bias = net.random(32, 16, 2, 2), net.random(16)
    up = net.op("ConvTranspose", y, weight, bias, kernel_shape=[2, 2], strides=[2, 2])
    joined = net.op("Concat", net.op("Relu", up), x, axis=1)
    scales = net.constant([1, 1, 2, 2])
    near = net.op("Resize", joined, "", scales, mode="nearest")
    y = net.op("Relu", net.op("Conv", near, net.random(16, 32, 3, 3), pads=[1] * 4))
    smooth = net.op("Resize", y, "", scales, mode="linear")
    last = net.op("ConvTranspose", smooth, net.random(16, 2, 3, 3), group=2, pads=[1] * 4)
    return net.model(net.op("Sigmoid", last))


def _convolutions() -> onnx.ModelProto:
    """Dilated, grouped and depthwise convolutions with every activation."""
    net = Sketch(20)
    x = net.input(1, 32, 12, 12)
    shapes: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((32, 32, 3, 3), {"dilations": [2, 2], "pads": [2] * 4}),
        ((32, 16, 3, 3), {"group": 2, "pads": [1] * 4}),
        ((32, 8, 3, 3), {"group": 4, "pads": [1] * 4}),
        ((32, 1, 5, 5), {"group": 32, "pads": [2] * 4}),
        ((32, 32, 1, 1), {}),
    ]
    active: list[tuple[str, dict[str, Any]]] = [
        ("Relu", {}),
        ("LeakyRelu", {"alpha": 0.1}),
        ("HardSwish", {}),
        ("HardSigmoid", {"alpha": 0.2}),
        ("Tanh", {}),
        ("Elu", {}),
        ("Softplus", {}),
    ]
    for weight, more in shapes:
        for kind, attributes in active:
            x = net.op("Conv", x, net.random(*weight), net.random(weight[0]), **more)
            x = net.op(kind, x, **attributes)
        x = net.op("Conv", x, net.random(*weight), **more)
        x = net.op("Mul", x, net.op("Sigmoid", x))
        x = net.op("PRelu", net.op("Conv", x, net.random(*weight), **more), net.random(32, 1, 1))
        norm = [net.random(32), net.random(32), net.random(32), net.constant(np.ones(32))]
        x = net.op("BatchNormalization", net.op("Conv", x, net.random(*weight), **more), *norm)
        x = net.op("Clip", x, net.constant(0.0), net.constant(6.0))
    return net.model(x)


def _normalisations() -> onnx.ModelProto:
    """Normalisation where no convolution stands before it, and constants around one."""
    net = Sketch(20)
    x = net.input(1, 16, 8, 8)
    norm = [net.random(16), net.random(16), net.random(16), net.constant(np.ones(16))]
    y = net.op("Relu", net.op("BatchNormalization", x, *norm))
    y = net.op("Conv", y, net.random(16, 16, 1, 1))
    y = net.op("Add", net.op("Mul", y, net.random(16, 1, 1)), net.random(1, 16, 1, 1))
    y = net.op("InstanceNormalization", y, net.random(16), net.random(16))
    grouped = net.op("Reshape", y, net.ints(0, 4, -1))
    grouped = net.op("InstanceNormalization", grouped, net.random(4), net.random(4))
    y = net.op("Mul", net.op("Reshape", grouped, net.ints(1, 16, 8, 8)), net.random(16, 1, 1))
    z = net.op("LRN", net.op("Add", y, x), size=5)
    flat = net.op("Flatten", net.op("GlobalAveragePool", z))
    return net.model(net.op("Softmax", net.op("Gemm", flat, net.random(16, 10), net.random(10))))


def _pools() -> onnx.ModelProto:
    net = Sketch(20)
    x = net.input(1, 16, 16, 16)
    y = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    y = net.op("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2], count_include_pad=1)
    y = net.op("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    parts = [net.op(kind, y) for kind in ("GlobalAveragePool", "GlobalMaxPool")]
    z = net.op("Concat", *parts, net.op("ReduceMean", y, net.ints(2, 3)), axis=1)
    long = net.input(1, 4, 20)
    return net.model(z, net.op("AveragePool", long, kernel_shape=[4], strides=[4]))


def _movements() -> onnx.ModelProto:
    """What only moves elements."""
    net = Sketch(20)
    x = net.input(2, 8, 6)
    left = net.op("Split", x, net.ints(3, 5), axis=1, outputs=2)
    part = net.op("Slice", f"{left}.1", net.ints(1), net.ints(4), net.ints(1), net.ints(1))
    wide = net.op("Pad", part, net.ints(0, 1, 0, 0, 2, 0), net.constant(0.0), mode="constant")
    y = net.op("Concat", left, wide, axis=1)
    y = net.op("Transpose", y, perm=[0, 2, 1])
    y = net.op("Reshape", y, net.ints(2, 6, 3, 3))
    y = net.op(
        "Tile",
        net.op("Squeeze", net.op("Unsqueeze", y, net.ints(0)), net.ints(0)),
        net.ints(1, 1, 2, 1),
    )
    y = net.op(
        "DepthToSpace",
        net.op("Expand", net.op("Gather", y, net.ints(0, 1, 2, 3), axis=1), net.ints(2, 4, 6, 3)),
        blocksize=2,
    )
    return net.model(net.op("Cast", y, to=1), net.op("SpaceToDepth", y, blocksize=2))


def _elements() -> onnx.ModelProto:
    """Element-wise operators, with broadcasting, and reductions."""
    net = Sketch(20)
    x, row, other = net.input(4, 6, 8), net.input(8), net.input(4, 6, 8)
    y = net.op("Add", x, row)
    for kind in ("Sub", "Mul", "Div", "Max", "Min"):
        y = net.op(kind, y, other if kind != "Div" else net.random(6, 1))
    for kind in ("Abs", "Sqrt", "Exp", "Neg", "Sigmoid", "Tanh", "Erf", "Floor", "HardSwish"):
        y = net.op(kind, y)
    chosen = net.op("Where", net.op("Greater", y, net.constant(0.0)), y, other)
    chosen = net.op("Pow", net.op("LeakyRelu", chosen), net.constant(3.0))
    sums = [
        net.op(kind, chosen, net.ints(1), keepdims=keep)
        for kind, keep in (("ReduceSum", 1), ("ReduceMax", 0), ("ReduceMean", 0), ("ReduceL2", 1))
    ]
    best = net.op("ArgMax", chosen, axis=-1)
    return net.model(*sums, best, net.op("CumSum", chosen, net.constant(1, np.int64)))


def _products() -> onnx.ModelProto:
    """Products of matrices: batched, transposed, scaled, with and without constants."""
    net = Sketch(20)
    a, b = net.input(2, 4, 6, 8), net.input(2, 4, 6, 8)
    scores = net.op("MatMul", a, net.op("Transpose", b, perm=[0, 1, 3, 2]))
    scores = net.op("Mul", scores, net.constant(0.25))
    flat = net.op("Reshape", scores, net.ints(8, 36))
    y = net.op("Relu", net.op("Gemm", flat, net.random(36, 16), net.random(16)))
    y = net.op("Gemm", y, net.random(5, 8), transA=1, transB=1)
    y = net.op("Sigmoid", _linear(net, y, 5, 7))
    y = net.op("LeakyRelu", net.op("Gemm", y, net.random(7, 7)), alpha=0.2)
    total = net.op("Sum", net.op("Gemm", y, net.random(7, 7)), net.random(16, 7))
    return net.model(total, net.op("Einsum", a, b, equation="bhid,bhjd->bhij"))


def _quantised(net: Sketch, x: str, scale: float = 0.05, zero: int = 128) -> str:
    """A tensor quantised to 8 bits and back."""
    level, point = net.constant(scale), net.constant(zero, np.uint8)
    return net.op("DequantizeLinear", net.op("QuantizeLinear", x, level, point), level, point)


def _weight(net: Sketch, *shape: int) -> str:
    level, point = net.constant(0.01), net.constant(0, np.int8)
    return net.op("DequantizeLinear", net.random(*shape, dtype=np.int8), level, point)


def _bias(net: Sketch, size: int) -> str:
    level, point = net.constant(0.0005), net.constant(0, np.int32)
    return net.op("DequantizeLinear", net.random(size, dtype=np.int32), level, point)


def _qdq() -> onnx.ModelProto:
    """A quantised network, as ONNX Runtime's static quantiser writes it."""
    net = Sketch(20)
    x = _quantised(net, net.input(1, 3, 16, 16))
    conv: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1] * 4}
    y = net.op("Conv", x, _weight(net, 16, 3, 3, 3), _bias(net, 16), **conv)
    y = skip = _quantised(net, net.op("Relu", y), zero=0)
    y = _quantised(net, net.op("Conv", y, _weight(net, 16, 16, 3, 3), _bias(net, 16), **conv))
    y = _quantised(net, net.op("Add", y, skip))
    y = _quantised(net, net.op("Mul", y, _quantised(net, net.op("Sigmoid", y), 1 / 256, 0)))
    y = _quantised(net, net.op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]))
    y = _quantised(net, net.op("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2]))
    y = _quantised(net, net.op("Concat", y, y, axis=1))
    y = _quantised(net, net.op("LeakyRelu", y))
    y = _quantised(net, net.op("GlobalAveragePool", y))
    y = _quantised(net, net.op("Flatten", y))
    y = _quantised(net, net.op("Gemm", y, _weight(net, 10, 32), _bias(net, 10), transB=1))
    y = _quantised(net, net.op("MatMul", y, _weight(net, 10, 6)))
    return net.model(_quantised(net, net.op("Softmax", y)))


def _qdq_ends() -> onnx.ModelProto:
    """A quantised network without biases, whose last product is not quantised again."""
    net = Sketch(13)
    x = _quantised(net, net.input(1, 8, 16, 16))
    y = net.op("Conv", x, _weight(net, 8, 1, 3, 3), group=8, pads=[1] * 4)
    y = net.op("Clip", y, net.constant(0.0), net.constant(6.0))
    y = _quantised(net, y, 6 / 255, 0)
    y = _quantised(net, net.op("Conv", y, _weight(net, 16, 8, 1, 1)))
    y = _quantised(net, net.op("Reshape", y, net.ints(1, -1)))
    return net.model(net.op("MatMul", y, _weight(net, 4096, 10)))


def _pre_activation() -> onnx.ModelProto:
    """Padding of its own, normalisation before convolutions, channels weighed by a gate."""
    net = Sketch(17)
    padded = net.op("Pad", net.input(1, 3, 32, 32), net.ints(0, 0, 1, 1, 0, 0, 1, 1))
    x = net.op("Conv", padded, net.random(16, 3, 3, 3), strides=[2, 2])
    for _ in range(2):
        y = x
        for _ in range(2):
            norm = [net.random(16), net.random(16), net.random(16), net.constant(np.ones(16))]
            y = net.op("Relu", net.op("BatchNormalization", y, *norm))
            y = net.op("Conv", y, net.random(16, 16, 3, 3), pads=[1] * 4)
        x = net.op("Add", y, x)
    gate = net.op("Relu", net.op("Conv", net.op("GlobalAveragePool", x), net.random(4, 16, 1, 1)))
    gate = net.op("HardSigmoid", net.op("Conv", gate, net.random(16, 4, 1, 1)), alpha=1 / 6)
    y = net.op("Resize", net.op("Mul", x, gate), "", "", net.ints(1, 16, 32, 32), mode="nearest")
    flat = net.op("Flatten", net.op("MaxPool", y, kernel_shape=[8, 8], strides=[8, 8]))
    return net.model(net.op("LogSoftmax", net.op("MatMul", flat, net.random(256, 5)), axis=1))


def _integers() -> onnx.ModelProto:
    """Operators on integers, as a dynamic quantiser and older static ones write them."""
    net = Sketch(20)
    level, point = net.constant(0.05), net.constant(128, np.uint8)
    image = net.op("QuantizeLinear", net.input(1, 8, 8, 8), level, point)
    weight = [net.random(16, 8, 3, 3, dtype=np.int8), net.constant(0.01), net.constant(0, np.int8)]
    y = net.op(
        "QLinearConv", image, level, point, *weight, level, point, net.random(16, dtype=np.int32)
    )
    whole = net.op("ConvInteger", image, net.random(4, 8, 3, 3, dtype=np.int8), point)
    image_out = net.op("DequantizeLinear", y, level, point)
    x = net.input(5, 32)
    row = net.op("QuantizeLinear", x, level, point)
    square = [net.random(32, 16, dtype=np.int8), net.constant(0.01), net.constant(0, np.int8)]
    product = net.op("QLinearMatMul", row, level, point, *square, level, point)
    return net.model(
        image_out, net.op("Cast", whole, to=1), net.op("DequantizeLinear", product, level, point)
    )


def _dynamic() -> onnx.ModelProto:
    """Linear layers, as ONNX Runtime's dynamic quantiser writes them."""
    net = Sketch(20)
    x = net.input(5, 32)
    for inputs, outputs in ((32, 64), (64, 16)):
        data = net.op("DynamicQuantizeLinear", x, outputs=3)
        product = net.op(
            "MatMulInteger",
            data,
            net.random(inputs, outputs, dtype=np.int8),
            f"{data}.2",
            net.constant(0, np.int8),
        )
        scale = net.op("Mul", f"{data}.1", net.constant(0.01))
        x = net.op("Mul", net.op("Cast", product, to=1), scale)
        x = net.op("Relu", net.op("Add", x, net.random(outputs)))
    return net.model(x)


def _recurrent() -> onnx.ModelProto:
    net = Sketch(20)
    x = net.input(5, 1, 8)
    y = net.op("LSTM", x, net.random(1, 64, 8), net.random(1, 64, 16), hidden_size=16)
    y = net.op("Squeeze", y, net.ints(1))
    z = net.op("GRU", y, net.random(1, 24, 16), net.random(1, 24, 8), hidden_size=8)
    return net.model(z)


SMALL_MODELS: Mapping[str, Callable[[], onnx.ModelProto]] = {
    "encoder": lambda: _encoder(17, _gelu_erf),
    "encoder-new": lambda: _encoder(20, _gelu_erf_torch, mask=True),
    "encoder-tanh": lambda: _encoder(13, _gelu_tanh),
    "vision-transformer": _vision_transformer,
    "language-model": _language_model,
    "torch-shapes": _torch_shapes,
    "decoder": _decoder,
    "convolutions": _convolutions,
    "normalisations": _normalisations,
    "pools": _pools,
    "movements": _movements,
    "elements": _elements,
    "products": _products,
    "pre-activation": _pre_activation,
    "qdq": _qdq,
    "qdq-ends": _qdq_ends,
    "integers": _integers,
    "dynamic": _dynamic,
    "recurrent": _recurrent,
}
"""Makers of the models by name."""
