import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.errors import ShapeError
from hwnas.kernels import lower
from hwnas.kernels.fusion import FusionRules
from hwnas.kernels.inference import graph_of


def model(op, weights, shape=(1, 8, 6, 6), opset=20, **attributes):
    names = [f"w{i}" for i in range(len(weights))]
    return helper.make_model(
        helper.make_graph(
            [helper.make_node(op, ["x", *names], ["y"], "it", **attributes)],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [
                numpy_helper.from_array(np.ones(shape, np.float32), name)
                for name, shape in zip(names, weights, strict=True)
            ],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
    )


def check(proto):
    graph_of(proto, "m")


@pytest.mark.parametrize(
    ("op", "weights", "attributes"),
    [
        ("Conv", [(4, 8, 3, 3), (4,)], {}),
        ("Conv", [(16, 2, 1, 1)], {"group": 4}),
        ("ConvTranspose", [(8, 3, 2, 2), (6,)], {"group": 2}),
        ("BatchNormalization", [(8,)] * 4, {}),
        ("InstanceNormalization", [(8,)] * 2, {}),
        ("Relu", [], {}),
    ],
)
def test_what_a_runtime_runs_is_let_through(op, weights, attributes):
    check(model(op, weights, **attributes))


@pytest.mark.parametrize(
    ("op", "weights", "attributes", "says"),
    [
        ("Conv", [(4, 7, 3, 3)], {}, "takes 7 channels, its input has 8"),
        ("Conv", [(4, 8, 3)], {}, "differ in rank"),
        ("Conv", [(6, 2, 1, 1)], {"group": 4}, "6 filters do not divide into 4 groups"),
        ("Conv", [(4, 8, 1, 1), (5,)], {}, r"bias \(5\) does not fit 4"),
        ("ConvTranspose", [(4, 8, 2, 2)], {}, "takes 4 channels, its input has 8"),
        ("BatchNormalization", [(8,), (8,), (7,), (8,)], {}, r"parameters \(7\) do not fit 8"),
    ],
)
def test_what_no_runtime_runs_is_refused_by_name(op, weights, attributes, says):
    with pytest.raises(ShapeError, match=f"'m': {op} 'it': .*{says}"):
        check(model(op, weights, **attributes))


def test_other_domains_are_left_alone():
    proto = model("Conv", [(4, 7, 3, 3)])
    proto.graph.node[0].domain = "my.ops"
    check(proto)


RNN = {"hidden_size": 5}


@pytest.mark.parametrize(
    ("op", "shape", "weights", "attributes"),
    [
        ("LayerNormalization", (1, 6, 8), [(8,), (1,)], {}),
        ("LayerNormalization", (1, 6, 8), [(6, 8)], {"axis": 1}),
        ("LayerNormalization", (1, 6, 8), [()], {}),
        ("PRelu", (1, 8, 6, 6), [(8, 1, 1)], {}),
        ("PRelu", (1, 8, 6, 6), [(1, 1, 8, 1, 1)], {}),
        ("PRelu", (1, 8, 6, 6), [(8,)], {"opset": 6}),
        ("LSTM", (3, 1, 7), [(1, 20, 7), (1, 20, 5), (1, 40)], RNN),
        ("GRU", (3, 1, 7), [(2, 15, 7), (2, 15, 5)], {"direction": "bidirectional", **RNN}),
        ("RNN", (3, 1, 7), [(1, 5, 7), (1, 5, 5)], RNN),
    ],
)
def test_weights_that_broadcast_or_fit_are_let_through(op, shape, weights, attributes):
    check(model(op, weights, shape, **attributes))


@pytest.mark.parametrize(
    ("op", "shape", "weights", "attributes", "says"),
    [
        ("LayerNormalization", (1, 6, 8), [(7,)], {}, r"scale \(7\) does not fit .*\(1,6,8\)"),
        ("LayerNormalization", (1, 6, 8), [(8,), (6,)], {}, r"bias \(6\) does not fit"),
        ("RMSNormalization", (1, 6, 8), [(7,)], {"opset": 23}, r"scale \(7\)"),
        ("PRelu", (1, 8, 6, 6), [(8,)], {}, r"slope \(8\) does not broadcast"),
        ("PRelu", (1, 8, 6, 6), [(2, 8, 6, 6)], {}, "does not broadcast"),
        ("LSTM", (3, 1, 9), [(1, 20, 7), (1, 20, 5)], RNN, r"W has .* with 9 inputs"),
        ("LSTM", (3, 1, 7), [(1, 20, 7), (1, 20, 4)], RNN, r"R has .*\(1,20,5\)"),
        ("GRU", (3, 1, 7), [(1, 15, 7), (1, 15, 5), (1, 15)], RNN, r"B has .*\(1,30\)"),
        ("RNN", (3, 1, 7), [(1, 5, 7), (1, 5, 5)], {"direction": "bidirectional", **RNN}, "W has"),
    ],
)
def test_weights_of_the_wrong_size_are_refused(op, shape, weights, attributes, says):
    with pytest.raises(ShapeError, match=f"{op} 'it': .*{says}"):
        check(model(op, weights, shape, **attributes))


def quantised(scales):
    """A convolution on integers whose scales of x, w and y have these shapes."""
    tensors = [
        numpy_helper.from_array(np.ones(shape, kind), name)
        for name, shape, kind in (
            ("xs", scales[0], np.float32),
            ("xz", (), np.uint8),
            ("w", (4, 8, 3, 3), np.int8),
            ("ws", scales[1], np.float32),
            ("wz", (), np.int8),
            ("ys", scales[2], np.float32),
            ("yz", (), np.uint8),
        )
    ]
    graph = helper.make_graph(
        [helper.make_node("QLinearConv", ["x", *(t.name for t in tensors)], ["y"], "it")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 8, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def test_scales_of_a_quantised_convolution_are_one_or_one_per_filter():
    check(quantised([(), (4,), (1,)]))
    with pytest.raises(ShapeError, match=r"w_scale has the shape \(3\), not one value or 4"):
        check(quantised([(), (3,), ()]))
    with pytest.raises(ShapeError, match=r"y_scale has the shape \(4\), not one value;"):
        check(quantised([(), (4,), (4,)]))


def test_lowering_refuses_them(tmp_path):
    onnx.save(model("Conv", [(4, 7, 3, 3)]), tmp_path / "m.onnx")
    with pytest.raises(ShapeError, match="export it again"):
        lower(onnx.load(tmp_path / "m.onnx"), FusionRules(frozenset()))
