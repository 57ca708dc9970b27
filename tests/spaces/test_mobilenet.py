import pytest

from hwnas.errors import SpecError
from hwnas.spaces import space
from hwnas.spaces.mobilenet import mobilenet

SMALL = {
    "image_size": 16,
    "classes": 3,
    "widths": (1.0, 2.0),
    "resolutions": (1.0,),
    "stem": (16, 2),
    "stages": ((24, 2), (40, 1)),
    "depths": (1, 2),
    "kernels": (3, 5),
    "expansions": (3, 6),
    "features": 64,
    "hidden": 32,
}


def decoded(own, **values):
    named = {name.replace("__", "."): value for name, value in values.items()}
    return own.decode(own.encode(named))


def test_choices_are_per_network_stage_and_block():
    own = mobilenet("own", **SMALL)
    names = [choice.name for choice in own.choices]
    assert names[:4] == ["resolution", "width", "stage1.depth", "stage1.squeeze_excite"]
    assert names[4:6] == ["stage1.block1.kernel", "stage1.block1.expansion"]
    # Width, and per stage: squeeze-excite, and four settings for each block that is there.
    assert own.size == 2 * (2 * (4 + 4**2)) ** 2


def test_the_chain_is_that_of_the_stages():
    own = mobilenet("own", **SMALL)
    architecture = decoded(own, stage1__depth=2, stage1__block2__kernel=5)
    assert [block.spec.kind for block in architecture.placed] == [
        "conv",
        "depthwise_separable",
        *["inverted_bottleneck"] * 3,
        "mobile_classifier",
    ]
    # The stem halves the image, the first stage again, in its first block.
    assert [block.input_shape for block in architecture.placed] == [
        (3, 16, 16),
        (16, 8, 8),
        (16, 8, 8),
        (24, 4, 4),
        (24, 4, 4),
        (40, 4, 4),
    ]
    kernels = [dict(spec.arguments)["kernel"] for spec in architecture.blocks[2:5]]
    strides = [dict(spec.arguments)["stride"] for spec in architecture.blocks[2:5]]
    assert kernels == [3, 5, 3] and strides == [2, 1, 1]


def test_choices_reach_their_blocks():
    own = mobilenet("own", **SMALL)
    architecture = decoded(own, stage2__squeeze_excite=True, stage2__block1__expansion=6)
    first, second = (dict(spec.arguments) for spec in architecture.blocks[2:4])
    assert not first["squeeze_excite"] and second["squeeze_excite"]
    assert (first["expansion"], second["expansion"]) == (3, 6)
    assert (first["activation"], second["activation"]) == ("relu", "hardswish")
    wide = decoded(own, width=2.0)
    assert [block.graph.output_shape[0] for block in wide.placed] == [32, 32, 48, 80, 3]


def test_genes_of_blocks_that_are_left_out_do_not_count():
    own = mobilenet("own", **SMALL)
    shallow = own.encode({"stage1.depth": 1, "stage1.block2.kernel": 5})
    assert shallow == own.encode({"stage1.depth": 1})


def test_the_reference_is_mobilenetv2s_setting():
    own = space("mobilenet")
    values = own.values(own.references["mobilenetv2-like"])
    assert (values["resolution"], values["width"], values["stage1.depth"]) == (224, 1.0, 3)
    assert {value for name, value in values.items() if name.endswith("kernel")} == {3}
    assert {value for name, value in values.items() if name.endswith("expansion")} == {6}
    assert not any(value for name, value in values.items() if name.endswith("squeeze_excite"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image_size": 2}, "shrinks them 4 times; image_size must be at least 4"),
        ({"classes": 1}, "classes must be from 2"),
        ({"kernels": (5, 7)}, "'stage1.block1.kernel' must be one of 5, 7, received 3"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(change, says):
    with pytest.raises(SpecError, match=says):
        mobilenet("own", **SMALL | change)
