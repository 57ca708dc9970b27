"""Folders of IDX files, the format of MNIST and its relatives."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import DataError
from hwnas.training.images import ImageData, Split
from hwnas.training.splits import stratified_split

VALIDATION_SHARE = 0.1

_UNSIGNED_BYTE = 8
_LABELS, _IMAGES = 1, 3


def is_idx(folder: Path) -> bool:
    """Whether the folder holds the training images of an IDX data set."""
    return _find(folder, "train", _IMAGES) is not None


def load_idx(folder: Path, *, seed: int) -> ImageData:
    """The data set of ``train-`` and ``t10k-`` ``images-idx3-ubyte`` and ``labels-idx1-ubyte``.

    Files may be gzipped. A tenth of the training images becomes the validation
    split, since the format has none.

    Raises:
        DataError: A file is missing, broken or of another kind.
    """
    images, values = _part(folder, "train")
    test_images, test_values = _part(folder, "t10k")
    names = np.unique(values)
    unknown = np.setdiff1d(test_values, names)
    if unknown.size:
        raise DataError(
            f"data '{folder}': label {unknown[0]} of the test images never occurs in training"
        )
    labels = np.searchsorted(names, values).astype(np.int64)
    rng = np.random.default_rng(seed)
    train, validation = stratified_split(labels, (1 - VALIDATION_SHARE, VALIDATION_SHARE), rng)
    return ImageData(
        str(folder),
        len(names),
        tuple(map(str, names)),
        Split(images[train], labels[train]),
        Split(images[validation], labels[validation]),
        Split(test_images, np.searchsorted(names, test_values).astype(np.int64)),
    )


def _find(folder: Path, part: str, dimensions: int) -> Path | None:
    what = "images" if dimensions == _IMAGES else "labels"
    for separator in "-.":
        for ending in ("", ".gz"):
            path = folder / f"{part}-{what}{separator}idx{dimensions}-ubyte{ending}"
            if path.is_file():
                return path
    return None


def _part(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    arrays = []
    for dimensions in (_IMAGES, _LABELS):
        path = _find(folder, part, dimensions)
        if path is None:
            what = "images" if dimensions == _IMAGES else "labels"
            raise DataError(
                f"data '{folder}' has no {part}-{what}-idx{dimensions}-ubyte (or .gz); an IDX data "
                "set is four files: train and t10k, images and labels"
            )
        arrays.append(read_idx(path, dimensions))
    images, labels = arrays
    if len(images) != len(labels):
        raise DataError(f"data '{folder}': {len(images)} {part} images have {len(labels)} labels")
    if not images.size:
        raise DataError(f"data '{folder}': there are no {part} images; every part needs some")
    return images[:, None], labels


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array of an IDX file of unsigned bytes.

    Args:
        path: The file, gzipped if its name ends in ``.gz``.
        dimensions: How many dimensions it must have.

    Raises:
        DataError: The file is of another kind, or shorter or longer than it says.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"'{path}' is not a whole gzip file: {error}; fetch it again") from error
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DataError(f"'{path}' ends within its header ({len(content)} bytes); fetch it again")
    magic = content[:4]
    if magic != bytes([0, 0, _UNSIGNED_BYTE, dimensions]):
        raise DataError(
            f"'{path}' starts with {magic.hex(' ')}; an IDX file of unsigned bytes in {dimensions} "
            f"dimensions starts with 00 00 08 {dimensions:02x}"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    expected = header
    # Python integers: a broken header must not overflow into a size that fits.
    product = 1
    for length in shape:
        product *= length
    expected += product
    if len(content) != expected:
        raise DataError(
            f"'{path}' has {len(content)} bytes, but its header says {expected}; fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy()
