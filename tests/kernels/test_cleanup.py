from collections import Counter

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.kernels import FUSION, lower
from hwnas.runtimes import runtime


def moved(kind, *, channels=16, also_read=False):
    """Channels brought to the front for a 3×3 convolution, of an image or of tokens."""
    value = helper.make_tensor_value_info
    weight = np.random.default_rng(0).standard_normal((16, channels, 3, 3), np.float32)
    constants = {"w": weight, "shape": np.array([1, channels, 4, 4], np.int64)}
    if kind == "tokens":
        shape = [1, 16, channels]
        nodes = [
            helper.make_node("Transpose", ["normed"], ["swapped"], perm=[0, 2, 1]),
            helper.make_node("Reshape", ["swapped", "shape"], ["image"]),
        ]
    else:
        shape = [1, 4, 4, channels]
        nodes = [helper.make_node("Transpose", ["normed"], ["image"], perm=[0, 3, 1, 2])]
    # Not moved itself, so that the transpose stays where it is.
    nodes.insert(0, helper.make_node("Softmax", ["x"], ["normed"], axis=-1))
    nodes.append(helper.make_node("Conv", ["image", "w"], ["made"], pads=[1] * 4))
    outputs = [value("made", TensorProto.FLOAT, [1, 16, 4, 4])]
    if also_read:
        outputs.append(value("image", TensorProto.FLOAT, [1, channels, 4, 4]))
    graph = helper.make_graph(
        nodes,
        "moved",
        [value("x", TensorProto.FLOAT, shape)],
        outputs,
        [
            numpy_helper.from_array(array, name)
            for name, array in constants.items()
            if name != "shape" or kind == "tokens"
        ],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


@pytest.mark.parametrize("kind", ["tokens", "image"])
@pytest.mark.parametrize(
    ("settings", "transposes"),
    [({}, 0), ({"also_read": True}, 1), ({"channels": 18}, 1)],
    ids=["convolution only", "read twice", "no blocks of channels"],
)
def test_a_transpose_before_a_convolution_is_its_reorder(kind, settings, transposes):
    model = moved(kind, **settings)
    own = Counter()
    for kernel, count in lower(model, FUSION["onnxruntime"]).kernels.items():
        own[kernel.op] += count
    assert own["Transpose"] == transposes
    assert own == runtime("onnxruntime").fused_graph(model.SerializeToString())
