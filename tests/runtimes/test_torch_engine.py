import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.export.parts_onnx import call_part, canary_model
from hwnas.runtimes import runtime, torch_engine
from hwnas.runtimes.torch_engine import Session, checked
from hwnas.spaces import space
from hwnas.targets import LocalTarget

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU")
CUDA = ("cuda", "cuda-graph")


def one(op, shape=(2, 3), dtype=TensorProto.FLOAT):
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"])],
        op,
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", dtype, shape)],
    )
    made = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    helper.set_model_props(made, {"k": "v"})
    return made.SerializeToString()


def test_a_session_runs_bytes_and_files(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(one("Neg"))
    for source in (path.read_bytes(), str(path)):
        session = Session(source)
        assert (
            session.run({"x": np.full((2, 3), 1.5, np.float32)})["y"].tolist() == [[-1.5] * 3] * 2
        )
        assert session.metadata() == {"k": "v"}


def test_results_of_one_run_are_not_overwritten_by_the_next():
    session = Session(one("Identity"))
    first = session.run({"x": np.ones((2, 3), np.float32)})["y"]
    session.run({"x": np.zeros((2, 3), np.float32)})
    assert first.min() == 1


@pytest.mark.parametrize(("op", "finite"), [("Abs", True), ("Log", False)])
def test_outputs_that_are_not_finite_are_noticed(op, finite):
    session = Session(one(op, (1, 64)))
    session.time(1)
    assert session.finite() is finite


@pytest.mark.parametrize("dtype", [TensorProto.INT64, TensorProto.INT32, TensorProto.DOUBLE])
def test_inputs_of_other_types_are_made(dtype):
    session = Session(one("Abs", dtype=dtype))
    assert len(session.time(3)) == 3 and session.finite()


def test_open_sizes_must_be_given():
    assert len(Session(one("Abs", ("N", 3)), 1, {"x": [4, 3]}).time(2)) == 2
    with pytest.raises(TypeError, match="input 'x' leaves sizes open"):
        Session(one("Abs", ("N", 3)))


def test_wrong_feeds_are_named():
    session = Session(one("Abs"))
    with pytest.raises(ValueError, match="inputs must be x, received z"):
        session.run({"z": np.zeros((2, 3), np.float32)})
    with pytest.raises(ValueError, match=r"shape \(2, 3\), received \(3, 2\)"):
        session.run({"x": np.zeros((3, 2), np.float32)})


def test_threads_are_those_of_the_session_while_it_runs_only():
    before, seen = torch.get_num_threads(), []
    session = Session(one("Abs"), 2)
    session._step = lambda: seen.append(torch.get_num_threads())
    session.time(2)
    assert seen == [2, 2] and torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"provider": "tpu"}, "must be one of cpu, cuda, cuda-graph, cuda-compile: got 'tpu'"),
        ({"speed": "most"}, "torch has no option 'speed'; allowed: provider"),
        ({"precision": "fp16"}, "needs a CUDA provider; on cpu use fp32"),
    ],
)
def test_options_that_are_not_known_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        checked(options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is missing where no GPU is")
def test_a_cuda_provider_without_a_gpu_says_what_to_do():
    with pytest.raises(ValueError, match="torch .* sees none; use provider cpu"):
        Session(one("Abs"), 1, None, {"provider": "cuda-graph"})


def test_the_layouts_agree():
    rng = np.random.default_rng(0)
    feeds = {"input": rng.standard_normal((1, 32, 16, 16), np.float32)}
    first, second = (
        Session(canary_model(), 1, None, {"layout": layout}).run(feeds)["output"]
        for layout in ("contiguous", "channels_last")
    )
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


def test_the_caches_of_the_processor_are_flushed():
    Session(one("Abs")).time(1)
    torch_engine.flush()


def test_the_clocks_come_up_before_a_burst_that_follows_a_pause(monkeypatch):
    """A session that thinks it is on a GPU; the first inference is never preceded."""
    session, now, steps = Session(one("Abs")), [10**12], []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch_engine.time, "perf_counter_ns", lambda: now[0])
    monkeypatch.setattr(torch_engine, "_last", dict(torch_engine._last, ns=0))

    def step():
        steps.append(now[0])
        now[0] += 5_000_000

    session._cuda, session._step = True, step
    assert session.time(1) == [5_000_000] and len(steps) == 1
    assert len(session.time(2)) == 2 and len(steps) == 3
    now[0] += torch_engine.IDLE_NS + 1
    assert len(session.time(2)) == 2 and len(steps) == 5 + torch_engine.WAKE_NS // 5_000_000


def test_a_worker_measures_with_it():
    with LocalTarget(runtime("torch"), options={"provider": "cpu"}).open() as worker:
        assert worker.hello["runtime"] == "torch"
        assert worker.hello["conditions"]["provider"] == "cpu"
        worker.load("canary", canary_model(), timeout_s=60)
        worker.load("call", call_part().model, timeout_s=60)
        (burst,) = worker.round(
            ["call"], canary="canary", runs=4, drop=2, segment_ns=0, timeout_s=60
        )
        assert min(burst.samples_ns) > 0
        assert len(worker.cold("call", runs=2, flush_mib=1, timeout_s=60)) == 2


def test_the_engine_stands_alone():
    """It is loaded by path in a process that has torch and no hwnas."""
    code = (
        "import importlib.util, json, sys; "
        "spec = importlib.util.spec_from_file_location('engine', sys.argv[1]); "
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module); "
        "print(json.dumps([module.NAME, [n for n in sys.modules if n.split('.')[0] == 'hwnas']]))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(runtime("torch").engine)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == ["torch", []]


@gpu
@pytest.mark.gpu
@pytest.mark.parametrize("provider", CUDA)
@pytest.mark.parametrize("name", ["mobilenet-32", "resnet-32"])
def test_cuda_agrees_with_onnx_runtime(provider, name):
    found = space(name)
    rng = np.random.default_rng(0)
    for genes in found.sample(rng, 3):
        architecture = found.decode(genes)
        model = architecture_to_onnx(architecture).SerializeToString()
        session = Session(model, 1, None, {"provider": provider})
        for _ in range(2):  # a second one, so that a captured graph reads its inputs again
            feeds = {"input": rng.standard_normal((1, *architecture.input_shape), np.float32)}
            expected = runtime("onnxruntime").run(model, feeds)["output"]
            error = np.abs(session.run(feeds)["output"] - expected).max()
            assert error <= 1e-4 * np.abs(expected).max()
        assert min(session.time(3)) > 0 and min(session.time_events(3)) > 0
        assert session.finite()


@gpu
@pytest.mark.gpu
def test_half_precision_is_near(provider="cuda-graph"):
    feeds = {"input": np.random.default_rng(0).standard_normal((1, 32, 16, 16), np.float32)}
    expected = runtime("onnxruntime").run(canary_model(), feeds)["output"]
    options = {"provider": provider, "precision": "fp16"}
    actual = Session(canary_model(), 1, None, options).run(feeds)["output"]
    assert actual.dtype == np.float32
    assert np.abs(actual - expected).max() < 0.02 * np.abs(expected).max()
