import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from hwnas.nets import ElasticNetwork
from hwnas.nets.once_for_all import OnceForAllNetwork, kernel_sizes, transform_name
from hwnas.spaces import space

ELASTIC = ("mobilenet-32", "shufflenet-32", "efficientnet-32")
RIGID = ("resnet-32", "mobilenetv1-32", "vit-32", "micro")


def noisy(network, seed=2):
    """Every parameter moved, the maps as well."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network


def images_for(own, genes, count=4):
    return torch.randn(count, *own.input_shape(genes), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", (*ELASTIC, *RIGID))
def test_at_the_start_every_path_is_the_plain_one(name):
    own = space(name)
    plain, elastic = ElasticNetwork(own, seed=1), OnceForAllNetwork(own, seed=1)
    for genes in own.sample(np.random.default_rng(1), 3).tolist():
        images = images_for(own, genes)
        with torch.no_grad():
            torch.testing.assert_close(
                elastic(images, genes), plain(images, genes), rtol=1e-6, atol=1e-6
            )


@pytest.mark.parametrize("name", ELASTIC)
def test_an_extracted_path_computes_what_the_supernet_does(name):
    own = space(name)
    elastic = noisy(OnceForAllNetwork(own, seed=1)).double()
    for genes in own.sample(np.random.default_rng(1), 3).tolist():
        images = images_for(own, genes).double()
        network = elastic.extract(genes).train()
        with torch.no_grad():
            torch.testing.assert_close(
                network(images), elastic(images, genes), rtol=1e-9, atol=1e-9
            )


def test_kernels_shrink_through_their_maps():
    own = space("mobilenet-32")
    elastic = noisy(OnceForAllNetwork(own, seed=1))
    genes = own.encode({"stage1.block1.kernel": 3, "stage1.block1.expansion": 4})
    slot = [item.name for item in own.slots].index("stage1.block1")
    path = "depthwise.conv.Conv2d"
    shared = elastic.slots[slot].get_parameter(f"{path}.weight")
    maps = [
        elastic.slots[slot].get_parameter(f"{path}.{transform_name(*sizes)}")
        for sizes in ((7, 5), (5, 3))
    ]
    found = elastic.extract(genes).get_parameter("blocks.2.depthwise.conv.weight")
    for channel in range(len(found)):
        five = (maps[0] @ shared[channel, 0, 1:6, 1:6].reshape(25)).view(5, 5)
        three = (maps[1] @ five[1:4, 1:4].reshape(9)).view(3, 3)
        torch.testing.assert_close(found[channel, 0], three)


def test_only_elastic_kernels_have_maps_and_the_largest_uses_none():
    own = space("mobilenet-32")
    elastic = OnceForAllNetwork(own)
    names = [name for name, _ in elastic.named_parameters() if "transform" in name]
    blocks = sum(slot.name.startswith("stage") for slot in own.slots)
    assert len(names) == 2 * blocks
    assert all(".depthwise.conv.Conv2d.transform_" in name for name in names)
    genes = [len(choice.values) - 1 for choice in own.choices]
    logits = elastic(images_for(own, genes), genes)
    functional.cross_entropy(logits, torch.zeros(4, dtype=torch.int64)).backward()
    assert all(elastic.get_parameter(name).grad is None for name in names)
    assert kernel_sizes(own, own.slots[2]) == {"depthwise.conv.Conv2d": (7, 5, 3)}


def test_maps_are_trained_by_the_paths_that_use_them():
    own = space("efficientnet-32")
    elastic = OnceForAllNetwork(own)
    genes = own.encode({"stage2.depth": 1, "stage2.block1.kernel": 3})
    elastic(images_for(own, genes), genes).square().sum().backward()
    slot = elastic.slots[[item.name for item in own.slots].index("stage2.block1")]
    own_map = slot.get_parameter("depthwise.conv.Conv2d.transform_5_to_3")
    assert own_map.grad is not None and own_map.grad.abs().sum() > 0


def test_a_copy_has_maps_of_its_own():
    own = space("shufflenet-32")
    elastic = OnceForAllNetwork(own)
    twin = noisy(copy.deepcopy(elastic))
    genes = own.encode({"stage1.block1.kernel": 3})
    images = images_for(own, genes)
    with torch.no_grad():
        before = elastic(images, genes)
        assert not torch.equal(before, twin(images, genes))
        torch.testing.assert_close(before, ElasticNetwork(own)(images, genes))
