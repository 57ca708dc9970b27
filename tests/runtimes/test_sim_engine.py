import hashlib
import importlib.util
import json
import statistics
from pathlib import Path

import onnx
import pytest

from hwnas.errors import RequestError, RuntimeFailure
from hwnas.export.layers_onnx import chain_to_onnx
from hwnas.export.parts_onnx import call_part, canary_model
from hwnas.kernels import FUSION, Kernel, lower
from hwnas.runtimes import runtime
from hwnas.spaces import BlockSpec, PlacedBlock
from hwnas.targets import LocalTarget


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary.onnx"
    path.write_bytes(canary_model())
    return str(path)


def fresh(monkeypatch=None, **config):
    """The engine as a new worker loads it: with a clock and a randomness of its own."""
    if monkeypatch is not None:
        monkeypatch.setenv("HWNAS_SIMULATED", json.dumps(config))
    spec = importlib.util.spec_from_file_location("fresh_engine", runtime("simulated").engine)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def convolution(channels, groups=1):
    return Kernel(
        "Conv",
        (),
        (("group", groups),),
        ((1, channels, 16, 16),),
        ((channels, channels // groups, 3, 3),),
        ((1, channels, 16, 16),),
    )


def chain(count):
    spec = BlockSpec.of("conv", channels=16, kernel=3, stride=1, activation="relu")
    return chain_to_onnx([PlacedBlock(spec, (16, 8, 8))] * count, (16, 8, 8), name="chain")


def test_one_seed_gives_one_series_of_samples(canary, monkeypatch):
    first, again = (fresh(monkeypatch, seed=0).Session(canary).time(20) for _ in range(2))
    assert first == again != fresh(monkeypatch, seed=1).Session(canary).time(20)


def test_time_passes_by_what_runs(canary):
    module = fresh()
    assert module.clock_ns() == 0
    session = module.Session(canary)
    built = module.clock_ns()
    assert built == session.build_ns
    samples = session.time(50)
    # Each sample is written without its fraction of a nanosecond.
    assert 0 <= module.clock_ns() - built - sum(samples) <= 50
    assert module.Session(canary).time(0) == []


def test_samples_are_the_truth_and_noise_where_nothing_else_is_on(canary, monkeypatch):
    module = fresh(monkeypatch, bursts_per_s=0)
    truth = module.model_ns(onnx.load(canary))
    # The least of 400 half-normal values of 0.4 % is above 0.02 % with probability 1e-7.
    warm = module.Session(canary).time(410)[10:]
    assert truth - 1 <= min(warm) <= 1.0002 * truth
    assert statistics.median(warm) == pytest.approx(truth * (1 + 0.6745 * 0.004), rel=0.001)
    noiseless = fresh(monkeypatch, bursts_per_s=0, noise_pct=0).Session(canary)
    assert noiseless.time(40)[-1] == pytest.approx(truth, abs=1)


def test_a_cold_run_costs_what_has_to_be_loaded(canary, monkeypatch):
    module = fresh(monkeypatch, bursts_per_s=0, noise_pct=0)
    truth, size = (f(onnx.load(canary)) for f in (module.model_ns, module.working_set_bytes))
    # Weights with biases: 2·(64 + 32·32·9) elements; activations of a kernel: 2·32·16·16.
    assert size == 4 * (2 * (32 + 32 + 32 * 32 * 9) + 2 * 32 * 16 * 16)
    session = module.Session(canary)
    expected = [truth + size * 0.15**run / module.LOAD_BYTES_PER_NS for run in range(5)]
    assert session.time(5) == pytest.approx(expected, abs=2)
    session.time(20)
    assert session.time(1) == pytest.approx([truth], abs=2)
    module.flush()
    assert session.time(2) == pytest.approx(expected[:2], abs=2)


def test_models_push_each_other_out_of_the_cache_and_a_large_one_itself(canary, monkeypatch):
    quiet = {"bursts_per_s": 0, "noise_pct": 0}
    size = fresh().working_set_bytes(onnx.load(canary))
    for share, cold in ((2.0, False), (1.2, True)):
        module = fresh(monkeypatch, cache_kib=share * size / 1024, **quiet)
        truth = module.model_ns(onnx.load(canary))
        first, second = module.Session(canary), module.Session(canary)
        for session in (first, second):
            session.time(20)
        assert (first.time(1)[0] > 1.1 * truth) == cold
    small = fresh(monkeypatch, cache_kib=0.5 * size / 1024, **quiet)
    overflow = small.model_ns(onnx.load(canary)) - truth
    assert overflow == pytest.approx(0.5 * size / small.LOAD_BYTES_PER_NS)
    assert small.Session(canary).time(30)[-1] == pytest.approx(truth + overflow, abs=2)


def test_slow_bursts_come_at_random_moments_of_random_length_and_height(canary, monkeypatch):
    module = fresh(monkeypatch, noise_pct=0, bursts_per_s=2, burst_ms=50, burst_pct=30)
    truth = module.model_ns(onnx.load(canary))
    session = module.Session(canary)
    session.time(10)
    begins, lengths, heights, slow, now = [], [], [], 1.0, 0.0
    for sample in session.time(400_000):
        ratio = round(sample / truth, 3)
        if ratio != slow and ratio > 1:
            begins.append(now)
            lengths.append(0.0)
            heights.append(ratio)
        if ratio > 1:
            lengths[-1] += sample / 1e6
        slow = ratio
        now += sample / 1e9
    # About 190 bursts: the means of exponential values are within 7 % (one deviation).
    assert 1 / statistics.mean(lengths) == pytest.approx(1 / 50, rel=0.35)
    assert len(begins) / now == pytest.approx(2 / 1.1, rel=0.35)
    assert 1.1 <= min(heights) < 1.2 < 1.4 < max(heights) <= 1.5
    gaps = [after - before for before, after in zip(begins, begins[1:], strict=False)]
    assert max(gaps) > 4 * min(gaps)


def test_the_clock_speed_drifts_up_to_its_amount_and_back(canary, monkeypatch):
    module = fresh(monkeypatch, noise_pct=0, bursts_per_s=0, drift_pct=4, drift_s=2)
    truth = module.model_ns(onnx.load(canary))
    session = module.Session(canary)
    session.time(20)
    seen = {}
    while module.clock_ns() < 4.1e9:
        seen[module.clock_ns() / 1e9] = session.time(1)[0] / truth

    def near(second):
        return seen[min(seen, key=lambda now: abs(now - second))]

    assert [near(s) for s in (0.05, 1, 2, 3, 4)] == pytest.approx(
        [1, 1.02, 1.04, 1.02, 1], abs=2e-4
    )


def test_a_slowdown_has_a_begin_an_end_and_a_process(canary, monkeypatch, tmp_path):
    quiet = {"noise_pct": 0, "bursts_per_s": 0, "processes": str(tmp_path / "count")}
    step = {"pct": 20, "from_s": 0.1, "to_s": 0.2, "process": 1}
    for process in range(3):
        module = fresh(monkeypatch, slowdowns=[step], **quiet)
        truth = module.model_ns(onnx.load(canary))
        session = module.Session(canary)
        session.time(20)
        while module.clock_ns() < 0.25e9:
            now = module.clock_ns() / 1e9
            slow = 1.2 if process == 1 and 0.1 <= now < 0.2 else 1
            assert session.time(1)[0] == pytest.approx(slow * truth, rel=1e-4)


def test_each_process_draws_a_factor_for_a_network_but_not_for_a_part(
    canary, monkeypatch, tmp_path
):
    network = tmp_path / "network.onnx"
    network.write_bytes(chain(12).SerializeToString())
    config = {"noise_pct": 0, "bursts_per_s": 0, "session_pct": 2}
    factors = []
    for _ in range(40):
        module = fresh(monkeypatch, processes=str(tmp_path / "count"), **config)
        truth = module.model_ns(onnx.load(network))
        factors.append(module.Session(str(network)).time(20)[-1] / truth)
        part = module.model_ns(onnx.load(canary))
        assert module.Session(canary).time(20)[-1] == pytest.approx(part, abs=1)
    # The deviation of 40 normal values is within 11 % of the true one (one deviation).
    assert statistics.pstdev(factors) == pytest.approx(0.02, rel=0.45)
    assert statistics.median(factors) == pytest.approx(1, abs=0.02)
    with pytest.raises(RequestError, match="session_pct needs processes"):
        fresh(monkeypatch, session_pct=2)


@pytest.mark.parametrize(
    "selector",
    [
        "graph:canary",
        "op:Conv nodes:4",
        "kernel:32x32x3x3",
        "sha256:{digest}",
        "nodes:4 graph:call",
    ],
)
def test_a_fault_strikes_the_models_that_its_selector_names(selector, canary, monkeypatch):
    digest = hashlib.sha256(canary_model()).hexdigest()[:16]
    module = fresh(monkeypatch, faults={selector.format(digest=digest): "nan"})
    session = module.Session(canary)
    session.time(1)
    assert session.finite() == ("call" in selector)


def test_a_clock_that_jumps_is_in_the_sample_and_in_the_clock(canary, monkeypatch):
    for jump_ms in (-50, 50):
        usual = fresh(monkeypatch)
        module = fresh(monkeypatch, faults={"graph:canary": f"clock={jump_ms}@3"})
        found, expected = module.Session(canary).time(6), usual.Session(canary).time(6)
        expected[3] += int(jump_ms * 1e6)
        assert found == pytest.approx(expected, abs=1)
        assert module.clock_ns() - usual.clock_ns() == pytest.approx(jump_ms * 1e6, abs=1)


def test_faults_end_hold_up_and_fill_the_worker(monkeypatch):
    def worker(fault):
        monkeypatch.setenv("HWNAS_SIMULATED", json.dumps({"faults": {"graph:call": fault}}))
        return LocalTarget(runtime("simulated")).open()

    for fault, message in (
        ("crash", "ended with 3 at 'load'"),
        ("crash=7", "ended with 7"),
        ("abort", "SIGABRT"),
        ("hang", "did not answer 'load'"),
    ):
        with worker(fault) as process, pytest.raises(RuntimeFailure, match=message):
            process.load("call", call_part().model, timeout_s=1)
    with worker("memory=64") as process:
        process.load("canary", canary_model(), timeout_s=60)

        def resident_kib():
            status = Path(f"/proc/{process.hello['pid']}/status").read_text()
            return int(status.partition("VmRSS:")[2].split()[0])

        before = resident_kib()
        process.load("call", call_part().model, timeout_s=60)
        assert resident_kib() - before > 60 * 1024
    with worker("nan") as process:
        assert not process.load("call", call_part().model, timeout_s=60).finite


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON object"),
        ("[1]", "not a JSON object"),
        ('{"sed": 1}', "unknown key 'sed'; allowed: seed, processes, noise_pct"),
        ('{"slowdowns": [{"percent": 1}]}', "unknown key of a slowdown 'percent'; allowed: pct"),
        ('{"faults": {"name:x": "nan"}}', "unknown selector 'name'; allowed: graph, op"),
        ('{"faults": {"op:Conv": "burn"}}', "unknown fault 'burn'; allowed: crash, abort"),
        ('{"faults": {"op:Conv": "clock=soon"}}', "is not KIND"),
    ],
)
def test_a_configuration_that_is_wrong_says_what_is_allowed(text, message, monkeypatch):
    monkeypatch.setenv("HWNAS_SIMULATED", text)
    with pytest.raises(RequestError, match=message):
        fresh()


def test_kernels_cost_more_with_more_work_and_depthwise_ones_more_a_mac():
    module = fresh()
    assert 3.5 * module.kernel_ns(convolution(16)) < module.kernel_ns(convolution(64))

    def ns_per_mac(kernel):
        return (module.kernel_ns(kernel) - 400) / kernel.macs

    assert ns_per_mac(convolution(64, 64)) > 3 * ns_per_mac(convolution(64))
    assert module.kernel_ns(convolution(16)) == module.kernel_ns(convolution(16))


def test_a_network_is_dearer_than_the_sum_of_its_kernels_from_nine_convolutions_on():
    module = fresh()

    def excess(count):
        bag = lower(chain(count), FUSION["onnxruntime"]).kernels
        kernels = sum(number * module.kernel_ns(kernel) for kernel, number in bag.items())
        edges = module.REORDER_NS_PER_ELEMENT * 2 * 16 * 8 * 8
        return module.model_ns(chain(count)) - module.CALL_NS - edges - kernels

    assert [excess(1), excess(8)] == pytest.approx([0, 0], abs=1e-6)
    assert 0 < excess(9) < excess(12)
