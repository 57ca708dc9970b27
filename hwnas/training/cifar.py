"""CIFAR-10's python batches, read without trusting them.

The files are pickles, and a pickle can run any code. What is read here can
only become dictionaries, lists, strings, numbers and byte arrays: every name
that a file asks for is either one of the few that real batches use, replaced
by a harmless stand-in, or refused.
"""

import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import DataError
from hwnas.training.images import ImageData, Split
from hwnas.training.splits import stratified_split

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
TRAIN_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_FILE = "test_batch"
VALIDATION_SHARE = 0.1

_PIXELS = (3, 32, 32)


class _ByteType:
    """Stands for numpy's dtype, of which only unsigned bytes are taken."""

    def __init__(self, code: object, *_: object) -> None:
        if code not in ("u1", b"u1"):
            raise pickle.UnpicklingError(f"an array of type {code!r}, not of unsigned bytes")

    def __setstate__(self, state: object) -> None:
        """Byte order and alignment mean nothing for bytes."""


class _ByteArray:
    """Stands for numpy's ndarray, so that no state from the file reaches numpy unchecked."""

    def __init__(self) -> None:
        self.value = np.empty(0, np.uint8)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, column_major, content = state
        if not isinstance(kind, _ByteType) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("an array that is not of unsigned bytes")
        if math.prod(shape) != len(content):
            raise pickle.UnpicklingError(f"an array of shape {shape} with {len(content)} bytes")
        # A copy, because torch warns of arrays that cannot be written to.
        flat = np.frombuffer(content, np.uint8).copy()
        self.value = flat.reshape(shape[::-1]).T if column_major else flat.reshape(shape)


class _Function:
    """A function that a file may call but not change, as it could a plain one's defaults.

    Args:
        function: What is called.
    """

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it changes a function")


def _reconstruct(kind: object, *_: object) -> _ByteArray:
    """Stands for numpy's function that makes an empty array for its state to come."""
    if kind is not _ByteArray:
        raise pickle.UnpicklingError("an array of an unknown class")
    return _ByteArray()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Stands for the codec by which Python 3 writes bytes in old pickle protocols."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes encoded as {encoding!r}, not latin1")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _ByteArray,
    ("numpy", "dtype"): _ByteType,
    ("numpy.core.multiarray", "_reconstruct"): _Function(_reconstruct),
    ("numpy._core.multiarray", "_reconstruct"): _Function(_reconstruct),
    ("_codecs", "encode"): _Function(_encode),
}


class RestrictedUnpickler(pickle.Unpickler):
    """Reads pickles of dictionaries, lists, strings, numbers and byte arrays, nothing else.

    Args:
        file: What to read.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="bytes")

    def find_class(self, module_name: str, global_name: str) -> Any:
        """The stand-in for a name that real batches use.

        Raises:
            UnpicklingError: Any other name.
        """
        try:
            return _ALLOWED[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module_name}.{global_name}, which is not allowed"
            ) from None


def is_cifar10(folder: Path) -> bool:
    """Whether the folder holds any of the files of CIFAR-10's python version."""
    return any((folder / name).is_file() for name in (*TRAIN_FILES, TEST_FILE))


def load_cifar10(folder: Path, *, seed: int) -> ImageData:
    """CIFAR-10 from ``data_batch_1`` to ``data_batch_5`` and ``test_batch``.

    A tenth of the training images becomes the validation split.

    Raises:
        DataError: A file is missing, broken, or not what such a file is.
    """
    missing = [name for name in (*TRAIN_FILES, TEST_FILE) if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"data '{folder}' looks like CIFAR-10, but has no {', '.join(missing)}; unpack the "
            "python version again"
        )
    batches = [read_batch(folder / name) for name in TRAIN_FILES]
    images = np.concatenate([batch.images for batch in batches])
    labels = np.concatenate([batch.labels for batch in batches])
    rng = np.random.default_rng(seed)
    train, validation = stratified_split(labels, (1 - VALIDATION_SHARE, VALIDATION_SHARE), rng)
    return ImageData(
        str(folder),
        len(CLASSES),
        CLASSES,
        Split(images[train], labels[train]),
        Split(images[validation], labels[validation]),
        read_batch(folder / TEST_FILE),
    )


def read_batch(path: Path) -> Split:
    """The images ``(n, 3, 32, 32)`` and labels of one file.

    Raises:
        DataError: The file is not a batch, or asks for more than a batch needs.
    """
    try:
        with path.open("rb") as file:
            content = RestrictedUnpickler(file).load()
    except OSError:
        raise
    # A hostile or torn pickle can fail in nearly any way; whatever it is, the file is bad.
    except Exception as error:
        raise DataError(f"'{path}' is not a CIFAR-10 batch: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"'{path}' is not a CIFAR-10 batch: it holds no dictionary")
    pixels = content.get(b"data", content.get("data"))
    labels = content.get(b"labels", content.get("labels"))
    if not isinstance(pixels, _ByteArray) or not isinstance(labels, list):
        raise DataError(f"'{path}' is not a CIFAR-10 batch: 'data' or 'labels' is missing")
    if not all(type(label) is int and 0 <= label < len(CLASSES) for label in labels):
        raise DataError(f"'{path}': labels must be whole numbers from 0 to {len(CLASSES) - 1}")
    return Split(_images(path, pixels.value, len(labels)), np.array(labels, np.int64))


def _images(path: Path, rows: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    if rows.ndim != 2 or rows.shape[1] != math.prod(_PIXELS):
        raise DataError(
            f"'{path}': images must be rows of {math.prod(_PIXELS)} bytes, found {rows.shape}"
        )
    if len(rows) != count:
        raise DataError(f"'{path}': {len(rows)} images have {count} labels")
    return rows.reshape(-1, *_PIXELS)
