import onnx
import pytest
import torch

from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.export.parts_onnx import canary_model
from hwnas.spaces import space


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.onnx"
    architecture = space("resnet-32").decode([1] * 11)
    path.write_bytes(architecture_to_onnx(architecture).SerializeToString())
    return path


def test_devices_are_made_listed_shown_and_checked(hwnas, profiles):
    assert hwnas("device", "list", "--json").json == {"devices": []}
    made = hwnas("device", "new", "cpu1", "--runtime", "onnxruntime", "--json")
    assert made.code == 0
    (device,) = made.json["devices"]
    assert device["available"] is True and device["why"] is None and device["profile"] is None
    assert hwnas("device", "show", "cpu1", "--json").json == made.json
    assert "cpu1" in hwnas("device", "list").out
    assert hwnas("device", "check", "cpu1").code == 0


def test_fit_and_predict_give_the_fields_that_scripts_read(hwnas, sim, model):
    fitted = hwnas("fit", "sim", "--json")
    assert fitted.code == 0
    accuracy = fitted.json["accuracy"]
    assert accuracy["mape_pct"] < accuracy["baselines"]["flops"]["mape_pct"]
    assert set(accuracy["baselines"]) >= {"flops", "table_sum"}
    (row,) = hwnas("predict", model, "--device", "sim", "--json").json["predictions"]
    assert row["low_ms"] <= row["latency_ms"] <= row["high_ms"]
    assert row["covered"] == 1
    assert {kernel["source"] for kernel in row["kernels"]} == {"table"}
    assert sum(kernel["ms"] for kernel in row["kernels"]) <= row["latency_ms"]
    wider, narrower = (
        hwnas("predict", model, "--device", "sim", "--level", level, "--json").json["predictions"][
            0
        ]
        for level in ("0.95", "0.5")
    )
    assert wider["latency_ms"] == narrower["latency_ms"] == row["latency_ms"]
    assert wider["low_ms"] < narrower["low_ms"] and wider["high_ms"] > narrower["high_ms"]
    assert hwnas("predict", model, "--device", "sim", "--level", "1").code == 2
    shown = hwnas("predict", model, "--device", "sim", "--per-kernel").out
    assert "Conv+Add+Relu 1×1" in shown and "Gemm" in shown and "table" in shown
    (seen,) = hwnas("measure", model, "--device", "sim", "--json").json["measurements"]
    assert seen["verdict"] == "stable"
    assert seen["latency_ms"] == pytest.approx(row["latency_ms"], rel=0.03)


def test_profile_goes_on_only_when_told_to(hwnas, sim):
    words = ("profile", "sim", "--space", "resnet-32", "--budget", "20s", "--json")
    refused = hwnas(*words)
    assert refused.code == 2 and "--resume" in refused.err
    done = hwnas(*words, "--resume")
    assert done.code == 0
    assert done.json["measured"]["networks"] == 60
    assert done.json["noise_floor_pct"] < 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("device", "show", "simm"), "did you mean sim"),
        (("device", "new", "x", "--runtime", "onnxruntim"), "did you mean onnxruntime"),
        (("device", "new", "x", "--transport", "smoke"), "no transport"),
        (("device", "new", "sim"), "exists"),
        (("profile", "sim", "--space", "resnet32"), "did you mean resnet-32"),
        (("profile", "sim", "--space", "resnet-32", "--budget", "5 apples"), "such as 90s"),
        (("predict", "none.onnx", "--device", "sim"), "no file"),
        (("export", "nowhere", "--out", "x"), "no finished search"),
        (("export", "nowhere", "--out", ""), "folder's name is empty"),
        (("profile", "sim", "--space", "resnet-32", "--networks", "0"), "--networks"),
        (("profile", "sim", "--space", "resnet-32:image_size=999999"), "from 1 to 4096"),
        (("profile", "sim", "--space", "resnet-32:classes=99999999999"), "from 2 to"),
        (("profile", "sim", "--space", "resnet-32", "--seed", "9" * 20), "--seed"),
        (("device", "new", "x" * 300), "at most 64 characters"),
        (("device", "new", "x", "--provider", "cuda"), "provider must be cpu"),
        (("device", "new", "x", "--threads", "4096"), "threads must be at most the"),
        (("search", "--space", "resnet-32"), "Missing option"),
        (("nonsense",), "No such command"),
    ],
)
def test_wrong_requests_say_what_is_allowed_and_exit_with_2(hwnas, sim, words, says):
    outcome = hwnas(*words)
    assert outcome.code == 2
    assert says in outcome.err
    assert outcome.out == ""


