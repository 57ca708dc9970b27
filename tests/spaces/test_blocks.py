import pytest

from hwnas.errors import SpecError, UnknownNameError
from hwnas.spaces import BlockSpec, expand


def test_bottleneck_has_the_parameters_of_resnet50():
    # layer1.1 of ResNet-50: 256·64 + 64·64·9 + 64·256 weights and three batch norms.
    graph = expand(
        BlockSpec.of("bottleneck", channels=256, width=64, stride=1, groups=1, activation="relu"),
        (256, 56, 56),
    )
    assert graph.parameters == 16384 + 36864 + 16384 + 2 * (64 + 64 + 256)
    assert graph.macs == (16384 + 36864 + 16384) * 56 * 56


def test_the_basic_block_has_the_parameters_of_resnet18():
    # layer2.0 of ResNet-18: 64·128·9 + 128·128·9 weights, the shortcut's 64·128, three batch norms.
    spec = BlockSpec.of("basic", channels=128, kernel=3, stride=2, activation="relu")
    assert expand(spec, (64, 56, 56)).parameters == 73728 + 147456 + 8192 + 3 * 2 * 128
    same = BlockSpec.of("basic", channels=64, kernel=3, stride=1, activation="relu")
    assert not any("shortcut" in node.name for node in expand(same, (64, 56, 56)).nodes)


def test_resnext_groups_divide_the_cost_of_the_3x3():
    def macs(groups):
        spec = BlockSpec.of(
            "bottleneck", channels=256, width=128, stride=1, groups=groups, activation="relu"
        )
        return expand(spec, (256, 14, 14)).macs

    dense = 128 * 128 * 9 * 14 * 14
    assert macs(1) - macs(32) == dense - dense // 32


def test_inverted_bottleneck_has_a_shortcut_only_where_shapes_agree():
    def names(stride):
        spec = BlockSpec.of(
            "inverted_bottleneck",
            channels=16,
            kernel=5,
            stride=stride,
            expansion=4,
            squeeze_excite=True,
            activation="hardswish",
        )
        return {node.name for node in expand(spec, (16, 8, 8)).nodes}

    assert "residual" in names(1)
    assert "residual" not in names(2)
    assert "se.scale" in names(2)


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        (BlockSpec.of("bottlneck"), UnknownNameError),
        (BlockSpec.of("classifier"), SpecError),
        (
            BlockSpec.of(
                "bottleneck", channels=64, width=20, stride=1, groups=8, activation="relu"
            ),
            SpecError,
        ),
        (BlockSpec.of("conv", channels=8, kernel=4, stride=1, activation="relu"), SpecError),
        (BlockSpec.of("conv", channels=8, kernel=3, stride=99, activation="relu"), SpecError),
        (BlockSpec.of("conv", channels=8, kernel=3, stride=1, activation="rleu"), SpecError),
    ],
)
def test_impossible_specs_are_refused(spec, error):
    with pytest.raises(error):
        expand(spec, (16, 8, 8))


@pytest.mark.parametrize(("activation", "last"), [("relu", "conv.act"), ("none", "conv.bn")])
def test_a_convolution_can_be_without_activation(activation, last):
    spec = BlockSpec.of("conv", channels=8, kernel=3, stride=1, activation=activation)
    assert expand(spec, (16, 8, 8)).output == last
