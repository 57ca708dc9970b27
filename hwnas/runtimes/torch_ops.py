"""ONNX operators as torch calls, by operator type (opset 13 to 23, static shapes).

Each function takes a :class:`torch_graph.Step` and gives the values of the node's
outputs. What an operator needs as numbers (a shape, axes, bounds) must be constant.
"""

import functools
import math

import torch
import torch.nn.functional as F

OPERATORS = {}


def operator(*names):
    """Register a function for operator types."""

    def register(function):
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return register


def _calls(function):
    return lambda s: s.call(function, *s.values())


def _folds(function):
    return lambda s: functools.reduce(lambda a, b: s.call(function, a, b), s.values())


_DIRECT = {
    "Relu": F.relu, "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "HardSwish": F.hardswish,
    "Softplus": F.softplus, "Softsign": F.softsign, "Mish": F.mish, "Abs": torch.abs,
    "Neg": torch.neg, "Exp": torch.exp, "Log": torch.log, "Sqrt": torch.sqrt, "Erf": torch.erf,
    "Floor": torch.floor, "Ceil": torch.ceil, "Round": torch.round, "Sign": torch.sign,
    "Reciprocal": torch.reciprocal, "Sin": torch.sin, "Cos": torch.cos, "Not": torch.logical_not,
    "IsNaN": torch.isnan, "Pow": torch.pow, "Equal": torch.eq, "Greater": torch.gt,
    "Less": torch.lt, "GreaterOrEqual": torch.ge, "LessOrEqual": torch.le,
    "And": torch.logical_and, "Or": torch.logical_or, "Xor": torch.logical_xor,
    "Where": torch.where, "MatMul": torch.matmul,
}  # fmt: skip
OPERATORS.update({name: _calls(function) for name, function in _DIRECT.items()})
_FOLDED = {
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Sum": torch.add,
    "Max": torch.maximum, "Min": torch.minimum,
}  # fmt: skip
OPERATORS.update({name: _folds(function) for name, function in _FOLDED.items()})


@operator("Identity", "Dropout")
def _identity(s):
    return s.value(0)


@operator("Div")
def _div(s):
    a, b = s.values()
    whole = not (a.tensor.is_floating_point() or b.tensor.is_floating_point())
    return s.call(torch.div, a, b, rounding_mode="trunc" if whole else None)


@operator("Mod")
def _mod(s):
    return s.call(torch.fmod if s.attribute("fmod", 0) else torch.remainder, *s.values())


@operator("Mean")
def _mean(s):
    return s.call(torch.div, _folds(torch.add)(s), len(s.values()))


@operator("PRelu")
def _prelu(s):
    x, slope = s.values()
    return s.call(torch.where, s.call(torch.gt, x, 0), x, s.call(torch.mul, x, slope))


@operator("LeakyRelu")
def _leaky_relu(s):
    return s.call(F.leaky_relu, s.value(0), s.attribute("alpha", 0.01))


@operator("Elu")
def _elu(s):
    return s.call(F.elu, s.value(0), s.attribute("alpha", 1.0))


@operator("Celu")
def _celu(s):
    return s.call(F.celu, s.value(0), s.attribute("alpha", 1.0))


@operator("Selu")
def _selu(s):
    return s.call(F.selu, s.value(0))


@operator("Gelu")
def _gelu(s):
    return s.call(F.gelu, s.value(0), approximate=s.attribute("approximate", "none"))


