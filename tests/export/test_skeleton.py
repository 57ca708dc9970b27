import pytest

from hwnas.export.layers_onnx import OnnxWriter, chain_to_onnx
from hwnas.export.skeleton import SkeletonWriter, skeleton_graph
from hwnas.kernels import FUSION, lower
from hwnas.kernels.lower import lower_graph
from hwnas.spaces import space

RULES = FUSION["onnxruntime"]


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet-32",
        "resnet-32",
        "shufflenet-32",
        "mobilenetv1-32",
        "efficientnet-32",
        "efficientnetv2-32",
        "convnext-32",
        "vit-32",
    ],
)
def test_a_skeleton_has_the_kernels_of_the_whole_model(name):
    own = space(name)
    architecture = own.decode(next(iter(own.references.values())))
    model = chain_to_onnx(architecture.placed, architecture.input_shape, name="n")
    graph = skeleton_graph(architecture.placed, architecture.input_shape)
    assert lower_graph(graph, RULES).kernels == lower(model, RULES).kernels


def test_a_batch_and_constants_are_those_of_the_model():
    own = space("vit-32")
    architecture = own.decode([0] * own.length)
    block = architecture.placed[1]
    writer = OnnxWriter(block.input_shape, batch=3)
    writer.append(block.graph, "b")
    model = writer.model("m")
    skeleton = SkeletonWriter(block.input_shape, batch=3)
    skeleton.append(block.graph, "b")
    graph = skeleton.graph()
    assert graph.shape("input") == (3, *block.input_shape)
    stated = {item.name: tuple(item.dims) for item in model.graph.initializer}
    assert stated and all(graph.shape(name) == dims for name, dims in stated.items())
    assert stated.keys() <= graph.constants
    assert [node.op for node in graph.nodes] == [node.op_type for node in model.graph.node]
