from importlib.metadata import EntryPoint

import pytest

from hwnas.errors import UnknownNameError
from hwnas.runtimes import registry, runtime
from hwnas.runtimes.onnxruntime import OnnxRuntime
from hwnas.runtimes.simulated import SimulatedRuntime


def test_the_built_in_runtimes():
    assert type(runtime("onnxruntime")) is OnnxRuntime
    assert type(runtime("simulated")) is SimulatedRuntime


def test_unknown_names_suggest_the_closest():
    with pytest.raises(UnknownNameError, match="did you mean onnxruntime") as caught:
        runtime("onnxruntim")
    assert "simulated" in str(caught.value)


def test_entry_points_add_runtimes_but_do_not_replace_the_built_in_ones(monkeypatch):
    found = [
        EntryPoint(name, "hwnas.runtimes.simulated:SimulatedRuntime", "hwnas.runtimes")
        for name in ("mine", "onnxruntime")
    ]
    asked = []

    def entry_points(*, group):
        asked.append(group)
        return found

    monkeypatch.setattr(registry, "entry_points", entry_points)
    assert type(runtime("mine")) is SimulatedRuntime
    assert asked == ["hwnas.runtimes"]
    assert type(runtime("onnxruntime")) is OnnxRuntime
    with pytest.raises(UnknownNameError, match="mine, onnxruntime, simulated"):
        runtime("other")
