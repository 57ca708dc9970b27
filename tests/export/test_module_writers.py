from collections import Counter

import numpy as np
import onnx
import pytest
import torch

from hwnas.export.bags import SpaceBags, architecture_kernels
from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.export.parts_onnx import block_part, kernel_part
from hwnas.export.skeleton import skeleton_graph
from hwnas.export.trained import max_abs_error, network_to_onnx
from hwnas.kernels import FUSION, lower
from hwnas.kernels.lower import lower_graph
from hwnas.nets import Network
from hwnas.runtimes import runtime
from hwnas.spaces import space

RULES = FUSION["onnxruntime"]
TOML = """
[input]
image_size = 8
channels = 1
classes = 10
[stem]
block = "conv"
channels = 8
kernel = 3
activation = "relu"
[[stages]]
block = "{name}:Pixels"
channels = 16
stride = 2
depths = [1, 2]
heads = [2, 4]
[head]
block = "classifier"
"""


@pytest.fixture
def own(own_blocks, tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(TOML.format(name=own_blocks))
    return space(str(path))


def kinds(model):
    lowered = lower(model, RULES)
    assert not lowered.not_covered
    counts = Counter()
    for kernel, count in lowered.kernels.items():
        counts[kernel.op, kernel.fused] += count
    return counts


def test_a_space_with_a_module_is_sampled_exported_and_priced(own):
    assert own.size == 2 + 4
    architecture = own.decode(own.encode({"stage1.depth": 2, "stage1.block2.heads": 4}))
    network = Network(architecture, seed=1)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=torch.manual_seed(0)))
    network.train()(torch.randn(4, *architecture.input_shape, generator=torch.manual_seed(1)))
    images = torch.randn(2, *architecture.input_shape, generator=torch.manual_seed(2))
    model = network_to_onnx(network)
    assert max_abs_error(network, model, runtime("onnxruntime").run, images) <= 1e-4
    # What is deployed has the kernels of what is measured.
    direct = architecture_to_onnx(architecture)
    onnx.checker.check_model(direct, full_check=True)
    assert kinds(onnx.load_model_from_string(model)) == kinds(direct)
    whole = lower(direct, RULES).kernels
    assert architecture_kernels(architecture) == whole
    assert sum(kernel.macs * count for kernel, count in whole.items()) == architecture.macs
    skeleton = skeleton_graph(architecture.placed, architecture.input_shape)
    assert lower_graph(skeleton, RULES).kernels == whole


def test_the_parts_of_a_space_with_a_module_run(own):
    bags = SpaceBags(own)
    blocks = [block for block in bags.blocks if block.spec.kind == "module"]
    assert len(blocks) == 4
    for block in blocks[::2]:
        part = block_part(block)
        feeds = {"input": np.ones((1, *block.input_shape), np.float32)}
        assert np.isfinite(runtime("onnxruntime").run(part.model, feeds)["output"]).all()
    kernels = {kernel for bag in bags.kernels for kernel in bag}
    alone = [kernel_part(kernel) for kernel in kernels]
    # All but shapes' own operators stand alone, so that a table can hold them.
    assert sum(part is not None for part in alone) >= 0.9 * len(kernels)
