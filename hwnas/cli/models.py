"""Models that a user names: files, and the shapes of their inputs."""

import math
from collections.abc import Sequence
from pathlib import Path

import onnx

from hwnas.errors import ShapeError
from hwnas.kernels import graph_inputs, read_model, with_static_shapes

Shapes = dict[str, tuple[int, ...]]
MOST_ELEMENTS = 2**31


def parse_shapes(items: list[str]) -> Shapes:
    """Shapes by input from ``NAME:1,3,224,224`` texts.

    Raises:
        ShapeError: A text is not of that form.
    """
    found: Shapes = {}
    for item in items:
        name, _, sizes = item.rpartition(":")
        try:
            shape = tuple(int(size) for size in sizes.split(","))
        except ValueError:
            shape = ()
        if not name or not shape or min(shape) < 1 or math.prod(shape) > MOST_ELEMENTS:
            raise ShapeError(
                "an input shape is NAME:1,3,224,224 with positive sizes and at most 2^31 elements, "
                f"received '{item}'"
            )
        found[name] = shape
    return found


def open_models(
    paths: Sequence[Path], input_shapes: list[str], *, weights: bool = False
) -> dict[str, onnx.ModelProto]:
    """The models in files, with static input shapes, by their paths.

    Args:
        paths: ONNX files.
        input_shapes: Texts as :func:`parse_shapes` takes them; a shape goes to
            every model that has such an input.
        weights: Read weights in other files too, as running a model needs.

    Raises:
        ModelFileError: A file is not a usable ONNX model.
        ShapeError: A shape is missing, does not fit, or is of an input that no model has.
    """
    shapes = parse_shapes(input_shapes)
    models = {str(path): read_model(path, weights=weights) for path in paths}
    inputs = {name: list(graph_inputs(model)) for name, model in models.items()}
    known = sorted({name for names in inputs.values() for name in names})
    for name in shapes:
        if name not in known:
            raise ShapeError(
                f"no model has an input '{name}'; the inputs are {', '.join(known) or 'none'}"
            )
    return {
        path: with_static_shapes(
            model, path, {k: shape for k, shape in shapes.items() if k in inputs[path]}
        )
        for path, model in models.items()
    }
