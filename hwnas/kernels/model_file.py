"""Reading ONNX files made by anyone, with errors that say what is wrong."""

import math
import os
import stat
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from hwnas.errors import ModelFileError, ShapeError, StorageError
from hwnas.kernels.external import outside_tensors, read_outside
from hwnas.kernels.kernel import Shape
from hwnas.kernels.subgraphs import attribute_graphs

NEWEST_OPSET = onnx.defs.onnx_opset_version()
MOST_BYTES = 2**31
"""Protocol buffers are smaller."""
MOST_ELEMENTS = 2**40
"""More elements than any tensor of a model that runs has."""
_KINDS = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
    (stat.S_ISSOCK, "socket"),
)


def read_model(path: Path, *, weights: bool = False) -> onnx.ModelProto:
    """The model in a file.

    Args:
        path: The file.
        weights: Read weights that are kept in other files too, to run the model.
            Otherwise these are checked by the size of their file, and only
            constants of up to 1,024 elements are read.

    Raises:
        ModelFileError: The file does not exist, is none, is not ONNX, is truncated,
            or lacks its external data.
        StorageError: The file cannot be read.
    """
    size = _size_bytes(path)
    if size >= MOST_BYTES:
        raise ModelFileError(
            f"'{path}' has {size} bytes; an ONNX file has less than {MOST_BYTES}, larger "
            "weights are kept in a file beside it: save it with save_as_external_data"
        )
    try:
        payload = path.read_bytes()
    except OSError as error:
        raise StorageError(f"'{path}' cannot be read: {error.strerror}") from error
    model = _decoded(payload, str(path))
    renamed = _plain_domains(_all_nodes(model))
    if any(True for _ in outside_tensors(model.graph)):
        # By path, so that the checker looks for weights in other files beside this one.
        _check(str(path), str(path))
        read_outside(model.graph, path, every=weights)
    else:
        _check(model if renamed else payload, str(path))
    return model


def _size_bytes(path: Path) -> int:
    """The size of a regular file of that name.

    Raises:
        ModelFileError: There is none, or its name is no text.
        StorageError: It cannot be looked at.
    """
    shown = os.fsencode(path).decode("utf-8", "backslashreplace")
    if shown != str(path):
        raise ModelFileError(f"the name of '{shown}' is not UTF-8, which ONNX needs: rename it")
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise ModelFileError(f"there is no file '{path}'") from error
    except OSError as error:
        raise StorageError(f"'{path}' cannot be read: {error.strerror}") from error
    for test, kind in _KINDS:
        if test(found.st_mode):
            raise ModelFileError(f"'{path}' is a {kind}, not a file; name an ONNX file")
    return found.st_size


def _all_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [*model.graph.node, *(node for item in model.functions for node in item.node)]


def _plain_domains(nodes: Iterable[onnx.NodeProto]) -> bool:
    """Write ONNX's own domain as the checker knows it; whether it stood otherwise."""
    found = False
    for node in nodes:
        if node.domain == "ai.onnx":
            node.domain = ""
            found = True
        for graph in attribute_graphs(node):
            found = _plain_domains(graph.node) or found
    return found


def parse_model(payload: bytes, name: str) -> onnx.ModelProto:
    """The model in some bytes, which keep no weights in other files.

    Raises:
        ModelFileError: The bytes are not a whole ONNX model of a known version.
    """
    model = _decoded(payload, name)
    _check(model if _plain_domains(_all_nodes(model)) else payload, name)
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


def _check(model: onnx.ModelProto | bytes | str, name: str) -> None:
    try:
        onnx.checker.check_model(model)
    # What the checker says of names that are no text cannot be said in Python.
    except (onnx.checker.ValidationError, UnicodeDecodeError) as error:
        raise ModelFileError(f"'{name}' is not a valid ONNX model: {first_line(error)}") from error


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


def element_type(name: str) -> int:
    """ONNX's number of the element type that :func:`dtype_name` named."""
    own = {"float32": "FLOAT", "float64": "DOUBLE"}.get(name, name.upper())
    return int(TensorProto.DataType.Value(own))


def first_line(error: Exception) -> str:
    """The first line of what an error says."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "unknown")
