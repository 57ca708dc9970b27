"""Weights that an ONNX file keeps in other files: checked by their place, read where small."""

import math
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from hwnas.errors import ModelFileError, StorageError
from hwnas.kernels.constants import LIMIT
from hwnas.kernels.subgraphs import attribute_graphs

_HALF_BYTES = frozenset({"INT4", "UINT4", "FLOAT4E2M1"})


def outside_tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """Constants of a graph, and of graphs inside it, that are kept in other files."""
    for tensor in graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            yield tensor
    for node in graph.node:
        for item in node.attribute:
            for tensor in (item.t, *item.tensors):
                if tensor.data_location == TensorProto.EXTERNAL:
                    yield tensor
        for inner in attribute_graphs(node):
            yield from outside_tensors(inner)


def read_outside(graph: onnx.GraphProto, path: Path, *, every: bool = False) -> None:
    """Check that the other files hold what a graph keeps in them, and read constants.

    Args:
        graph: The graph of a model that ONNX's checker has accepted by its path, and
            so has no place outside the model's folder.
        path: The file of the model.
        every: Read all constants, to run the model; otherwise those of up to 1,024
            elements, whose values decide shapes and fusions.

    Raises:
        ModelFileError: A file is missing, too short, or a place is none.
        StorageError: A file cannot be read.
    """
    for tensor in outside_tensors(graph):
        place = {item.key: item.value for item in tensor.external_data}
        file = path.parent / place.get("location", "")
        start, held = _extent(tensor, place, file, path)
        needed = _needed_bytes(tensor)
        if needed is not None and held != needed:
            raise ModelFileError(
                f"'{path}' keeps '{tensor.name}' in another file, which holds "
                f"{held} bytes of it, not {needed}: it is truncated, or of another model"
            )
        if every or math.prod(tensor.dims) <= LIMIT:
            _read(tensor, file, start, held)


def _extent(tensor: TensorProto, place: dict[str, str], file: Path, path: Path) -> tuple[int, int]:
    """Where in a file a tensor begins, and how many bytes of it the file holds."""
    try:
        start = int(place.get("offset") or 0)
        length = int(place["length"]) if place.get("length") else None
    except ValueError as error:
        raise ModelFileError(
            f"'{path}' keeps '{tensor.name}' in another file, at a place that is no number: "
            f"{error}; export the model again"
        ) from error
    if start < 0 or (length or 0) < 0:
        raise ModelFileError(
            f"'{path}' keeps '{tensor.name}' in another file, at a place that is negative; "
            "export the model again"
        )
    try:
        size = file.stat().st_size
    except OSError as error:
        raise ModelFileError(
            f"'{path}' keeps '{tensor.name}' in '{file.name}', which cannot be read: "
            f"{error.strerror}"
        ) from error
    rest = max(0, size - start)
    if length is not None and length > rest:
        raise ModelFileError(
            f"'{path}' keeps '{tensor.name}' in '{file.name}', of which it needs {start + length} "
            f"bytes and which has {size}: it is truncated, or of another model"
        )
    return start, rest if length is None else length


def _needed_bytes(tensor: TensorProto) -> int | None:
    try:
        name = TensorProto.DataType.Name(tensor.data_type)
        width = int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except (KeyError, ValueError):
        return None
    elements = int(math.prod(tensor.dims))
    return -(-elements // 2) if name in _HALF_BYTES else width * elements


def _read(tensor: TensorProto, file: Path, start: int, size: int) -> None:
    try:
        with file.open("rb") as opened:
            opened.seek(start)
            tensor.raw_data = opened.read(size)
    except OSError as error:
        raise StorageError(f"'{file}' cannot be read: {error.strerror}") from error
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]
