"""ONNX operators that look at images through a window, pad and resize them, as torch calls.

A part of ``torch_ops.py``, which says how these functions are called.
"""

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


def scaled_channels(x, weight, bias, *rest):
    """A depthwise 1×1 convolution, which is a product for each channel.

    torch's own on one thread of a CPU runs a matrix product for each channel: 1.1 ms for
    128 channels of 6×6, where this takes microseconds.
    """
    column = (1, -1, *[1] * (x.dim() - 2))
    if bias is None:
        return x * weight.reshape(column)
    return torch.addcmul(bias.reshape(column), x, weight.reshape(column))


_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@operator("Conv")
def _conv(s):
    x, weight, bias = s.value(0), s.value(1), s.value(2)
    strides, dilations, begin, end = _window(s, x, weight.shape[2:])
    if begin != end:
        x, begin = _padded(s, x, begin, end), [0] * len(begin)
    group = s.attribute("group", 1)
    rest = (strides, begin, dilations, group)
    function = _CONVOLUTIONS[weight.rank - 2]
    one = set(weight.shape[1:]) == {1} and set(strides) == {1} and set(begin) == {0}
    if one and group == weight.shape[0] == x.shape[1] > 1:
        function = scaled_channels
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


@operator("Pad")
def _pad(s):
    x, pads, axes = s.value(0), s.integers(1), s.integers(3)
    axes = list(range(x.rank)) if axes is None else [axis % x.rank for axis in axes]
    begin, end = (
        dict(zip(axes, pads, strict=False)),
        dict(zip(axes, pads[len(axes) :], strict=True)),
    )
    touched = [axis for axis in range(x.rank) if begin.get(axis) or end.get(axis)]
    mode = s.attribute("mode", "constant")
    # torch pads by reflection only the last axes, and only one to three of them.
    first = min(touched, default=x.rank) if mode == "constant" else min([*touched, x.rank - 2])
    amounts = [
        pads.get(axis, 0) for axis in range(x.rank - 1, first - 1, -1) for pads in (begin, end)
    ]
    if not touched:
        return x
    if mode == "constant":
        return s.call(F.pad, x, amounts, value=s.number(2) or 0)
    if mode not in ("reflect", "edge"):
        raise s.refused(f"mode '{mode}' is not known; allowed: constant, reflect, edge")
    return s.call(F.pad, x, amounts, mode={"reflect": "reflect", "edge": "replicate"}[mode])


@operator("Resize")
def _resize(s):
    x, scales, sizes = s.value(0), s.constant(2), s.integers(3)
    if s.attribute("axes") is not None or x.rank != 4:
        raise s.refused("only images of four axes without 'axes' are known")
    factors = None
    if sizes is None:
        factors = [float(item) for item in scales.reshape(-1)]
        sizes = [int(n * factor) for n, factor in zip(x.shape, factors, strict=True)]
    mode = s.attribute("mode", "nearest")
    place = s.attribute("coordinate_transformation_mode", "half_pixel")
    nearest = s.attribute("nearest_mode", "round_prefer_floor")
    if tuple(sizes[:2]) != x.shape[:2]:
        raise s.refused("only height and width can be resized")
    if mode == "nearest":
        whole = all(n % m == 0 for n, m in zip(sizes[2:], x.shape[2:], strict=True))
        if (place, nearest) == ("asymmetric", "floor") or (place == "half_pixel" and whole):
            return s.call(F.interpolate, x, size=sizes[2:], mode="nearest")
    elif mode in ("linear", "cubic") and place in ("half_pixel", "align_corners"):
        if mode == "cubic" and s.attribute("cubic_coeff_a", -0.75) != -0.75:
            raise s.refused("cubic_coeff_a must be -0.75")
        return s.call(
            F.interpolate,
            x,
            size=sizes[2:],
            mode={"linear": "bilinear", "cubic": "bicubic"}[mode],
            align_corners=place == "align_corners",
        )
    raise s.refused(f"mode '{mode}' with '{place}' and '{nearest}' is not known")


@operator("DepthToSpace")
def _depth_to_space(s):
    x, b = s.value(0), s.attribute("blocksize")
    if s.attribute("mode", "DCR") == "CRD":
        return s.call(F.pixel_shuffle, x, b)
    n, c, h, w = x.shape
    x = s.call(torch.reshape, x, [n, b, b, c // b**2, h, w])
    x = s.call(torch.permute, x, [0, 3, 4, 1, 5, 2])
    return s.call(torch.reshape, x, [n, c // b**2, h * b, w * b])


@operator("SpaceToDepth")
def _space_to_depth(s):
    x, b = s.value(0), s.attribute("blocksize")
    n, c, h, w = x.shape
    x = s.call(torch.reshape, x, [n, c, h // b, b, w // b, b])
    x = s.call(torch.permute, x, [0, 3, 5, 1, 2, 4])
    return s.call(torch.reshape, x, [n, c * b * b, h // b, w // b])
