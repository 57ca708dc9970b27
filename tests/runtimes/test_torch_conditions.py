import pytest
import torch

from hwnas.export.parts_onnx import canary_model
from hwnas.runtimes import torch_engine
from hwnas.runtimes.torch_engine import Session

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU")


def test_without_nvidia_smi_the_state_of_the_gpu_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    found = torch_engine.conditions({"provider": "cuda", "precision": "tf32"})
    assert (found["provider"], found["precision"]) == ("cuda", "tf32")
    assert found["gpu_driver"] is None and found["gpu_power_w"] is None


def test_what_nvidia_smi_says_is_read(monkeypatch, tmp_path):
    smi = tmp_path / "nvidia-smi"
    line = "NVIDIA H100 80GB HBM3, 580.1, 1980, 1980, 2619, 35, 70.21, [N/A]"
    smi.write_text(f"#!/bin/sh\necho '{line}'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    found = torch_engine.conditions({"provider": "cuda"})
    assert found["gpu_driver"] == "580.1" and found["gpu_power_limit_w"] is None
    assert (found["gpu_clock_mhz"], found["gpu_power_w"]) == (1980, 70.21)


def test_the_processors_conditions_are_small():
    assert torch_engine.conditions() == {"provider": "cpu", "precision": "fp32"}


@gpu
@pytest.mark.gpu
def test_the_gpus_conditions_are_read_and_its_cache_is_flushed():
    found = torch_engine.conditions({"provider": "cuda"})
    assert found["gpu"] == torch.cuda.get_device_name(0) and found["cuda"] and found["cudnn"]
    Session(canary_model(), 1, None, {"provider": "cuda"}).time(1)
    torch_engine.flush()
