"""What a child inherits, over random parents and moves of every space."""

import numpy as np
import pytest
import torch

from hwnas.errors import SpecError
from hwnas.nets import Network, inherit
from hwnas.spaces import Architecture, BlockSpec, space

TOLERANCE = 1e-5
GROWING = ("depth", "width", "kernel", "expansion", "ratio", "squeeze_excite", "heads", "groups")
CONVOLUTIONAL = (
    "mobilenet-32",
    "resnet-32",
    "micro",
    "mobilenetv1-32",
    "shufflenet-32",
    "efficientnet-32",
)
HEAD = BlockSpec.of("classifier", classes=2)


def small(name):
    return space(f"{name}:image_size={20 if name == 'micro' else 16}")


def conv(channels, kernel=3, activation="relu"):
    return BlockSpec.of("conv", channels=channels, kernel=kernel, stride=1, activation=activation)


def grows(own, parent, child):
    """Whether a move between neighbours only adds: then the child must equal its parent."""
    before, after = own.values(parent), own.values(child)
    moved = [name for name in before.keys() & after.keys() if before[name] != after[name]]
    (name,) = moved
    kind = name.rpartition(".")[2]
    if kind == "family":
        # A bottleneck is as wide as half its channels, of all in groups.
        return before[name] == "skip"
    if kind not in GROWING:
        return False
    return after[name] < before[name] if kind == "groups" else after[name] > before[name]


def check(parent, network, found, deviation):
    """The report is true: no more is promised than is kept, and no less."""
    assert 0 <= found.share <= 1
    assert found.preserved == (not found.reasons)
    if parent.architecture.input_shape == network.architecture.input_shape:
        difference = deviation(parent, network)
        # What is lost can be what nothing reads: channels that ReLU keeps at zero.
        assert (difference <= TOLERANCE) == found.preserved or difference == 0, found
    else:
        assert not found.preserved and "it takes images" in found.reasons[0]
        with torch.no_grad():
            output = network(torch.zeros(2, *network.architecture.input_shape))
        assert output.isfinite().all()


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_children_that_grew_compute_what_their_parent_does(name, trained, deviation):
    own = small(name)
    rng = np.random.default_rng(0)
    grown = 0
    for seed, genes in enumerate(
        own.sample(rng, 8 if name == "micro" else 3, over="choices").tolist()
    ):
        parent = trained(own.decode(genes), seed)
        moves = own.neighbours(genes)
        for i in rng.permutation(len(moves))[:10]:
            network, found = inherit(parent, own.decode(moves[i]), seed=seed)
            check(parent, network, found, deviation)
            if grows(own, genes, moves[i]):
                grown += 1
                assert found.preserved, (own.values(genes), own.values(moves[i]), found)
                assert found.share > 0.1
    assert grown >= 3


@pytest.mark.parametrize("name", [*CONVOLUTIONAL, "vit-32", "nasbench201"])
def test_any_relative_is_inherited_from_and_the_report_is_true(name, trained, deviation):
    own = small(name)
    rng = np.random.default_rng(1)
    genes = own.sample(rng, 4, over="choices")
    for seed, (before, after) in enumerate(zip(genes, own.mutate(rng, genes, 0.2), strict=True)):
        parent = trained(own.decode(before), seed)
        kept = {key: value.clone() for key, value in parent.state_dict().items()}
        network, found = inherit(parent, own.decode(after), seed=seed)
        check(parent, network, found, deviation)
        assert found.parent == parent.architecture.digest
        state = parent.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in kept.items())
        assert not {v.data_ptr() for v in network.parameters()} & {
            v.data_ptr() for v in parent.parameters()
        }


@pytest.mark.parametrize("name", [*CONVOLUTIONAL, "vit-32", "nasbench201"])
def test_a_child_of_the_same_architecture_is_a_copy(name, trained):
    own = small(name)
    parent = trained(own.decode(own.sample(np.random.default_rng(2), 1)[0]))
    network, found = inherit(parent, parent.architecture, seed=5)
    assert found.preserved and found.share == 1 and found.to_json()["reasons"] == []
    state = network.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in parent.state_dict().items())


