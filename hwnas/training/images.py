"""A labelled image data set in memory, and the tensors that networks take from it."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hwnas.errors import DataError

Pixels = NDArray[np.uint8] | NDArray[np.float32]

SPLITS = ("train", "validation", "test")
LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""

_CHUNK = 4096


class Split(NamedTuple):
    """Images ``(n, channels, height, width)``, uint8 or float32, and labels int64 ``(n,)``."""

    images: Pixels
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images with classes, in three splits.

    Args:
        name: Where the data came from.
        classes: Number of classes.
        class_names: Their names, by label.
        train: What networks are trained on.
        validation: What candidates are compared on.
        test: What is reported at the end, once.

    Raises:
        DataError: A split is empty, of another shape than the others, has as
            many labels as images not, has a label out of range, or pixels that
            are not finite; there are fewer than two classes, or only images of one in the
            train or validation split.
    """

    name: str
    classes: int
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    _cache: dict[tuple[str, int, int, int], Tensor] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        where = f"data '{self.name}'"
        if self.classes < 2:
            raise DataError(
                f"{where}: there must be at least two classes to tell apart, found {self.classes}"
            )
        if len(self.class_names) != self.classes:
            raise DataError(f"{where}: {self.classes} classes have {len(self.class_names)} names")
        for part in SPLITS:
            self._check(f"{where}, {part} split", *self.split(part))
        # The test images are only reported on, and a user may want those of one class.
        for part in ("train", "validation"):
            labels = self.split(part).labels
            if labels.min() == labels.max():
                raise DataError(
                    f"{where}, {part} split: all images are of one class, "
                    f"'{self.class_names[int(labels[0])]}'; there is nothing to tell apart. Give "
                    "images of at least two classes"
                )

    def _check(self, where: str, images: Pixels, labels: NDArray[np.int64]) -> None:
        if images.dtype not in (np.uint8, np.float32) or images.ndim != 4:
            raise DataError(
                f"{where}: images must be uint8 or float32 of shape (n, channels, height, width), "
                f"received {images.dtype} {images.shape}"
            )
        if labels.dtype != np.int64 or labels.ndim != 1:
            raise DataError(
                f"{where}: labels must be int64 of shape (n,), received {labels.dtype} "
                f"{labels.shape}"
            )
        if len(images) != len(labels):
            raise DataError(f"{where}: {len(images)} images have {len(labels)} labels")
        if not images.size:
            raise DataError(f"{where}: there are no images; every split needs some")
        if images.shape[1:] != self.train.images.shape[1:]:
            raise DataError(
                f"{where}: images of shape {images.shape[1:]}, but {self.train.images.shape[1:]} "
                "in the train split; all must have one shape"
            )
        if labels.min() < 0 or labels.max() >= self.classes:
            raise DataError(
                f"{where}: labels must be 0 to {self.classes - 1}, found {labels.min()} to "
                f"{labels.max()}"
            )
        if images.dtype == np.float32 and not np.isfinite(images).all():
            broken = int((~np.isfinite(images)).any(axis=(1, 2, 3)).sum())
            raise DataError(
                f"{where}: {broken} images have pixels that are not finite; remove them"
            )

    @property
    def channels(self) -> int:
        """Channels of the images as stored: 1 is grey, 3 is red, green, blue."""
        return int(self.train.images.shape[1])

    @cached_property
    def digest(self) -> str:
        """Hash of the images and labels of all splits: the same exactly where they are."""
        found = hashlib.sha256()
        for part in SPLITS:
            images, labels = self.split(part)
            found.update(repr((part, images.dtype.str, images.shape)).encode())
            found.update(np.ascontiguousarray(images).data)
            found.update(np.ascontiguousarray(labels).data)
        return found.hexdigest()[:16]

    def split(self, part: str) -> Split:
        """The images and labels of ``"train"``, ``"validation"`` or ``"test"``.

        Raises:
            DataError: There is no such split.
        """
        if part not in SPLITS:
            raise DataError(f"a split is one of {', '.join(SPLITS)}, received '{part}'")
        split: Split = getattr(self, part)
        return split

    def labels(self, part: str) -> Tensor:
        """Labels of a split, int64 ``(n,)``."""
        return torch.from_numpy(self.split(part).labels)

    def tensor(self, part: str, size: int | tuple[int, int], channels: int) -> Tensor:
        """Images of a split as a network takes them: float32 ``(n, channels, height, width)``.

        Resized (bilinear, antialiased) and normalised by the mean and the
        standard deviation of the training images. Kept for the next call, since
        every candidate of a search asks for the same few. Do not write to it:
        grey that is repeated to three channels shares one memory.

        Args:
            part: ``"train"``, ``"validation"`` or ``"test"``.
            size: Height and width, or one number for both.
            channels: 1 or 3; grey is repeated, colour is turned to grey.

        Raises:
            DataError: No such split, or the channels cannot be converted.
        """
        height, width = (size, size) if isinstance(size, int) else size
        key = (part, height, width, channels)
        if key not in self._cache:
            images = self.split(part).images
            mean, std = self._moments(channels)
            chunks = []
            for start in range(0, len(images), _CHUNK):
                chunk = self._floats(images[start : start + _CHUNK], channels)
                if chunk.shape[2:] != (height, width):
                    chunk = functional.interpolate(
                        chunk,
                        (height, width),
                        mode="bilinear",
                        antialias=True,
                        align_corners=False,
                    )
                chunks.append((chunk - mean) / std)
            self._cache[key] = torch.cat(chunks).expand(-1, channels, -1, -1)
        return self._cache[key]

    def _floats(self, images: Pixels, channels: int) -> Tensor:
        """Images as float32; grey stays one channel, whatever ``channels`` is."""
        pixels = torch.from_numpy(np.ascontiguousarray(images)).float()
        if images.dtype == np.uint8:
            pixels = pixels / 255
        own = pixels.shape[1]
        if own in (1, channels):
            return pixels
        if own == 3 and channels == 1:
            return (pixels * torch.tensor(LUMINANCE).view(1, 3, 1, 1)).sum(1, keepdim=True)
        raise DataError(
            f"data '{self.name}': images of {own} channels cannot be given to a network that "
            f"takes {channels}; use a space with input_channels={own}"
        )

    def _moments(self, channels: int) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the training images per channel, ``(1, c, 1, 1)``."""
        key = ("moments", 0, 0, channels)
        if key not in self._cache:
            images = self.train.images
            total, square, count = torch.zeros(()), torch.zeros(()), 0
            for start in range(0, len(images), _CHUNK):
                chunk = self._floats(images[start : start + _CHUNK], channels).double()
                total = total + chunk.sum((0, 2, 3), keepdim=True)
                square = square + (chunk**2).sum((0, 2, 3), keepdim=True)
                count += chunk.numel() // chunk.shape[1]
            mean = total / count
            std = (square / count - mean**2).clamp_min(0).sqrt()
            # A channel that never varies carries nothing; it must not become NaN.
            std = torch.where(std > 1e-6, std, torch.ones_like(std))
            self._cache[key] = torch.stack([mean, std]).float()
        mean, std = self._cache[key]
        return mean, std
