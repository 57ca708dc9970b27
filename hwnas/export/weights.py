"""Constants of the ONNX models that are measured, written with as few copies as there can be."""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import Message
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, helper

from hwnas.kernels.kernel import Shape

Array = NDArray[np.float32]

# A prime, so that equal tensors of a network do not come out equal.
_POOL = 1_000_003


@lru_cache(maxsize=1)
def _pool() -> Array:
    return np.random.default_rng(0).standard_normal(_POOL, dtype=np.float32)


class RandomWeights:
    """Normal numbers from a pool: what they are does not matter, but drawing them takes time.

    Args:
        seed: Where in the pool to begin.
    """

    def __init__(self, seed: int = 0) -> None:
        self._next = seed * 7919 % _POOL

    def draw(self, shape: Shape) -> Array:
        """A constant of a shape, scaled so that activations keep their size.

        Args:
            shape: Its first axis is that of the outputs.
        """
        size, scale = math.prod(shape), np.float32(max(1, math.prod(shape[1:])) ** -0.5)
        found = np.empty(size, np.float32)
        done = 0
        while done < size:
            part = _pool()[self._next : self._next + size - done]
            np.multiply(part, scale, out=found[done : done + len(part)])
            done += len(part)
            self._next = (self._next + len(part)) % _POOL
        return found.reshape(shape)


def serialised(model: onnx.ModelProto, constants: Mapping[str, NDArray[Any]]) -> bytes:
    """A model's bytes, its graph given constants by name; every constant is copied once.

    Protocol buffers merge a field that stands twice, so the constants are a
    second, partial ``graph`` behind the model's own.

    Args:
        model: A model whose graph lacks the constants.
        constants: Their values.
    """
    pieces: list[bytes | memoryview] = []
    for name, value in constants.items():
        data = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        tensor = TensorProto(
            name=name,
            dims=value.shape,
            data_type=helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype.type)),
        )
        head = tensor.SerializeToString() + _field(TensorProto, "raw_data", data.nbytes)
        pieces.append(_field(GraphProto, "initializer", len(head) + data.nbytes) + head)
        pieces.append(data.reshape(-1).view(np.uint8).data)
    size = sum(len(piece) for piece in pieces)
    return b"".join([model.SerializeToString(), _field(ModelProto, "graph", size), *pieces])


def _field(message: type[Message], name: str, size: int) -> bytes:
    """What stands before a field of ``size`` bytes: its number and wire type 2, and the size."""
    number = message.DESCRIPTOR.fields_by_name[name].number
    return _varint(number << 3 | 2) + _varint(size)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
