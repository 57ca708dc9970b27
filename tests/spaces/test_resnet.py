import pytest

from hwnas.errors import SpecError
from hwnas.spaces import space
from hwnas.spaces.resnet import resnet

SMALL = {
    "image_size": 16,
    "classes": 3,
    "widths": (0.5, 1.0),
    "resolutions": (1.0,),
    "stem": (16, 3, False),
    "stages": ((64, 2), (128, 1)),
    "depths": (1, 2),
}


def test_choices_are_per_network_and_stage():
    own = resnet("own", **SMALL)
    assert [choice.name for choice in own.choices[2:5]] == [
        "stage1.depth",
        "stage1.ratio",
        "stage1.groups",
    ]
    assert own.size == 2 * (2 * 2 * 2) ** 2


def test_the_chain_is_that_of_the_stages():
    own = resnet("own", **SMALL)
    architecture = own.decode(own.encode({"width": 1.0, "stage1.depth": 2, "stage2.groups": 8}))
    assert [(block.spec.kind, block.input_shape) for block in architecture.placed] == [
        ("conv", (3, 16, 16)),
        ("bottleneck", (16, 16, 16)),
        ("bottleneck", (64, 8, 8)),
        ("bottleneck", (64, 8, 8)),
        ("classifier", (128, 8, 8)),
    ]
    blocks = [dict(spec.arguments) for spec in architecture.blocks[1:4]]
    assert [block["stride"] for block in blocks] == [2, 1, 1]
    assert [block["groups"] for block in blocks] == [1, 1, 8]
    assert [block["width"] for block in blocks] == [16, 16, 32]


@pytest.mark.parametrize(("size", "side"), [(16, 4), (17, 5), (18, 5), (19, 5), (20, 5)])
def test_a_stem_with_a_pool_shrinks_four_times(size, side):
    own = resnet("own", **SMALL | {"image_size": size, "stem": (16, 7, True)})
    architecture = own.decode(own.encode({}))
    assert architecture.blocks[0].kind == "conv_pool"
    # What the slot says it takes is what the stem gives.
    block = own.slot_block(own.slots[1], [0] * 5)
    assert block.input_shape == architecture.placed[1].input_shape == (8, side, side)


@pytest.mark.parametrize("groups", [8, 32])
@pytest.mark.parametrize("width", [0.5, 1.0])
def test_the_groups_divide_the_width_of_every_bottleneck(groups, width):
    own = resnet("own", **SMALL | {"groups": (groups,), "ratios": (0.1, 0.25, 0.5)})
    for ratio in (0.1, 0.25, 0.5):
        values = {"width": width, "stage1.ratio": ratio, "stage2.ratio": ratio}
        assert own.decode(own.encode(values)).output_shape == (3,)


def test_the_reference_has_the_widths_of_resnet50():
    own = space("resnet")
    values = own.values(own.references["resnet-like"])
    assert (values["resolution"], values["width"], values["stage3.depth"]) == (224, 1.0, 4)
    assert (values["stage1.ratio"], values["stage1.groups"]) == (0.25, 1)
    architecture = own.decode(own.references["resnet-like"])
    # layer1.0 of ResNet-50: four convolutions, the last of them the shortcut, and batch norms.
    weights = 64 * 64 + 64 * 64 * 9 + 2 * 64 * 256
    assert architecture.placed[1].graph.parameters == weights + 2 * (64 + 64 + 256 + 256)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image_size": 1}, "shrinks them 2 times; image_size must be at least 2"),
        ({"image_size": 4, "stem": (16, 7, True)}, "shrinks them 8 times"),
        ({"classes": 0}, "classes must be from 2"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(change, says):
    with pytest.raises(SpecError, match=says):
        resnet("own", **SMALL | change)
