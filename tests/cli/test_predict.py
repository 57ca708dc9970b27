import json
import shutil

import onnx
import pytest
from onnx import TensorProto, helper

from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.predictors import LatencyPredictor
from hwnas.profiles import DeviceProfile, Observation
from hwnas.spaces import space


@pytest.fixture(scope="module")
def fitted_once(measured, tmp_path_factory):
    """The simulated device, fitted."""
    from hwnas.cli.profile import fitted

    folder = tmp_path_factory.mktemp("fitted") / "profiles"
    shutil.copytree(measured, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWNAS_PROFILES", str(folder))
        fitted(DeviceProfile.open("sim"))
    return folder


@pytest.fixture
def sim(profiles, fitted_once):
    shutil.copytree(fitted_once, profiles)
    return profiles / "sim"


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.onnx"
    architecture = space("resnet-32").decode([1] * 11)
    path.write_bytes(architecture_to_onnx(architecture).SerializeToString())
    return path


@pytest.fixture
def unpriced(tmp_path):
    """A ReLU, and an If whose branches nobody prices."""
    value = helper.make_tensor_value_info
    shape = [1, 8, 8, 8]
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(op, ["r"], [op])], name, [], [value(op, TensorProto.FLOAT, shape)]
        )
        for name, op in (("then", "Sigmoid"), ("else", "Tanh"))
    }
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("If", ["c"], ["y"], **branches)],
        "g",
        [value("x", TensorProto.FLOAT, shape), value("c", TensorProto.BOOL, [])],
        [value("y", TensorProto.FLOAT, shape)],
    )
    path = tmp_path / "if.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), path)
    return path


def test_operators_without_a_price_leave_the_latency_open_above(hwnas, sim, unpriced):
    done = hwnas("predict", unpriced, "--device", "sim", "--json")
    (row,) = done.json["predictions"]
    assert row["not_covered"] == {"If": 1} and row["covered"] < 1
    assert row["high_ms"] is None and 0 < row["low_ms"] <= row["latency_ms"]
    assert "has operators without a price (If 1×): its latency has no upper end" in done.err
    people = hwnas("predict", unpriced, "--device", "sim")
    assert people.code == 0
    assert f"≥ {row['latency_ms']:.4f}" in people.out and f"≥ {row['low_ms']:.4f}" in people.out
    assert "if.onnx: If 1×" in people.out and "none" not in people.out
    every = hwnas("predict", unpriced, "--device", "sim", "--per-kernel").out
    (line,) = [line for line in every.splitlines() if "none" in line]
    assert line.split() == ["–", "–", "1×", "none", "If"]


def test_a_level_that_cannot_be_told_is_replaced_by_the_highest(hwnas, sim, model):
    words = ("predict", model, "--device", "sim", "--level", "0.999")
    done = hwnas(*words, "--json")
    assert done.json["level"] == 44 / 46 and done.json["level_asked"] == 0.999
    assert "intervals up to 95.65 %, which are given in place of 99.9 %" in done.err
    highest = hwnas("predict", model, "--device", "sim", "--level", str(44 / 46), "--json")
    assert highest.json["predictions"] == done.json["predictions"]
    assert highest.err == ""
    assert "95.65 % interval" in hwnas(*words).out
    assert hwnas("predict", model, "--device", "sim", "--level", "nan").code == 2


def test_a_predictor_of_other_measurements_is_said_to_be_stale(hwnas, sim, model):
    fresh = hwnas("predict", model, "--device", "sim", "--json")
    assert fresh.code == 0 and fresh.err == ""
    profile = DeviceProfile.open("sim")
    seen = next(item for item in profile.read().observations if item.failure is None)
    new = Observation(**{**seen.to_json(), "key": "kernel:new"})
    profile.append([new])
    stale = hwnas("predict", model, "--device", "sim", "--json")
    assert stale.code == 0 and stale.json == fresh.json
    assert "fitted on other measurements than are there now; run 'hwnas fit sim'" in stale.err
    (sim / "measurements.jsonl").write_text("oops\n")
    broken = hwnas("predict", model, "--device", "sim", "--json")
    assert broken.json == fresh.json and "is up to date is not known" in broken.err
    (sim / "measurements.jsonl").unlink()
    assert "run 'hwnas fit sim'" in hwnas("predict", model, "--device", "sim", "--json").err


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("threads = 1", "threads = 8", "threads: 1 when measured, 8 in the file"),
        ('"simulated"', '"onnxruntime"', "runtime: simulated when measured, onnxruntime in the"),
    ],
)
def test_a_device_that_was_changed_by_hand_is_refused(hwnas, sim, model, was, now, says):
    path = sim / "device.toml"
    path.write_text(path.read_text().replace(was, now))
    for words in (
        ("predict", model, "--device", "sim"),
        ("measure", model, "--device", "sim"),
        ("fit", "sim"),
    ):
        done = hwnas(*words)
        assert done.code == 2 and done.out == ""
        assert says in done.err and "'hwnas device new'" in done.err


@pytest.mark.parametrize("name", ["[red]x.onnx", "a[/b].onnx", "[link=http:x].onnx", "[.onnx"])
def test_square_brackets_in_a_name_are_no_markup(hwnas, sim, model, monkeypatch, name):
    monkeypatch.chdir(model.parent)
    (model.parent / name).parent.mkdir(exist_ok=True)
    shutil.copy(model, model.parent / name)
    done = hwnas("predict", name, "--device", "sim", "--per-kernel")
    assert done.code == 0 and done.out.count(name) == 2


def test_a_file_that_is_named_twice_has_two_rows(hwnas, sim, model, unpriced):
    done = hwnas("predict", model, unpriced, model, "--device", "sim", "--json")
    rows = done.json["predictions"]
    assert [row["model"] for row in rows] == [str(model), str(unpriced), str(model)]
    assert rows[0] == rows[2]


def test_a_broken_predictor_is_named_and_how_to_mend_it(hwnas, sim, model):
    path = sim / "predictor.json"
    whole = json.loads(path.read_text())
    for content in ("[" * 100000, json.dumps({**whole, "call_ms": -1})):
        path.write_text(content)
        done = hwnas("predict", model, "--device", "sim")
        assert done.code == 2 and "run" not in done.out and "'hwnas fit sim'" in done.err
        assert hwnas("device", "list").code == 0
    assert hwnas("fit", "sim").code == 0
    assert LatencyPredictor.load(path).call_ms_ > 0
