import pytest

from hwnas.errors import MissingExtraError, RequestError, RuntimeFailure, UnknownNameError
from hwnas.export.parts_onnx import call_part
from hwnas.runtimes import runtime
from hwnas.targets import LocalTarget, target

ENGINE = """
NAME, VERSION = "own", "1"
def conditions(options):
    return {"told": options, "cores": "more"}
class Session:
    build_ns = 1
    def __init__(self, source, threads, shapes, *options):
        if options != ({"provider": "fast"},):
            raise ValueError(f"got {options}")
    def time(self, runs):
        return [5] * runs
    def finite(self):
        return True
"""


class Own:
    """A runtime of two providers."""

    name = "own"
    providers = ("cpu", "fast")

    def __init__(self, folder):
        self.engine = folder / "engine.py"
        self.engine.write_text(ENGINE)

    def why_not(self):
        return None


def test_the_options_reach_the_engine_and_its_conditions(tmp_path):
    told = {"provider": "fast", "precision": "fp32"}
    with target(Own(tmp_path), "local", 1, told).open() as worker:
        conditions = worker.hello["conditions"]
        assert conditions["told"] == {"provider": "fast"}, "what is usual is not said"
        assert conditions["cores"] == "more" and "machine" in conditions
        assert worker.load("call", call_part().model, timeout_s=30).finite


def test_without_options_an_engine_is_called_as_before(tmp_path):
    with LocalTarget(Own(tmp_path)).open() as worker:
        assert worker.hello["conditions"]["told"] == {}
        with pytest.raises(RuntimeFailure, match=r"ValueError: got \(\)"):
            worker.load("call", call_part().model, timeout_s=30)


def test_providers_and_precisions_are_those_of_the_runtime(tmp_path):
    own = Own(tmp_path)
    for options, says in (
        ({"provider": "slow"}, "provider must be cpu or fast on the runtime own, received 'slow'"),
        ({"precision": "fp16"}, "precision must be fp32 on the runtime own, received 'fp16'"),
    ):
        with pytest.raises(RequestError, match=says):
            target(own, "local", 1, options)
    with pytest.raises(RequestError, match="provider must be cpu on the runtime onnxruntime"):
        target(runtime("onnxruntime"), "local", 1, {"provider": "cuda"})


def test_unknown_transports_and_missing_runtimes_are_said(tmp_path, monkeypatch):
    with pytest.raises(UnknownNameError, match="transport"):
        target(Own(tmp_path), "pigeon", 1)
    monkeypatch.setattr(Own, "why_not", lambda self: "own is missing: pip install own")
    with pytest.raises(MissingExtraError, match="pip install own"):
        LocalTarget(Own(tmp_path)).open()
