"""Models that a user names: files, and the shapes of their inputs."""

from pathlib import Path

import onnx

from hwnas.errors import ShapeError
from hwnas.kernels import graph_inputs, read_model, with_static_shapes

Shapes = dict[str, tuple[int, ...]]


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
        if not name or not shape or min(shape) < 1:
            raise ShapeError(
                f"an input shape is NAME:1,3,224,224 with positive sizes, received '{item}'"
            )
        found[name] = shape
    return found


def open_model(path: Path, shapes: Shapes) -> onnx.ModelProto:
    """The model in a file with static input shapes; shapes of other models' inputs are left out.

    Raises:
        ModelFileError: The file is not a usable ONNX model.
        ShapeError: A shape is missing or does not fit.
    """
    model = read_model(path)
    own = {name: shape for name, shape in shapes.items() if name in graph_inputs(model)}
    return with_static_shapes(model, str(path), own)
