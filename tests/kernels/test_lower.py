from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hwnas.errors import ProfileError, ShapeError
from hwnas.export.bags import architecture_kernels
from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.kernels import FUSION, Kernel, lower
from hwnas.runtimes import runtime
from hwnas.spaces import space

RULES = FUSION["onnxruntime"]
NAMES = ["mobilenet-32", "resnet-32", "mobilenet:image_size=96", "resnet:image_size=96"]


@pytest.mark.parametrize("name", NAMES)
def test_fusion_is_that_of_the_runtime(name):
    """At least 99 % of the nodes agree with the graph that ONNX Runtime writes."""
    found, agree, total = space(name), 0, 0
    for row in found.sample(np.random.default_rng(1), 3, over="choices"):
        model = architecture_to_onnx(found.decode(row))
        own: Counter[str] = Counter()
        for kernel, count in lower(model, RULES).kernels.items():
            own["+".join((kernel.op, *kernel.fused))] += count
        theirs = runtime("onnxruntime").fused_graph(model.SerializeToString())
        agree += sum((own & theirs).values())
        total += max(sum(own.values()), sum(theirs.values()))
    assert agree >= 0.99 * total


@pytest.mark.parametrize("name", NAMES)
def test_a_network_is_the_sum_of_its_blocks(name):
    found = space(name)
    for row in found.sample(np.random.default_rng(2), 3, over="choices"):
        architecture = found.decode(row)
        whole = lower(architecture_to_onnx(architecture), RULES).kernels
        assert architecture_kernels(architecture) == whole
        assert sum(k.macs * n for k, n in whole.items()) == architecture.macs
        assert all(Kernel.from_key(kernel.key) == kernel for kernel in whole)


def test_the_onnx_wheels_networks_lower():
    folder = onnx.__path__[0] + "/backend/test/data/light/"
    for name in ("light_resnet50.onnx", "light_shufflenet.onnx", "light_squeezenet.onnx"):
        lowered = lower(onnx.load(folder + name), RULES, name=name)
        assert not lowered.not_covered
        assert sum(kernel.macs * count for kernel, count in lowered.kernels.items()) > 5e7


def graph(nodes, inputs, outputs):
    value = helper.make_tensor_value_info
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [value(n, TensorProto.FLOAT, s) for n, s in inputs],
            [value(n, TensorProto.FLOAT, s) for n, s in outputs],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
    )


def test_dynamic_shapes_must_be_given_and_fit():
    model = graph([helper.make_node("Relu", ["x"], ["y"])], [("x", ["N", 3])], [("y", ["N", 3])])
    with pytest.raises(ShapeError, match="--input-shape x:N,3"):
        lower(model, RULES)
    with pytest.raises(ShapeError, match="does not fit"):
        lower(model, RULES, shapes={"x": (2, 4)})
    with pytest.raises(ShapeError, match="no input 'z'"):
        lower(model, RULES, shapes={"z": (2, 3)})
    (kernel,) = lower(model, RULES, shapes={"x": (2, 3)}).kernels
    assert kernel.outputs == ((2, 3),)


def test_custom_domains_are_not_covered():
    node = helper.make_node("Magic", ["x"], ["y"], domain="my.ops")
    model = graph([node], [("x", [1, 3])], [("y", [1, 3])])
    model.opset_import.append(helper.make_opsetid("my.ops", 1))
    assert lower(model, RULES).not_covered == Counter({"my.ops.Magic": 1})


def test_an_activation_that_something_else_reads_is_not_fused():
    weight = helper.make_node(
        "Constant",
        [],
        ["w"],
        value=onnx.numpy_helper.from_array(np.ones((16, 16, 1, 1), np.float32)),
    )
    model = graph(
        [
            weight,
            helper.make_node("Conv", ["x", "w"], ["c"]),
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("Mul", ["c", "r"], ["y"]),
        ],
        [("x", [1, 16, 4, 4])],
        [("y", [1, 16, 4, 4])],
    )
    assert {kernel.op for kernel in lower(model, RULES).kernels} == {"Conv", "Relu", "Mul"}
    assert all(not kernel.fused for kernel in lower(model, RULES).kernels)


def test_a_key_that_is_none_is_refused():
    with pytest.raises(ProfileError):
        Kernel.from_key("Conv|nonsense")
