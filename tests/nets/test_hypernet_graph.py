import numpy as np
import pytest

from hwnas.nets import Network
from hwnas.nets.hypernet_graph import BINS, FARTHEST, FIELDS, KINDS, OTHER, graph_of, kind_of
from hwnas.spaces import space
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BLOCKS, BlockSpec
from hwnas.spaces.graph import GraphBuilder
from hwnas.spaces.layers import Activation, Conv2d, Layer, Pool2d

SPACES = (
    "micro",
    "mobilenet-32",
    "resnet-32",
    "mobilenetv1-32",
    "shufflenet-32",
    "efficientnet-32",
    "vit-32",
    "nasbench201",
)


def residual():
    """Image, then two convolutions with a sum around the second, then a classifier."""
    stem = BlockSpec.of("conv", channels=4, kernel=3, stride=1, activation="relu")
    block = BlockSpec.of("bottleneck", channels=4, width=4, stride=1, groups=1, activation="relu")
    return Architecture((1, 8, 8), (stem, block, BlockSpec.of("classifier", classes=2)))


def test_the_graph_of_a_residual_network_is_that_of_its_layers():
    graph = graph_of(residual())
    names = [KINDS[kind] for kind in graph.kinds]
    conv = ["Conv2d", "BatchNorm", "relu"]
    body = [*conv, *conv, *conv, "Conv2d", "BatchNorm", "Add", "relu"]
    assert names == ["input", *body, "GlobalAveragePool", "Flatten", "Linear"]
    # The sum reads the stem's activation and the block's last norm, eight layers after it.
    add, stem = names.index("Add"), 3
    assert np.flatnonzero(graph.distances[add] == 1).tolist() == [stem, add - 1]
    assert graph.depths[add] == 12 and graph.distances[add, 0] == 4
    assert graph.depths[-1] == graph.heights[0] == len(names) - 1
    assert graph.heights[-1] == graph.depths[0] == 0


def test_paths_that_are_too_long_are_no_edges():
    stem = BlockSpec.of("conv", channels=4, kernel=1, stride=1, activation="relu")
    graph = graph_of(Architecture((1, 4, 4), (stem,) * 20))
    assert graph.distances.max() == FARTHEST
    assert graph.distances[60, 9] == 0 and graph.distances[60, 10] == FARTHEST


@pytest.mark.parametrize("name", SPACES)
def test_every_parameter_of_every_space_has_a_node(name):
    own = space(f"{name}:image_size=16")
    for genes in own.sample(np.random.default_rng(0), 3).tolist():
        architecture = own.decode(genes)
        graph = graph_of(architecture)
        known = {own.name: own.shape for own in graph.parameters}
        network = Network(architecture)
        assert known == {key: tuple(value.shape) for key, value in network.named_parameters()}
        assert OTHER not in {KINDS[kind] for kind in graph.kinds}
        assert graph.sizes.shape == (len(graph.kinds), FIELDS)
        assert graph.sizes.min() >= 0 and graph.sizes.max() < BINS
        # Whatever a node reads stands before it.
        assert not np.triu(graph.distances).any()


def test_layers_without_a_reader_are_left_out(monkeypatch):
    def forked(b: GraphBuilder) -> None:
        b.add("unused", Conv2d(8, 3), "input")
        b.add("used", Conv2d(4, 3), "input")

    monkeypatch.setitem(BLOCKS, "forked", forked)
    graph = graph_of(Architecture((3, 8, 8), (BlockSpec.of("forked"),)))
    assert [own.name for own in graph.parameters] == ["blocks.0.used.weight"]


def test_kinds_are_those_of_layers():
    assert kind_of(Activation("gelu")) == "gelu" and kind_of(Pool2d("max", 3, 2)) == "max"
    assert kind_of(Conv2d(3, 3)) == "Conv2d" and kind_of(Layer()) == OTHER