@pytest.mark.parametrize(
    ("before", "after", "preserved"),
    [
        ({"depth": 2}, {"depth": 4}, True),
        ({"block1.heads": 2}, {"block1.heads": 3}, True),
        ({"block2.ratio": 2.0}, {"block2.ratio": 4.0}, True),
        # 48 features become 96, each twice; layer norm needs them equally often.
        ({"dimension": 48}, {"dimension": 96}, True),
        ({"dimension": 48}, {"dimension": 64}, False),
        ({"block1.heads": 3}, {"block1.heads": 2}, False),
        ({"patch": 8}, {"patch": 4}, False),
    ],
)
def test_transformers(before, after, preserved, trained, deviation):
    own = small("vit-32")
    parent = trained(own.decode(own.encode(before)))
    network, found = inherit(parent, own.decode(own.encode(after)))
    check(parent, network, found, deviation)
    assert found.preserved == preserved


NONE, SKIP, SMALL, LARGE, POOL = range(5)


@pytest.mark.parametrize(
    ("before", "after", "preserved"),
    [
        ((SMALL, NONE, NONE, SKIP, SMALL, NONE), (LARGE, NONE, NONE, SKIP, SMALL, NONE), True),
        ((LARGE, NONE, NONE, SKIP, SMALL, NONE), (LARGE, SMALL, NONE, SKIP, SMALL, LARGE), True),
        ((NONE, NONE, NONE, LARGE, NONE, NONE), (LARGE, NONE, NONE, LARGE, LARGE, NONE), True),
        ((LARGE, NONE, NONE, SKIP, SMALL, NONE), (LARGE, NONE, NONE, POOL, SMALL, NONE), False),
        ((LARGE, NONE, NONE, NONE, SMALL, NONE), (LARGE, NONE, NONE, SKIP, SMALL, NONE), False),
    ],
)
def test_cells(before, after, preserved, trained, deviation):
    own = small("nasbench201")
    parent = trained(own.decode(before))
    network, found = inherit(parent, own.decode(after))
    check(parent, network, found, deviation)
    assert found.preserved == preserved
    why = "which is new" if POOL in after else "and neither can be made zero"
    assert preserved or why in found.reasons[0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # All at once: width, depth, kernel, expansion and a gate.
        (
            {"width": 0.5, "stage1.depth": 1, "stage2.depth": 1},
            {
                "width": 1.0,
                "stage1.depth": 3,
                "stage2.depth": 2,
                "stage2.block1.kernel": 7,
                "stage3.block1.expansion": 6,
                "stage3.squeeze_excite": True,
            },
        ),
        # A gate that is there already becomes wider with what it scales.
        (
            {"stage1.squeeze_excite": True, "width": 0.75},
            {"stage1.squeeze_excite": True, "stage1.block1.expansion": 6, "width": 1.0},
        ),
    ],
)
def test_many_moves_at_once(before, after, trained, deviation):
    own = small("mobilenet-32")
    parent = trained(own.decode(own.encode(before)))
    network, found = inherit(parent, own.decode(own.encode(after)))
    check(parent, network, found, deviation)
    assert found.preserved


def test_in_double_precision_the_difference_is_rounding(trained, deviation):
    own = small("resnet-32")
    parent = trained(own.decode(own.encode({"stage1.groups": 8, "width": 0.5}))).double()
    child = own.decode(own.encode({"width": 1.0, "stage2.depth": 3, "stage3.ratio": 0.5}))
    network, found = inherit(parent, child)
    images = torch.randn(2, 3, 16, 16, dtype=torch.double)
    assert found.preserved and next(network.parameters()).dtype == torch.double
    with torch.no_grad():
        torch.testing.assert_close(network(images), parent(images), rtol=1e-12, atol=1e-12)


