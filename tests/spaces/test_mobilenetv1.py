import pytest

from hwnas.errors import SpecError
from hwnas.spaces import space


def test_the_reference_is_mobilenetv1():
    own = space("mobilenetv1")
    architecture = own.decode(own.references["mobilenetv1-like"])
    # Howard et al., 2017, table 4: 4.2 million parameters, 569 million operations.
    assert architecture.parameters == 4_231_976
    assert architecture.macs == 568_740_352


def test_width_depth_and_resolution_are_elastic():
    own = space("mobilenetv1-32")
    assert own.size == 3 * 3 * 3**3
    values = {"width": 0.5, "resolution": 24, "stage2.depth": 3}
    assert [block.input_shape for block in own.decode(own.encode(values)).placed] == [
        (3, 24, 24),
        (8, 24, 24),
        (16, 12, 12),
        *[(32, 6, 6)] * 3,
        (64, 3, 3),
    ]


def test_images_that_are_too_small_are_refused():
    with pytest.raises(SpecError, match="shrinks them 32 times"):
        space("mobilenetv1:image_size=16")
