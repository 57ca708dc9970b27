"""Slow devices with a known truth: what the canary notices, and what profiles make of it."""

import json

import numpy as np
import onnx
import pytest
from scipy import stats

from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.export.parts_onnx import canary_model
from hwnas.profiles import Device, DeviceProfile
from hwnas.profiling.plan import plan_networks
from hwnas.profiling.protocol import Protocol
from hwnas.profiling.statistics import QUIET_QUANTILE, accepted
from hwnas.profiling.visit import measure
from hwnas.runtimes import runtime
from hwnas.runtimes.sim_engine import model_ns
from hwnas.spaces import space
from hwnas.targets import LocalTarget

PLACE = LocalTarget(runtime("simulated"))
# The quantile of the least of five half-normal values of 0.4 %, above the noiseless time.
QUIET = 1 + 0.004 * stats.halfnorm.ppf(1 - (1 - QUIET_QUANTILE) ** (1 / 5))


@pytest.fixture(scope="module")
def models():
    """Serialised networks by key."""
    planned = plan_networks(space("resnet-32"), 6, 0)
    return {n.key: architecture_to_onnx(n.architecture).SerializeToString() for n in planned}


@pytest.fixture(scope="module")
def truth_ms(models):
    """True latency by key, milliseconds."""
    return {k: model_ns(onnx.load_model_from_string(m)) / 1e6 for k, m in models.items()}


def simulate(monkeypatch, **config):
    monkeypatch.setenv("HWNAS_SIMULATED", json.dumps({"bursts_per_s": 0, **config}))


def sessions(models, count, protocol=None):
    """The profile that so many fresh processes make; each ends by agreement or 40 rounds."""
    profile = DeviceProfile.create(Device("sim", runtime="simulated"))
    for number in range(count):
        measure(
            profile,
            PLACE,
            models,
            session=f"s{number:04d}",
            protocol=protocol or Protocol(),
            seed=number,
            until=float("inf"),
        )
    return profile.read()


@pytest.mark.parametrize("segment_ms", [0, 2, 20])
def test_a_slower_device_is_noticed_within_the_round(segment_ms, models, truth_ms, monkeypatch):
    simulate(monkeypatch, slowdowns=[{"pct": 20, "from_s": 0.06, "to_s": 0.12}])
    slow_rounds = []
    with PLACE.open() as worker:
        worker.load("canary", canary_model(), timeout_s=60)
        for key, model in models.items():
            worker.load(key, model, timeout_s=60)
        best = float("inf")
        for number in range(12):
            bursts = worker.round(
                list(models),
                canary="canary",
                runs=7,
                drop=2,
                segment_ns=segment_ms * 10**6,
                timeout_s=60,
            )
            best = min(best, *(min(b.canary_before_ns, b.canary_after_ns) for b in bursts))
            kept = {id(b) for b in accepted(bursts, best, 0.03)}
            slow = [b for b in bursts if min(b.samples_ns) > 1.1e6 * truth_ms[b.key]]
            if slow:
                slow_rounds.append(number)
            assert not any(id(burst) in kept for burst in slow)
    assert 0 < slow_rounds[0] and slow_rounds[-1] < 11  # it began and ended meanwhile
    assert len(slow_rounds) >= 2


IMPATIENT = Protocol(patience=0, patience_s=0)


@pytest.mark.parametrize("protocol", [Protocol(), IMPATIENT])
def test_the_number_recovers_after_a_slowdown(protocol, models, truth_ms, profiles, monkeypatch):
    simulate(monkeypatch, slowdowns=[{"pct": 20, "from_s": 0.03, "to_s": 0.15}])
    records = sessions(models, 1, protocol)
    for item in records.observations:
        lost = item.rounds - item.accepted
        # It was slow meanwhile: measured in vain, or waited for the end.
        assert lost > 3 if protocol is IMPATIENT else lost <= 3
        assert item.accepted >= 8
        assert item.quiet_ms == pytest.approx(truth_ms[item.key], rel=0.02)
    waited_s = next(iter(records.sessions.values()))["waited_s"]
    assert waited_s == 0 if protocol is IMPATIENT else waited_s == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("begin_s", [0, 0.02, 0.03, 0.04, 0.06, 0.1])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_slowdown_to_the_end_of_a_session_is_never_silent(
    begin_s, count, models, truth_ms, profiles, monkeypatch, tmp_path
):
    # The last process is slow from some moment on. Process 0, quiet, measures one model only:
    # from it the profile knows the device's speed. Without any quiet process nobody could.
    simulate(
        monkeypatch,
        processes=str(tmp_path / "count"),
        slowdowns=[{"pct": 20, "from_s": begin_s, "process": count}],
    )
    few = dict(list(models.items())[:1])
    profile = DeviceProfile.create(Device("sim", runtime="simulated"))
    for number in range(count + 1):
        measure(
            profile,
            PLACE,
            few if number == 0 else models,
            session=f"s{number:04d}",
            protocol=Protocol(),
            seed=number,
            until=float("inf"),
        )
    found = profile.read().measurements()
    assert set(found) == set(models)
    for key, measurement in found.items():
        right = measurement.latency_ms == pytest.approx(truth_ms[key], rel=0.02)
        assert right or measurement.verdict == "unstable"
        if count == 4:
            assert right and measurement.verdict == "stable"
    if begin_s == 0 and count < 2:
        assert "unstable" in {m.verdict for m in found.values()}


def test_a_session_that_is_slow_throughout_is_left_out(
    models, truth_ms, profiles, monkeypatch, tmp_path
):
    simulate(
        monkeypatch,
        processes=str(tmp_path / "count"),
        slowdowns=[{"pct": 20, "process": 1}, {"pct": 8, "process": 3}],
    )
    records = sessions(models, 4)
    assert {item.canary_ms > 0.245 for item in records.observations} == {True, False}
    for key, measurement in records.measurements().items():
        assert measurement.sessions == 2
        assert measurement.verdict == "stable"
        assert measurement.latency_ms == pytest.approx(truth_ms[key], rel=0.002)


def test_intervals_of_whole_sessions_cover_the_truth(models, truth_ms, profiles, monkeypatch):
    # 60 intervals, that cover 98 % and more each: fewer than 56 with a probability below 1 %.
    covered = []
    profile = DeviceProfile.create(Device("sim", runtime="simulated"))
    for seed in range(10):
        simulate(monkeypatch, seed=seed, bursts_per_s=2, burst_ms=40)
        seen = measure(
            profile,
            PLACE,
            models,
            session=f"s{seed:04d}",
            protocol=Protocol(),
            seed=seed,
            until=float("inf"),
        )
        covered += [o.low_ms <= QUIET * truth_ms[o.key] <= o.high_ms for o in seen]
    assert len(covered) == 60
    assert np.mean(covered) >= 0.93
