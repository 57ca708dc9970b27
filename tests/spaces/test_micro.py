import numpy as np
import pytest

from hwnas.errors import SpecError
from hwnas.spaces import space
from hwnas.spaces.micro import FAMILIES


def test_the_families_fill_the_stages():
    micro = space("micro")
    assert micro.size == 432
    kinds = {}
    for family in FAMILIES:
        architecture = micro.decode(micro.references[f"{family}-micro"])
        assert micro.values(micro.references[f"{family}-micro"])["width"] == 1.0
        kinds[family] = {
            (spec.kind, dict(spec.arguments).get("groups", 1)) for spec in architecture.blocks[1:-1]
        }
    assert kinds == {
        "depthwise": {("depthwise_separable", 1)},
        "resnext": {("bottleneck", 8)},
        "bottleneck": {("bottleneck", 1)},
    }


def test_only_stages_that_keep_the_shape_can_be_left_out():
    micro = space("micro")
    skips = [choice.name for choice in micro.choices if "skip" in choice.values]
    assert skips == ["stage3.family"]
    empty = micro.encode({"width": 1.0})
    assert len(micro.decode(empty).blocks) == 5
    with pytest.raises(SpecError, match="must be one of depthwise, resnext, bottleneck"):
        micro.encode({"stage2.family": "skip"})


def test_every_architecture_is_another():
    micro = space("micro")
    genes = np.array(list(np.ndindex(*micro.cardinalities)), dtype=np.int64)
    digests = {micro.decode(row.tolist()).digest for row in genes}
    assert len(digests) == micro.size


def test_half_the_resolution_is_a_choice():
    micro = space("micro")
    half = micro.encode({"resolution": 14, "stage1.family": "resnext"})
    assert micro.decode(half).input_shape == (1, 14, 14)
    assert micro.decode(micro.encode({"resolution": 28})).input_shape == (1, 28, 28)


def test_it_takes_other_images():
    wide = space("micro:image_size=64,classes=3,input_channels=3")
    architecture = wide.decode(wide.references["resnext-micro"])
    assert (architecture.input_shape, architecture.output_shape) == ((3, 64, 64), (3,))
    with pytest.raises(SpecError, match="image_size must be at least 15"):
        space("micro:image_size=14")
