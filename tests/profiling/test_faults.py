"""A model that misbehaves must cost its own number only, and never give a wrong one."""

import json
import os

import onnx
import pytest

from hwnas.errors import RuntimeFailure, StorageError
from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.profiles import Device, DeviceProfile
from hwnas.profiling import ProfilingSession
from hwnas.profiling.plan import plan_networks
from hwnas.profiling.protocol import Protocol
from hwnas.profiling.visit import measure
from hwnas.runtimes import runtime
from hwnas.runtimes.sim_engine import model_ns
from hwnas.spaces import space
from hwnas.targets import LocalTarget

PLANNED = plan_networks(space("resnet-32"), 3, 0)
MODELS = {n.key: architecture_to_onnx(n.architecture).SerializeToString() for n in PLANNED}
TRUTH_MS = {k: model_ns(onnx.load_model_from_string(m)) / 1e6 for k, m in MODELS.items()}
FIRST, SECOND, _ = MODELS


@pytest.fixture
def observe(profiles, monkeypatch):
    """Measures the networks while one does something wrong; observations by key."""
    profile = DeviceProfile.create(Device("sim", runtime="simulated"))

    def run(key, fault, **protocol):
        selector = "graph:" + key.removeprefix("network:")
        config = {"faults": {selector: fault}, "bursts_per_s": 0}
        monkeypatch.setenv("HWNAS_SIMULATED", json.dumps(config))
        measure(
            profile,
            LocalTarget(runtime("simulated")),
            MODELS,
            session="s0000",
            protocol=Protocol(**protocol),
            seed=0,
            until=float("inf"),
        )
        return {item.key: item for item in profile.read().observations}

    return run


def right(item):
    return item.quiet_ms == pytest.approx(TRUTH_MS[item.key], rel=0.01)


def test_outputs_that_are_not_finite_are_a_failure_of_that_model_alone(observe):
    seen = observe(SECOND, "nan")
    assert "not finite" in seen[SECOND].failure
    assert all(right(seen[key]) for key in MODELS if key != SECOND)


@pytest.mark.parametrize("jump_ms", [-50, -0.1, 0.1, 50])
def test_a_clock_that_jumps_does_not_change_the_number(jump_ms, observe):
    seen = observe(FIRST, f"clock={jump_ms}@20")
    assert all(right(seen[key]) for key in MODELS)
    assert all(0 < item.low_ms <= item.quiet_ms <= item.high_ms for item in seen.values())


@pytest.mark.parametrize(
    ("fault", "message"),
    [("crash", "ended with 3"), ("abort", "SIGABRT"), ("hang", "did not answer")],
)
def test_a_model_that_ends_or_holds_up_its_worker_is_recorded_by_name(fault, message, observe):
    try:
        # The time is real for a hang only; the worker answers within a tenth of it.
        seen = observe(FIRST, fault, timeout_s=3 if fault == "hang" else 60)
    except RuntimeFailure as error:
        pytest.fail(f"the failure was not recorded: {error}")
    assert message in seen[FIRST].failure


def test_a_disk_that_fills_ends_a_session_and_what_was_measured_is_gone_on_with(
    profiles, monkeypatch
):
    monkeypatch.setenv("HWNAS_SIMULATED", json.dumps({"bursts_per_s": 0}))
    profile = DeviceProfile.create(Device("sim", runtime="simulated"))
    whole = DeviceProfile.create(Device("whole", runtime="simulated"))
    write, writes = os.write, []

    def fills_up(handle, payload):
        writes.append(payload)
        # The third visit's line is cut off in its middle.
        return write(handle, payload[: len(payload) // 2] if len(writes) == 3 else payload)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fills_up)
        with pytest.raises(StorageError, match="disk is full; what was measured before is kept"):
            profiling(profile)
    assert len(profile.read().sessions) == 2
    for item in (profile, whole):
        profiling(item)
    # Nothing was lost, and nothing that was measured anew has another value.
    assert profile.read().digest() == whole.read().digest()


def profiling(profile):
    """Measures a few networks, and parts, by few rounds."""
    ProfilingSession(
        profile,
        LocalTarget(runtime("simulated")),
        space("resnet-32"),
        budget_s=1e6,
        networks=8,
        protocol=Protocol(least_rounds=3, agreement=0.05),
    ).run()
