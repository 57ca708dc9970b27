import numpy as np
import pytest
import torch

from hwnas.errors import SpecError
from hwnas.nets import Network
from hwnas.spaces import space
from hwnas.spaces.architecture import Architecture

SPACES = (
    "mobilenet-32",
    "resnet-32",
    "shufflenet-32",
    "mobilenetv1-32",
    "efficientnet-32",
    "efficientnetv2-32",
    "convnext-32",
    "nasbench201",
    "vit-32",
)


def architectures(name, samples):
    own = space(name)
    drawn = own.sample(np.random.default_rng(0), samples)
    return [own.decode(genes) for genes in (*own.references.values(), *drawn.tolist())]


@pytest.mark.parametrize("name", SPACES)
def test_parameters_are_those_of_the_architecture(name):
    for architecture in architectures(name, 8):
        network = Network(architecture)
        assert sum(value.numel() for value in network.parameters()) == architecture.parameters


def test_same_seed_same_weights():
    architecture = architectures("resnet-32", 1)[-1]
    first, same, other = (Network(architecture, seed=seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_network_without_blocks_is_refused():
    with pytest.raises(SpecError, match="at least one block"):
        Network(Architecture((3, 8, 8), ()))
