import pytest

from hwnas.errors import ShapeError, SpecError
from hwnas.spaces.channel_layers import ChannelPart, ChannelShuffle, Concat, Zero

IMAGE = (8, 7, 6)


@pytest.mark.parametrize(
    ("layer", "inputs", "output"),
    [
        (ChannelPart(1, 2), [IMAGE], (4, 7, 6)),
        (ChannelPart(0, 1), [IMAGE], IMAGE),
        (Concat(), [IMAGE, (3, 7, 6)], (11, 7, 6)),
        (ChannelShuffle(4), [IMAGE], IMAGE),
        (Zero(), [IMAGE], IMAGE),
    ],
    ids=str,
)
def test_shapes(layer, inputs, output):
    assert layer.arity == len(inputs)
    assert layer.output_shape(*inputs) == output
    assert layer.macs(*inputs) == 0 and layer.parameter_shapes(*inputs) == {}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ChannelPart(2, 2), "must be 0 to 1, received 2"),
        (lambda: ChannelPart(0, 0), "parts must be at least 1"),
        (lambda: ChannelShuffle(0), "groups must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(make, says):
    with pytest.raises(SpecError, match=says):
        make()


@pytest.mark.parametrize(
    ("layer", "inputs", "says"),
    [
        (ChannelPart(0, 3), [IMAGE], "3 parts must divide the channels, received 8"),
        (ChannelPart(0, 2), [(8,)], "part takes an image"),
        (Concat(), [IMAGE, (8, 7, 5)], "images of one size"),
        (ChannelShuffle(3), [IMAGE], "3 groups for 8 channels"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(layer, inputs, says):
    with pytest.raises(ShapeError, match=says):
        layer.output_shape(*inputs)
