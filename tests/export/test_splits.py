import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from hwnas.export.splits import write_splits
from hwnas.runtimes import runtime


def sliced(*bounds, axis=1, channels=6):
    """A model that gives slices of its input, for their bounds."""
    constants, nodes, outputs = [], [], []
    for index, (start, stop) in enumerate(bounds):
        names = [f"{part}{index}" for part in ("start", "stop", "axis")]
        constants += [
            numpy_helper.from_array(np.array([value], np.int64), name)
            for name, value in zip(names, (start, stop, axis), strict=True)
        ]
        nodes.append(helper.make_node("Slice", ["input", *names], [f"out{index}"]))
        outputs.append(helper.make_tensor_value_info(f"out{index}", 1, [None] * 4))
    value = helper.make_tensor_value_info("input", 1, [1, channels, 4, 4])
    graph = helper.make_graph(nodes, "own", [value], outputs, constants)
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


def test_slices_that_share_out_a_tensor_become_a_split():
    model = sliced((3, 6), (0, 3))
    image = {"input": np.random.default_rng(0).standard_normal((1, 6, 4, 4), np.float32)}
    before = runtime("onnxruntime").run(model.SerializeToString(), image)
    write_splits(model.graph)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Split"]
    assert len(model.graph.initializer) == 1
    after = runtime("onnxruntime").run(model.SerializeToString(), image)
    assert all(np.array_equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize(
    "model",
    [
        sliced((0, 3)),
        sliced((0, 2), (2, 6)),
        sliced((0, 3), (2, 5)),
        sliced((0, 2), (2, 4), axis=2),
        sliced((0, 3), (3, 6), channels=7),
    ],
    ids=["one", "unequal", "overlapping", "rows", "not-all"],
)
def test_other_slices_are_left_alone(model):
    before = model.SerializeToString()
    write_splits(model.graph)
    assert model.SerializeToString() == before
