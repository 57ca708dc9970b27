import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.errors import ShapeError
from hwnas.kernels import lower
from hwnas.kernels.fusion import FusionRules
from hwnas.kernels.inference import graph_of
from hwnas.kernels.weights import check_weights


def model(op, weights, channels=8, **attributes):
    names = [f"w{i}" for i in range(len(weights))]
    return helper.make_model(
        helper.make_graph(
            [helper.make_node(op, ["x", *names], ["y"], "it", **attributes)],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, 6, 6])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [
                numpy_helper.from_array(np.ones(shape, np.float32), name)
                for name, shape in zip(names, weights, strict=True)
            ],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
    )


def check(proto):
    check_weights(proto.graph, graph_of(proto, "m").types, "m")


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
    check_weights(proto.graph, {"x": ((1, 8, 6, 6), "float32")}, "m")


def test_lowering_refuses_them(tmp_path):
    onnx.save(model("Conv", [(4, 7, 3, 3)]), tmp_path / "m.onnx")
    with pytest.raises(ShapeError, match="export it again"):
        lower(onnx.load(tmp_path / "m.onnx"), FusionRules(frozenset()))
