"""Data sets by name or path."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from hwnas.errors import DataError
from hwnas.training.cifar import is_cifar10, load_cifar10
from hwnas.training.folders import load_folder
from hwnas.training.idx import is_idx, load_idx
from hwnas.training.images import ImageData, Split
from hwnas.training.splits import stratified_split

__all__ = ["ImageData", "Split", "load_data"]

DIGITS_SIZE = 32


def load_data(text: str | Path, *, seed: int = 0, size: int | None = None) -> ImageData:
    """A data set.

    Args:
        text: ``"digits"`` (scikit-learn's 1,797 handwritten digits, which need no
            download), or the path of a folder of IDX files (MNIST, Fashion-MNIST),
            of CIFAR-10's python batches, or of images by class.
        seed: Seed of the splits that the data set does not come with.
        size: Height and width to which a folder of images is brought; the first
            image's without it. Other data keep their size here.

    Raises:
        DataError: The data set does not exist, or cannot be learned from.
    """
    if str(text) == "digits":
        return _digits(seed)
    path = Path(text).expanduser()
    if not path.is_dir():
        wrong = "is not a folder" if path.exists() else "does not exist"
        raise DataError(
            f"data '{text}' {wrong}. Data is 'digits', or a folder of IDX files (MNIST), of "
            "CIFAR-10's python batches, or of images by class."
        )
    try:
        if is_idx(path):
            return load_idx(path, seed=seed)
        if is_cifar10(path):
            return load_cifar10(path, seed=seed)
        return load_folder(path, seed=seed, size=size)
    except OSError as error:
        raise DataError(f"data '{text}' cannot be read: {error}") from error


def _digits(seed: int) -> ImageData:
    """The digits of scikit-learn (Alpaydin and Kaynak, 1998), 60/20/20."""
    # Imported here because scikit-learn takes a second to import and only this needs it.
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    small = torch.tensor(np.asarray(pixels), dtype=torch.float32).view(-1, 1, 8, 8) / 16
    images = functional.interpolate(
        small, (DIGITS_SIZE, DIGITS_SIZE), mode="bilinear", align_corners=False
    ).numpy()
    targets = np.asarray(labels, dtype=np.int64)
    parts = stratified_split(targets, (0.6, 0.2, 0.2), np.random.default_rng(seed))
    train, validation, test = (Split(images[part], targets[part]) for part in parts)
    return ImageData("digits", 10, tuple(map(str, range(10))), train, validation, test)
