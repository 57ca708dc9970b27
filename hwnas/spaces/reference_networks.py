"""Networks that people know, layer by layer as their reference implementations have them.

Their numbers of parameters are the published ones. (What changes no shape is
not: batch norm's epsilon is torch's default in all of them.)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec


def _network(image_size: int, blocks: Sequence[BlockSpec]) -> Architecture:
    return Architecture((3, image_size, image_size), tuple(blocks))


def _conv(channels: int, kernel: int, stride: int, activation: str) -> BlockSpec:
    return BlockSpec.of(
        "conv", channels=channels, kernel=kernel, stride=stride, activation=activation
    )


def _strides(stride: int, depth: int) -> Iterator[int]:
    """The strides of a stage: its own first, then 1."""
    yield stride
    yield from [1] * (depth - 1)


def _resnet(image_size: int, classes: int, ratio: float, groups: int) -> Architecture:
    blocks = [
        BlockSpec.of("conv_pool", channels=64, kernel=7, stride=2, activation="relu"),
    ]
    for channels, first, depth in ((256, 1, 3), (512, 2, 4), (1024, 2, 6), (2048, 2, 3)):
        blocks += [
            BlockSpec.of(
                "bottleneck",
                channels=channels,
                width=int(channels * ratio),
                stride=stride,
                groups=groups,
                activation="relu",
            )
            for stride in _strides(first, depth)
        ]
    return _network(image_size, [*blocks, BlockSpec.of("classifier", classes=classes)])


def resnet50(image_size: int = 224, classes: int = 1000) -> Architecture:
    """ResNet-50 with the stride on the 3×3 convolution (He et al., 2016; torchvision)."""
    return _resnet(image_size, classes, 0.25, 1)


def resnext50_32x4d(image_size: int = 224, classes: int = 1000) -> Architecture:
    """ResNeXt-50 of 32 groups (Xie et al., 2017; torchvision)."""
    return _resnet(image_size, classes, 0.5, 32)


def resnet18(image_size: int = 224, classes: int = 1000) -> Architecture:
    """ResNet-18 (He et al., 2016, table 1; torchvision)."""
    blocks = [BlockSpec.of("conv_pool", channels=64, kernel=7, stride=2, activation="relu")]
    for channels, first in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [
            BlockSpec.of("basic", channels=channels, kernel=3, stride=stride, activation="relu")
            for stride in _strides(first, 2)
        ]
    return _network(image_size, [*blocks, BlockSpec.of("classifier", classes=classes)])


def mobilenet_v1(image_size: int = 224, classes: int = 1000) -> Architecture:
    """MobileNet (Howard et al., 2017, table 1)."""
    blocks = [_conv(32, 3, 2, "relu")]
    for channels, first, depth in ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 2, 6), (1024, 2, 2)):
        blocks += [
            BlockSpec.of(
                "depthwise_separable",
                channels=channels,
                kernel=3,
                stride=stride,
                activation="relu",
            )
            for stride in _strides(first, depth)
        ]
    return _network(image_size, [*blocks, BlockSpec.of("classifier", classes=classes)])


def mobilenet_v2(image_size: int = 224, classes: int = 1000) -> Architecture:
    """MobileNetV2 (Sandler et al., 2018, table 2; torchvision)."""
    blocks = [_conv(32, 3, 2, "relu6")]
    for expansion, channels, depth, first in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        blocks += [
            BlockSpec.of(
                "inverted_bottleneck",
                channels=channels,
                kernel=3,
                stride=stride,
                expansion=expansion,
                squeeze_excite=False,
                activation="relu6",
            )
            for stride in _strides(first, depth)
        ]
    blocks += [_conv(1280, 1, 1, "relu6"), BlockSpec.of("classifier", classes=classes)]
    return _network(image_size, blocks)


def mobilenet_v3_large(image_size: int = 224, classes: int = 1000) -> Architecture:
    """MobileNetV3-Large (Howard et al., 2019, table 1; torchvision)."""
    blocks = [_conv(16, 3, 2, "hardswish")]
    blocks += [
        BlockSpec.of(
            "inverted_bottleneck",
            channels=channels,
            kernel=kernel,
            stride=stride,
            expansion=1,
            hidden=hidden,
            squeeze_excite=squeeze,
            activation=activation,
        )
        for kernel, hidden, channels, squeeze, activation, stride in (
            (3, 16, 16, False, "relu", 1),
            (3, 64, 24, False, "relu", 2),
            (3, 72, 24, False, "relu", 1),
            (5, 72, 40, True, "relu", 2),
            (5, 120, 40, True, "relu", 1),
            (5, 120, 40, True, "relu", 1),
            (3, 240, 80, False, "hardswish", 2),
            (3, 200, 80, False, "hardswish", 1),
            (3, 184, 80, False, "hardswish", 1),
            (3, 184, 80, False, "hardswish", 1),
            (3, 480, 112, True, "hardswish", 1),
            (3, 672, 112, True, "hardswish", 1),
            (5, 672, 160, True, "hardswish", 2),
            (5, 960, 160, True, "hardswish", 1),
            (5, 960, 160, True, "hardswish", 1),
        )
    ]
    head = BlockSpec.of("mobile_classifier", features=960, hidden=1280, classes=classes)
    return _network(image_size, [*blocks, head])


def shufflenet_v2_x1_0(image_size: int = 224, classes: int = 1000) -> Architecture:
    """ShuffleNetV2 at width 1 (Ma et al., 2018, table 5; torchvision)."""
    blocks = [BlockSpec.of("conv_pool", channels=24, kernel=3, stride=2, activation="relu")]
    for channels, depth in ((116, 4), (232, 8), (464, 4)):
        blocks += [
            BlockSpec.of(
                "shuffle_unit", channels=channels, kernel=3, stride=stride, activation="relu"
            )
            for stride in _strides(2, depth)
        ]
    blocks += [_conv(1024, 1, 1, "relu"), BlockSpec.of("classifier", classes=classes)]
    return _network(image_size, blocks)


def efficientnet_b0(image_size: int = 224, classes: int = 1000) -> Architecture:
    """EfficientNet-B0 (Tan and Le, 2019, table 1; torchvision)."""
    blocks = [_conv(32, 3, 2, "silu")]
    for expansion, kernel, channels, depth, first in (
        (1, 3, 16, 1, 1),
        (6, 3, 24, 2, 2),
        (6, 5, 40, 2, 2),
        (6, 3, 80, 3, 2),
        (6, 5, 112, 3, 1),
        (6, 5, 192, 4, 2),
        (6, 3, 320, 1, 1),
    ):
        blocks += [
            BlockSpec.of(
                "mbconv",
                channels=channels,
                kernel=kernel,
                stride=stride,
                expansion=expansion,
                squeeze=4,
                squeeze_from="input",
                activation="silu",
            )
            for stride in _strides(first, depth)
        ]
    blocks += [_conv(1280, 1, 1, "silu"), BlockSpec.of("classifier", classes=classes)]
    return _network(image_size, blocks)


def efficientnet_v2_s(image_size: int = 384, classes: int = 1000) -> Architecture:
    """EfficientNetV2-S (Tan and Le, 2021, table 4; torchvision, whose last layer has 1280)."""
    blocks = [_conv(24, 3, 2, "silu")]
    for fused, expansion, channels, depth, first in (
        (True, 1, 24, 2, 1),
        (True, 4, 48, 4, 2),
        (True, 4, 64, 4, 2),
        (False, 4, 128, 6, 2),
        (False, 6, 160, 9, 1),
        (False, 6, 256, 15, 2),
    ):
        blocks += [
            BlockSpec.of(
                "fused_inverted_bottleneck" if fused else "mbconv",
                channels=channels,
                kernel=3,
                stride=stride,
                expansion=expansion,
                squeeze=0 if fused else 4,
                squeeze_from="input",
                activation="silu",
            )
            for stride in _strides(first, depth)
        ]
    blocks += [_conv(1280, 1, 1, "silu"), BlockSpec.of("classifier", classes=classes)]
    return _network(image_size, blocks)


def convnext_tiny(image_size: int = 224, classes: int = 1000) -> Architecture:
    """ConvNeXt-T (Liu et al., 2022, section 3; torchvision)."""
    blocks = [BlockSpec.of("convnext_stem", channels=96, patch=4)]
    for channels, depth in ((96, 3), (192, 3), (384, 9), (768, 3)):
        if channels != 96:
            blocks.append(BlockSpec.of("convnext_down", channels=channels, stride=2))
        block = BlockSpec.of("convnext", kernel=7, expansion=4, activation="gelu")
        blocks += [block] * depth
    return _network(image_size, [*blocks, BlockSpec.of("convnext_head", classes=classes)])


def vit_tiny_16(image_size: int = 224, classes: int = 1000) -> Architecture:
    """ViT-Tiny with patches of 16 pixels (Touvron et al., 2021, table 1; timm)."""
    embedding = BlockSpec.of(
        "patch_embedding", dimension=192, patch=16, class_token=True, positions=True
    )
    block = BlockSpec.of(
        "transformer_block", heads=3, head_dimension=64, hidden=768, activation="gelu"
    )
    head = BlockSpec.of("vit_head", classes=classes, pool="first")
    return _network(image_size, [embedding, *[block] * 12, head])


REFERENCE_NETWORKS: Mapping[str, Callable[[int, int], Architecture]] = {
    "resnet18": resnet18,
    "resnet50": resnet50,
    "resnext50_32x4d": resnext50_32x4d,
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_large": mobilenet_v3_large,
    "shufflenet_v2_x1_0": shufflenet_v2_x1_0,
    "efficientnet_b0": efficientnet_b0,
    "efficientnet_v2_s": efficientnet_v2_s,
    "convnext_tiny": convnext_tiny,
    "vit_tiny_16": vit_tiny_16,
}
"""By name; each takes the image size in pixels and the number of classes."""
