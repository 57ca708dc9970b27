import numpy as np
import pytest
import torch
from torch.nn import functional

from hwnas.nets.morphs import Sharing, Step, take
from hwnas.nets.wiring import Wired
from hwnas.spaces.layers import BatchNorm, Conv2d, Linear
from hwnas.spaces.token_layers import LayerNorm, PatchConv2d, PositionEmbedding

EQUAL = Sharing(0.0, 0)


def node(layer, *shape):
    output = layer.output_shape(shape)
    return Wired("0.layer", 0, "layer", layer, ("image",), (shape,), output)


def values(own, seed, **extra):
    generator = torch.Generator().manual_seed(seed)
    shapes = own.parameter_shapes | extra
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def taken(after, before, incoming, outgoing, sharing=EQUAL, factor=1.0, **extra):
    old, fresh = values(before, 0, **extra), values(after, 1, **extra)
    indices = (np.array(item) for item in (incoming, outgoing))
    return old, fresh, take(Step(after, before, *indices, old, fresh, factor), sharing)


def test_units_are_repeated_and_what_reads_them_is_divided():
    before, after = node(Linear(2), 3), node(Linear(4), 5)
    old, _, found = taken(after, before, [0, 1, 2, 0, 0], [0, 1, 1, 0])
    by_hand = old["weight"][[0, 1, 1, 0]][:, [0, 1, 2, 0, 0]] / torch.tensor([3, 1, 1, 3, 3])
    assert torch.allclose(found.values["weight"], by_hand)
    assert torch.equal(found.values["bias"], old["bias"][[0, 1, 1, 0]])
    assert found.inherited == 24 and found.lost == ""


def test_new_inputs_are_not_read_and_new_outputs_are_as_they_were():
    before, after = node(Linear(2), 2), node(Linear(3), 3)
    old, fresh, found = taken(after, before, [1, -1, 0], [0, -1, 1])
    weight = found.values["weight"]
    assert torch.equal(weight[:, 1], torch.tensor([0.0, fresh["weight"][1, 1], 0.0]))
    assert torch.equal(weight[[0, 2]][:, [2, 0]], old["weight"])
    assert torch.equal(weight[1], fresh["weight"][1])
    assert found.inherited == 4 + 2 and found.lost == ""


def test_channels_that_are_left_out_are_said():
    _, _, found = taken(node(Linear(2), 2), node(Linear(2), 3), [0, 2], [0, 1])
    assert found.lost == "it reads not all channels that the parent's reads"


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_grouped_convolution_becomes_a_dense_one(groups):
    before, after = node(Conv2d(8, 3, groups=groups), 4, 6, 6), node(Conv2d(8, 3), 4, 6, 6)
    old, _, found = taken(after, before, range(4), range(8))
    image = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(
        functional.conv2d(image, found.values["weight"], padding=1),
        functional.conv2d(image, old["weight"], padding=1, groups=groups),
        atol=1e-5,
    )
    assert found.lost == "" and found.inherited == old["weight"].numel()


