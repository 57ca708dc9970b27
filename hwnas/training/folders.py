"""Folders of images by class: ``folder/class/image.png``, or with ``train``, ``val``, ``test``."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from hwnas.errors import DataError
from hwnas.training.images import ImageData, Split
from hwnas.training.splits import stratified_split

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
VALIDATION_SHARE = TEST_SHARE = 0.2

_SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}

Listing = list[tuple[Path, int]]


def load_folder(folder: Path, *, seed: int, size: int | None = None) -> ImageData:
    """A data set of image files, one folder per class.

    Where there are no ``val`` or ``test`` folders beside ``train``, a fifth of
    the training images becomes that split. All images become RGB of one size.

    Args:
        folder: Classes, or ``train``, ``val`` and ``test`` that hold classes.
        seed: Seed of the splits.
        size: Height and width; the first image's size without it.

    Raises:
        DataError: There are no images, fewer than two classes, or a file that
            is not an image.
    """
    parts = _split_folders(folder)
    classes = _classes(parts.get("train", folder))
    if len(classes) < 2:
        raise DataError(
            f"data '{folder}': found {len(classes)} folders that hold images ("
            f"{', '.join(ENDINGS)}); at least two classes are needed, one folder each"
        )
    listings = {part: _list(path, classes) for part, path in parts.items()}
    listings = _fill(listings or {"train": _list(folder, classes)}, folder, seed)
    shape = (size, size) if size is not None else _size_of(listings["train"][0][0])
    splits = {part: _read(items, shape) for part, items in listings.items()}
    return ImageData(str(folder), len(classes), tuple(classes), **splits)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in ENDINGS and path.is_file() and not path.name.startswith(".")
    )


def _split_folders(folder: Path) -> dict[str, Path]:
    """The folders of splits, if there is one for training."""
    found = {
        part: path
        for path in _subfolders(folder)
        for part, names in _SPLIT_FOLDERS.items()
        if path.name.lower() in names
    }
    return found if "train" in found else {}


def _classes(folder: Path) -> list[str]:
    return [path.name for path in _subfolders(folder) if _files(path)]


def _list(folder: Path, classes: list[str]) -> Listing:
    unknown = sorted(set(_classes(folder)) - set(classes))
    if unknown:
        raise DataError(
            f"data '{folder}': class '{unknown[0]}' has no training images; known classes are "
            f"{', '.join(classes)}"
        )
    return [
        (path, label)
        for label, name in enumerate(classes)
        if (folder / name).is_dir()
        for path in _files(folder / name)
    ]


def _fill(listings: dict[str, Listing], folder: Path, seed: int) -> dict[str, Listing]:
    """Listings of all three splits; those that are missing are taken from training."""
    shares = {
        part: share
        for part, share in (("validation", VALIDATION_SHARE), ("test", TEST_SHARE))
        if part not in listings
    }
    items = listings["train"]
    labels = np.array([label for _, label in items], np.int64)
    rng = np.random.default_rng(seed)
    indices = stratified_split(labels, (1 - sum(shares.values()), *shares.values()), rng)
    filled = dict(listings)
    for part, chosen in zip(("train", *shares), indices, strict=True):
        filled[part] = [items[index] for index in chosen]
    empty = [part for part, chosen in filled.items() if not chosen]
    if empty:
        raise DataError(
            f"data '{folder}': {len(items)} training images are too few to split; nothing is left "
            f"for {', '.join(empty)}"
        )
    return filled


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            # Of floating point, such as a TIFF may have; the conversion would make them 0.
            if image.mode == "F" and not np.isfinite(np.asarray(image)).all():
                raise DataError(f"'{path}' has pixels that are not finite; remove it")
            return image.convert("RGB")
    except (
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
    ) as error:
        raise DataError(
            f"'{path}' is not an image that can be read; remove it ({error})"
        ) from error


def _size_of(path: Path) -> tuple[int, int]:
    width, height = _open(path).size
    return height, width


def _read(items: Listing, shape: tuple[int, int]) -> Split:
    height, width = shape
    images = np.empty((len(items), 3, height, width), np.uint8)
    for index, (path, _) in enumerate(items):
        image = _open(path)
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        images[index] = np.asarray(image).transpose(2, 0, 1)
    return Split(images, np.array([label for _, label in items], np.int64))
