import numpy as np
import pytest

from hwnas.errors import DataError
from hwnas.training.images import ImageData, Split

RNG = np.random.default_rng(0)


def split(count=6, shape=(3, 4, 4), classes=2):
    images = RNG.integers(0, 256, (count, *shape)).astype(np.uint8)
    return Split(images, np.arange(count, dtype=np.int64) % classes)


def data(train=None, validation=None, test=None, classes=2, shape=(3, 4, 4)):
    parts = (part or split(shape=shape) for part in (train, validation, test))
    return ImageData("own", classes, tuple(map(str, range(classes))), *parts)


def test_tensors_are_normalised_by_the_training_images():
    own = data()
    pixels = own.train.images / 255
    mean, std = pixels.mean((0, 2, 3), keepdims=True), pixels.std((0, 2, 3), keepdims=True)
    for part in ("train", "test"):
        wanted = (own.split(part).images / 255 - mean) / std
        assert own.tensor(part, 4, 3).numpy() == pytest.approx(wanted, abs=1e-4)
    assert own.tensor("test", (8, 2), 3).shape == (6, 3, 8, 2)


def test_grey_is_repeated_and_colour_turned_to_grey():
    grey = data(shape=(1, 4, 4)).tensor("train", 4, 3).numpy()
    assert np.array_equal(grey[:, 0], grey[:, 2])
    own = data()
    luma = np.tensordot(own.train.images / 255, [0.299, 0.587, 0.114], axes=([1], [0]))
    wanted = (luma - luma.mean()) / luma.std()
    assert own.tensor("train", 4, 1).numpy()[:, 0] == pytest.approx(wanted, abs=1e-4)
    with pytest.raises(DataError, match="4 channels|of 3 channels"):
        own.tensor("train", 4, 4)


def test_a_constant_channel_stays_finite():
    constant = Split(np.full((4, 1, 4, 4), 9, np.uint8), np.array([0, 1, 0, 1]))
    assert np.isfinite(data(constant, constant, constant).tensor("train", 4, 1).numpy()).all()


def test_bad_data_are_refused():
    broken = Split(np.full((2, 3, 4, 4), np.nan, np.float32), np.array([0, 1]))
    good = split()
    cases = {
        "not finite": {"train": broken},
        "no images": {"test": split(count=0)},
        "one shape": {"test": split(shape=(3, 5, 5))},
        "labels must be 0 to 1": {"validation": split(classes=3)},
        "6 images have 5 labels": {"train": Split(good.images, good.labels[:5])},
        "uint8 or float32": {"train": Split(good.images.astype(float), good.labels)},
        "labels must be int64": {"train": Split(good.images, good.labels.astype(float))},
        "at least two classes": {"classes": 1},
    }
    for message, keywords in cases.items():
        with pytest.raises(DataError, match=message):
            data(**keywords)
    infinite = Split(np.full((2, 3, 4, 4), np.inf, np.float32), np.array([0, 1]))
    same = Split(good.images, np.zeros(6, np.int64))
    more = {
        "validation split: 2 images have pixels that are not finite": {"validation": infinite},
        "train split: all images are of one class, '0'": {"train": same},
        "validation split: all images are of one class": {"validation": same},
    }
    for message, keywords in more.items():
        with pytest.raises(DataError, match=message):
            data(**keywords)
    with pytest.raises(DataError, match="a split is one of"):
        data().split("dev")
