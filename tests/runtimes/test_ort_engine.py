import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hwnas.runtimes.ort_engine import Session, write_fused


def model(op, *, inputs=1, dtype=TensorProto.FLOAT, shape=(2, 3), **attributes):
    names = [f"x{index}" for index in range(inputs)]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], **attributes)],
        op,
        [helper.make_tensor_value_info(name, dtype, shape) for name in names],
        [helper.make_tensor_value_info("y", dtype, shape)],
    )
    made = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    helper.set_model_props(made, {"k": "v"})
    return made.SerializeToString()


def test_a_session_runs_bytes_and_files(tmp_path):
    path = tmp_path / "add.onnx"
    path.write_bytes(model("Add", inputs=2))
    feeds = {name: np.full((2, 3), 1.5, np.float32) for name in ("x0", "x1")}
    for source in (path.read_bytes(), str(path)):
        session = Session(source)
        assert session.run(feeds)["y"].tolist() == [[3.0] * 3] * 2
        assert session.metadata() == {"k": "v"}


@pytest.mark.parametrize(("op", "finite"), [("Abs", True), ("Log", False)])
def test_outputs_that_are_not_finite_are_noticed(op, finite):
    # The inputs are normal, so half of their logarithms are NaN.
    session = Session(model(op, shape=(1, 64)))
    session.time(1)
    assert session.finite() is finite


@pytest.mark.parametrize("dtype", [TensorProto.INT64, TensorProto.INT32, TensorProto.DOUBLE])
def test_inputs_of_other_types_are_made(dtype):
    session = Session(model("Add", inputs=2, dtype=dtype))
    assert len(session.time(3)) == 3 and session.finite()


def test_open_sizes_must_be_given():
    source = model("Abs", shape=("N", 3))
    assert len(Session(source, 1, {"x0": [4, 3]}).time(2)) == 2
    with pytest.raises(TypeError):
        Session(source).time(1)


def test_the_fused_graph_is_a_model(tmp_path):
    path = tmp_path / "fused.onnx"
    write_fused(model("Abs"), str(path))
    assert [node.op_type for node in onnx.load(path).graph.node] == ["Abs"]


def told(source, key, value):
    made = onnx.load_model_from_string(source)
    helper.set_model_props(made, {key: value})
    return made.SerializeToString()


def fed(source):
    """What the only input of a model that passes it on is fed."""
    session = Session(source)
    session.bind()
    return session._feeds["x0"]


def test_whole_numbers_are_zero_or_stay_below_what_the_model_says():
    plain = model("Neg", dtype=TensorProto.INT64, shape=(64,))
    assert not fed(plain).any()
    indices = fed(told(plain, "hwnas.below.x0", "5"))
    assert indices.dtype == np.int64 and set(indices.tolist()) == set(range(5))
    assert not fed(told(plain, "hwnas.below.other", "5")).any()


def test_models_that_say_so_are_fed_nothing_below_zero():
    plain = model("Log", shape=(1, 64))
    assert (fed(plain) < 0).any()
    positive = told(plain, "hwnas.positive.x0", "1")
    assert (fed(positive) >= 0).all()
    session = Session(positive)
    session.time(1)
    assert session.finite()
