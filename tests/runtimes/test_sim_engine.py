import importlib.util
import statistics

import onnx
import pytest

from hwnas.export.layers_onnx import chain_to_onnx
from hwnas.export.parts_onnx import canary_model
from hwnas.kernels import FUSION, Kernel, lower
from hwnas.runtimes import runtime
from hwnas.spaces import BlockSpec, PlacedBlock


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary.onnx"
    path.write_bytes(canary_model())
    return str(path)


def fresh():
    """The engine as a new worker loads it: with a clock and a randomness of its own."""
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
    monkeypatch.setenv("HWNAS_SIMULATED_SEED", "0")
    first, again = (fresh().Session(canary).time(20) for _ in range(2))
    monkeypatch.setenv("HWNAS_SIMULATED_SEED", "1")
    assert first == again != fresh().Session(canary).time(20)


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


def test_samples_are_the_truth_with_cold_starts_noise_and_slow_bursts(canary):
    module = fresh()
    truth = module.model_ns(onnx.load(canary))
    session = module.Session(canary)
    cold, second, *warm = session.time(200)
    # The noise is the size of a normal variable of 0.4 %: 3.5 % would be nine deviations.
    assert cold == pytest.approx(1.4 * truth, rel=0.035)
    assert second == pytest.approx(1.08 * truth, rel=0.035)
    assert truth - 1 <= min(warm) <= statistics.median(warm) <= 1.01 * truth
    while int(module.clock_ns() / 1e8) % 10 != 3:
        session.time(50)
    assert session.time(12)[-1] == pytest.approx(1.3 * truth, rel=0.035)


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
