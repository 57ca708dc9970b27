import os
import time

import pytest

from hwnas.export.parts_onnx import call_part, canary_model
from hwnas.profiles import Device, DeviceProfile
from hwnas.profiling import models, visit
from hwnas.profiling.models import SESSIONS, UNFINISHED, measure_models
from hwnas.runtimes import runtime
from hwnas.targets import target

MODELS = {"call": call_part().model, "canary": canary_model(), "twin": canary_model()}


@pytest.fixture
def profile(profiles):
    return DeviceProfile.create(Device("sim", runtime="simulated"))


@pytest.fixture
def place():
    return target(runtime("simulated"), "local", 1)


def left(profile):
    return list((profile.folder / UNFINISHED).glob("*/measurements.jsonl"))


def interrupted(monkeypatch, after):
    """``visit`` that is interrupted behind so many visits."""
    visits = []

    def once(*arguments, **settings):
        if len(visits) == after:
            raise KeyboardInterrupt
        visits.append(settings["session"])
        return visit.visit(*arguments, **settings)

    monkeypatch.setattr(models, "visit", once)
    return visits


def test_models_are_measured_in_four_processes_with_all_four_latencies(profile, place):
    found, failures, conditions = measure_models(profile, place, MODELS)
    assert failures == {} and conditions["runtime"] == "simulated"
    assert set(found) == set(MODELS)
    for item in found.values():
        assert item.sessions == SESSIONS and item.verdict == "stable"
        assert item.low_ms <= item.latency_ms <= item.high_ms
        assert item.cold_ms > item.latency_ms and item.first_ms > 0 and item.build_ms > 0
    # One file under two names is one model.
    assert found["canary"] == found["twin"]
    assert profile.read().observations == [] and left(profile) == []


def test_what_was_measured_before_an_interrupt_is_used_by_the_next_call(
    profile, place, monkeypatch
):
    with monkeypatch.context() as patch:
        interrupted(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            measure_models(profile, place, MODELS)
    (kept,) = left(profile)
    before = kept.read_bytes()
    seen = []
    # Another set of models has nothing to go on with.
    measure_models(profile, place, {"call": MODELS["call"]}, on_progress=seen.append)
    assert seen[0] == 0.0 and kept.read_bytes() == before
    visits = interrupted(monkeypatch, SESSIONS)
    seen.clear()
    found, _, _ = measure_models(profile, place, MODELS, on_progress=seen.append)
    assert len(visits) == SESSIONS - 2 and seen[0] == 0.5
    assert all(item.sessions == SESSIONS for item in found.values())
    assert left(profile) == []


def test_what_is_older_than_an_hour_is_measured_anew(profile, place, monkeypatch):
    with monkeypatch.context() as patch:
        interrupted(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            measure_models(profile, place, MODELS)
    (kept,) = left(profile)
    old = time.time() - models.FRESH_S - 60
    os.utime(kept, (old, old))
    visits = interrupted(monkeypatch, SESSIONS)
    measure_models(profile, place, MODELS)
    assert len(visits) == SESSIONS


def test_a_model_that_fails_does_not_stop_the_others(profile, place):
    found, failures, _ = measure_models(profile, place, {**MODELS, "bad": b"not a model"})
    assert set(found) == set(MODELS) and set(failures) == {"bad"}
