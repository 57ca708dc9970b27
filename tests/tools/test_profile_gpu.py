import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hwnas.profiles import DeviceProfile

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "profile_gpu"


def run(*arguments, **environment):
    return subprocess.run(
        [SCRIPT, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", **environment},
    )


def test_the_job_in_small_on_the_cpu_and_a_second_run_skips_what_is_finished(tmp_path):
    small = ("--modes", "cpu", "--spaces", "resnet-32", "--networks", "8", "--budget", "12s")
    done = run(*small, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert json.loads((tmp_path / "profile_gpu.json").read_text()) == report
    own = report["cpu-torch-cpu"]
    assert own["device"]["conditions"]["provider"] == "cpu"
    assert own["device"]["profile"]["measurements"] > 0
    assert own["device"]["failures"] == []
    # Whether enough networks are measured to fit on depends on what else the machine does.
    assert {"all", "resnet-32"} <= set(own["accuracy"]) or "needed" in own["accuracy"]["failed"]
    held = DeviceProfile.at(tmp_path / "cpu-torch-cpu")
    assert held.device.runtime == "torch" and held.device.told["provider"] == "cpu"
    again = run(*small, "--out", tmp_path)
    assert "finished before" in again.stderr and json.loads(again.stdout) == report


def test_the_probe_compares_with_onnx_runtime_and_shows_the_scatter(tmp_path):
    done = run(
        "--probe", "--modes", "cpu", "--spaces", "resnet-32", "--runs", "4", "--out", tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["cpu-torch-cpu"]["probe"]
    assert set(found) == {"conditions", "call", "canary", "resnet-32"}
    assert found["resnet-32"]["relative_error"] < 1e-4


def test_the_accuracy_is_told_for_all_and_by_space(sim):
    spec = importlib.util.spec_from_file_location(
        "profile_gpu", SCRIPT.with_name("bench") / "profile_gpu.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    job = object.__new__(module.Job)
    job.name, job.profile = "sim", DeviceProfile.open("sim")
    found = job.fit()
    assert found["resnet-32"]["mape_pct"] == pytest.approx(found["all"]["mape_pct"])
    assert {"flops", "table_sum"} <= set(found["resnet-32"]["baselines"])
    assert found["all"]["noise_floor_pct"] is not None
    described = job.described()
    assert described["conditions"]["runtime"] == "simulated" and described["failures"] == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is missing where no GPU is")
def test_without_a_gpu_it_says_so(tmp_path):
    done = run("--out", tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert "need a CUDA GPU" in done.stderr and "--rehearse" in done.stderr


def test_wrong_requests_end_with_2(tmp_path):
    common = ("--modes", "cpu", "--spaces", "resnet-32", "--out", tmp_path)
    for arguments, says in (
        (("--budget", "mobilenet=3s"), "add resnet-32="),
        (("--precision", "fp16"), "precision fp16"),
    ):
        done = run(*common, *arguments)
        assert done.returncode == 2 and says in done.stderr
    assert run(*common, HWNAS_WHEELS="/nowhere").returncode == 2
