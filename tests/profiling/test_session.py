import os
import re
import signal

import onnx
import pytest

from hwnas.errors import InterruptedWork
from hwnas.export.bags import SpaceBags
from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.profiles import Device, DeviceProfile
from hwnas.profiling import ProfilingSession
from hwnas.profiling.models import measure_models
from hwnas.profiling.plan import plan_networks
from hwnas.runtimes import runtime
from hwnas.runtimes.sim_engine import model_ns
from hwnas.spaces import Architecture, space
from hwnas.targets import target


def planned(count):
    """Keys of the networks that a session measures."""
    found = space("resnet-32")
    return {n.key for n in plan_networks(found, count, 0, SpaceBags(found, "simulated"))}


def session(profile, **options):
    place = target(runtime("simulated"), "local", 1)
    return ProfilingSession(profile, place, space("resnet-32"), **{"budget_s": 60, **options})


def test_networks_are_measured_to_the_simulated_truth(sim):
    records = DeviceProfile.open("sim").read()
    networks = {k: m for k, m in records.measurements().items() if k.startswith("network:")}
    assert len(networks) == 60
    for key, measurement in networks.items():
        architecture = Architecture.from_json(records.definitions[key]["architecture"])
        truth = model_ns(architecture_to_onnx(architecture)) / 1e6
        assert measurement.verdict == "stable"
        assert measurement.sessions == 4
        assert measurement.latency_ms == pytest.approx(truth, rel=0.01)


def test_everything_measured_is_not_measured_again(sim):
    profile = DeviceProfile.open("sim")
    before = len(profile.read().observations)
    session(profile).run()
    assert len(profile.read().observations) == before


def test_progress_moves_with_every_model_and_round_and_says_the_time_left(profiles):
    profile, seen = DeviceProfile.create(Device("sim", runtime="simulated")), []
    session(profile, networks=8, on_progress=seen.append).run()
    first = [item.standing for item in seen if item.phase == "networks"]
    first = first[: next(i for i, item in enumerate(first) if item.done == 8) + 1]
    assert [item.loaded for item in first[:8]] == list(range(1, 9))
    assert first[8].rounds == 1 and first[-1].share == 1.0
    shares = [item.share for item in first]
    assert shares == sorted(shares) and len(set(shares)) > 12
    assert re.fullmatch(r"networks, loading 1/8, at most \d:\d\d left", seen[0].text)
    assert re.fullmatch(r"networks, round 1, \d/8 done, at most \d:\d\d left", seen[8].text)


@pytest.fixture
def ctrl_c():
    """Ctrl-C as in a terminal; a job in the background is started with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_keeps_what_was_measured_and_resumes(profiles, ctrl_c):
    profile = DeviceProfile.create(Device("sim", runtime="simulated"))
    visits = []

    def interrupt(progress):
        visits.append(progress.phase)
        if len(set(visits)) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedWork, match="observations are kept"):
        session(profile, networks=8, on_progress=interrupt).run()
    kept = profile.read().observations
    assert {item.key for item in kept} >= planned(8)
    session(profile, networks=8).run()
    assert profile.read().observations[: len(kept)] == kept
    counts = profile.read().session_counts()
    assert all(counts[key] == 4 for key in planned(8))


def test_models_that_fail_are_named_and_the_others_measured(profiles):
    profile = DeviceProfile.create(Device("cpu"))
    good = architecture_to_onnx(space("resnet-32").decode([0] * 11))
    nan = onnx.ModelProto()
    nan.CopyFrom(good)
    next(w for w in nan.graph.initializer if w.name.endswith("bn.bias")).raw_data = (
        b"\x00\x00\xc0\x7f" * 8
    )
    models = {"good": good.SerializeToString(), "nan": nan.SerializeToString(), "bad": b"x"}
    found, failures, conditions = measure_models(
        profile, target(runtime("onnxruntime"), "local", 1), models, budget_s=4
    )
    assert set(found) == {"good"}
    assert "not finite" in failures["nan"] and "bad" in failures
    assert conditions["runtime"] == "onnxruntime"
    assert not profile.read().observations
