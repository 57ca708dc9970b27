import subprocess
import sys

import pytest

from hwnas.errors import ShapeError, SpecError
from hwnas.spaces import Architecture, BlockSpec, expand

SHAPE = (8, 6, 6)


def pixels(name, shape=SHAPE, **changes):
    arguments = {"path": f"{name}:Pixels", "channels": 12, "stride": 2} | changes
    return expand(BlockSpec.of("module", **arguments), shape)


def test_shape_parameters_and_cost_are_those_of_the_module(own_blocks):
    graph = pixels(own_blocks)
    assert graph.output_shape == (12, 3, 3)
    assert graph.parameter_shapes["own.mixed.weight"] == (36, 12)
    assert graph.parameters == 12 * 8 * 9 + 2 * 12 + 1 + 36 * 12 + 36
    # The convolution, the linear layer, scores and their product with the values.
    assert graph.macs == 9 * (12 * 8 * 9 + 36 * 12 + 2 * 9 * 12)


def test_a_module_without_settings_decides_its_shape_itself(own_blocks):
    graph = expand(BlockSpec.of("module", path=f"{own_blocks}:Plain"), (5, 7))
    assert (graph.output_shape, graph.parameters, graph.macs) == ((5, 7), 0, 0)


def test_the_spec_is_json(own_blocks):
    spec = BlockSpec.of("module", path=f"{own_blocks}:Pixels", channels=4, stride=1, share=0.25)
    architecture = Architecture(SHAPE, (spec,))
    assert Architecture.from_json(architecture.to_json()) == architecture
    assert f'path="{own_blocks}:Pixels",share=0.25,stride=1)@8x6x6' in spec.key(SHAPE)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"path": "users_blocks"}, SpecError, "path must be 'package.module:Class'"),
        ({"path": "gone_package.blocks:A"}, SpecError, "cannot be imported: .*PYTHONPATH"),
        ({"path": "users_blocks:Pixel"}, SpecError, "no class 'Pixel'; did you mean 'Pixels'?"),
        ({"path": "users_blocks:number"}, SpecError, "gives a int, not a torch.nn.Module"),
        ({"path": "users_blocks:Pair"}, SpecError, "must give one tensor .* gives tuple"),
        ({"path": "users_blocks:Plain"}, ShapeError, r"must give \(12, 3, 3\) .* gives \(8, 6, 6"),
        ({"head": 3}, SpecError, "cannot be built: .*'head'; it takes in_channels, out_channels"),
        ({"heads": 5}, SpecError, r"does not run on \(8, 6, 6\)"),
        ({"stride": 0}, SpecError, "stride must be at least 1"),
    ],
)
def test_modules_that_cannot_be_blocks_are_refused(own_blocks, changes, error, says):
    with pytest.raises(error, match=says):
        pixels(own_blocks, **changes)


def test_blocks_of_other_kinds_do_not_load_torch():
    code = (
        "import sys, hwnas.spaces as s\n"
        "own = s.space('micro'); own.decode([0] * own.length).parameters\n"
        "print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "False\n"), result.stderr
