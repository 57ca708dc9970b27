import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from hwnas.errors import RuntimeFailure, UnknownNameError
from hwnas.export.parts_onnx import canary_model
from hwnas.runtimes import runtime


def test_outputs_are_those_of_the_reference():
    feeds = {"input": np.random.default_rng(0).standard_normal((1, 32, 16, 16), np.float32)}
    expected = ReferenceEvaluator(onnx.load_model_from_string(canary_model())).run(None, feeds)[0]
    for name in ("onnxruntime", "simulated"):
        actual = runtime(name).run(canary_model(), feeds)["output"]
        np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_metadata_is_read_back():
    model = onnx.load_model_from_string(canary_model())
    helper.set_model_props(model, {"a": "b"})
    for name in ("onnxruntime", "simulated"):
        assert runtime(name).metadata(model.SerializeToString()) == {"a": "b"}


def test_wrong_names_and_models_are_errors():
    with pytest.raises(UnknownNameError, match="did you mean onnxruntime"):
        runtime("onnxruntim")
    with pytest.raises(RuntimeFailure):
        runtime("onnxruntime").run(b"nonsense", {})
