import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from hwnas.errors import RuntimeFailure
from hwnas.profiles import Device, DeviceProfile
from hwnas.profiling.protocol import Protocol
from hwnas.profiling.visit import measure
from hwnas.profiling.visit import visit as once
from hwnas.targets import LocalTarget

ENGINE = """
import os, time
NAME, VERSION, LIMIT_MEMORY = "odd", "1", {limit}
flushed = [False]
def flush():
    flushed[0] = True
class Session:
    build_ns = 2_000_000
    def __init__(self, source, threads, shapes):
        self.kind = open(source, "rb").read().decode("latin-1")
        self.runs = 0
    def time(self, runs):
        self.runs += runs
        if self.runs > 1:
            if self.kind == "crash":
                os.abort()
            if self.kind == "hang":
                time.sleep(600)
            if self.kind == "raise":
                raise ValueError("no such operator")
        if self.kind == "eat":
            self.eaten = bytearray(1 << 50)
        if self.kind == "late" and flushed[0]:
            raise ValueError("cold")
        slow = 3 if flushed[0] else 1
        flushed[0] = False
        if self.kind == "jump" and self.runs > 20:
            return [-5_000_000] * runs
        return [1_000_000 * slow] * runs
    def finite(self):
        return self.kind != "nan"
"""


@dataclass(frozen=True)
class OddRuntime:
    engine: Path
    name: str = "odd"

    def why_not(self):
        return None


@pytest.fixture
def target(tmp_path):
    engine = tmp_path / "engine.py"
    engine.write_text(ENGINE.replace("{limit}", "True"))
    return LocalTarget(OddRuntime(engine))


@pytest.fixture
def profile(profiles):
    return DeviceProfile.create(Device("odd"))


def visit(profile, target, *names, session="s0", **settings):
    protocol = Protocol(timeout_s=2.0, least_rounds=3, **settings)
    models = {name: name.rstrip("0123456789").encode() for name in names}
    measure(
        profile,
        target,
        models,
        session=session,
        protocol=protocol,
        seed=0,
        until=time.monotonic() + 60,
    )
    return {item.key: item for item in profile.read().observations}


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("crash", "SIGABRT"),
        ("hang", "did not answer 'round' within"),
        ("raise", "ValueError: no such operator"),
        ("nan", "not finite"),
        ("eat", "MemoryError"),
    ],
)
def test_a_bad_model_is_recorded_with_its_reason_and_the_others_are_measured(
    profile, target, kind, says
):
    seen = visit(profile, target, "good1", kind, "good2")
    assert says in seen[kind].failure
    for name in ("good1", "good2"):
        assert seen[name].failure is None
        assert seen[name].quiet_ms == pytest.approx(1.0)
    # Every process that observed something has its conditions in the profile.
    records = profile.read()
    assert {item.session for item in records.observations} == set(records.sessions)


def test_several_bad_models_each_cost_one_process(profile, target):
    seen = visit(profile, target, "crash1", "good", "crash2", "crash3")
    assert seen["good"].failure is None
    assert all("SIGABRT" in seen[f"crash{i}"].failure for i in (1, 2, 3))


def test_a_worker_that_dies_of_itself_is_an_error(profile, tmp_path):
    engine = tmp_path / "engine.py"
    engine.write_text("import os\nos._exit(3)\n")
    with pytest.raises(RuntimeFailure, match="ended with 3"):
        visit(profile, LocalTarget(OddRuntime(engine)), "good")
    assert not profile.read().observations


def test_times_of_a_clock_that_jumps_back_do_not_count(profile, target):
    seen = visit(profile, target, "good", "jump")
    assert seen["jump"].quiet_ms == pytest.approx(1.0)
    assert seen["good"].quiet_ms == pytest.approx(1.0)


def test_cold_caches_are_measured_apart_and_only_when_asked_for(profile, target):
    assert visit(profile, target, "good")["good"].cold_ms is None
    seen = visit(profile, target, "better", session="s1", cold_runs=3)
    assert seen["better"].cold_ms == pytest.approx(3.0)
    assert seen["better"].quiet_ms == pytest.approx(1.0)


def test_a_visit_sets_aside_between_rounds_what_is_finished(profile, target, monkeypatch):
    from hwnas.profiling import visit as module

    monkeypatch.setattr(module, "STASH_S", 0.0)
    stash, copy = profile.folder / ".visit.jsonl", profile.folder / "copy"
    there = {}

    def killed(standing):
        # What is on the disk at this moment is what a kill would leave.
        there[standing.rounds] = stash.exists()
        if stash.exists():
            copy.write_bytes(stash.read_bytes())

    once(
        profile,
        target,
        {"good": b"good"},
        session="s0",
        protocol=Protocol(timeout_s=2.0, least_rounds=3),
        seed=0,
        until=time.monotonic() + 60,
        on_step=killed,
    )
    assert there == {0: False, 1: False, 2: False, 3: True}
    assert not stash.exists()
    (profile.folder / "measurements.jsonl").unlink()
    copy.rename(stash)
    assert profile.recover() == 1
    (item,) = profile.read().observations
    assert item.key == "good" and item.quiet_ms == pytest.approx(1.0) and item.rounds == 3


def test_where_a_model_kills_the_worker_only_what_is_finished_is_kept(profile, target):
    steps = []

    def seen(*names, session, **protocol):
        return {
            item.key: item
            for item in once(
                profile,
                target,
                {name: name.rstrip("0123456789").encode() for name in names},
                session=session,
                protocol=Protocol(timeout_s=2.0, least_rounds=3, **protocol),
                seed=0,
                until=time.monotonic() + 60,
                on_step=steps.append,
            )
        }

    # It fails in its first round, so that no other model has had its visits.
    assert set(seen("good", "raise", session="s0")) == {"raise"}
    # It fails with cold caches, when the others are finished.
    found = seen("good", "late", session="s1", cold_runs=3)
    assert "cold" in found["late"].failure and found["good"].rounds == 3
    assert list(profile.read().sessions) == ["s0", "s1"]
    shares = [standing.share for standing in steps]
    assert shares[:2] == [pytest.approx(0.05), pytest.approx(0.1)]
    assert all(0 <= share <= 1 for share in shares)
    assert steps[0].text == "loading 1/2" and steps[-1].text == "round 3, 2/2 done"
