from collections import Counter

import numpy as np
import pytest
import torch

from hwnas.export.bags import architecture_kernels
from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.export.trained import max_abs_error, network_to_onnx
from hwnas.kernels import FUSION, lower
from hwnas.nets import Network
from hwnas.runtimes import runtime
from hwnas.spaces import Architecture, BlockSpec, expand, space
from hwnas.spaces.reference_networks import REFERENCE_NETWORKS, mobilenet_v3_large

# Parameters: torchvision's model zoo, timm for ViT, the paper's definition for MobileNetV1.
# Multiply-accumulates in billions: torchvision's documentation (timm for ViT), where stated,
# at 224 pixels or at those of SIZES.
PUBLISHED = {
    "resnet18": (11_689_512, 1.81),
    "resnet50": (25_557_032, 4.09),
    "resnext50_32x4d": (25_028_904, 4.23),
    "mobilenet_v1": (4_231_976, 0.569),
    "mobilenet_v2": (3_504_872, 0.30),
    "mobilenet_v3_large": (5_483_032, 0.22),
    "shufflenet_v2_x1_0": (2_278_604, 0.14),
    "efficientnet_b0": (5_288_548, 0.39),
    "efficientnet_v2_s": (21_458_488, 8.37),
    "convnext_tiny": (28_589_128, 4.46),
    "vit_tiny_16": (5_717_416, 1.26),
}
SIZES = {"efficientnet_v2_s": 384}


@pytest.mark.parametrize("name", REFERENCE_NETWORKS)
def test_parameters_are_the_published_ones(name):
    architecture = REFERENCE_NETWORKS[name](SIZES.get(name, 224), 1000)
    parameters, gmacs = PUBLISHED[name]
    assert architecture.parameters == parameters
    assert architecture.macs / 1e9 == pytest.approx(gmacs, rel=0.04)
    assert architecture.output_shape == (1000,)
    assert Architecture.from_json(architecture.to_json()) == architecture


@pytest.mark.parametrize("name", REFERENCE_NETWORKS)
def test_the_sum_of_the_blocks_is_the_network(name, apart):
    architecture = REFERENCE_NETWORKS[name](64, 10)
    lowered = lower(architecture_to_onnx(architecture), FUSION["onnxruntime"])
    assert apart(lowered.kernels) == architecture_kernels(architecture)
    assert not lowered.not_covered


@pytest.mark.parametrize("name", PUBLISHED)
def test_fusion_is_that_of_the_runtime(name):
    model = architecture_to_onnx(REFERENCE_NETWORKS[name](64, 10))
    own = Counter()
    for kernel, count in lower(model, FUSION["onnxruntime"]).kernels.items():
        own["+".join((kernel.op, *kernel.fused))] += count
    assert own == runtime("onnxruntime").fused_graph(model.SerializeToString())


@pytest.mark.parametrize(
    "name", ["shufflenet_v2_x1_0", "mobilenet_v3_large", "convnext_tiny", "vit_tiny_16"]
)
def test_torch_and_the_runtime_agree(name):
    architecture = REFERENCE_NETWORKS[name](32, 10)
    network = Network(architecture, seed=1).eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.manual_seed(0))
    with torch.no_grad():
        assert network(images).std() > 1e-4
    model = network_to_onnx(network)
    assert max_abs_error(network, model, runtime("onnxruntime").run, images) <= 1e-4


@pytest.mark.parametrize(
    ("text", "label", "name"),
    [
        ("shufflenet", "shufflenetv2-like", "shufflenet_v2_x1_0"),
        ("mobilenetv1", "mobilenetv1-like", "mobilenet_v1"),
        ("efficientnet", "efficientnet-b0-like", "efficientnet_b0"),
        ("efficientnetv2", "efficientnetv2-s-like", "efficientnet_v2_s"),
        ("convnext", "convnext-like", "convnext_tiny"),
        ("vit", "vit-like", "vit_tiny_16"),
    ],
)
def test_the_references_of_the_spaces_are_these_networks(text, label, name):
    own = space(text)
    assert own.decode(own.references[label]) == REFERENCE_NETWORKS[name](224, 1000)


def test_hidden_channels_replace_the_expansion():
    arguments = {
        "channels": 16,
        "kernel": 3,
        "stride": 1,
        "squeeze_excite": False,
        "activation": "relu",
    }
    whole = expand(BlockSpec.of("inverted_bottleneck", expansion=3, **arguments), (16, 4, 4))
    given = BlockSpec.of("inverted_bottleneck", expansion=1, hidden=48, **arguments)
    assert expand(given, (16, 4, 4)) == whole
    same = BlockSpec.of("inverted_bottleneck", expansion=1, hidden=16, **arguments)
    assert not any(node.name.startswith("expand") for node in expand(same, (16, 4, 4)).nodes)
    hidden = [dict(spec.arguments).get("hidden") for spec in mobilenet_v3_large().blocks[1:5]]
    assert np.diff(hidden).tolist() == [48, 8, 0]
