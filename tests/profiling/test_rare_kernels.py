import numpy as np
import pytest

from hwnas.export.parts_onnx import kernel_part
from hwnas.profiling.kernel_draws import Draw
from hwnas.profiling.rare_kernels import RARE
from hwnas.runtimes.ort_engine import Session

MOST_ELEMENTS = 2_000_000


@pytest.mark.parametrize("kind", dict.fromkeys(RARE), ids=lambda kind: kind.__name__)
def test_every_kind_runs_and_gives_numbers(kind):
    draw, seen = Draw(np.random.default_rng(5)), 0
    for _ in range(20):
        kernel = kind(draw)
        if kernel.macs > 1e8 or kernel.input_elements + kernel.weight_elements > MOST_ELEMENTS:
            continue
        session = Session(kernel_part(kernel).model)
        session.time(1)
        assert session.finite(), kernel.key
        seen += 1
        if seen == 5:
            break
    assert seen == 5
