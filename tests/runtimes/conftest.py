import numpy as np
import pytest
from onnx import helper, numpy_helper

from hwnas.runtimes import runtime
from hwnas.runtimes.torch_engine import Session


def compare(op, *inputs, constants=(), outputs=1, opset=20, tolerance=1e-5, **attributes):
    """Hold the outputs of one operator against ONNX Runtime's.

    Args:
        op: Its type.
        inputs: Shapes (random values) or arrays of its inputs, ``None`` for one left out.
        constants: Positions of the inputs that are constants of the model.
    """
    rng = np.random.default_rng(0)
    arrays = [
        rng.standard_normal(item).astype(np.float32) if isinstance(item, tuple) else item
        for item in inputs
    ]
    names = ["" if array is None else f"i{position}" for position, array in enumerate(arrays)]
    found = [f"o{position}" for position in range(outputs)]
    given = {n: a for i, (n, a) in enumerate(zip(names, arrays, strict=True)) if i not in constants}
    given = {name: array for name, array in given.items() if array is not None}

    def info(name, array):
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        return helper.make_tensor_value_info(name, kind, array.shape)

    graph = helper.make_graph(
        [helper.make_node(op, names, found, **attributes)],
        op,
        [info(name, array) for name, array in given.items()],
        [helper.make_empty_tensor_value_info(name) for name in found],
        [
            numpy_helper.from_array(arrays[i], names[i])
            for i in constants
            if i < len(arrays) and arrays[i] is not None
        ],
    )
    model = helper.make_model(
        graph, ir_version=9, opset_imports=[helper.make_opsetid("", opset)]
    ).SerializeToString()
    actual = Session(model).run(given)
    expected = runtime("onnxruntime").run(model, given)
    for name in found:
        assert actual[name].shape == expected[name].shape
        np.testing.assert_allclose(actual[name], expected[name], rtol=tolerance, atol=tolerance)


@pytest.fixture
def check():
    """Holds one operator of the runtime torch against ONNX Runtime's."""
    return compare
