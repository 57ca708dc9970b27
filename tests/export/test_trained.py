import logging
from collections import Counter

import numpy as np
import onnx
import pytest
import torch

from hwnas.errors import PromiseError
from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.export.trained import TOLERANCE, check_parity, max_abs_error, network_to_onnx
from hwnas.kernels import FUSION, lower
from hwnas.nets import Network
from hwnas.nets.parameters import channels_last
from hwnas.runtimes import runtime
from hwnas.spaces import Architecture, BlockSpec, space

CONV = BlockSpec.of("conv", channels=8, kernel=3, stride=2, activation="relu")
SMALL = Architecture((3, 8, 8), (CONV, BlockSpec.of("classifier", classes=3)))


def architectures(name, samples):
    own = space(name)
    drawn = own.sample(np.random.default_rng(0), samples)
    return [own.decode(genes) for genes in (*own.references.values(), *drawn.tolist())]


def scrambled(network):
    """Weights and running statistics that no layer starts with, so that each one counts."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in (*network.named_parameters(), *network.named_buffers()):
            if value.ndim <= 1:
                value.add_(0.2 * torch.rand(value.shape, generator=generator))
            elif "blocks" in name and value.ndim == 2:
                value.mul_(10)
    return network


def pictures(architecture, count=2):
    return torch.randn(count, *architecture.input_shape, generator=torch.Generator().manual_seed(0))


def kinds(model):
    bag = lower(model, FUSION["onnxruntime"])
    assert not bag.not_covered
    counts = Counter()
    for kernel, count in bag.kernels.items():
        counts[kernel.op, kernel.fused] += count
    return counts


@pytest.fixture(scope="module")
def exported():
    network = scrambled(Network(SMALL, seed=3))
    return network, network_to_onnx(network.train(), {"space": "own", "limit_ms": "3"})


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet-32",
        "resnet-32",
        "shufflenet-32",
        "efficientnet-32",
        "efficientnetv2-32",
        "convnext-32",
        "vit-32",
    ],
)
def test_torch_and_the_runtime_agree_and_the_graph_is_the_one_that_is_measured(name):
    for architecture in architectures(name, 2):
        network = scrambled(Network(architecture, seed=3)).eval()
        images = pictures(architecture)
        # The layout that training leaves must not show in the graph.
        channels_last(network)
        model = network_to_onnx(network)
        assert network(images).std() > 1e-3
        assert max_abs_error(network, model, runtime("onnxruntime").run, images) <= 1e-4
        direct = architecture_to_onnx(architecture)
        assert kinds(onnx.load_model_from_string(model)) == kinds(direct)


def test_the_model_has_a_batch_of_one_and_the_metadata_that_were_given(exported):
    model = onnx.load_model_from_string(exported[1])
    shapes = [
        (item.name, [size.dim_value for size in item.type.tensor_type.shape.dim])
        for item in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [("input", [1, 3, 8, 8]), ("output", [1, 3])]
    metadata = {item.key: item.value for item in model.metadata_props}
    assert metadata == {"space": "own", "limit_ms": "3"}
    assert model.producer_name == "hwnas"


def test_nothing_tells_where_the_code_lies(exported):
    graph = onnx.load_model_from_string(exported[1]).graph
    assert not graph.doc_string and not graph.metadata_props
    for item in (*graph.node, *graph.value_info, *graph.input, *graph.initializer):
        assert not item.doc_string and not item.metadata_props
    assert b".py" not in exported[1]


def test_a_global_pool_is_written_as_one(exported):
    graph = onnx.load_model_from_string(exported[1]).graph
    assert [node.op_type for node in graph.node].count("GlobalAveragePool") == 1
    used = {name for node in graph.node for name in node.input}
    assert all(item.name in used for item in graph.initializer)


def test_the_running_statistics_are_exported_and_left_as_they_were():
    network = scrambled(Network(SMALL, seed=3)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network_to_onnx(network)
    assert network.training
    after = network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_exporters_log_level_comes_back_even_where_it_fails(monkeypatch):
    log = logging.getLogger("torch.onnx")
    monkeypatch.setattr(log, "level", logging.INFO)

    def fail(*arguments, **keywords):
        raise RuntimeError("no exporter")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(RuntimeError, match="no exporter"):
        network_to_onnx(Network(SMALL))
    assert log.level == logging.INFO


def test_another_model_is_noticed(exported):
    network, model = exported
    images = pictures(SMALL, 4)
    run = runtime("onnxruntime").run
    assert max_abs_error(network, model, run, images) <= 1e-5
    broken = scrambled(Network(SMALL, seed=4))
    with torch.no_grad():
        expected = float((network(images) - broken.eval()(images)).abs().max())
    assert expected > 100 * TOLERANCE
    assert max_abs_error(broken, model, run, images) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("error", [2 * TOLERANCE, float("inf"), float("nan")])
def test_a_difference_above_the_tolerance_breaks_the_promise(error):
    with pytest.raises(PromiseError, match="the model was not written"):
        check_parity(error)


@pytest.mark.parametrize("error", [0.0, TOLERANCE])
def test_a_difference_within_the_tolerance_keeps_it(error):
    check_parity(error)
