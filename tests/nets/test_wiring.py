from hwnas.nets.wiring import IMAGE, Wiring, channels
from hwnas.spaces import BLOCKS, Architecture, BlockSpec, space
from hwnas.spaces.graph import INPUT
from hwnas.spaces.layers import Conv2d

CONV = BlockSpec.of("conv", channels=4, kernel=3, stride=2, activation="none")
HEAD = BlockSpec.of("classifier", classes=5)


def test_blocks_are_joined_and_tensors_keep_their_shapes():
    wiring = Wiring.of(Architecture((3, 8, 8), (CONV, HEAD)))
    names = ["0.conv.conv", "0.conv.bn", "1.pool", "1.flatten", "1.linear"]
    assert [node.name for node in wiring.nodes] == names
    assert wiring.nodes[0].inputs == (IMAGE,) and wiring.nodes[2].inputs == ("0.conv.bn",)
    assert wiring.outputs == ("0.conv.bn", "1.linear") and wiring.output == "1.linear"
    assert wiring.input_of(0) == IMAGE and wiring.input_of(1) == "0.conv.bn"
    assert wiring.shape(IMAGE) == (3, 8, 8) and wiring.shape("1.pool") == (4, 1, 1)
    assert [node.local for node in wiring.block(1)] == ["pool", "flatten", "linear"]


def test_layers_that_nothing_depends_on_are_left_out(monkeypatch):
    def with_dead_layer(builder):
        builder.add("dead", Conv2d(64, 3), INPUT)
        builder.add("live", Conv2d(2, 1), INPUT)

    monkeypatch.setitem(BLOCKS, "with_dead_layer", with_dead_layer)
    wiring = Wiring.of(Architecture((3, 8, 8), (BlockSpec.of("with_dead_layer"),)))
    assert [node.name for node in wiring.nodes] == ["0.live"]


def test_parameters_are_those_of_the_architecture():
    own = space("vit-32")
    architecture = own.decode([0] * own.length)
    counts = [len(node.parameter_shapes) for node in Wiring.of(architecture).nodes]
    assert sum(counts) == sum(len(item.graph.parameter_shapes) for item in architecture.placed)


def test_channels_of_images_tokens_and_vectors():
    assert [channels(shape) for shape in ((3, 8, 9), (16, 48), (10,))] == [3, 48, 10]
