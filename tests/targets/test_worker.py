import itertools
import json
import os
import signal
import sys

import pytest

from hwnas.errors import RuntimeFailure
from hwnas.export.parts_onnx import call_part, canary_model
from hwnas.runtimes import runtime
from hwnas.targets import LocalTarget, Worker
from hwnas.targets.worker import AGENT


@pytest.mark.parametrize("name", ["onnxruntime", "simulated"])
def test_a_round_visits_every_model_between_canaries(name):
    with LocalTarget(runtime(name)).open() as worker:
        assert worker.hello["runtime"] == name
        assert worker.hello["conditions"]["cores"] == os.cpu_count()
        worker.load("canary", canary_model(), timeout_s=60)
        loaded = worker.load("call", call_part().model, timeout_s=60)
        assert loaded.finite
        assert loaded.build_ms > 0 and loaded.first_ms > 0
        bursts = worker.round(
            ["call", "call"], canary="canary", runs=7, drop=2, segment_ns=0, timeout_s=60
        )
    assert [burst.key for burst in bursts] == ["call", "call"]
    assert all(len(burst.samples_ns) == 5 for burst in bursts)
    assert all(burst.canary_before_ns > 0 < burst.canary_after_ns for burst in bursts)


ROUND = {"canary": "canary", "runs": 7, "drop": 2, "timeout_s": 60}


def simulated(monkeypatch, **config):
    monkeypatch.setenv("HWNAS_SIMULATED", json.dumps({"bursts_per_s": 0, **config}))
    worker = LocalTarget(runtime("simulated")).open()
    worker.load("canary", canary_model(), timeout_s=60)
    worker.load("call", call_part().model, timeout_s=60)
    return worker


def test_a_visit_longer_than_a_segment_is_cut_with_the_canary_between_its_pieces(monkeypatch):
    with simulated(monkeypatch) as worker:
        least_ns = worker.round(["call"], segment_ns=10**9, **ROUND)[0].samples_ns[0]
        whole = worker.round(["call", "call"], segment_ns=10**9, number=3, **ROUND)
        segment_ns = int(1.5 * least_ns)
        cut = worker.round(["call", "call"], segment_ns=segment_ns, number=4, **ROUND)
        long = worker.round(["call"], segment_ns=least_ns // 2, number=5, **ROUND)
    assert [len(burst.samples_ns) for burst in whole] == [5, 5]
    assert [len(burst.samples_ns) for burst in cut] == [1] * 10
    assert len({burst.visit for burst in whole + cut}) == 4
    assert [burst.visit for burst in cut] == sorted(burst.visit for burst in cut)
    # A model longer than a segment has the runs that fit into five of them.
    assert [len(burst.samples_ns) for burst in long] == [1, 1]
    # A segment ends with a reading of its own, with which the next one begins.
    for one, two in itertools.pairwise(cut):
        same = (two.canary_before_ns, two.canary_after_ns)
        assert same == (one.canary_before_ns, one.canary_after_ns) or same[0] == one.canary_after_ns


@pytest.mark.parametrize("patience_ns", [0, 10**8, 10**9])
def test_a_round_waits_for_quiet_time_as_long_as_it_may(patience_ns, monkeypatch):
    slow = [{"pct": 40, "from_s": 0.01, "to_s": 0.3}]
    with simulated(monkeypatch, slowdowns=slow) as worker:
        quiet = worker.round(["call"], segment_ns=10**7, **ROUND)
        while worker.round(["call"], segment_ns=10**7, **ROUND)[0].canary_after_ns < 300_000:
            pass  # until it is slow
        bursts = worker.round(["call"], segment_ns=10**7, patience_ns=patience_ns, **ROUND)
        waited_s = worker.waited_s
    slowness = bursts[0].canary_before_ns / quiet[0].canary_before_ns
    assert (slowness < 1.03) == (patience_ns == 10**9)
    assert waited_s <= 1.2 * patience_ns / 1e9
    assert (waited_s > 0) == (patience_ns > 0)


def test_a_slow_process_waits_for_the_quiet_time_that_others_have_seen(monkeypatch):
    with simulated(monkeypatch) as worker:
        quiet_ns = worker.round(["call"], segment_ns=0, **ROUND)[0].canary_before_ns
    with simulated(monkeypatch, slowdowns=[{"pct": 40, "to_s": 0.2}]) as worker:
        before = worker.round(["call"], segment_ns=0, patience_ns=10**9, **ROUND)[0]
        assert before.canary_before_ns > 1.3 * quiet_ns  # its own best is all that it knows
        after = worker.round(["call"], segment_ns=0, patience_ns=10**9, quiet_ns=quiet_ns, **ROUND)[
            0
        ]
        assert after.canary_before_ns < 1.03 * quiet_ns


CORES = """
import os, time
NAME, VERSION, CALLING_THREAD = "cores", "1", True
busy, quiet = sorted(os.sched_getaffinity(0))[:2]
class Session:
    build_ns = 1
    def __init__(self, source, threads, shapes):
        self.runs = 0
    def time(self, runs):
        self.runs += runs
        slow = os.sched_getaffinity(0) != {quiet} and self.runs > 20
        return [1400 if slow else 1000] * runs
    def finite(self):
        return True
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_one_thread_moves_to_a_quieter_core(threads, tmp_path):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.fail("this test needs two cores")
    engine = tmp_path / "engine.py"
    engine.write_text(CORES)
    with Worker([sys.executable, str(AGENT), str(engine)], threads) as worker:
        worker.load("canary", b"", timeout_s=60)
        worker.load("model", b"", timeout_s=60)
        for _ in range(5):
            found = worker.round(["model"], segment_ns=10**9, patience_ns=5 * 10**7, **ROUND)
    assert found[0].canary_before_ns == (1000 if threads == 1 else 1400)


def test_a_model_that_the_runtime_refuses_is_an_error_and_the_worker_lives():
    with LocalTarget(runtime("onnxruntime")).open() as worker:
        with pytest.raises(RuntimeFailure):
            worker.load("bad", b"not a model", timeout_s=60)
        worker.load("call", call_part().model, timeout_s=60)


def test_a_worker_that_dies_says_how():
    with LocalTarget(runtime("simulated")).open() as worker:
        os.kill(worker.hello["pid"], signal.SIGKILL)
        with pytest.raises(RuntimeFailure, match="SIGKILL"):
            worker.load("call", call_part().model, timeout_s=60)
        assert not worker.alive


ENGINE = """
import time
NAME, VERSION = "odd", "1"
class Session:
    build_ns = 1
    def __init__(self, source, threads, shapes):
        print("noise on standard output")
        if b"hang" in open(source, "rb").read():
            time.sleep(60)
    def time(self, runs):
        return [5] * runs
    def finite(self):
        return False
"""


def test_noise_and_hangs_of_an_engine_are_survived(tmp_path):
    engine = tmp_path / "engine.py"
    engine.write_text(ENGINE)
    with Worker([sys.executable, "-I", str(AGENT), str(engine)], 1) as worker:
        assert not worker.load("a", b"x", timeout_s=60).finite
        with pytest.raises(RuntimeFailure, match="did not answer"):
            worker.load("b", b"hang", timeout_s=0.5)
