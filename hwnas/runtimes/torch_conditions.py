"""On which GPU and in which state of it the runtime torch measures.

Stands alone beside ``torch_engine.py``, as that does.
"""

import subprocess

import torch

_SMI = {
    "gpu": "name",
    "gpu_driver": "driver_version",
    "gpu_clock_mhz": "clocks.sm",
    "gpu_clock_max_mhz": "clocks.max.sm",
    "gpu_memory_clock_mhz": "clocks.mem",
    "gpu_temperature_c": "temperature.gpu",
    "gpu_power_w": "power.draw",
    "gpu_power_limit_w": "power.limit",
}


def _smi():
    """What ``nvidia-smi`` says of the first GPU; ``None`` for what it does not."""
    command = [
        "nvidia-smi",
        f"--query-gpu={','.join(_SMI.values())}",
        "--format=csv,noheader,nounits",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        fields = [text.strip() for text in done.stdout.splitlines()[0].split(",")]
    except (OSError, subprocess.SubprocessError, IndexError):
        fields = []
    found = dict.fromkeys(_SMI)
    for name, text in zip(_SMI, fields, strict=False):
        if not text.startswith("["):
            found[name] = float(text) if name.rsplit("_", 1)[-1] in ("mhz", "c", "w") else text
    return found


def conditions(options=None):
    """How it runs, and for a CUDA provider on which GPU, in which state; ``None`` if unknown."""
    given = options or {}
    found = {
        "provider": given.get("provider", "cpu"),
        "precision": given.get("precision", "fp32"),
    }
    if found["provider"] == "cpu":
        return found
    found |= _smi()
    found |= {
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None,
        "cudnn_benchmark": given.get("cudnn_benchmark", "on"),
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name(0)
    return found