@operator("HardSigmoid")
def _hard_sigmoid(s):
    alpha, beta = s.attribute("alpha", 0.2), s.attribute("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return s.call(F.hardsigmoid, s.value(0))
    line = s.call(torch.add, s.call(torch.mul, s.value(0), alpha), beta)
    return s.call(torch.clamp, line, 0.0, 1.0)


@operator("Clip")
def _clip(s):
    low, high = s.number(1), s.number(2)
    if low is None and high is None:
        return s.value(0)
    if low == 0 and high == 6:
        return s.call(F.relu6, s.value(0))
    return s.call(torch.clamp, s.value(0), low, high)


@operator("Softmax")
def _softmax(s):
    return s.call(F.softmax, s.value(0), s.attribute("axis", -1))


@operator("LogSoftmax")
def _log_softmax(s):
    return s.call(F.log_softmax, s.value(0), s.attribute("axis", -1))


@operator("Gemm")
def _gemm(s):
    a, b, c = s.value(0), s.value(1), s.value(2)
    alpha, beta = s.attribute("alpha", 1.0), s.attribute("beta", 1.0)
    if s.attribute("transA", 0):
        a = s.call(torch.t, a)
    plain = alpha == 1 and (c is None or (beta == 1 and c.rank == 1))
    if plain:
        if not s.attribute("transB", 0):
            b = s.call(torch.t, b)
        return s.call(F.linear, a, b, c)
    if s.attribute("transB", 0):
        b = s.call(torch.t, b)
    product = s.call(torch.mul, s.call(torch.matmul, a, b), alpha)
    return product if c is None else s.call(torch.add, product, c, alpha=beta)


@operator("Einsum")
def _einsum(s):
    return s.call(torch.einsum, s.attribute("equation"), *s.values())


def _window(s, x, kernel):
    """Strides, dilations and pads (begin and end of each axis) of a window over an image."""
    rank = len(kernel)
    strides = list(s.attribute("strides", [1] * rank))
    dilations = list(s.attribute("dilations", [1] * rank))
    pads = list(s.attribute("pads", [0] * (2 * rank)))
    auto = s.attribute("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        begin, end = [], []
        for size, k, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
            total = max(0, (-(-size // stride) - 1) * stride + dilation * (k - 1) + 1 - size)
            small, large = total // 2, total - total // 2
            begin.append(small if auto == "SAME_UPPER" else large)
            end.append(large if auto == "SAME_UPPER" else small)
        pads = begin + end
    return strides, dilations, pads[:rank], pads[rank:]


def _padded(s, x, begin, end, value=0.0):
    amounts = [a for pair in zip(reversed(begin), reversed(end), strict=True) for a in pair]
    return s.call(F.pad, x, amounts, value=value)


_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@operator("Conv")
def _conv(s):
    x, weight, bias = s.value(0), s.value(1), s.value(2)
    strides, dilations, begin, end = _window(s, x, weight.shape[2:])
    if begin != end:
        x, begin = _padded(s, x, begin, end), [0] * len(begin)
    function = _CONVOLUTIONS[weight.rank - 2]
    rest = (strides, begin, dilations, s.attribute("group", 1))
    found = s.call(function, x, weight, bias, *rest)
    if weight.node is None and (bias is None or bias.node is None):
        found.convolution = (function, x, weight, bias, rest)
    return found


@operator("ConvTranspose")
def _conv_transpose(s):
    x, weight, bias = s.value(0), s.value(1), s.value(2)
    if s.attribute("auto_pad", "NOTSET") != "NOTSET" or s.attribute("output_shape"):
        raise s.refused("only explicit pads are known, not auto_pad or output_shape")
    strides, dilations, begin, end = _window(s, x, weight.shape[2:])
    extra = list(s.attribute("output_padding", [0] * len(begin)))
    function = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[x.rank - 2]
    pads = begin if begin == end else [0] * len(begin)
    found = s.call(
        function, x, weight, bias, strides, pads, extra, s.attribute("group", 1), dilations
    )
    return found if begin == end else _padded(s, found, [-a for a in begin], [-a for a in end])


def _pool_window(s):
    x = s.value(0)
    kernel = list(s.attribute("kernel_shape"))
    strides, dilations, begin, end = _window(s, x, kernel)
    inside = begin == end and all(2 * a <= k for a, k in zip(begin, kernel, strict=True))
    return x, kernel, strides, dilations, begin, end, inside


@operator("MaxPool")
def _max_pool(s):
    if s.outputs > 1:
        raise s.refused("indices as a second output are not known")
    x, kernel, strides, dilations, begin, end, inside = _pool_window(s)
    if not inside:
        x, begin = _padded(s, x, begin, end, -math.inf), [0] * len(kernel)
    function = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[len(kernel)]
    ceil = bool(s.attribute("ceil_mode", 0))
    return s.call(function, x, kernel, strides, begin, dilations, ceil)


@operator("AveragePool")
def _average_pool(s):
    x, kernel, strides, dilations, begin, end, inside = _pool_window(s)
    if any(item != 1 for item in dilations):
        raise s.refused("dilations are not known")
    function = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[len(kernel)]
    ceil, count = bool(s.attribute("ceil_mode", 0)), bool(s.attribute("count_include_pad", 0))
    if inside:
        return s.call(function, x, kernel, strides, begin, ceil, count)
    none = [0] * len(kernel)
    found = s.call(function, _padded(s, x, begin, end), kernel, strides, none, ceil)
    if count:
        return found
    ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.tensor.dtype)
    amounts = [a for pair in zip(reversed(begin), reversed(end), strict=True) for a in pair]
    share = function(F.pad(ones, amounts), kernel, strides, none, ceil)
    return s.call(torch.mul, found, s.builder.held(share.reciprocal()))


@operator("GlobalAveragePool")
def _global_average_pool(s):
    return s.call(torch.mean, s.value(0), list(range(2, s.value(0).rank)), keepdim=True)


@operator("GlobalMaxPool")
def _global_max_pool(s):
    return s.call(torch.amax, s.value(0), list(range(2, s.value(0).rank)), keepdim=True)


@operator("LRN")
def _lrn(s):
    if s.attribute("size") % 2 == 0:
        raise s.refused(f"size must be odd, received {s.attribute('size')}")
    numbers = (s.attribute("alpha", 1e-4), s.attribute("beta", 0.75), s.attribute("bias", 1.0))
    return s.call(F.local_response_norm, s.value(0), s.attribute("size"), *numbers)


@operator("BatchNormalization")
def _batch_normalization(s):
    x = s.value(0)
    scale, bias, mean, variance = (s.constant(i) for i in range(1, 5))
    epsilon = s.attribute("epsilon", 1e-5)
    if x.convolution is None or not s.once(x):
        held = [s.builder.held(t) for t in (mean, variance, scale, bias)]
        return s.call(F.batch_norm, x, *held, False, 0.0, epsilon)
    function, source, weight, offset, rest = x.convolution
    factor = scale.double() / torch.sqrt(variance.double() + epsilon)
    column = factor.reshape(-1, *[1] * (weight.rank - 1))
    start = 0.0 if offset is None else offset.tensor.double()
    shift = bias.double() + (start - mean.double()) * factor
    kind = weight.tensor.dtype
    folded = s.builder.held((weight.tensor.double() * column).to(kind))
    return s.call(function, source, folded, s.builder.held(shift.to(kind)), *rest)


@operator("LayerNormalization")
def _layer_normalization(s):
    if s.outputs > 1 and any(s.node.output[1:]):
        raise s.refused("mean and deviation as outputs are not known")
    x, scale, bias = s.value(0), s.value(1), s.value(2)
    shape = list(x.shape[s.attribute("axis", -1) :])
    if list(scale.shape) != shape or (bias is not None and list(bias.shape) != shape):
        found = s.call(F.layer_norm, x, shape, None, None, s.attribute("epsilon", 1e-5))
        found = s.call(torch.mul, found, scale)
        return found if bias is None else s.call(torch.add, found, bias)
    return s.call(F.layer_norm, x, shape, scale, bias, s.attribute("epsilon", 1e-5))


@operator("InstanceNormalization")
def _instance_normalization(s):
    x, scale, bias = s.values()
    return s.call(
        F.instance_norm, x, None, None, scale, bias, True, 0.0, s.attribute("epsilon", 1e-5)
    )


@operator("GroupNormalization")
def _group_normalization(s):
    x, scale, bias = s.values()
    groups = s.attribute("num_groups")
    if s.opset < 21:  # one scale for each group there, one for each channel from 21 on
        each = x.shape[1] // groups
        scale, bias = (s.call(torch.repeat_interleave, item, each) for item in (scale, bias))
    return s.call(F.group_norm, x, groups, scale, bias, s.attribute("epsilon", 1e-5))
