import numpy as np
import onnx
import pytest

from hwnas.export.bags import SpaceBags, architecture_kernels
from hwnas.export.parts_onnx import block_part, call_part, edge_part, edge_shape, kernel_part
from hwnas.kernels import FUSION, lower
from hwnas.runtimes import runtime
from hwnas.spaces import space

FAMILIES = [
    "shufflenet-32",
    "mobilenetv1-32",
    "efficientnet-32",
    "convnext-32",
    "nasbench201",
    "vit-32",
]


def test_every_kernel_of_the_spaces_stands_alone_and_is_itself():
    for name in ("mobilenet-32", "resnet-32"):
        kernels = {kernel for bag in SpaceBags(space(name)).kernels for kernel in bag}
        for kernel in kernels:
            part = kernel_part(kernel)
            assert part is not None
            bag = lower(onnx.load_model_from_string(part.model), FUSION["onnxruntime"]).kernels
            # What else is in the model are the depthwise convolutions at its edges.
            assert kernel in bag
            assert sum(bag.values()) == 1 + len(part.edges)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_kernels_of_sampled_networks_stand_alone_and_are_themselves(name):
    own = space(name)
    kernels = set()
    for genes in own.sample(np.random.default_rng(0), 3).tolist():
        kernels |= set(architecture_kernels(own.decode(genes)))
    for kernel in kernels:
        part = kernel_part(kernel)
        assert part is not None, kernel
        model = onnx.load_model_from_string(part.model)
        onnx.checker.check_model(model, full_check=True)
        bag = lower(model, FUSION["onnxruntime"]).kernels
        assert kernel in bag
        assert sum(bag.values()) == 1 + len(part.edges)


def test_parts_run_on_the_runtime():
    bags = SpaceBags(space("mobilenet-32"))
    parts = [call_part(), edge_part((1, 24, 8, 8)), *map(block_part, bags.blocks[:40:8])]
    for part in parts:
        inputs = onnx.load_model_from_string(part.model).graph.input
        feeds = {
            item.name: np.ones([d.dim_value for d in item.type.tensor_type.shape.dim], np.float32)
            for item in inputs
        }
        outputs = runtime("onnxruntime").run(part.model, feeds)
        assert all(np.isfinite(value).all() for value in outputs.values())
    assert edge_shape(parts[1].key) == (1, 24, 8, 8)
