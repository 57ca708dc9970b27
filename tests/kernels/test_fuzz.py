"""Broken files: every one is an error that says so, or a bag; none hangs or crashes."""

import math
import random
import time

import onnx
import pytest
from onnx import helper
from small_models import SMALL_MODELS

from hwnas.errors import HwnasError
from hwnas.kernels import FUSION, Lowered, lower, parse_model
from hwnas.predictors.features import kernel_features

MUTATIONS = 100
BOUND_S = 5.0


def seeds():
    folder = onnx.__path__[0] + "/backend/test/data/light/"
    with open(folder + "light_squeezenet.onnx", "rb") as file:
        yield "squeezenet", file.read()
    yield "scalars", scalars().SerializeToString()
    for name in ("qdq", "encoder-new", "movements", "torch-shapes", "dynamic"):
        yield name, SMALL_MODELS[name]().SerializeToString()


def scalars():
    """Tensors without axes, a product of vectors, and graphs inside operators and functions."""
    info, node = helper.make_tensor_value_info, helper.make_node
    branch = helper.make_graph([node("Exp", ["m"], ["e"])], "b", [], [info("e", 1, [])])
    body = helper.make_graph(
        [node("Identity", ["go"], ["on"]), node("Add", ["s", "m"], ["t"])],
        "l",
        [info("i", 7, []), info("go", 9, []), info("s", 1, [3, 4])],
        [info("on", 9, []), info("t", 1, [3, 4])],
    )
    nodes = [
        node("ReduceMean", ["x"], ["m"], keepdims=0),
        node("If", ["c"], ["e2"], then_branch=branch, else_branch=branch),
        node("Loop", ["n", "c", "x"], ["l"], body=body),
        node("Mul", ["l", "e2"], ["a"]),
        node("MatMul", ["v", "v"], ["d"]),
        node("Own", ["d"], ["f"], domain="own"),
        node("Sub", ["a", "f"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "scalars",
        [info("x", 1, [3, 4]), info("v", 1, [5])],
        [info("y", 1, [3, 4])],
        [helper.make_tensor("c", 9, [], [True]), helper.make_tensor("n", 7, [], [3])],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    inner = [node("Relu", ["p"], ["q"])]
    own = helper.make_function("own", "Own", ["p"], ["q"], inner, opsets[:1])
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=[own])


def flipped(payload, rng):
    found = bytearray(payload)
    for _ in range(rng.choice((1, 1, 3, 20))):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def truncated(payload, rng):
    return payload[: rng.randrange(len(payload))]


def reshaped(model, rng):
    """Sizes of an input, of a weight, or of a stated tensor."""
    graph, size = model.graph, rng.choice((0, 1, -1, 2**31, 2**62, 7))
    kind = rng.randrange(3)
    if kind == 0:
        dims = rng.choice(graph.input).type.tensor_type.shape.dim
        if rng.randrange(4) == 0:
            del dims[:]
        elif dims:
            rng.choice(dims).dim_value = size
    elif kind == 1 and graph.initializer:
        tensor = rng.choice(graph.initializer)
        if rng.randrange(4) == 0:
            del tensor.dims[:]
        elif tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = size
        else:
            tensor.dims.append(size)
    elif graph.initializer:
        # What shapes are computed from.
        tensor = rng.choice([t for t in graph.initializer if t.data_type == 7] or graph.initializer)
        value = [rng.choice((0, -1, 2**40, -(2**62), 3)) for _ in range(max(1, len(tensor.dims)))]
        tensor.CopyFrom(onnx.helper.make_tensor(tensor.name, 7, [len(value)], value))


def rewired(model, rng):
    """Operators, what they read and write, and their attributes."""
    nodes = model.graph.node
    node = rng.choice(nodes)
    kind = rng.randrange(7)
    if kind == 0:
        node.op_type = rng.choice(nodes).op_type
    elif kind == 1 and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(
            [*rng.choice(nodes).output, *rng.choice(nodes).input, "", "nothing"]
        )
    elif kind == 2 and node.input:
        del node.input[rng.randrange(len(node.input))]
    elif kind == 3 and node.output:
        node.output[rng.randrange(len(node.output))] = rng.choice(
            [*rng.choice(nodes).output, "", "other"]
        )
    elif kind == 4 and node.attribute:
        attribute = rng.choice(node.attribute)
        attribute.i = rng.choice((0, -1, 2**40, -(2**63), 5))
        del attribute.ints[:]
        attribute.ints.extend(rng.choices((0, -1, 2**40, 3, 1), k=rng.randrange(5)))
    elif kind == 5:
        del nodes[rng.randrange(len(nodes))]
    else:
        node.op_type = rng.choice(
            ("Resize", "Slice", "Range", "Tile", "Expand", "Conv", "Einsum", "Pad", "TopK", "Split")
            + ("Reshape", "Squeeze", "LSTM", "Loop", "If", "Attention", "NonZero", "OneHot", "Clip")
        )


def outcome(payload, checked=True):
    begin = time.monotonic()
    try:
        # ONNX's checker finds most faults, which hides what is behind it.
        read = parse_model(payload, "fuzz") if checked else onnx.load_model_from_string(payload)
        found = lower(read, FUSION["onnxruntime"], name="fuzz")
    except HwnasError as error:
        assert str(error)
        found = None
    assert time.monotonic() - begin < BOUND_S
    assert found is None or isinstance(found, Lowered)
    for kernel in found.kernels if found else ():
        assert all(map(math.isfinite, kernel_features(kernel)))
    return found


@pytest.mark.parametrize(("name", "payload"), list(seeds()), ids=lambda item: str(item)[:12])
def test_what_is_broken_is_an_error_or_a_bag(name, payload):
    rng = random.Random(name)
    for count in range(MUTATIONS):
        if count % 3 == 0:
            broken = (flipped, truncated)[count % 2](payload, rng)
        else:
            model = onnx.load_model_from_string(payload)
            for _ in range(rng.choice((1, 1, 2, 5))):
                (reshaped, rewired)[count % 3 - 1](model, rng)
            broken = model.SerializeToString()
            outcome(broken, checked=False)
        outcome(broken)
    assert outcome(payload) is not None
