import numpy as np
import onnx
import pytest
import torch

from hwnas.export import layers_onnx
from hwnas.export.layers_onnx import OnnxWriter, architecture_to_onnx
from hwnas.kernels import FUSION, lower
from hwnas.nets import apply_layer
from hwnas.runtimes import runtime
from hwnas.spaces import Architecture, BlockSpec, GraphBuilder, space
from hwnas.spaces.channel_layers import ChannelPart, ChannelShuffle, Concat, Zero
from hwnas.spaces.graph import INPUT
from hwnas.spaces.layers import (
    ACTIVATIONS,
    Activation,
    Add,
    Conv2d,
    Flatten,
    GlobalAveragePool,
    Layer,
    Linear,
    Pool2d,
    Scale,
)
from hwnas.spaces.token_layers import (
    Attention,
    ClassToken,
    FirstToken,
    LayerNorm,
    LayerScale,
    MeanToken,
    PatchConv2d,
    PositionEmbedding,
    ToImage,
    TokenLinear,
    ToTokens,
)

RULES = FUSION["onnxruntime"]
SMALL = Architecture(
    (3, 8, 8),
    (
        BlockSpec.of("conv", channels=8, kernel=3, stride=2, activation="relu"),
        BlockSpec.of("classifier", classes=3),
    ),
)


def weights(model):
    return {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}


def test_every_layer_can_be_written():
    assert set(layers_onnx._WRITERS) == set(Layer.__subclasses__())


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        *((Activation(kind), (2, 5, 4)) for kind in ACTIVATIONS),
        (Pool2d("max", 3, 2), (2, 7, 8)),
        (Pool2d("average", 3, 2), (2, 7, 8)),
        (Pool2d("average", 5, 1), (2, 6, 6)),
        (GlobalAveragePool(), (2, 5, 4)),
        (Flatten(), (2, 5, 4)),
        (Conv2d(6, 3, 2, bias=True), (4, 7, 8)),
        (Conv2d(6, 5, groups=2), (4, 7, 8)),
        (Linear(3), (5,)),
        (ChannelPart(0, 2), (4, 3, 5)),
        (ChannelPart(2, 3), (6, 3, 5)),
        (ChannelShuffle(2), (6, 3, 5)),
        (ChannelShuffle(3), (6, 3, 5)),
        (Zero(), (2, 5, 4)),
        (PatchConv2d(5, 4), (3, 8, 12)),
        (ToTokens(), (3, 2, 4)),
        (ToImage(2, 4), (8, 3)),
        (LayerScale(), (5, 6)),
        (ClassToken(), (5, 6)),
        (PositionEmbedding(), (5, 6)),
        (LayerNorm(), (5, 6)),
        (TokenLinear(4), (5, 6)),
        (FirstToken(), (5, 6)),
        (MeanToken(), (5, 6)),
        (Pool2d("average", 2, 2, padded=False), (2, 7, 8)),
        (Pool2d("max", 3, 2, padded=False), (2, 7, 8)),
    ],
    ids=str,
)
def test_layers_mean_in_onnx_what_they_mean_in_torch(layer, shape):
    builder = GraphBuilder(shape)
    builder.add("own", layer, INPUT)
    writer = OnnxWriter(shape, batch=2)
    writer.append(builder.build(), "b")
    model = writer.model("own")
    onnx.checker.check_model(model, full_check=True)
    # Wide enough to reach both ends of every activation.
    image = 6 * np.random.default_rng(1).standard_normal((2, *shape), np.float32)
    actual = runtime("onnxruntime").run(model.SerializeToString(), {"input": image})["output"]
    parameters = {
        name.removeprefix("b.own."): torch.from_numpy(value.copy())
        for name, value in weights(model).items()
        if name.removeprefix("b.own.") in layer.parameter_shapes(shape)
    }
    if isinstance(layer, TokenLinear):
        # The product's right factor in ONNX is what torch transposes.
        parameters["weight"] = parameters["weight"].T
    expected = apply_layer(layer, [torch.from_numpy(image)], parameters).numpy()
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "second"),
    [
        (Add(), np.add),
        (Scale(), np.multiply),
        (Concat(), lambda *images: np.concatenate(images, 1)),
    ],
    ids=["add", "scale", "concat"],
)
def test_layers_of_two_inputs(layer, second):
    builder = GraphBuilder((2, 5, 4))
    other = builder.add("pool", GlobalAveragePool(), INPUT)
    if not isinstance(layer, Scale):
        other = INPUT
    builder.add("own", layer, INPUT, other)
    writer = OnnxWriter((2, 5, 4))
    writer.append(builder.build(), "b")
    image = np.random.default_rng(1).standard_normal((1, 2, 5, 4), np.float32)
    found = runtime("onnxruntime").run(writer.model("own").SerializeToString(), {"input": image})
    factor = image.mean((2, 3), keepdims=True) if isinstance(layer, Scale) else image
    np.testing.assert_allclose(found["output"], second(image, factor), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("heads", [1, 2, 3])
def test_attention_means_in_onnx_what_it_means_in_torch(heads):
    builder = GraphBuilder((4, 6))
    parts = [builder.add(part, TokenLinear(6), INPUT) for part in ("query", "key", "value")]
    builder.add("own", Attention(heads), *parts)
    writer = OnnxWriter((4, 6), batch=2)
    writer.append(builder.build(), "b")
    model = writer.model("own")
    onnx.checker.check_model(model, full_check=True)
    tokens = 3 * np.random.default_rng(1).standard_normal((2, 4, 6), np.float32)
    found = runtime("onnxruntime").run(model.SerializeToString(), {"input": tokens})["output"]
    known = weights(model)
    inputs = [
        torch.from_numpy(tokens @ known[f"b.{part}.weight"] + known[f"b.{part}.bias"])
        for part in parts
    ]
    own = apply_layer(Attention(heads), inputs, {})
    np.testing.assert_allclose(found, own.numpy(), rtol=1e-5, atol=1e-5)
    # torch's own attention is the independent reference.
    query, key, value = (item.view(2, 4, heads, -1).transpose(1, 2) for item in inputs)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(own, expected.transpose(1, 2).reshape(2, 4, 6))


def test_models_are_valid_and_come_from_the_seed():
    first, again, other = (architecture_to_onnx(SMALL, seed=seed) for seed in (0, 0, 1))
    onnx.checker.check_model(first, full_check=True)
    assert first.SerializeToString() == again.SerializeToString() != other.SerializeToString()
    assert first.graph.name == SMALL.digest


def test_the_batch_is_static():
    model = architecture_to_onnx(SMALL, batch=5)
    feeds = {"input": np.ones((5, 3, 8, 8), np.float32)}
    assert runtime("onnxruntime").run(model.SerializeToString(), feeds)["output"].shape == (5, 3)


def test_random_weights_keep_activations_in_size():
    own = space("resnet-32")
    model = architecture_to_onnx(own.decode(own.references["resnet-like"]))
    image = np.random.default_rng(0).standard_normal((1, 3, 32, 32), np.float32)
    output = runtime("onnxruntime").run(model.SerializeToString(), {"input": image})["output"]
    assert 1e-3 < np.abs(output).max() < 1e3


def test_what_stands_around_a_part_is_one_depthwise_convolution():
    writer = OnnxWriter((16, 4, 4))
    writer.depthwise_1x1("edge")
    (kernel,) = lower(writer.model("edge"), RULES).kernels
    assert kernel.family == "depthwise" and kernel.macs == 16 * 4 * 4
