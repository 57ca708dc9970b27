"""Kernels of networks for sound and other signals: convolutions and pools along one axis."""

from hwnas.kernels import Kernel
from hwnas.kernels.kernel import Attribute
from hwnas.profiling.kernel_draws import Draw, kernel_of

_FUSED: tuple[tuple[str, ...], ...] = ((), ("Relu",))


def _window(size: int, stride: int, pad: int) -> dict[str, Attribute]:
    return {"kernel_shape": (size,), "pads": (pad, pad), "strides": (stride,)}


def filtered(draw: Draw) -> Kernel:
    """A convolution along a signal: dense, of one step, or of each channel alone."""
    batch, length = draw.of((1, 1, 1, 16)), draw.between(4, 2048 if draw.of((True, False)) else 64)
    channels, out = draw.channels(512), draw.channels(512)
    size, stride = draw.of((1, 1, 3, 3, 3, 5, 7, 8, 15, 31)), draw.of((1, 1, 1, 2))
    pad = (size - 1) // 2
    steps = (length + 2 * pad - size) // stride + 1
    if steps < 1:
        size, pad, steps = 1, 0, (length - 1) // stride + 1
    kept: dict[str, Attribute] = {}
    weight = (out, channels, size)
    if size > 1 and draw.of((True, False, False)):
        out, kept, weight = channels, {"group": channels}, (channels, 1, size)
    kept |= _window(size, stride, pad)
    data, outputs = (batch, channels, length), ((batch, out, steps),)
    return kernel_of("Conv", (data,), (weight, (out,)), outputs, draw.of(_FUSED), **kept)


def framed(draw: Draw) -> Kernel:
    """A signal cut into frames and each transformed, as a convolution with far steps."""
    size = draw.of((64, 128, 256, 400, 512))
    stride, frames = size // draw.of((2, 4)), draw.between(2, 200)
    data = (draw.of((1, 1, 16)), 1, size + (frames - 1) * stride)
    out = draw.of((64, 128, size + 2))
    outputs = ((data[0], out, frames),)
    return kernel_of("Conv", (data,), ((out, 1, size),), outputs, (), **_window(size, stride, 0))


def shortened(draw: Draw) -> Kernel:
    """A pool that halves a signal."""
    data, kind = (1, draw.channels(512), 2 * draw.between(2, 1024)), draw.of(("Max", "Average"))
    out = (*data[:2], data[2] // 2)
    return kernel_of(f"{kind}Pool", (data,), (), (out,), (), kernel_shape=(2,), strides=(2,))


def summed(draw: Draw) -> Kernel:
    """A sum of two or three images that is written as one operator."""
    data = draw.image()
    return kernel_of("Sum", (data,) * draw.of((2, 2, 3)), (), (data,))


SIGNALS = (filtered, filtered, filtered, filtered, framed, shortened, summed, summed)
"""A draw for each kind; the first counts for the many ways that it has."""
