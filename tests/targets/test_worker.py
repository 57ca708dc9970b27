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