def test_the_channels_that_are_read_most_stay_and_the_report_says_what_is_lost(trained):
    parent = trained(Architecture((3, 8, 8), (conv(8), HEAD)))
    network, found = inherit(parent, Architecture((3, 8, 8), (conv(4), HEAD)))
    norms = parent.get_parameter("blocks.1.linear.weight").abs().sum(0)
    kept = sorted(norms.argsort(descending=True)[:4].tolist())
    name = "blocks.0.conv.conv.weight"
    assert torch.equal(network.get_parameter(name), parent.get_parameter(name)[kept])
    assert found.share == 1 and not found.preserved
    assert found.reasons == ("1.linear: it reads not all channels that the parent's reads",)


@pytest.mark.parametrize(("spread", "same"), [(0.0, True), (0.3, False)])
def test_replicas_learn_different_things_unless_their_parts_are_equal(spread, same, trained):
    parent = trained(Architecture((3, 8, 8), (conv(4), conv(4), HEAD)))
    child = Architecture((3, 8, 8), (conv(8), conv(4), HEAD))
    network, found = inherit(parent, child, spread=spread)
    assert found.preserved
    network(torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))).sum().backward()
    slope = network.get_parameter("blocks.0.conv.conv.weight").grad
    assert torch.allclose(slope[:4], slope[4:], rtol=1e-3, atol=1e-6) == same


def test_a_new_residual_block_changes_nothing_in_training_either(trained):
    own = small("resnet-32")
    parent = trained(own.decode(own.encode({})))
    network, _ = inherit(parent, own.decode(own.encode({"stage2.depth": 3})))
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(
            network.train()(images), parent.train()(images), rtol=1e-4, atol=1e-4
        )


def test_a_new_plain_block_changes_little_in_training(trained):
    """Its norms expect what they receive; those of a new network would undo its scale."""
    own = small("mobilenetv1-32")
    parent = trained(own.decode(own.encode({})))
    network, _ = inherit(parent, own.decode(own.encode({"stage3.depth": 2})))
    images = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    # The running statistics of the parent become those of the images.
    with torch.no_grad():
        for _ in range(60):
            parent.train()(images)
        before = parent.train()(images)
        change = (network.train()(images) - before).norm() / (before - before.mean(0)).norm()
    assert change < 0.5


def test_a_deleted_block_leaves_the_rest_its_weights(trained, deviation):
    own = small("mobilenet-32")
    parent = trained(own.decode(own.encode({"stage2.depth": 3})))
    network, found = inherit(parent, own.decode(own.encode({"stage2.depth": 2})))
    check(parent, network, found, deviation)
    assert found.share == 1 and not found.preserved


def test_a_child_without_anything_in_common_is_new(trained):
    parent = trained(Architecture((3, 8, 8), (conv(4), HEAD)))
    other = small("vit-32")
    network, found = inherit(parent, other.decode([0] * other.length), seed=3)
    fresh = Network(network.architecture, seed=3).state_dict()
    assert found.share == 0 and not found.preserved
    assert all(torch.equal(value, fresh[key]) for key, value in network.state_dict().items())


def test_the_same_seed_gives_the_same_child(trained):
    own = small("resnet-32")
    parent = trained(own.decode(own.encode({"width": 0.5})))
    child = own.decode(own.encode({"width": 1.0, "stage1.depth": 2}))
    first, same, other = (inherit(parent, child, seed=s)[0].state_dict() for s in (1, 1, 2))
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("spread", [-0.1, 1.0])
def test_a_spread_out_of_range_is_refused(spread, trained):
    parent = trained(Architecture((3, 8, 8), (conv(4), HEAD)))
    with pytest.raises(SpecError, match="spread must be 0 to below 1, received"):
        inherit(parent, parent.architecture, spread=spread)
