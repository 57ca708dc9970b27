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


def test_options_of_a_stage_are_one_choice():
    stages = [Stage(8, 2, (1, 2), shared={"kernel": (3, 5)})]
    found = own(stages=stages)
    names = [choice.name for choice in found.choices[2:]]
    assert names == ["stage1.depth", "stage1.kernel"]
    assert found.size == 2 * 2 * 2 * 2
    blocks = found.decode(found.encode({"stage1.depth": 2, "stage1.kernel": 5})).blocks
    assert [dict(spec.arguments)["kernel"] for spec in blocks[1:3]] == [5, 5]


def test_stages_that_change_the_shape_begin_with_a_block_of_their_own():
    def down(shape, channels, stride):
        return place("convnext_down", shape, channels=channels, stride=stride)

    found = own(
        stages=[Stage(4, 1, (1,)), Stage(8, 2, (1,)), Stage(12, 1, (1,))],
        down=down,
        multiple=4,
        tail={"head": lambda shape, width: place("classifier", shape, classes=3)},
        resolutions=(0.6, 0.9, 1.0),
    )
    # 9.6, 14.4 and 16 pixels.
    assert found.image_sizes == (8, 12, 16)
    assert [slot.name for slot in found.slots] == [
        "stem",
        "stage1.block1",
        "stage2.down",
        "stage2.block1",
        "stage3.down",
        "stage3.block1",
        "head",
    ]
    genes = found.encode({"resolution": 16})
    placed = [found.slot_block(slot, [genes[c] for c in slot.choices]) for slot in found.slots]
    assert placed == list(found.decode(genes).placed)
    assert [item.input_shape for item in placed[2:5]] == [(4, 8, 8), (8, 4, 4), (8, 4, 4)]
