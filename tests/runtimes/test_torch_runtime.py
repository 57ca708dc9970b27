import importlib.util
from collections import Counter

import numpy as np
import onnx
import pytest
import torch

from hwnas.errors import MissingExtraError, RequestError, RuntimeFailure
from hwnas.export.bags import fusion_rules
from hwnas.export.layers_onnx import architecture_to_onnx, chain_to_onnx
from hwnas.export.parts_onnx import block_part, canary_model
from hwnas.export.trained import network_to_onnx
from hwnas.kernels import FUSION
from hwnas.nets import Network
from hwnas.runtimes import runtime, torch_engine, why_not
from hwnas.spaces import BlockSpec, space
from hwnas.spaces.architecture import PlacedBlock
from hwnas.targets import target

TOLERANCE = 1e-4


def error(model):
    """The largest difference to ONNX Runtime, as a share of the largest output."""
    rng = np.random.default_rng(0)
    feeds = {
        item.name: rng.standard_normal(
            [size.dim_value for size in item.type.tensor_type.shape.dim], np.float32
        )
        for item in onnx.load_model_from_string(model).graph.input
    }
    expected = runtime("onnxruntime").run(model, feeds)["output"]
    return (
        np.abs(runtime("torch").run(model, feeds)["output"] - expected).max()
        / np.abs(expected).max()
    )


def each_choice(found):
    """Of each slot, blocks that hold every value of every choice at least once."""
    for slot in found.slots:
        seen = set()
        for genes, block in found.slot_variants(slot):
            new = {(position, gene) for position, gene in enumerate(genes)} - seen
            if block is not None and new:
                seen |= new
                yield block


@pytest.mark.parametrize("name", ["mobilenet-32", "resnet-32", "mobilenet", "resnet"])
def test_blocks_of_every_choice_agree_with_onnx_runtime(name):
    size = "" if name.endswith("32") else ":image_size=64"
    blocks = {block.key: block for block in each_choice(space(name + size))}
    worst = max((error(block_part(block).model), key) for key, block in blocks.items())
    assert worst[0] < TOLERANCE, worst[1]


@pytest.mark.parametrize("name", ["mobilenet-32", "resnet-32", "mobilenet:image_size=96"])
def test_whole_networks_agree_with_onnx_runtime(name):
    found = space(name)
    for genes in found.sample(np.random.default_rng(2), 3):
        assert error(architecture_to_onnx(found.decode(genes)).SerializeToString()) < TOLERANCE


@pytest.mark.parametrize("name", ["mobilenet-32", "resnet-32"])
def test_a_trained_export_agrees_with_onnx_runtime(name):
    found = space(name)
    network = Network(found.decode(found.sample(np.random.default_rng(3), 1)[0]), seed=1)
    assert error(network_to_onnx(network)) < TOLERANCE


@pytest.mark.parametrize("activation", ["relu", "relu6", "silu", "hardswish", "sigmoid"])
def test_the_activations_agree_with_onnx_runtime(activation):
    block = PlacedBlock(
        BlockSpec.of("conv", channels=8, kernel=5, stride=2, activation=activation), (3, 9, 9)
    )
    model = chain_to_onnx([block], (3, 9, 9), name="one").SerializeToString()
    assert error(model) < TOLERANCE


def test_what_the_rules_fold_is_what_the_builder_folds():
    """Convolutions and products of the engine's own calls against the fused graph's kernels."""
    found = space("mobilenet-32")
    model = architecture_to_onnx(found.decode(found.sample(np.random.default_rng(0), 1)[0]))
    data = model.SerializeToString()
    assert any(node.op_type == "BatchNormalization" for node in model.graph.node)
    calls = Counter(torch_engine.Session(data).calls())
    kernels = runtime("torch").fused_graph(data)
    assert calls["batch_norm"] == 0 and not any("+" in name for name in kernels)
    for call, kernel in (("conv2d", "Conv"), ("linear", "Gemm"), ("mul", "Mul"), ("add", "Add")):
        assert calls[call] == kernels[kernel]
    assert sum(calls.values()) == kernels.total()


def test_it_has_rules_of_its_own():
    assert fusion_rules("torch") is FUSION["torch"] is not FUSION["onnxruntime"]


def test_models_and_inputs_that_do_not_run_are_errors():
    own = runtime("torch")
    with pytest.raises(RuntimeFailure, match="torch does not run the model"):
        own.run(b"nonsense", {})
    with pytest.raises(RuntimeFailure, match="inputs must be input"):
        own.run(canary_model(), {"other": np.zeros((1, 32, 16, 16), np.float32)})


def test_without_torch_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    own = runtime("torch")
    assert "pip install torch" in own.why_not()
    for ask in (own.version, lambda: own.run(canary_model(), {})):
        with pytest.raises(MissingExtraError, match="pip install torch"):
            ask()


def test_its_providers_are_those_of_the_engine():
    own = runtime("torch")
    assert own.providers == torch_engine.ALLOWED["provider"]
    assert own.precisions == torch_engine.ALLOWED["precision"]
    for provider in own.providers:
        target(own, "local", 1, {"provider": provider, "precision": "fp32"})
    with pytest.raises(RequestError, match="provider must be cpu or cuda .* received 'tensorrt'"):
        target(own, "local", 1, {"provider": "tensorrt"})


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is missing where no GPU is")
def test_a_device_on_a_gpu_is_not_available_without_one():
    reason = why_not(runtime("torch"), {"provider": "cuda-graph", "precision": "fp32"})
    assert "needs a CUDA GPU" in reason and "use provider cpu" in reason
    assert "needs a CUDA provider" in why_not(runtime("torch"), {"precision": "fp16"})
