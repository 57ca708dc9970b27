"""New layers that leave a network what it was, and the ones that cannot, by name."""

import pytest

from hwnas.nets import inherit
from hwnas.nets.counterparts import counterparts
from hwnas.nets.roles import Obstacle, Role, merged
from hwnas.nets.wiring import Wiring
from hwnas.spaces import Architecture, BlockSpec
from hwnas.spaces.blocks import BLOCKS
from hwnas.spaces.graph import INPUT
from hwnas.spaces.layers import Activation, Add, Conv2d, Pool2d

HEAD = BlockSpec.of("classifier", classes=2)


def conv(channels=8, activation="relu"):
    return BlockSpec.of("conv", channels=channels, kernel=3, stride=1, activation=activation)


@pytest.fixture
def added(monkeypatch, trained, deviation):
    """A new block behind a stem: what is found of it, and how far the child then is."""

    def add(write, activation="relu"):
        monkeypatch.setitem(BLOCKS, write.__name__, write)
        before, after = (
            Architecture((3, 8, 8), (conv(activation=activation), *new, HEAD))
            for new in ((), (BlockSpec.of(write.__name__),))
        )
        parent = trained(before)
        network, told = inherit(parent, after)
        found = counterparts(Wiring.of(before), Wiring.of(after))
        return found, told, deviation(parent, network)

    return add


def rectified_and_not(b):
    """A convolution with ReLU, added to a second one that reads the first."""
    first = b.add("first", Conv2d(8, 3), INPUT)
    second = b.add("second", Conv2d(8, 3), first)
    b.add("sum", Add(), b.add("act", Activation("relu"), first), second)


def itself_and_rectified(b):
    """A convolution added to its own positive part: were it the identity, it would double."""
    first = b.add("first", Conv2d(8, 3), INPUT)
    b.add("sum", Add(), first, b.add("act", Activation("relu"), first))


def test_a_layer_that_would_have_two_roles_makes_the_other_branch_the_one_that_is_kept(added):
    found, told, difference = added(rectified_and_not)
    assert found.roles == {
        "1.first": Role.IDENTITY,
        "1.act": Role.IDENTITY,
        "1.second": Role.ZERO,
        "1.sum": Role.IDENTITY,
    }
    assert told.preserved and difference <= 1e-5


def test_where_every_order_gives_a_layer_two_roles_nothing_is_promised(added):
    found, told, difference = added(itself_and_rectified)
    assert not found.roles and found.loose == {"1.sum"}
    assert not told.preserved and difference > 1e-3
    assert told.reasons == (
        "1.sum: its block is new and cannot give what it receives: "
        "1.first would have to give zeros to one layer and not to another",
    )


def swish(b):
    b.add("act", Activation("hardswish"), b.add("first", Conv2d(8, 3), INPUT))


def pooled(b):
    b.add("pool", Pool2d("average", 3, 1), INPUT)


def rectified(b):
    b.add("act", Activation("relu"), INPUT)


def pools_added(b):
    b.add("sum", Add(), INPUT, b.add("pool", Pool2d("max", 3, 1), INPUT))


@pytest.mark.parametrize(
    ("write", "activation", "why"),
    [
        (swish, "relu", "1.act is hardswish, which changes every value"),
        (pooled, "relu", "1.pool is a Pool2d, for which no identity is known"),
        (rectified, "none", "1.act is relu, and it may receive values that it cuts"),
        (pools_added, "relu", "1.pool has no weights that could be zero"),
    ],
)
def test_what_stands_in_the_way_is_named_with_the_reason(write, activation, why, added):
    _, told, difference = added(write, activation)
    assert not told.preserved and difference > 1e-3
    (reason,) = told.reasons
    assert reason.startswith("1.") and reason.endswith(f"cannot give what it receives: {why}")


def test_a_layer_that_the_parent_has_not_is_named_where_it_is_read(trained):
    """A bottleneck whose channels change gets a convolution as its shortcut."""

    block = BlockSpec.of("bottleneck", channels=8, width=8, stride=1, groups=1, activation="relu")
    parent = trained(Architecture((3, 8, 8), (conv(8), block, HEAD)))
    _, told = inherit(parent, Architecture((3, 8, 8), (conv(16), block, HEAD)))
    assert "1.residual: it reads 1.shortcut.bn, which is new: the parent has no such BatchNorm" in (
        told.reasons
    )


def test_roles_are_merged_where_they_agree():
    one, other = {"a": Role.ZERO}, {"a": Role.ZERO, "b": Role.HALF}
    assert merged(one, other) == {"a": Role.ZERO, "b": Role.HALF}
    found = merged(one, {"a": Role.IDENTITY})
    assert isinstance(found, Obstacle) and found.layer == "a"
