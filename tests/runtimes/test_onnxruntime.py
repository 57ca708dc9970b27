import importlib.util

import numpy as np
import pytest
from onnx import TensorProto, helper

from hwnas.errors import MissingExtraError, RuntimeFailure
from hwnas.export.parts_onnx import canary_model
from hwnas.runtimes import runtime


def test_models_and_inputs_that_do_not_run_are_errors():
    own = runtime("onnxruntime")
    with pytest.raises(RuntimeFailure, match="does not run the model"):
        own.run(b"nonsense", {})
    with pytest.raises(RuntimeFailure):
        own.run(canary_model(), {"input": np.zeros((1, 3, 2, 2), np.float32)})
    with pytest.raises(RuntimeFailure):
        own.run(canary_model(), {"other": np.zeros((1, 32, 16, 16), np.float32)})


def test_without_onnxruntime_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    own = runtime("onnxruntime")
    assert "pip install onnxruntime" in own.why_not()
    for ask in (own.version, lambda: own.run(canary_model(), {})):
        with pytest.raises(MissingExtraError, match="pip install onnxruntime"):
            ask()


def test_the_fused_graph_names_what_runs_in_a_convolution():
    value = helper.make_tensor_value_info
    weight = np.ones((16, 16, 1, 1), np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["first"]),
        helper.make_node("Conv", ["first", "w"], ["second"]),
        helper.make_node("Add", ["second", "first"], ["a"]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Flatten", ["r"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "residual",
        [value("x", TensorProto.FLOAT, [1, 16, 4, 4])],
        [value("y", TensorProto.FLOAT, [1, 256])],
        [helper.make_tensor("w", TensorProto.FLOAT, weight.shape, weight.ravel())],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    found = runtime("onnxruntime").fused_graph(model.SerializeToString())
    assert found == {"Conv": 1, "Conv+Add+Relu": 1, "Reshape": 1}
