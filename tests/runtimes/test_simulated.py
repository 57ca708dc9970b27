import numpy as np
import onnx
import pytest

from hwnas.errors import RuntimeFailure
from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.export.parts_onnx import canary_model
from hwnas.kernels import FUSION, lower
from hwnas.runtimes import runtime
from hwnas.runtimes.simulated import SimulatedRuntime
from hwnas.spaces import space


def test_it_executes_the_kernels_of_the_fusion_rules():
    own = space("mobilenet-32")
    model = architecture_to_onnx(own.decode(own.references["mobilenetv2-like"]))
    found = SimulatedRuntime().fused_graph(model.SerializeToString())
    assert found.total() == lower(model, FUSION["onnxruntime"]).kernels.total()
    assert found["Conv"] > 0 and found["Conv+Relu"] > 0 and found["Conv+Add"] > 0


def test_its_outputs_are_those_of_onnxruntime():
    feeds = {"input": np.random.default_rng(0).standard_normal((1, 32, 16, 16), np.float32)}
    actual, expected = (
        runtime(name).run(canary_model(), feeds)["output"] for name in ("simulated", "onnxruntime")
    )
    assert np.array_equal(actual, expected)
    with pytest.raises(RuntimeFailure):
        SimulatedRuntime().run(b"nonsense", {})


def test_metadata_need_no_runtime_that_loads_the_model():
    model = onnx.load_model_from_string(canary_model())
    model.metadata_props.add(key="limit_ms", value="3")
    model.graph.node[0].op_type = "NoSuchOperator"
    assert SimulatedRuntime().metadata(model.SerializeToString()) == {"limit_ms": "3"}
