"""Kernels on sequences of speech, text and lines of print: recurrent, look-ups, choices."""

from dataclasses import replace

from hwnas.kernels import Kernel
from hwnas.kernels.kernel import Attribute, Shape
from hwnas.profiling.kernel_draws import Draw, kernel_of

GATES = {"LSTM": 4, "GRU": 3}
"""Rows of a recurrent weight for each unit of the hidden state."""

_RESETS: tuple[dict[str, Attribute], ...] = ({}, {"linear_before_reset": 1})

_TO_FLOAT, _TO_INT32, _TO_INT64, _TO_BOOL = 1, 6, 7, 9
"""Numbers that ONNX gives element types."""


def recurrent(draw: Draw) -> Kernel:
    """An LSTM or GRU over up to 200 steps, of 16 to 512 units, one way or both."""
    kind, both = draw.of(("LSTM", "LSTM", "GRU")), draw.of((True, False))
    steps = draw.of((1, 1, draw.between(2, 200), draw.between(2, 200)))
    hidden = draw.between(16, 512, 16)
    inner = draw.of((hidden, 2 * hidden, draw.between(16, 512, 8)))
    ways = 1 + both
    rows = GATES[kind] * hidden
    weights: tuple[Shape, ...] = (
        (ways, rows, inner),
        (ways, rows, hidden),
        (ways, 2 * rows),
    )
    state: Shape = (ways, 1, hidden)
    states = (state,) * (2 if kind == "LSTM" else 1)
    inputs: tuple[Shape, ...] = ((steps, 1, inner),)
    # A state is fed where a sequence comes in pieces, and constant where torch begins with zeros.
    held = draw.of(("fed", "constant", "none"))
    if held == "fed":
        inputs += states
    elif held == "constant":
        weights += states
    kept: dict[str, Attribute] = {"direction": "bidirectional"} if both else {}
    if kind == "GRU":
        kept |= draw.of(_RESETS)
    outputs = ((steps, ways, 1, hidden), *states)
    return kernel_of(kind, inputs, weights, outputs, (), hidden_size=hidden, **kept)


def looked_up(draw: Draw) -> Kernel:
    """Rows of a table of words, or of the data itself."""
    if draw.of((True, True, False)):
        tokens, table = (1, draw.tokens()), (draw.between(64, 20000), draw.channels())
        found = kernel_of("Gather", (tokens,), (table,), ((*tokens, table[1]),))
        return replace(found, dtype="int64")
    data = (1, draw.tokens(), draw.channels())
    return kernel_of("Gather", (data,), ((),), ((1, data[2]),), axis=1)


def chosen(draw: Draw) -> Kernel:
    """Choices by a mask, casts and comparisons."""
    tokens, heads = draw.tokens(), draw.of((1, 4, 8))
    scores, mask = (1, heads, tokens, tokens), (1, 1, tokens, tokens)
    data = draw.of((scores, (1, tokens, draw.channels()), draw.image(4)))
    kind = draw.of(("Where", "Where", "Cast", "Cast", "Greater", "Equal"))
    if kind == "Where":
        masked = draw.of((True, False))
        inputs = (mask, scores) if masked else (data, data, data)
        weights: tuple[Shape, ...] = ((),) if masked else ()
        found = kernel_of(kind, inputs, weights, (inputs[-1],))
        return replace(found, dtype="bool")
    if kind == "Cast":
        source, to = draw.of(
            (
                ("bool", _TO_FLOAT),
                ("int64", _TO_FLOAT),
                ("int32", _TO_FLOAT),
                ("int64", _TO_INT32),
                ("float32", _TO_INT64),
                ("float32", _TO_BOOL),
            )
        )
        return replace(kernel_of(kind, (data,), (), (data,), to=to), dtype=source)
    if kind == "Greater":
        return kernel_of(kind, (data,), ((),), (data,))
    return replace(kernel_of(kind, (mask,), ((),), (mask,)), dtype="int64")
