"""Fixtures: devices in a temporary folder, and a profile of the simulated device."""

import json
import shutil
import sys
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
    return profiled(folder, "slow", budget_s=8, networks=12, slowdowns=slowdowns)


@pytest.fixture
def slow(sim, measured_slow) -> Path:
    """A fresh copy of the slow device, by the name ``slow``, beside ``sim``."""
    shutil.copytree(measured_slow / "slow", sim.parent / "slow")
    return sim.parent / "slow"


OWN_BLOCKS = """
import torch
from torch import nn


class Pixels(nn.Module):
    \"\"\"Attention over pixels behind a convolution, with a batch norm and a residual branch.\"\"\"

    def __init__(self, in_channels, out_channels, stride, heads=2, share=0.5):
        super().__init__()
        self.heads = heads
        self.enter = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.gate = nn.Parameter(torch.tensor(share))
        self.mixed = nn.Linear(out_channels, 3 * out_channels)

    def forward(self, image):
        image = torch.relu(self.norm(self.enter(image)))
        n, c, h, w = image.shape
        parts = self.mixed(image.flatten(2).transpose(1, 2))
        parts = parts.view(n, h * w, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = parts[0], parts[1], parts[2]
        weights = torch.softmax(query @ key.transpose(2, 3) * (c // self.heads) ** -0.5, -1)
        mixed = (weights @ value).transpose(1, 2).reshape(n, h * w, c)
        return image + self.gate * mixed.transpose(1, 2).reshape(n, c, h, w)


class Plain(nn.Module):
    def forward(self, image):
        return torch.relu(image) * 2


class Pair(nn.Module):
    def forward(self, image):
        return image, image


def number():
    return 3
"""


@pytest.fixture
def own_blocks(tmp_path, monkeypatch) -> str:
    """The name of an importable module that holds a user's own blocks."""
    (tmp_path / "users_blocks.py").write_text(OWN_BLOCKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "users_blocks", raising=False)
    return "users_blocks"


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
