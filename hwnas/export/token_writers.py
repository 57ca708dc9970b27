"""How the layers of transformers are written in ONNX."""

from collections.abc import Mapping

import numpy as np

from hwnas.export.image_writers import Write
from hwnas.export.onnx_graph import GraphWriter
from hwnas.spaces.graph import Node
from hwnas.spaces.layers import Layer, Shape
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


def _patches(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    layer = node.layer
    assert isinstance(layer, PatchConv2d)
    constants = [
        w.random(f"{name}.{parameter}", shape)
        for parameter, shape in layer.parameter_shapes(*shapes).items()
    ]
    return w.node(
        "Conv",
        [*inputs, *constants],
        name,
        kernel_shape=[layer.patch] * 2,
        strides=[layer.patch] * 2,
        pads=[0] * 4,
        group=1,
        dilations=[1, 1],
        auto_pad="NOTSET",
    )


def _to_tokens(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    channels, height, width = shapes[0]
    flat = w.reshape(f"{name}.flat", inputs[0], (w.batch, channels, height * width))
    return w.node("Transpose", [flat], name, perm=[0, 2, 1])


def _to_image(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    tokens, features = shapes[0]
    swapped = w.node("Transpose", inputs, f"{name}.swapped", perm=[0, 2, 1])
    w.state(swapped, (w.batch, features, tokens))
    return w.reshape(name, swapped, (w.batch, *node.layer.output_shape(*shapes)))


def _layer_scale(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    return w.node("Mul", [*inputs, w.random(f"{name}.weight", shapes[0][1:])], name)


def _class_token(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    features = shapes[0][1]
    token = w.random(f"{name}.weight", (1, features))
    wanted = w.weight(f"{name}.shape", np.array([w.batch, 1, features], np.int64))
    # Of constants only, so runtimes compute it once, before they run.
    first = w.state(w.node("Expand", [token, wanted], f"{name}.expanded"), (w.batch, 1, features))
    return w.node("Concat", [first, *inputs], name, axis=1)


def _position(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    return w.node("Add", [*inputs, w.random(f"{name}.weight", shapes[0])], name)


def _layer_norm(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    layer = node.layer
    assert isinstance(layer, LayerNorm)
    constants = [
        w.weight(f"{name}.{part}", np.full(shapes[0][1], value, np.float32))
        for part, value in (("weight", 1.0), ("bias", 0.1))
    ]
    return w.node("LayerNormalization", [*inputs, *constants], name, axis=-1, epsilon=layer.epsilon)


def _linear(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    layer = node.layer
    assert isinstance(layer, TokenLinear)
    known = layer.parameter_shapes(*shapes)
    weight = w.transposed(f"{name}.weight", known["weight"])
    product = w.node("MatMul", [*inputs, weight], f"{name}.product")
    w.state(product, (w.batch, *layer.output_shape(*shapes)))
    return w.node("Add", [product, w.random(f"{name}.bias", known["bias"])], name)


def _attention(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    layer = node.layer
    assert isinstance(layer, Attention)
    tokens, features = shapes[0]
    heads, size = layer.heads, features // layer.heads

    def apart(part: str, tensor: str, perm: list[int]) -> str:
        sizes = (w.batch, tokens, heads, size)
        split = w.reshape(f"{name}.{part}.heads", tensor, sizes)
        swapped = w.node("Transpose", [split], f"{name}.{part}", perm=perm)
        return w.state(swapped, tuple(sizes[axis] for axis in perm))

    query = apart("query", inputs[0], [0, 2, 1, 3])
    key = apart("key", inputs[1], [0, 2, 3, 1])
    value = apart("value", inputs[2], [0, 2, 1, 3])
    square = (w.batch, heads, tokens, tokens)
    scores = w.state(w.node("MatMul", [query, key], f"{name}.scores"), square)
    factor = w.weight(f"{name}.factor", np.array(size**-0.5, np.float32))
    scores = w.state(w.node("Mul", [scores, factor], f"{name}.scaled"), square)
    weights = w.state(w.node("Softmax", [scores], f"{name}.weights", axis=-1), square)
    mixed = w.node("MatMul", [weights, value], f"{name}.mixed")
    w.state(mixed, (w.batch, heads, tokens, size))
    mixed = w.node("Transpose", [mixed], f"{name}.swapped", perm=[0, 2, 1, 3])
    w.state(mixed, (w.batch, tokens, heads, size))
    return w.reshape(name, mixed, (w.batch, tokens, features))


def _first(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    index = w.weight(f"{name}.index", np.array(0, np.int64))
    return w.node("Gather", [*inputs, index], name, axis=1)


def _mean(
    w: GraphWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    axes = w.weight(f"{name}.axes", np.array([1], np.int64))
    return w.node("ReduceMean", [*inputs, axes], name, keepdims=0)


TOKEN_WRITERS: Mapping[type[Layer], Write] = {
    PatchConv2d: _patches,
    ToTokens: _to_tokens,
    ToImage: _to_image,
    LayerScale: _layer_scale,
    ClassToken: _class_token,
    PositionEmbedding: _position,
    LayerNorm: _layer_norm,
    TokenLinear: _linear,
    Attention: _attention,
    FirstToken: _first,
    MeanToken: _mean,
}
