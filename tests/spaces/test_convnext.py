import pytest

from hwnas.errors import ShapeError, SpecError
from hwnas.spaces import BlockSpec, expand, space

SHAPE = (96, 56, 56)


def convnext(shape=SHAPE, **changes):
    arguments = {"kernel": 7, "expansion": 4, "activation": "gelu"} | changes
    return expand(BlockSpec.of("convnext", **arguments), shape)


def test_the_block_has_the_parameters_of_convnext_tiny():
    # A block of the first stage: 7·7·96 + 96, layer norm, 96·384 + 384, 384·96 + 96, layer scale.
    graph = convnext()
    assert graph.parameters == 4704 + 96 + 2 * 96 + 36864 + 384 + 36864 + 96 + 96
    assert graph.macs == (4704 + 2 * 36864) * 56 * 56
    assert graph.output_shape == SHAPE


@pytest.mark.parametrize(("stride", "output"), [(2, (192, 28, 28)), (1, (192, 56, 56))])
def test_between_stages_the_image_is_normalised_and_shrinks(stride, output):
    graph = expand(BlockSpec.of("convnext_down", channels=192, stride=stride), SHAPE)
    assert graph.output_shape == output
    assert graph.parameters == 2 * 96 + 96 * 192 * stride**2 + 192


def test_the_head_normalises_the_mean_of_the_image():
    graph = expand(BlockSpec.of("convnext_head", classes=10), (768, 7, 7))
    assert graph.output_shape == (10,)
    assert graph.parameters == 2 * 768 + 768 * 10 + 10


@pytest.mark.parametrize(
    ("spec", "shape", "error", "says"),
    [
        (BlockSpec.of("convnext_stem", channels=8, patch=4), (3, 30, 30), ShapeError, "divide"),
        (BlockSpec.of("convnext", kernel=7, expansion=4, activation="gelu"), (4, 8), ShapeError,
         "convnext takes an image"),
        (BlockSpec.of("convnext", kernel=6, expansion=4, activation="gelu"), SHAPE, SpecError,
         "kernel must be odd"),
        (BlockSpec.of("convnext", kernel=7, expansion=0, activation="gelu"), SHAPE, SpecError,
         "out_features must be at least 1"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_built_are_refused(spec, shape, error, says):
    with pytest.raises(error, match=says):
        expand(spec, shape)


def test_depth_kernel_and_expansion_are_elastic():
    own = space("convnext-32")
    values = {"stage2.depth": 3, "stage2.block2.kernel": 5, "stage2.block3.expansion": 2}
    architecture = own.decode(own.encode(values))
    assert [spec.kind for spec in architecture.blocks] == [
        "convnext_stem",
        "convnext",
        "convnext_down",
        *["convnext"] * 3,
        "convnext_down",
        "convnext",
        "convnext_head",
    ]
    blocks = [dict(spec.arguments) for spec in architecture.blocks[3:6]]
    assert [(spec["kernel"], spec["expansion"]) for spec in blocks] == [(7, 4), (5, 4), (7, 2)]
    assert own.size == 2 * 3 * (4 + 16) * (4 + 16 + 64) * (4 + 16)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [("convnext", (160, 192, 224)), ("convnext-32:image_size=28", (16, 24))],
)
def test_images_are_multiples_of_what_the_network_divides_them_by(text, sizes):
    assert space(text).image_sizes == sizes


def test_an_image_that_is_too_small_is_refused():
    with pytest.raises(SpecError, match="shrinks them 8 times; image_size must be at least 10"):
        space("convnext-32:image_size=8")
