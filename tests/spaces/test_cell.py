import pytest

from hwnas.errors import SpecError
from hwnas.spaces import BlockSpec, expand
from hwnas.spaces.cell import (
    EDGES,
    arch_str,
    is_identity,
    live,
    operations_of,
    reads_activated,
)
from hwnas.spaces.layers import Add, BatchNorm, Conv2d

NONE, SKIP, CONV1, CONV3, POOL = (
    "none",
    "skip_connect",
    "nor_conv_1x1",
    "nor_conv_3x3",
    "avg_pool_3x3",
)


def cell(*operations, activated=False, tail="none"):
    spec = BlockSpec.of("nasbench_cell", arch=arch_str(operations), activated=activated, tail=tail)
    return expand(spec, (8, 4, 4))


def count(graph, layer):
    return sum(isinstance(node.layer, layer) for node in graph.nodes)


def test_architecture_strings_are_those_of_the_benchmark():
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
    operations = operations_of(text)
    assert operations == (CONV3, NONE, SKIP, POOL, CONV1, NONE)
    assert arch_str(operations) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "|none~0|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~1|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|conv~2|",
        "none~0+none~0|none~1+none~0|none~1|none~2",
        "|none~0|none~0|+|none~1|+|none~0|none~1|none~2|",
    ],
)
def test_texts_that_name_no_cell_are_refused(text):
    with pytest.raises(SpecError):
        operations_of(text)


@pytest.mark.parametrize(
    ("operations", "alive"),
    [
        # Nothing reaches node 1, so what leaves it is dead.
        ((NONE, SKIP, CONV3, NONE, POOL, CONV1), (NONE, SKIP, NONE, NONE, NONE, CONV1)),
        # Nothing leaves node 2.
        ((CONV3, CONV1, POOL, NONE, SKIP, NONE), (CONV3, NONE, NONE, NONE, SKIP, NONE)),
        # Node 1 leads to node 2 only, which leads nowhere.
        ((CONV3, CONV1, POOL, SKIP, NONE, NONE), (NONE, NONE, NONE, SKIP, NONE, NONE)),
        ((CONV3,) * 6, (CONV3,) * 6),
        ((CONV3, CONV3, CONV3, NONE, NONE, NONE), (NONE,) * 6),
    ],
)
def test_dead_edges_are_found(operations, alive):
    assert live(operations) == alive
    assert cell(*operations).nodes == cell(*alive).nodes


def test_a_full_cell_has_six_convolutions_and_three_sums():
    graph = cell(*(CONV3,) * 6)
    assert count(graph, Conv2d) == count(graph, BatchNorm) == 6
    assert count(graph, Add) == 3
    # One ReLU per node that convolutions read.
    assert [node.name for node in graph.nodes if node.name.endswith(".act")] == [
        "node0.act",
        "node1.act",
        "node2.act",
    ]
    assert graph.parameters == 6 * (8 * 8 * 9 + 16)


def test_what_has_no_weights_is_computed_once():
    # Node 1 is the input, so both pools read it.
    graph = cell(SKIP, POOL, POOL, NONE, NONE, SKIP)
    assert [node.name for node in graph.nodes] == ["edge02.pool", "node2.add1"]
    assert graph.nodes[-1].inputs == ("edge02.pool", "edge02.pool")


def test_a_cell_of_zeros_is_one_layer():
    graph = cell(*(NONE,) * 6)
    assert [node.name for node in graph.nodes] == ["zero"]
    assert graph.output_shape == (8, 4, 4)


@pytest.mark.parametrize(
    ("operations", "activated", "identity"),
    [
        ((CONV3,) * 6, True, False),
        ((NONE,) * 6, False, False),
        ((NONE, NONE, NONE, SKIP, NONE, NONE), False, True),
        ((SKIP, NONE, SKIP, NONE, NONE, SKIP), False, True),
        ((SKIP, NONE, SKIP, SKIP, NONE, SKIP), False, False),
        # Through a skip to ReLU, and nothing else.
        ((SKIP, NONE, NONE, NONE, CONV1, NONE), True, False),
        ((SKIP, NONE, NONE, POOL, CONV1, NONE), False, False),
        ((CONV3, SKIP, NONE, CONV1, CONV3, NONE), True, False),
    ],
)
def test_how_a_cell_reads_its_input(operations, activated, identity):
    assert reads_activated(operations) is activated
    assert is_identity(operations) is identity
    assert (cell(*operations).output == "input") is identity
    if activated:
        names = {node.name for node in cell(*operations, activated=True).nodes}
        readers = {
            node.name for node in cell(*operations).nodes if node.inputs == ("input",)
        } - names
        assert len(readers) == 1 and readers.pop().endswith(".act")
    else:
        with pytest.raises(SpecError, match="activated must be false"):
            cell(*operations, activated=True)


def test_tails_follow_the_last_node():
    names = [node.name for node in cell(*(NONE,) * 6, tail="bn_relu").nodes]
    assert names == ["zero", "tail.bn", "tail.act"]
    with pytest.raises(SpecError, match="one of none, relu, bn_relu, received 'gelu'"):
        cell(*(NONE,) * 6, tail="gelu")


def test_the_reduction_halves_the_image():
    spec = BlockSpec.of("nasbench_reduction", channels=16, tail="none")
    graph = expand(spec, (8, 4, 4))
    assert graph.output_shape == (16, 2, 2)
    assert graph.parameters == 8 * 16 * 9 + 16 * 16 * 9 + 8 * 16 + 4 * 16


def test_there_are_six_edges():
    with pytest.raises(SpecError, match="6 operations, received 5"):
        arch_str([SKIP] * 5)
    with pytest.raises(SpecError, match="received 'conv'"):
        arch_str(["conv"] * len(EDGES))
