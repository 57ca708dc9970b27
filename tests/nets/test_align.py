import numpy as np
import pytest

from hwnas.nets.align import Pair, align, distance
from hwnas.spaces import Architecture, BlockSpec, space

MOBILE = space("mobilenetv1-32")
HEAD = BlockSpec.of("classifier", classes=2)


def depths(*values):
    return MOBILE.decode(MOBILE.encode({f"stage{i + 1}.depth": v for i, v in enumerate(values)}))


@pytest.mark.parametrize("name", ["mobilenet-32", "resnet-32", "shufflenet-32", "nasbench201"])
def test_alignments_have_every_block_once_and_in_order(name):
    own = space(name)
    rng = np.random.default_rng(0)
    parents = own.sample(rng, 5)
    for before, after in zip(parents, own.mutate(rng, parents, 0.3), strict=True):
        parent, child = own.decode(before), own.decode(after)
        pairs = align(parent, child)
        for side, architecture in ((0, parent), (1, child)):
            own_side = [pair[side] for pair in pairs if pair[side] is not None]
            assert own_side == list(range(len(architecture.blocks)))


def test_an_architecture_is_its_own_counterpart():
    own = depths(2, 3, 1)
    assert align(own, own) == tuple(Pair(i, i) for i in range(len(own.blocks)))
    assert distance(own, own) == 0


def test_new_blocks_come_last_in_their_stage():
    pairs = align(depths(1, 1, 1), depths(2, 1, 1))
    # A stem, the stage's first block, the new one.
    assert pairs[:4] == (Pair(0, 0), Pair(1, 1), Pair(None, 2), Pair(2, 3))
    assert [pair for pair in pairs if None in pair] == [Pair(None, 2)]


def test_stages_that_change_in_opposite_ways_are_kept_apart():
    pairs = align(depths(2, 3, 1), depths(3, 2, 1))
    assert [pair for pair in pairs if None in pair] == [Pair(None, 3), Pair(5, None)]


def test_widths_and_kernels_do_not_move_blocks():
    own = space("mobilenet-32")
    small = own.decode(own.encode({"stage2.depth": 2}))
    large = own.decode(own.encode({"stage2.depth": 3, "width": 1.0, "stage2.block2.kernel": 7}))
    alone = [pair for pair in align(small, large) if None in pair]
    # Stem, separable, one block, two blocks: the new one is the sixth.
    assert alone == [Pair(None, 5)]


def test_the_distance_counts_layers():
    conv = BlockSpec.of("conv", channels=4, kernel=3, stride=1, activation="relu")
    wider = BlockSpec.of("conv", channels=6, kernel=3, stride=1, activation="relu")
    one, two = Architecture((3, 8, 8), (conv, HEAD)), Architecture((3, 8, 8), (conv, conv, HEAD))
    # Convolution, batch norm and activation are new; of a wider one, the convolution.
    assert distance(one, two) == distance(two, one) == 3
    assert distance(one, Architecture((3, 8, 8), (wider, HEAD))) == 1
    assert distance(one, Architecture((3, 9, 9), (conv, HEAD))) == 1
