"""Reading ONNX files made by anyone, with errors that say what is wrong."""

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from hwnas.errors import ModelFileError, ShapeError, StorageError
from hwnas.kernels.kernel import DTYPE_BYTES, Shape

NEWEST_OPSET = onnx.defs.onnx_opset_version()
MOST_BYTES = 2**31
"""Protocol buffers are smaller."""
MOST_ELEMENTS = 2**40
"""More elements than any tensor of a model that runs has."""


def read_model(path: Path) -> onnx.ModelProto:
    """The model in a file, with its external data.

    Raises:
        ModelFileError: The file does not exist, is not ONNX, is truncated, or
            lacks its external data.
        StorageError: The file cannot be read.
    """
    if not path.is_file():
        raise ModelFileError(f"there is no file '{path}'")
    try:
        size = path.stat().st_size
        if size >= MOST_BYTES:
            raise ModelFileError(
                f"'{path}' has {size} bytes; an ONNX file has less than {MOST_BYTES}, larger "
                "weights are kept in a file beside it: save it with save_as_external_data"
            )
        payload = path.read_bytes()
    except OSError as error:
        raise StorageError(f"'{path}' cannot be read: {error.strerror}") from error
    model = _decoded(payload, str(path))
    # By path, so that the checker looks for weights in other files beside this one.
    _check(str(path), str(path))
    outside = [t for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL]
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, OverflowError, onnx.checker.ValidationError) as error:
        raise ModelFileError(
            f"'{path}' keeps its weights in another file that cannot be read: {error}"
        ) from error
    for tensor in outside:
        width = DTYPE_BYTES.get(dtype_name(tensor.data_type))
        if width is not None and len(tensor.raw_data) != width * math.prod(tensor.dims):
            raise ModelFileError(
                f"'{path}' keeps '{tensor.name}' in another file, which holds "
                f"{len(tensor.raw_data)} bytes of it, not {width * math.prod(tensor.dims)}: "
                "it is truncated, or of another model"
            )
    return model


def parse_model(payload: bytes, name: str) -> onnx.ModelProto:
    """The model in some bytes, which keep no weights in other files.

    Raises:
        ModelFileError: The bytes are not a whole ONNX model of a known version.
    """
    model = _decoded(payload, name)
    _check(model, name)
    return model


def _decoded(payload: bytes, name: str) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(payload)
    except (DecodeError, ValueError) as error:
        raise ModelFileError(
            f"'{name}' is not an ONNX model, or is truncated ({len(payload)} bytes)"
        ) from error
    if not model.graph.node or not model.opset_import:
        raise ModelFileError(f"'{name}' is not an ONNX model: it has no graph with operators")
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version > NEWEST_OPSET:
            raise ModelFileError(
                f"'{name}' uses opset {entry.version}; this onnx knows opsets up to "
                f"{NEWEST_OPSET}: update onnx, or export with an older opset"
            )
    return model


def _check(model: onnx.ModelProto | str, name: str) -> None:
    try:
        onnx.checker.check_model(model)
    # What the checker says of names that are no text cannot be said in Python.
    except (onnx.checker.ValidationError, UnicodeDecodeError) as error:
        raise ModelFileError(f"'{name}' is not a valid ONNX model: {first_line(error)}") from error


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
        if shape is None:
            if item.type.HasField("tensor_type") and not item.type.tensor_type.HasField("shape"):
                raise ShapeError(
                    f"'{name}': input '{item.name}' has no shape; give it with "
                    f"--input-shape {item.name}:N,N, numbers for N"
                )
            if None in declared:
                raise ShapeError(_open_sizes(name, item, declared))
            found[item.name] = tuple(size for size in declared if size is not None)
            continue
        if len(shape) != len(declared) or any(
            size is not None and size != own for size, own in zip(declared, shape, strict=True)
        ):
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
    return found


def check_sizes(shape: Shape, tensor: str, name: str) -> None:
    """Refuse tensors that cannot exist, before anything is computed with their sizes.

    Args:
        shape: The shape.
        tensor: Whose it is.
        name: What to call the model in errors.

    Raises:
        ShapeError: A size is negative, or there are more elements than 2^40.
    """
    if min(shape, default=0) < 0 or math.prod(shape) > MOST_ELEMENTS:
        raise ShapeError(f"'{name}': '{tensor}' cannot have the shape {shape}")


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
        if item.name in found:
            for size, own in zip(item.type.tensor_type.shape.dim, found[item.name], strict=True):
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
    kind = "no elements, shape" if any(empty) else "the dynamic shape"
    return (
        f"'{name}': input '{item.name}' has {kind} ({sizes}); give it with "
        f"--input-shape {item.name}:{wanted}, numbers for N"
    )


def _forget_inferred_shapes(model: onnx.ModelProto) -> None:
    del model.graph.value_info[:]
    for item in model.graph.output:
        item.type.tensor_type.ClearField("shape")


def declared_types(model: onnx.ModelProto) -> dict[str, tuple[Shape, str]]:
    """Static shape and element type of every tensor for which the model states them."""
    known = stated_types((*model.graph.input, *model.graph.value_info, *model.graph.output))
    for constant in model.graph.initializer:
        known[constant.name] = (tuple(constant.dims), dtype_name(constant.data_type))
    return known


def stated_types(values: Iterable[onnx.ValueInfoProto]) -> dict[str, tuple[Shape, str]]:
    """Static shape and element type of the tensors for which these state them."""
    known: dict[str, tuple[Shape, str]] = {}
    for item in values:
        tensor = item.type.tensor_type
        if not tensor.HasField("shape"):
            continue
        sizes = [size.dim_value if size.HasField("dim_value") else -1 for size in tensor.shape.dim]
        if all(size >= 0 for size in sizes):
            known[item.name] = (tuple(sizes), dtype_name(tensor.elem_type))
    return known


@lru_cache(maxsize=64)
def dtype_name(element_type: int) -> str:
    """ONNX's element type as a lower-case name; its ``FLOAT`` is ``float32``."""
    if element_type not in TensorProto.DataType.values():
        return "undefined"
    name: str = TensorProto.DataType.Name(element_type).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def first_line(error: Exception) -> str:
    """The first line of what an error says."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "unknown")
