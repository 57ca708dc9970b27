import numpy as np
import pytest
import torch

from hwnas.nets import ElasticNetwork
from hwnas.nets.channel_sort import sort_channels
from hwnas.nets.once_for_all import OnceForAllNetwork
from hwnas.spaces import space


def largest(own):
    """All choices at their highest value, and the first operation of a family."""
    return [
        choice.values.index(max(choice.values))
        if not isinstance(choice.values[0], str)
        else len(choice.values) - 1
        for choice in own.choices
    ]


def noisy(network):
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet-32",
        "resnet-32",
        "shufflenet-32",
        "mobilenetv1-32",
        "efficientnet-32",
        "vit-32",
        "micro",
    ],
)
def test_the_path_computes_what_it_did(name):
    own = space(name)
    network = noisy(OnceForAllNetwork(own, seed=1))
    genes = largest(own)
    images = torch.randn(4, *own.input_shape(genes), generator=torch.Generator().manual_seed(3))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():
        wanted = network(images, genes)
        sort_channels(network, genes)
        found = network(images, genes)
    scale = wanted.abs().max().clamp_min(1)
    assert float((found - wanted).abs().max() / scale) <= 1e-5
    # Something moved, or the test would say nothing.
    assert any(not torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_it_computes_the_same_without_noise_of_rounding():
    own = space("mobilenet-32")
    network = noisy(OnceForAllNetwork(own, seed=1)).double()
    genes = largest(own)
    images = torch.randn(4, *own.input_shape(genes), dtype=torch.float64)
    with torch.no_grad():
        wanted = network(images, genes)
        sort_channels(network, genes)
        torch.testing.assert_close(network(images, genes), wanted, rtol=1e-10, atol=1e-10)


def test_channels_stand_in_the_order_of_the_weights_that_read_them():
    own = space("mobilenet-32")
    network = noisy(ElasticNetwork(own, seed=1))
    sort_channels(network, largest(own))
    slot = network.slots[[item.name for item in own.slots].index("stage2.block2")]
    # Hidden channels are read by the depthwise convolution, the gate and the projection.
    norms = sum(
        slot.get_parameter(f"{path}.Conv2d.weight").abs().sum(dims)
        for path, dims in (
            ("depthwise.conv", (1, 2, 3)),
            ("se.reduce", (0, 2, 3)),
            ("project.conv", (0, 2, 3)),
        )
    )
    assert torch.equal(norms.argsort(descending=True), torch.arange(len(norms)))


def test_slices_keep_more_than_before():
    own = space("mobilenetv1-32")
    network = noisy(ElasticNetwork(own, seed=1))
    genes = largest(own)
    half = list(genes)
    half[1] = own.choices[1].values.index(0.5)

    def read(path):
        """How much the last layer reads of the channels that the narrow network has."""
        weight = network.extract(path).blocks[-1].get_parameter("linear.weight")
        return float(weight.detach().abs().sum())

    before, whole = read(half), read(genes)
    sort_channels(network, genes)
    assert read(half) > before and abs(read(genes) - whole) < 1e-3


def test_groups_heads_images_and_logits_keep_their_places():
    own = space("resnet-32")
    genes = own.encode({name: value for name, value in own.values(largest(own)).items()})
    network = noisy(ElasticNetwork(own, seed=1))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    grouped = [i for i, item in enumerate(own.slots) if item.name.startswith("stage")]
    assert own.choices[4].name == "stage1.groups" and own.choices[4].values[genes[4]] == 8
    sort_channels(network, genes)
    for index in grouped:
        key = f"slots.{index}.spatial.conv.Conv2d.weight"
        assert torch.equal(before[key], network.state_dict()[key])
    head = f"slots.{len(own.slots) - 1}.linear.Linear.bias"
    assert torch.equal(before[head], network.state_dict()[head])


def test_sorting_twice_changes_nothing():
    own = space("efficientnet-32")
    network = noisy(ElasticNetwork(own, seed=1))
    sort_channels(network, largest(own))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    sort_channels(network, largest(own))
    same = [torch.equal(before[key], value) for key, value in network.state_dict().items()]
    assert np.mean(same) == 1
