import subprocess
import sys

import hwnas

HEAVY = ("torch", "onnxruntime", "xgboost", "onnx", "sklearn", "ray", "scipy")


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()


def test_a_bare_import_loads_nothing_heavy():
    loaded = run("import sys, hwnas; print(*sys.modules)")
    assert not set(HEAVY) & set(loaded)


def test_the_help_of_the_command_line_loads_nothing_heavy():
    loaded = run("import sys, hwnas.cli.main; print(*sys.modules)")
    assert not set(HEAVY) & set(loaded)


def test_pricing_needs_no_torch():
    loaded = run(
        "import sys, hwnas.spaces, hwnas.kernels, hwnas.profiles, hwnas.predictors, "
        "hwnas.profiling, hwnas.search, hwnas.export.bags; print(*sys.modules)"
    )
    assert "torch" not in loaded


def test_the_public_names():
    assert hwnas.__all__ == ["__version__"]
