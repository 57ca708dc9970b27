import re

import pytest

from hwnas.errors import SpecError
from hwnas.spaces import Choice, SearchSpace, space
from hwnas.spaces.chain import check_classes, image_sizes, place, reference, side_after


@pytest.mark.parametrize("size", [7, 8, 9, 32, 33])
def test_the_side_is_that_of_the_layers(size):
    block = place("conv", (3, size, size), channels=4, kernel=3, stride=2, activation="relu")
    twice = place("conv", block.graph.output_shape, **dict(block.spec.arguments))
    assert side_after(size, (2, 2)) == twice.graph.output_shape[1]
    assert side_after(size, ()) == size


def test_image_sizes_are_rounded_multiples():
    assert image_sizes("s", 28, (0.75, 0.9, 1), (2, 2)) == [21, 25, 28]


@pytest.mark.parametrize("resolutions", [(1.0,), (0.75, 0.875, 1.0), (0.3, 1), (0.5, 2)])
@pytest.mark.parametrize("strides", [(2, 2, 2), (3, 3), (2, 1, 2)])
def test_the_image_size_that_the_error_asks_for_is_the_least_that_works(resolutions, strides):
    with pytest.raises(SpecError, match="space 's': images of 1 pixels are too small") as caught:
        image_sizes("s", 1, resolutions, strides)
    least = int(re.search(r"at least (\d+)$", str(caught.value))[1])
    image_sizes("s", least, resolutions, strides)
    with pytest.raises(SpecError, match=f"at least {least}$"):
        image_sizes("s", least - 1, resolutions, strides)


@pytest.mark.parametrize("ratio", [0, -1.0])
def test_resolutions_must_be_positive(ratio):
    with pytest.raises(SpecError, match=f"resolutions must be above 0, received {ratio}"):
        image_sizes("s", 32, (1.0, ratio), (2,))


def test_one_class_is_refused():
    check_classes("s", 2)
    with pytest.raises(SpecError, match="classes must be from 2 to 1,000,000, received 1"):
        check_classes("s", 1)


def own(widths):
    choices = [
        Choice("resolution", (24, 32, 28)),
        Choice("width", widths),
        Choice("a.depth", (4, 1, 2)),
        Choice("a.kernel", (3, 5)),
        Choice("a.other", (False, True)),
    ]
    return SearchSpace(
        "own", choices, [], input_channels=3, image_sizes=(24, 32, 28), resolution=0, classes=2
    )


@pytest.mark.parametrize(
    ("widths", "width"), [((0.5, 1.0, 2.0), 1.0), ((0.5, 0.75), 0.75), ((2.0, 1.5), 2.0)]
)
def test_the_reference_is_of_full_size_usual_width_and_middle_depth(widths, width):
    found = own(widths)
    assert found.values(reference(found, kernel=max)) == {
        "resolution": 32,
        "width": width,
        "a.depth": 2,
        "a.kernel": 5,
        "a.other": False,
    }


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet",
        "mobilenet-32",
        "resnet",
        "resnet-32",
        "shufflenet-32",
        "mobilenetv1-32",
        "efficientnet-32",
    ],
)
def test_references_belong_to_the_space(name):
    found = space(name)
    assert found.references
    for genes in found.references.values():
        assert found.encode(found.values(genes)) == genes
