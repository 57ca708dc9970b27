import numpy as np
import pytest
import torch

from hwnas.errors import ShapeError, SpecError
from hwnas.nets import ElasticNetwork
from hwnas.nets.elastic import largest_parameters, sliced
from hwnas.spaces import space
from hwnas.spaces.layers import Conv2d, Linear


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet-32",
        "resnet-32",
        "shufflenet-32",
        "mobilenetv1-32",
        "efficientnet-32",
        "efficientnetv2-32",
        "convnext-32",
        "vit-32",
    ],
)
def test_an_extracted_path_computes_what_the_elastic_network_does(name):
    own = space(name)
    elastic = ElasticNetwork(own, seed=1)
    with torch.no_grad():
        for parameter in elastic.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.manual_seed(2)))
    for genes in own.sample(np.random.default_rng(1), 3).tolist():
        images = torch.randn(4, *own.input_shape(genes), generator=torch.manual_seed(3))
        network = elastic.extract(genes).train()
        with torch.no_grad():
            torch.testing.assert_close(
                network(images), elastic(images, genes), rtol=1e-5, atol=1e-5
            )


def test_an_extracted_path_owns_its_weights():
    own = space("resnet-32")
    elastic = ElasticNetwork(own)
    before = [value.clone() for value in elastic.parameters()]
    network = elastic.extract([0] * own.length)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(7)
    assert all(map(torch.equal, before, elastic.parameters()))


def test_slices_are_leading_channels_and_the_centre_of_the_kernel():
    shared = torch.arange(4 * 3 * 5 * 5.0).view(4, 3, 5, 5)
    part = sliced(Conv2d(2, 3), "weight", shared, (2, 1, 3, 3))
    assert torch.equal(part, shared[:2, :1, 1:4, 1:4])
    assert part.untyped_storage().data_ptr() == shared.untyped_storage().data_ptr()
    matrix = torch.arange(12.0).view(4, 3)
    assert torch.equal(sliced(Linear(2), "weight", matrix, (2, 2)), matrix[:2, :2])


def test_slots_hold_the_largest_shape_of_every_parameter():
    own = space("mobilenet-32")
    elastic = ElasticNetwork(own)
    for slot, module in zip(own.slots, elastic.slots, strict=True):
        held = {name: tuple(value.shape) for name, value in module.named_parameters()}
        wanted = {}
        for _, placed in own.slot_variants(slot):
            for node in placed.graph.nodes if placed else ():
                shapes = node.layer.parameter_shapes(*placed.graph.node_input_shapes(node))
                for name, shape in shapes.items():
                    key = f"{node.name}.{type(node.layer).__name__}.{name}"
                    wanted[key] = np.maximum(wanted.get(key, shape), shape)
        assert held == {name: tuple(map(int, shape)) for name, shape in wanted.items()}
        assert len(largest_parameters(own, slot)) == len(held)


def test_only_the_path_gets_gradients():
    own = space("resnet-32")
    elastic = ElasticNetwork(own)
    genes = [0] * own.length
    elastic(torch.randn(2, *own.input_shape(genes)), genes).sum().backward()
    for slot, module in zip(own.slots, elastic.slots, strict=True):
        used = own.slot_block(slot, [0] * len(slot.choices)) is not None
        assert any(value.grad is not None for value in module.parameters()) == used


def test_foreign_genotypes_and_images_are_refused():
    own = space("resnet-32")
    elastic = ElasticNetwork(own)
    genes = [0] * own.length
    with pytest.raises(ShapeError):
        elastic(torch.zeros(2, 1, 32, 32), genes)
    with pytest.raises(SpecError):
        elastic(torch.zeros(2, *own.input_shape(genes)), genes[1:])
