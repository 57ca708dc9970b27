"""Static shapes of what a model is fed: stated in its file, or given for open sizes."""

from collections.abc import Mapping

import onnx

from hwnas.errors import ShapeError
from hwnas.kernels.kernel import Shape
from hwnas.kernels.model_file import check_sizes


def graph_inputs(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    """Inputs that must be fed, with their shapes; ``None`` where a size is not given."""
    constants = {item.name for item in model.graph.initializer}
    return {
        item.name: tuple(
            size.dim_value if size.HasField("dim_value") and size.dim_value > 0 else None
            for size in item.type.tensor_type.shape.dim
        )
        for item in model.graph.input
        if item.name not in constants
    }


def input_shapes(
    model: onnx.ModelProto, name: str, shapes: Mapping[str, Shape] | None = None
) -> dict[str, Shape]:
    """Static shapes of what is fed, by name.

    Args:
        model: The model.
        name: What to call it in errors.
        shapes: Shapes of inputs by name; needed for inputs with dynamic sizes.

    Raises:
        ShapeError: A size is dynamic and not given, or a given shape does not fit.
    """
    given, found = dict(shapes or {}), {}
    inputs = graph_inputs(model)
    for unknown in given.keys() - inputs.keys():
        raise ShapeError(
            f"'{name}' has no input '{unknown}'; its inputs are {', '.join(inputs) or 'none'}"
        )
    for item in model.graph.input:
        if item.name not in inputs:
            continue
        declared = inputs[item.name]
        shape = given.get(item.name)
        open_rank = _open_rank(item)
        if shape is None:
            if open_rank:
                raise ShapeError(
                    f"'{name}': input '{item.name}' has no shape; give it with "
                    f"--input-shape {item.name}:N,N, numbers for N"
                )
            if None in declared:
                raise ShapeError(_open_sizes(name, item, declared))
            found[item.name] = tuple(size for size in declared if size is not None)
            continue
        if not open_rank and not _fits(shape, declared):
            raise ShapeError(
                f"'{name}': input '{item.name}' has the shape "
                f"({','.join('?' if s is None else str(s) for s in declared)}), which "
                f"({','.join(map(str, shape))}) does not fit"
            )
        if min(shape, default=1) < 1:
            raise ShapeError(
                f"'{name}': input '{item.name}': sizes must be at least 1, got {shape}"
            )
        found[item.name] = tuple(shape)
    for tensor, shape in found.items():
        check_sizes(shape, tensor, name)
    _check_symbols(model, found, name)
    return found


def _open_rank(item: onnx.ValueInfoProto) -> bool:
    return item.type.HasField("tensor_type") and not item.type.tensor_type.HasField("shape")


def _fits(shape: Shape, declared: tuple[int | None, ...]) -> bool:
    return len(shape) == len(declared) and all(
        size is None or size == own for size, own in zip(declared, shape, strict=True)
    )


def _check_symbols(model: onnx.ModelProto, shapes: Mapping[str, Shape], name: str) -> None:
    """Refuse inputs that give one named size two values."""
    known: dict[str, tuple[str, int]] = {}
    for item in model.graph.input:
        sizes = item.type.tensor_type.shape.dim
        for size, own in zip(sizes, shapes.get(item.name, ()), strict=False):
            # Exporters write "?" and "None" for every size that they do not know.
            if not size.dim_param.isidentifier() or size.dim_param == "None":
                continue
            first, other = known.setdefault(size.dim_param, (item.name, own))
            if other != own:
                raise ShapeError(
                    f"'{name}': the size '{size.dim_param}' is {other} in input '{first}' and "
                    f"{own} in input '{item.name}'; give --input-shape with one size for both"
                )


def with_static_shapes(
    model: onnx.ModelProto, name: str, shapes: Mapping[str, Shape] | None = None
) -> onnx.ModelProto:
    """A copy of the model whose inputs have static shapes; see :func:`input_shapes`.

    Raises:
        ShapeError: A size is dynamic and not given, or a given shape does not fit.
    """
    found = input_shapes(model, name, shapes)
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for item in fixed.graph.input:
        if item.name not in found or not item.type.HasField("tensor_type"):
            continue
        sizes = item.type.tensor_type.shape.dim
        if _open_rank(item):
            item.type.tensor_type.shape.SetInParent()
            for _ in found[item.name]:
                sizes.add()
        for size, own in zip(sizes, found[item.name], strict=True):
            size.dim_value = own
    if shapes:
        _forget_inferred_shapes(fixed)
    return fixed


def _open_sizes(name: str, item: onnx.ValueInfoProto, declared: tuple[int | None, ...]) -> str:
    """What is said of an input some of whose sizes are not given, or are 0."""
    empty = [
        size.HasField("dim_value") and size.dim_value == 0
        for size in item.type.tensor_type.shape.dim
    ]
    sizes = ",".join(
        "0" if zero else "?" if size is None else str(size)
        for size, zero in zip(declared, empty, strict=True)
    )
    wanted = ",".join("N" if size is None else str(size) for size in declared)
    give = f"--input-shape {item.name}:{wanted}, numbers for N"
    if any(empty):
        return (
            f"'{name}': input '{item.name}' has no elements: the file states its shape as "
            f"({sizes}). If 0 stands for an open size there, give it with {give}; "
            "a model that is fed nothing there cannot be priced"
        )
    return f"'{name}': input '{item.name}' has the dynamic shape ({sizes}); give it with {give}"


def _forget_inferred_shapes(model: onnx.ModelProto) -> None:
    del model.graph.value_info[:]
    for item in model.graph.output:
        item.type.tensor_type.ClearField("shape")