def test_wrong_models_exit_with_2(hwnas, sim, tmp_path):
    path = tmp_path / "m.onnx"
    for payload in (b"", b"text", canary_model()[:-100]):
        path.write_bytes(payload)
        for command in ("predict", "measure"):
            outcome = hwnas(command, path, "--device", "sim")
            assert outcome.code == 2 and "m.onnx" in outcome.err


def test_dynamic_shapes_are_asked_for(hwnas, sim, tmp_path, model):
    hwnas("fit", "sim")
    proto = onnx.load(model)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    path = tmp_path / "dynamic.onnx"
    onnx.save(proto, path)
    outcome = hwnas("predict", path, "--device", "sim")
    assert outcome.code == 2 and "--input-shape input:N,3" in outcome.err
    size = proto.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    shape = f"input:1,3,{size},{size}"
    assert hwnas("predict", path, "--device", "sim", "--input-shape", shape).code == 0
    assert hwnas("predict", path, "--device", "sim", "--input-shape", "input:1,x").code == 2
    for wrong, says in (
        ("inpt:1,3,8,8", "no model has an input 'inpt'"),
        (f"{shape}9999999", "2^31"),
    ):
        outcome = hwnas("predict", path, "--device", "sim", "--input-shape", wrong)
        assert outcome.code == 2 and says in outcome.err


def test_ctrl_c_in_a_measurement_says_so_and_the_next_call_goes_on(hwnas, sim, model, monkeypatch):
    from hwnas.profiling import models, visit

    visits = []

    def once(*arguments, **settings):
        if len(visits) == 2:
            visits.append("interrupt")
            raise KeyboardInterrupt
        visits.append(settings["session"])
        return visit.visit(*arguments, **settings)

    monkeypatch.setattr(models, "visit", once)
    cut = hwnas("measure", model, "--device", "sim", "--json")
    assert cut.code == 1 and cut.out == ""
    assert "interrupted" in cut.err
    done = hwnas("measure", model, "--device", "sim", "--json")
    assert done.code == 0, done.err
    assert len(visits) == 5
    (row,) = done.json["measurements"]
    assert row["sessions"] == 4 and row["verdict"] == "stable"
    assert row["cold_ms"] > row["latency_ms"] and row["first_ms"] > 0
    assert len(row["sha256"]) == 64 and row["conditions"]["hwnas"]


def test_a_sustained_load_is_shown_over_time(hwnas, sim, model):
    done = hwnas("measure", model, "--device", "sim", "--sustained", "3s", "--json")
    assert done.code == 0, done.err
    (row,) = done.json["measurements"]
    assert [item["at_s"] for item in row["sustained"]["series"]][-1] >= 3
    assert abs(row["sustained"]["drift_pct"]) < 20
    shown = hwnas("measure", model, "--device", "sim", "--sustained", "2s")
    assert shown.code == 0 and "without a pause" in shown.out


def test_profiles_below_a_file_are_refused(hwnas, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("HWNAS_PROFILES", str(blocked / "inside"))
    outcome = hwnas("device", "new", "d")
    assert outcome.code == 2 and "cannot be a folder" in outcome.err
    monkeypatch.setenv("HWNAS_PROFILES", str(blocked))
    for words in (("device", "list"), ("device", "show", "d"), ("device", "new", "d")):
        outcome = hwnas(*words)
        assert outcome.code == 2 and "set HWNAS_PROFILES" in outcome.err


def test_a_device_of_the_runtime_torch_is_made_and_checked(hwnas, profiles):
    made = hwnas("device", "new", "t", "--runtime", "torch", "--provider", "cpu", "--json")
    assert made.code == 0 and made.json["devices"][0]["runtime"] == "torch"
    assert hwnas("device", "check", "t").code == 0
    refused = hwnas("device", "new", "u", "--runtime", "torch", "--provider", "rocm")
    assert refused.code == 2 and "cuda-graph" in refused.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is missing where no GPU is")
def test_a_gpu_that_is_not_there_is_asked_for(hwnas, profiles, model):
    assert hwnas("device", "new", "g", "--runtime", "torch", "--provider", "cuda").code == 0
    refused = hwnas("measure", model, "--device", "g")
    assert refused.code == 2 and "error: provider 'cuda' needs a CUDA GPU" in refused.err
    assert hwnas("device", "check", "g").code == 3
