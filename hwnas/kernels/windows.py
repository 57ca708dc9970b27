"""Whether the window of a convolution or pool fits the image that it goes over."""

from hwnas.kernels.kernel import Shape
from hwnas.kernels.reading import Reading, sizes_text

_PADDINGS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
_WEIGHT_PLACE = {"Conv": 1, "ConvInteger": 1, "ConvTranspose": 1, "QLinearConv": 3}


def window(reading: Reading) -> str | None:
    """What is wrong with the padding or the window; ``None`` where nothing is.

    A window larger than the padded image is refused, but where ``ceil_mode`` leaves
    it an output. Padding of a pool beside ``auto_pad`` is let through only where it
    is the same padding (none, with ``VALID``); ONNX Runtime refuses it of convolutions.
    """
    padding, pads = reading.node.attributes.get("auto_pad", "NOTSET"), reading.integers("pads")
    place = _WEIGHT_PLACE.get(reading.node.op)
    if padding not in _PADDINGS:
        return f"its auto_pad is '{padding}'; there are {', '.join(_PADDINGS)}"
    same = place is None and padding == "VALID" and not any(pads or ())
    if padding != "NOTSET" and pads is not None and not same:
        return f"it has pads beside auto_pad '{padding}', and can have one of them"
    kernel = reading.integers("kernel_shape")
    weight = reading.shape(place) if place is not None else None
    if weight is not None:
        if kernel is not None and kernel != weight[2:]:
            return (
                f"its kernel_shape {sizes_text(kernel)} is not that of its weight, "
                + sizes_text(weight)
            )
        kernel = weight[2:]
    image = (reading.shape(0) or ())[2:]
    if kernel is None or len(kernel) != len(image) or padding.startswith("SAME"):
        return None
    if reading.node.op == "ConvTranspose":
        return None
    return _larger(reading, kernel, image, pads or (0,) * 2 * len(image))


def _larger(reading: Reading, kernel: Shape, image: Shape, pads: Shape) -> str | None:
    ones = (1,) * len(image)
    strides = reading.integers("strides") or ones
    dilations = reading.integers("dilations") or ones
    if not len(strides) == len(dilations) == len(image) or len(pads) != 2 * len(image):
        return None
    padded = tuple(
        size + before + after
        for size, before, after in zip(image, pads[: len(image)], pads[len(image) :], strict=True)
    )
    spans = tuple((size - 1) * gap + 1 for size, gap in zip(kernel, dilations, strict=True))
    for size, span, stride in zip(padded, spans, strides, strict=True):
        slack = stride - 1 if reading.integer("ceil_mode", 0) else 0
        if size - span + slack < 0:
            return (
                f"its window {sizes_text(spans)} is larger than its padded input "
                f"{sizes_text(padded)}"
            )
    return None
