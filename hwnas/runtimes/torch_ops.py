"""ONNX operators as torch calls, by operator type (opset 13 to 23, static shapes).

Those of images are in ``torch_windows.py``, those that move or reduce in ``torch_shapes.py``.
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
