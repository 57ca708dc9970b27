from collections import Counter

import numpy as np
import onnx
import pytest
import torch

from hwnas.errors import SpecError
from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.export.trained import max_abs_error, network_to_onnx
from hwnas.kernels import FUSION, lower
from hwnas.nets import Network
from hwnas.runtimes import runtime
from hwnas.spaces import space
from hwnas.spaces.architecture import Architecture

SPACES = ("mobilenet-32", "resnet-32")


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


def kinds(model):
    bag = lower(onnx.load_model_from_string(model), FUSION["onnxruntime"])
    assert not bag.not_covered
    counts = Counter()
    for kernel, count in bag.kernels.items():
        counts[kernel.op, kernel.fused] += count
    return counts


@pytest.mark.parametrize("name", SPACES)
def test_parameters_are_those_of_the_architecture(name):
    for architecture in architectures(name, 8):
        network = Network(architecture)
        assert sum(value.numel() for value in network.parameters()) == architecture.parameters


@pytest.mark.parametrize("name", SPACES)
def test_torch_and_the_runtime_agree_and_the_graph_is_the_one_that_is_measured(name):
    for architecture in architectures(name, 2)[-3:]:
        network = scrambled(Network(architecture, seed=3))
        images = torch.randn(2, *architecture.input_shape, generator=torch.manual_seed(0))
        model = network_to_onnx(network)
        assert network(images).std() > 1e-3
        assert max_abs_error(network, model, runtime("onnxruntime").run, images) <= 1e-4
        direct = architecture_to_onnx(architecture)
        direct = direct if isinstance(direct, bytes) else direct.SerializeToString()
        assert kinds(model) == kinds(direct)


def test_same_seed_same_weights():
    architecture = architectures("resnet-32", 1)[-1]
    first, same, other = (Network(architecture, seed=seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_network_without_blocks_is_refused():
    with pytest.raises(SpecError, match="at least one block"):
        Network(Architecture((3, 8, 8), ()))
