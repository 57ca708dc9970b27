"""Fixtures: devices in a temporary folder, and a profile of the simulated device."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hwnas.profiles import Device, DeviceProfile
from hwnas.profiling import ProfilingSession
from hwnas.runtimes import runtime
from hwnas.spaces import space
from hwnas.targets import target

# Tests share the machine; sleeping threads would still cost them more than one thread does.
torch.set_num_threads(1)


@pytest.fixture
def profiles(tmp_path, monkeypatch):
    """An empty folder of device profiles."""
    folder = tmp_path / "profiles"
    monkeypatch.setenv("HWNAS_PROFILES", str(folder))
    return folder


def profiled(folder: Path, name: str, *, budget_s: float, networks: int, **config) -> Path:
    """A simulated device with the space resnet-32 measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWNAS_PROFILES", str(folder))
        patch.setenv("HWNAS_SIMULATED", json.dumps(config))
        ProfilingSession(
            DeviceProfile.create(Device(name, runtime="simulated")),
            target(runtime("simulated"), "local", 1),
            space("resnet-32"),
            budget_s=budget_s,
            networks=networks,
        ).run()
    return folder


@pytest.fixture(scope="session")
def measured(tmp_path_factory):
    """The simulated device with the space resnet-32 measured, to be copied."""
    return profiled(tmp_path_factory.mktemp("measured"), "sim", budget_s=60, networks=60)


@pytest.fixture
def sim(profiles, measured) -> Path:
    """A fresh copy of the measured simulated device, by the name ``sim``."""
    shutil.copytree(measured, profiles)
    return profiles / "sim"


@pytest.fixture(scope="session")
def measured_slow(tmp_path_factory):
    """A simulated device 1.8 times as slow: 12 networks and some parts of resnet-32."""
    slowdowns = [{"pct": 80, "from_s": 0}]
    folder = tmp_path_factory.mktemp("measured_slow")
    return profiled(folder, "slow", budget_s=4, networks=12, slowdowns=slowdowns)


@pytest.fixture
def slow(sim, measured_slow) -> Path:
    """A fresh copy of the slow device, by the name ``slow``, beside ``sim``."""
    shutil.copytree(measured_slow / "slow", sim.parent / "slow")
    return sim.parent / "slow"


def _apart(bag):
    """A bag with the last block's sum and the head's norm apart: one kernel across two blocks."""
    found = Counter()
    for kernel, count in bag.items():
        if kernel.op == "SkipLayerNormalization":
            found[replace(kernel, op="Add", inputs=kernel.inputs, weights=())] += count
            attributes, own = (("axis", -1),), kernel.inputs[:1]
            found[replace(kernel, op="LayerNormalization", attributes=attributes, inputs=own)] += (
                count
            )
        else:
            found[kernel] += count
    return found


@pytest.fixture
def apart():
    """Takes kernels apart that stand across two blocks."""
    return _apart
