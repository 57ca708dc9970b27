import pytest
import torch
from torch import nn

from hwnas.nets import Network
from hwnas.nets.parameters import channels_last, holder, tensors
from hwnas.spaces import Architecture, BlockSpec


def test_modules_are_nested_along_the_path_and_made_once():
    root = nn.Module()
    first = holder(root, "expand.conv")
    first.register_parameter("weight", nn.Parameter(torch.zeros(2)))
    assert holder(root, "expand.conv") is first
    holder(root, "expand.bn").register_buffer("running_mean", torch.zeros(2))
    assert set(root.state_dict()) == {"expand.conv.weight", "expand.bn.running_mean"}


def test_tensors_are_those_that_the_module_has_now():
    module = nn.Module()
    module.register_parameter("weight", nn.Parameter(torch.zeros(2)))
    module.register_buffer("mean", torch.ones(2))
    found = tensors(module, ("weight", "mean"))
    assert found["weight"] is module.weight and found["mean"] is module.mean
    module.weight = nn.Parameter(torch.ones(2))
    assert tensors(module, ("weight",))["weight"] is module.weight
    with pytest.raises(AttributeError):
        tensors(module, ("bias",))


def test_the_layout_changes_where_numbers_lie_not_what_they_are():
    spec = BlockSpec.of("depthwise_separable", channels=16, kernel=3, stride=1, activation="relu")
    network = Network(Architecture((32, 8, 8), (spec,)))
    images = torch.randn(2, 32, 8, 8, generator=torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    expected = network(images)
    assert channels_last(network) is torch.channels_last
    weights = [value for value in network.parameters() if value.ndim == 4]
    assert all(value.is_contiguous(memory_format=torch.channels_last) for value in weights)
    for name, value in network.named_parameters():
        assert torch.equal(value, before[name])
    torch.testing.assert_close(network(images), expected)
