"""Whether weights fit what they are applied to, which ONNX's shape inference does not check.

Each function says what is wrong, or ``None`` where nothing is or it cannot be known.
"""

from hwnas.kernels.kernel import Shape
from hwnas.kernels.reading import Reading, sizes_text

_GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}


def convolution(reading: Reading) -> str | None:
    """Channels, groups and bias of a convolution, of floats or integers."""
    quantised = reading.node.op == "QLinearConv"
    data, weight = reading.shape(0), reading.shape(3 if quantised else 1)
    if data is None or weight is None or min(len(data), len(weight)) < 3:
        return None
    groups = reading.integer("group", 1)
    # A transposed convolution's weight has its input channels first.
    transposed = reading.node.op == "ConvTranspose"
    taken = weight[0] if transposed else weight[1] * groups
    given = weight[1] * groups if transposed else weight[0]
    if len(data) != len(weight):
        return f"its input {sizes_text(data)} and weight {sizes_text(weight)} differ in rank"
    if taken != data[1]:
        return f"its weight {sizes_text(weight)} takes {taken} channels, its input has {data[1]}"
    if groups < 1 or (weight[0] % groups):
        return f"its {weight[0]} filters do not divide into {groups} groups"
    # Of a convolution of integers without scales, what stands third is a zero point.
    integers = reading.node.op == "ConvInteger"
    bias = None if integers else reading.shape(8 if quantised else 2)
    if bias is not None and bias != (given,):
        return f"its bias {sizes_text(bias)} does not fit {given} output channels"
    return None


def quantised_convolution(reading: Reading) -> str | None:
    """Scales and zero points: one for the tensor, or of the weight one per filter."""
    weight = reading.shape(3)
    for place, called in ((1, "x"), (4, "w"), (6, "y")):
        allowed = [(), (1,), weight[:1]] if called == "w" and weight else [(), (1,)]
        for part, shape in (
            ("scale", reading.shape(place)),
            ("zero_point", reading.shape(place + 1)),
        ):
            if shape is not None and shape not in allowed:
                wanted = f"one value or {weight[0]}" if len(allowed) > 2 and weight else "one value"
                return f"its {called}_{part} has the shape {sizes_text(shape)}, not {wanted}"
    return None


def normalisation(reading: Reading) -> str | None:
    """Parameters of a normalisation over a batch or an instance, one per channel."""
    data = reading.shape(0)
    if data is None or len(data) < 2:
        return None
    for place in range(1, len(reading.node.inputs)):
        shape = reading.shape(place)
        if shape is not None and shape != (data[1],):
            return f"its parameters {sizes_text(shape)} do not fit {data[1]} channels"
    return None


def layer_normalisation(reading: Reading) -> str | None:
    """Scale and bias of a normalisation over the last axes, which broadcast to its input."""
    data = reading.shape(0)
    for place, called in ((1, "scale"), (2, "bias")):
        shape = reading.shape(place)
        if data is not None and shape is not None and not _broadcasts(shape, data):
            return f"its {called} {sizes_text(shape)} does not fit its input {sizes_text(data)}"
    return None


def slope(reading: Reading) -> str | None:
    """The slope of a PReLU, which broadcasts to its input; before opset 7, one per channel."""
    data, shape = reading.shape(0), reading.shape(1)
    if data is None or shape is None or _broadcasts(shape, data):
        return None
    if reading.version < 7 and shape == data[1:2]:
        return None
    return f"its slope {sizes_text(shape)} does not broadcast to its input {sizes_text(data)}"


def recurrent(reading: Reading) -> str | None:
    """Weights of a recurrent layer: gates and hidden values by inputs and hidden values."""
    data, inner = reading.shape(0), reading.shape(2)
    if data is None or inner is None or len(data) != 3 or len(inner) != 3:
        return None
    hidden = reading.integer("hidden_size", inner[-1])
    both = reading.node.attributes.get("direction", "forward") == "bidirectional"
    directions, rows = 1 + both, _GATES[reading.node.op] * hidden
    wanted = {
        1: (directions, rows, data[2]),
        2: (directions, rows, hidden),
        3: (directions, 2 * rows),
    }
    for place, expected in wanted.items():
        shape = reading.shape(place)
        if shape is not None and shape != expected:
            return (
                f"its {' WRB'[place]} has the shape {sizes_text(shape)}; with {data[2]} inputs and "
                f"{hidden} hidden values it is {sizes_text(expected)}"
            )
    return None


def _broadcasts(shape: Shape, data: Shape) -> bool:
    """Whether a shape fits another by repeating only; more axes in front must be 1."""
    extra = len(shape) - len(data)
    if extra > 0 and set(shape[:extra]) != {1}:
        return False
    own = shape[max(0, extra) :]
    return all(
        size in (1, other) for size, other in zip(own, data[len(data) - len(own) :], strict=True)
    )