def test_a_dense_convolution_loses_what_its_groups_do_not_reach():
    before, after = node(Conv2d(4, 1), 4, 6, 6), node(Conv2d(4, 1, groups=2), 4, 6, 6)
    old, _, found = taken(after, before, range(4), range(4))
    assert torch.equal(found.values["weight"][:2], old["weight"][:2, :2])
    assert torch.equal(found.values["weight"][2:], old["weight"][2:, 2:])
    assert found.lost == "it reads not all channels that the parent's reads"


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [6, 7])
def test_larger_kernels_have_the_smaller_one_in_the_middle(stride, size):
    before = node(Conv2d(2, 3, stride), 2, size, size)
    after = node(Conv2d(2, 7, stride), 2, size, size)
    old, _, found = taken(after, before, range(2), range(2))
    image = torch.randn(2, 2, size, size, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(
        functional.conv2d(image, found.values["weight"], stride=stride, padding=3),
        functional.conv2d(image, old["weight"], stride=stride, padding=1),
        atol=1e-5,
    )
    assert found.lost == "" and found.inherited == old["weight"].numel()


def test_smaller_kernels_are_the_middle_of_the_larger_one():
    old, _, found = taken(
        node(Conv2d(2, 3), 2, 6, 6), node(Conv2d(2, 5), 2, 6, 6), range(2), range(2)
    )
    assert torch.equal(found.values["weight"], old["weight"][:, :, 1:4, 1:4])
    assert found.lost == "its kernel is cropped from 5 to 3" and found.inherited == 36


def test_another_stride_and_a_bias_that_is_gone_are_said():
    image = (2, 6, 6)
    _, _, found = taken(
        node(Conv2d(2, 3, 2), *image), node(Conv2d(2, 3), *image), range(2), range(2)
    )
    assert found.lost == "its stride is 2 instead of 1"
    with_bias = Conv2d(2, 3, bias=True)
    _, _, found = taken(node(Conv2d(2, 3), *image), node(with_bias, *image), range(2), range(2))
    assert found.lost == "it has no bias"
    _, _, found = taken(node(with_bias, *image), node(Conv2d(2, 3), *image), range(2), range(2))
    assert found.lost == "" and not found.values["bias"].any()


def test_what_is_halved_is_read_twice_as_strongly():
    before = node(Linear(2), 2)
    old, _, found = taken(before, before, range(2), range(2), factor=0.5)
    assert torch.equal(found.values["weight"], 2 * old["weight"])
    assert torch.equal(found.values["bias"], old["bias"])


def test_norms_keep_their_statistics():
    before, after = node(BatchNorm(), 2, 4, 4), node(BatchNorm(), 4, 4, 4)
    old = values(before, 0, running_mean=(2,), running_var=(2,))
    fresh = values(after, 1, running_mean=(4,), running_var=(4,))
    outgoing = np.array([1, 0, -1, 1])
    found = take(Step(after, before, outgoing, outgoing, old, fresh), EQUAL)
    for name, value in found.values.items():
        expected = torch.stack([old[name][1], old[name][0], fresh[name][2], old[name][1]])
        assert torch.equal(value, expected)
    assert len(found.values) == 4 and found.inherited == 6 and found.lost == ""


@pytest.mark.parametrize(
    ("outgoing", "even"), [([0, 1, 0, 1], True), ([0, 1, 1, 1], False), ([0, 1, -1, -1], False)]
)
def test_layer_norms_are_the_same_where_features_are_repeated_equally_often(outgoing, even):
    _, _, found = taken(node(LayerNorm(), 5, 4), node(LayerNorm(), 5, 2), outgoing, outgoing)
    assert (found.lost == "") == even


@pytest.mark.parametrize("layer", [BatchNorm, LayerNorm])
def test_norms_with_another_epsilon_are_said_to_differ(layer):
    shape = (2, 4, 4) if layer is BatchNorm else (5, 2)
    before, after = node(layer(epsilon=1e-3), *shape), node(layer(epsilon=1e-5), *shape)
    _, _, found = taken(after, before, range(2), range(2))
    assert found.lost == "its epsilon is another" and found.inherited == 4
    assert taken(after, after, range(2), range(2))[2].lost == ""


def test_patches_and_positions_of_another_size_are_new():
    image = (3, 8, 8)
    _, _, found = taken(
        node(PatchConv2d(4, 2), *image), node(PatchConv2d(4, 4), *image), range(3), range(4)
    )
    assert found == ({}, 0, "patches have another size")
    _, _, found = taken(
        node(PositionEmbedding(), 5, 2), node(PositionEmbedding(), 6, 2), range(2), range(2)
    )
    assert found == ({}, 0, "there are more or fewer tokens")


def test_parts_differ_and_add_up_to_one():
    sources = np.array([[0, 1, 0, 0, -1], [2, 2, 3, -1, 3]])
    parts = Sharing(0.5, 0).parts(sources)
    for row, own in zip(parts, sources, strict=True):
        for source in set(own.tolist()) - {-1}:
            assert row[own == source].sum() == pytest.approx(1)
            assert len(set(row[own == source].tolist())) == (own == source).sum()
    assert Sharing(0.0, 0).parts(sources)[0].tolist() == pytest.approx([1 / 3, 1, 1 / 3, 1 / 3, 1])
