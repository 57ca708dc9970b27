import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.kernels.inference import graph_of


@pytest.fixture
def infer():
    """The shape that one operator gives, of an input and constants."""
    return _infer


def _infer(op, shape, constants, opset=20, **attributes):
    """Infer one operator on an input and constants, ``None`` for one that is left out."""
    names = ["" if value is None else f"c{i}" for i, value in enumerate(constants)]
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *names], ["y"], "it", **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(value, name)
            for name, value in zip(names, constants, strict=True)
            if value is not None
        ],
    )
    imports = [helper.make_opsetid("", opset)]
    return graph_of(helper.make_model(graph, opset_imports=imports), "m").shape("y")
