from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from small_models import SMALL_MODELS

from hwnas.export.layers_onnx import architecture_to_onnx, chain_to_onnx
from hwnas.kernels import FUSION, FusionRules, fusion_name, lower
from hwnas.runtimes import runtime
from hwnas.spaces import BlockSpec, PlacedBlock, space
from hwnas.targets.agent import conditions

LIGHT = Path(onnx.__path__[0]) / "backend/test/data/light"
HERE = FUSION[fusion_name("onnxruntime", conditions()["features"])]
"""The rules on the machine that the tests run on."""
RULES = FUSION["onnxruntime"]
NAMES = [
    "mobilenet-32",
    "resnet-32",
    "mobilenet:image_size=96",
    "resnet:image_size=96",
    "shufflenet-32",
    "mobilenetv1-32",
    "efficientnet-32",
    "efficientnetv2-32",
    "convnext-32",
    "vit-32",
    "nasbench201",
]


def counted(model, rules):
    found = Counter()
    for kernel, count in lower(model, rules).kernels.items():
        found["+".join((kernel.op, *kernel.fused))] += count
    return found


@pytest.mark.parametrize("name", NAMES)
def test_fusion_is_that_of_the_runtime(name):
    """At least 99 % of the nodes agree with the graph that ONNX Runtime writes."""
    found, agree, total = space(name), 0, 0
    for row in found.sample(np.random.default_rng(1), 3, over="choices"):
        model = architecture_to_onnx(found.decode(row))
        own = counted(model, HERE)
        theirs = runtime("onnxruntime").fused_graph(model.SerializeToString())
        agree += sum((own & theirs).values())
        total += max(sum(own.values()), sum(theirs.values()))
    assert agree >= 0.99 * total


def agreement(model):
    own = counted(model, HERE)
    theirs = runtime("onnxruntime").fused_graph(model.SerializeToString())
    return sum((own & theirs).values()) / max(own.total(), theirs.total())


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_fusion_of_small_models_is_that_of_the_runtime(name):
    model = SMALL_MODELS[name]()
    assert not lower(model, HERE).not_covered
    assert agreement(model) >= 0.99


@pytest.mark.parametrize("path", sorted(LIGHT.glob("*.onnx")), ids=lambda path: path.stem)
def test_fusion_of_the_onnx_wheels_networks_is_that_of_the_runtime(path):
    assert agreement(onnx.load(path)) >= 0.99


def test_rules_decide_what_is_fused():
    spec = BlockSpec.of("bottleneck", channels=32, width=16, stride=1, groups=1, activation="relu")
    model = chain_to_onnx([PlacedBlock(spec, (32, 8, 8))] * 2, (32, 8, 8), name="two")
    nothing = FusionRules(removed=frozenset())
    assert counted(model, nothing) == {"Conv": 6, "BatchNormalization": 6, "Relu": 6, "Add": 2}
    folded = FusionRules(removed=frozenset(), folded={"Conv": frozenset({"BatchNormalization"})})
    assert counted(model, folded) == {"Conv": 6, "Relu": 6, "Add": 2}
    active = FusionRules(
        removed=frozenset(), folded=folded.folded, activations={"Conv": frozenset({"Relu"})}
    )
    assert counted(model, active) == {"Conv": 2, "Conv+Relu": 4, "Add": 2, "Relu": 2}


@pytest.mark.parametrize(
    ("op", "groups", "data", "weight", "blocked"),
    [
        # Few input channels are read from the plain layout into a blocked one.
        ("Conv", 1, (1, 3, 8, 8), (16, 3, 3, 3), True),
        ("Conv", 1, (1, 18, 8, 8), (16, 18, 3, 3), False),
        ("Conv", 1, (1, 20, 8, 8), (16, 20, 3, 3), True),
        ("Conv", 24, (1, 24, 8, 8), (24, 1, 3, 3), True),
        ("Conv", 6, (1, 6, 8, 8), (6, 1, 3, 3), False),
        ("Conv", 2, (1, 32, 8, 8), (32, 16, 3, 3), True),
        ("Conv", 4, (1, 32, 8, 8), (32, 8, 3, 3), False),
        ("Conv", 1, (1, 16, 8, 8), None, False),
        ("Relu", 1, (1, 16, 8, 8), None, True),
        ("Relu", 1, (1, 18, 8, 8), None, False),
        ("Relu", 1, (1, 16), None, False),
        ("Softmax", 1, (1, 16, 8, 8), None, False),
    ],
)
def test_what_runs_on_channel_blocks(op, groups, data, weight, blocked):
    assert RULES.runs_blocked(op, groups, data, weight) is blocked
    assert not FusionRules(removed=frozenset()).runs_blocked(op, groups, data, weight)


@pytest.mark.parametrize(
    ("features", "channels"),
    [([], 16), (["asimd"], 16), (["avx", "avx2", "fma"], 8), (["avx", "avx512f"], 16)],
)
def test_channel_blocks_are_as_wide_as_a_register(features, channels):
    assert FUSION[fusion_name("onnxruntime", features)].channel_block == channels
    assert fusion_name("torch", features) == "torch"
