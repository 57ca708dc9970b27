from collections import Counter

import numpy as np
import onnxruntime
import pytest

from hwnas.export.parts_onnx import kernel_part
from hwnas.profiling.kernel_draws import Draw
from hwnas.profiling.signal_draws import SIGNALS, filtered, framed


@pytest.fixture(scope="module")
def drawn():
    draw = Draw(np.random.default_rng(5))
    return [SIGNALS[number % len(SIGNALS)](draw) for number in range(64)]


def test_every_kernel_runs_alone_and_gives_the_shape_that_it_says(drawn):
    for kernel in drawn[:24]:
        session = onnxruntime.InferenceSession(kernel_part(kernel).model)
        feeds = {item.name: np.zeros(item.shape, np.float32) for item in session.get_inputs()}
        (found,) = session.run(None, feeds)
        assert found.shape == kernel.outputs[0], kernel.key


def test_they_are_what_networks_for_signals_have(drawn):
    families = Counter(kernel.family for kernel in drawn if kernel.op == "Conv")
    assert families.keys() >= {"dense", "depthwise", "pointwise"}
    assert {kernel.op for kernel in drawn} == {"Conv", "Sum", "MaxPool", "AveragePool"}
    assert len({kernel.key for kernel in drawn}) > 60


def test_frames_cover_the_signal_to_its_end():
    draw = Draw(np.random.default_rng(0))
    for _ in range(20):
        kernel = framed(draw)
        (size,), (stride,) = (kernel.attribute(n, ()) for n in ("kernel_shape", "strides"))
        assert kernel.inputs[0][2] == size + (kernel.outputs[0][2] - 1) * stride


def test_windows_never_exceed_their_signal():
    draw = Draw(np.random.default_rng(1))
    assert all(filtered(draw).outputs[0][2] >= 1 for _ in range(300))
