"""The contract that every runtime keeps."""

import importlib.util
from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from hwnas.errors import RequestError
from hwnas.export.parts_onnx import canary_model
from hwnas.runtimes import RUNTIMES, refuse_unknown, runtime, why_not

every_runtime = pytest.mark.parametrize("name", RUNTIMES)


def engine(own):
    """The engine's file as a worker loads it: alone."""
    spec = importlib.util.spec_from_file_location("engine_of_" + own.name, own.engine)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@every_runtime
def test_outputs_are_those_of_the_reference(name):
    feeds = {"input": np.random.default_rng(0).standard_normal((1, 32, 16, 16), np.float32)}
    expected = ReferenceEvaluator(onnx.load_model_from_string(canary_model())).run(None, feeds)[0]
    actual = runtime(name).run(canary_model(), feeds)["output"]
    np.testing.assert_allclose(actual, expected, atol=1e-4)


@every_runtime
def test_metadata_is_read_back(name):
    model = onnx.load_model_from_string(canary_model())
    helper.set_model_props(model, {"a": "b", "ü": "ß"})
    assert runtime(name).metadata(model.SerializeToString()) == {"a": "b", "ü": "ß"}
    assert runtime(name).metadata(canary_model()) == {}


@every_runtime
def test_a_runtime_is_the_one_that_it_says(name):
    own = runtime(name)
    assert own.name == name and own.why_not() is None
    module = engine(own)
    assert (module.NAME, module.VERSION) == (own.name, own.version())


@every_runtime
def test_the_engine_times_as_many_inferences_as_it_is_asked_for(name, tmp_path):
    path = tmp_path / "canary.onnx"
    path.write_bytes(canary_model())
    session = engine(runtime(name)).Session(str(path), 1, None)
    for runs in (1, 4):
        samples = session.time(runs)
        assert len(samples) == runs and all(type(sample) is int for sample in samples)
        assert min(samples) > 0
    assert session.finite() is True
    assert session.build_ns > 0


@every_runtime
def test_where_nothing_can_be_fused_the_fused_graph_is_the_graph(name):
    found = runtime(name).fused_graph(canary_model())
    nodes = onnx.load_model_from_string(canary_model()).graph.node
    assert found == Counter(node.op_type for node in nodes)


@every_runtime
def test_every_runtime_has_the_usual_provider_and_refuses_what_it_lacks(name):
    own = runtime(name)
    refuse_unknown(own, {})
    refuse_unknown(own, {"provider": "cpu", "precision": "fp32", "other": "option"})
    assert why_not(own, {"provider": "cpu", "precision": "fp32"}) is None
    for option in ("provider", "precision"):
        with pytest.raises(RequestError, match=f"{option} must be .* on the runtime {name}"):
            refuse_unknown(own, {option: "none"})


def test_a_runtime_that_is_missing_is_not_asked_further(monkeypatch):
    own = runtime("torch")
    monkeypatch.setattr(own, "why_not", lambda: "missing", raising=False)
    assert why_not(own, {"provider": "cuda"}) == "missing"
