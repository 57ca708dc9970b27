import json

import pytest

from hwnas.errors import ShapeError, SpecError
from hwnas.spaces import Architecture, BlockSpec, PlacedBlock

CONV = BlockSpec.of("conv", channels=8, kernel=3, stride=2, activation="relu")
HEAD = BlockSpec.of("classifier", classes=3)
SMALL = Architecture((3, 8, 8), (CONV, HEAD))


def test_sizes_are_the_sums_over_the_blocks():
    weights = 8 * 3 * 9
    assert SMALL.parameters == weights + 2 * 8 + 3 * 8 + 3
    assert SMALL.macs == weights * 4 * 4 + 3 * 8
    assert SMALL.output_shape == (3,)
    assert [block.input_shape for block in SMALL.placed] == [(3, 8, 8), (8, 4, 4)]


def test_json_gives_the_architecture_back():
    again = Architecture.from_json(json.loads(json.dumps(SMALL.to_json())))
    assert again == SMALL and hash(again) == hash(SMALL)
    assert again.digest == SMALL.digest


def test_digests_tell_architectures_apart():
    others = [
        Architecture((3, 8, 9), SMALL.blocks),
        Architecture((3, 8, 8), SMALL.blocks[:1]),
        Architecture((3, 8, 8), SMALL.blocks[::-1]),
    ]
    assert len({item.digest for item in (SMALL, *others)}) == 4
    assert len(SMALL.digest) == 12 and int(SMALL.digest, 16) >= 0


def test_a_block_that_does_not_fit_is_named():
    with pytest.raises(SpecError, match=r"block 1 \(classifier\)"):
        _ = Architecture((3, 8, 8), (HEAD, HEAD)).placed
    with pytest.raises((ShapeError, SpecError), match=r"block 0 \(conv\)"):
        _ = Architecture((3,), (CONV,)).placed


def test_without_blocks_the_input_is_the_output():
    empty = Architecture((3, 8, 8), ())
    assert empty.output_shape == (3, 8, 8) and empty.macs == empty.parameters == 0


def test_the_key_of_a_placed_block_has_its_arguments_and_shape():
    key = PlacedBlock(CONV, (3, 8, 8)).key
    assert key == 'conv(activation="relu",channels=8,kernel=3,stride=2)@3x8x8'
    assert key != PlacedBlock(CONV, (3, 8, 9)).key
