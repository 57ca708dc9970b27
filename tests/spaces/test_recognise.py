import numpy as np
import pytest

from hwnas.errors import SpecError
from hwnas.spaces import SearchSpace, space
from hwnas.spaces.architecture import Architecture, PlacedBlock
from hwnas.spaces.blocks import BlockSpec
from hwnas.spaces.recognise import recognise
from hwnas.spaces.space import Choice, Slot

SPACES = (
    "mobilenet-32",
    "mobilenet",
    "resnet-32",
    "resnet",
    "shufflenet-32",
    "mobilenetv1-32",
    "efficientnet-32",
    "vit-32",
    "micro",
)
CONV = BlockSpec.of("conv", channels=3, kernel=3, stride=1, activation="relu")


@pytest.mark.parametrize("name", SPACES)
def test_the_genotype_comes_back(name):
    own = space(name)
    for genes in own.sample(np.random.default_rng(0), 8, over="choices").tolist():
        assert recognise(own, own.decode(genes)) == tuple(genes)


def test_every_genotype_of_a_small_space_comes_back():
    own = space("micro")
    for genes in np.ndindex(*own.cardinalities):
        assert recognise(own, own.decode(genes)) == genes


def test_genotypes_that_give_one_architecture_give_one_genotype():
    own = space("nasbench201:image_size=8")
    # Dead edges: what they would be does not count.
    left, right = (0, 0, 3, 3, 0, 0), (0, 0, 2, 3, 0, 0)
    architecture = own.decode(left)
    assert own.decode(right) == architecture
    found = recognise(own, architecture)
    assert own.decode(found) == architecture
    assert recognise(own, own.decode(right)) == found


def block(value):
    return PlacedBlock(CONV, (3, 4, 4)) if value else None


def last(*_):
    return PlacedBlock(BlockSpec.of("classifier", classes=2), (3, 4, 4))


def optional(count, tied):
    """Equal blocks, each of which can be left out; with ``tied`` only the first and the last."""
    choices = [Choice(f"slot{i}.there", (False, True)) for i in range(count)]
    slots = [Slot(f"slot{i}", (i,), block) for i in range(count)]
    if tied:
        slots.append(Slot("again", (0,), block))
    slots.append(Slot("head", (count - 1,), last))
    return SearchSpace(
        "optional",
        choices,
        slots,
        input_channels=3,
        image_sizes=[4],
        resolution=None,
        classes=2,
    )


def test_blocks_are_aligned_with_what_a_later_slot_says():
    # The first slot's block comes again at the end: two blocks are those two, one is the middle's.
    own = optional(2, tied=True)
    for genes in np.ndindex(2, 2):
        architecture = own.decode(genes)
        assert recognise(own, architecture) == genes, genes


def test_twenty_optional_slots_are_no_burden():
    own = optional(20, tied=False)
    architecture = own.decode([1, 0] * 10)
    found = recognise(own, architecture)
    assert own.decode(found) == architecture and sum(found) == 10


def test_what_is_not_of_the_space_is_refused():
    own, other = space("mobilenet-32"), space("resnet-32")
    with pytest.raises(SpecError, match=r"not of space 'mobilenet-32': no slot can hold its block"):
        recognise(own, other.decode([0] * other.length))
    small = space("mobilenet-32:image_size=64")
    with pytest.raises(SpecError, match=r"takes images \(3, 64, 64\).* 24, 28, 32 pixels"):
        recognise(own, small.decode(small.encode({"resolution": 64})))
    whole = own.decode([0] * own.length)
    cut = Architecture(whole.input_shape, whole.blocks[:-1])
    with pytest.raises(SpecError, match="blocks are missing behind its last"):
        recognise(own, cut)
    mixed = own.decode([0, 1, *([0] * (own.length - 2))])
    assert mixed != whole
    with pytest.raises(SpecError, match="no slot can hold its block 1"):
        recognise(own, Architecture(whole.input_shape, whole.blocks[:1] * 2))
