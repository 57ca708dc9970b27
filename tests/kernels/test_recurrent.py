import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.kernels import FUSION, lower


def model(op, gates, outputs, **attributes):
    """A recurrent operator whose outputs have names or, where these are empty, are not wanted."""
    tensors = {"x": (5, 1, 8), "w": (1, gates * 16, 8), "r": (1, gates * 16, 16)}
    node = helper.make_node(op, list(tensors), outputs, hidden_size=16, **attributes)
    constants = [
        numpy_helper.from_array(np.zeros(tensors[name], np.float32), name) for name in ("w", "r")
    ]
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, tensors["x"])]
    wanted = [helper.make_empty_tensor_value_info(name) for name in outputs if name]
    graph = helper.make_graph([node], op, given, wanted, constants)
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


@pytest.mark.parametrize(
    ("outputs", "shapes"),
    [
        (["y"], ((5, 1, 1, 16),)),
        (["", "h"], ((1, 1, 16),)),
        (["", "", "c"], ((1, 1, 16),)),
        (["y", "", "c"], ((5, 1, 1, 16), (1, 1, 16))),
    ],
)
def test_outputs_that_are_not_wanted_are_left_out(outputs, shapes):
    lowered = lower(model("LSTM", 4, outputs), FUSION["onnxruntime"])
    (kernel,) = lowered.kernels
    assert kernel.outputs == shapes and not lowered.not_covered
    assert kernel.macs == 5 * 64 * 24


def test_where_the_reset_is_applied_is_part_of_the_key():
    plain, after = (
        lower(model("GRU", 3, ["y"], linear_before_reset=flag), FUSION["onnxruntime"]).kernels
        for flag in (0, 1)
    )
    assert "reset" not in next(iter(plain)).key
    assert '"linear_before_reset":1' in next(iter(after)).key
