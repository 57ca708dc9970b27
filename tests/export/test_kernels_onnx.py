from collections import Counter
from pathlib import Path

import onnx
import pytest
from small_models import SMALL_MODELS

from hwnas.export.kernel_writer import is_edge
from hwnas.export.kernels_onnx import kernel_model
from hwnas.export.parts_onnx import kernel_part
from hwnas.kernels import FUSION, Kernel, fusion_name, lower
from hwnas.runtimes import runtime
from hwnas.runtimes.ort_engine import Session
from hwnas.targets.agent import conditions

LIGHT = Path(onnx.__path__[0]) / "backend/test/data/light"
RULES = FUSION[fusion_name("onnxruntime", conditions()["features"])]
NETWORKS = sorted(LIGHT.glob("*.onnx"))
MOST_WEIGHTS = 3_000_000


def kernels(source):
    model = SMALL_MODELS[source]() if isinstance(source, str) else onnx.load(source)
    return lower(model, RULES).kernels


@pytest.mark.parametrize(
    "source", [*SMALL_MODELS, *NETWORKS], ids=lambda source: getattr(source, "stem", source)
)
def test_every_kernel_runs_alone_and_is_itself(source):
    for kernel in kernels(source):
        if kernel.weight_elements > MOST_WEIGHTS:
            continue
        part = kernel_part(kernel)
        assert part is not None
        bag = lower(onnx.load_model_from_string(part.model), RULES).kernels
        assert kernel in bag
        assert bag.total() == 1 + len(part.edges)
        session = Session(part.model)
        session.bind()
        assert session.time(1)[0] > 0


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_the_runtime_fuses_the_parts_as_the_rules_say(name):
    for kernel in kernels(name):
        part = kernel_part(kernel)
        assert part is not None
        found = lower(onnx.load_model_from_string(part.model), RULES).kernels
        own = Counter({"+".join((k.op, *k.fused)): 0 for k in found})
        for item, count in found.items():
            own["+".join((item.op, *item.fused))] += count
        assert runtime("onnxruntime").fused_graph(part.model) == own


def test_what_cannot_stand_alone_is_none():
    half = Kernel("Relu", (), (), ((1, 8),), (), ((1, 8),), "float16")
    unknown = Kernel("Magic", (), (), ((1, 8),), (), ((1, 8),))
    # No slice of (1, 8) that starts at 0 and ends at 3 is (1, 7).
    kept = (("axes", (1,)), ("ends", (3,)), ("starts", (0,)))
    odd = Kernel("Slice", (), kept, ((1, 8),), (), ((1, 7),))
    assert kernel_model(half) is kernel_model(unknown) is kernel_model(odd) is None


def test_images_are_wrapped():
    assert is_edge((1, 8, 4, 4))
    assert not is_edge((1, 3, 4, 4)) and not is_edge((1, 8, 1, 1)) and not is_edge((1, 8, 4))
