import pytest

from hwnas.errors import SpecError
from hwnas.spaces.chain import place
from hwnas.spaces.staged import Stage, staged


def own(**changes):
    def conv(shape, channels, kernel=1, stride=1):
        return place(
            "conv", shape, channels=channels, kernel=kernel, stride=stride, activation="relu"
        )

    settings = {
        "image_size": 16,
        "classes": 3,
        "input_channels": 2,
        "widths": (1.0, 2.0),
        "resolutions": (0.5, 1.0),
        "stem": 4,
        "stem_strides": (2,),
        "stages": [Stage(8, 2, (1, 3), {"kernel": (3, 5)}), Stage(12, 1, (2,))],
        "divisor": 4,
        "first": lambda shape, channels: conv(shape, channels, 3, 2),
        "block": lambda at, kernel=1: conv(at.input_shape, at.channels, kernel, at.stride),
        "tail": {
            "last": lambda shape, width: conv(shape, int(20 * width)),
            "head": lambda shape, width: place("classifier", shape, classes=3),
        },
    }
    return staged("own", **settings | changes)


def test_choices_are_per_network_stage_and_block():
    found = own()
    assert [choice.name for choice in found.choices] == [
        "resolution",
        "width",
        "stage1.depth",
        "stage1.block1.kernel",
        "stage1.block2.kernel",
        "stage1.block3.kernel",
        "stage2.depth",
    ]
    assert found.size == 2 * 2 * (2 + 8)


def test_the_chain_is_that_of_the_stages():
    found = own()
    genes = found.encode({"width": 2.0, "resolution": 16, "stage1.depth": 3})
    assert [block.input_shape for block in found.decode(genes).placed] == [
        (2, 16, 16),
        (8, 8, 8),
        *[(16, 4, 4)] * 3,
        (24, 4, 4),
        (24, 4, 4),
        (40, 4, 4),
    ]
    # What every slot says that it takes is what the one before it gives.
    placed = [found.slot_block(slot, [genes[c] for c in slot.choices]) for slot in found.slots]
    assert [item for item in placed if item] == list(found.decode(genes).placed)


def test_images_that_are_too_small_are_refused():
    with pytest.raises(SpecError, match="shrinks them 4 times"):
        own(image_size=4)
