"""Four networks and two classes of images that train in no time."""

import numpy as np

from hwnas.spaces.chain import place
from hwnas.spaces.space import Choice, SearchSpace, Slot
from hwnas.training.images import Split


def tiny(classes=2):
    """Four networks of two convolutions."""

    def stem(channels, kernel):
        return place("conv", (1, 8, 8), **conv, channels=channels, kernel=kernel, stride=2)

    def body(channels, kernel):
        return place("conv", (channels, 4, 4), **conv, channels=8, kernel=kernel, stride=1)

    def head(_):
        return place("classifier", (8, 4, 4), classes=classes)

    conv = {"activation": "relu"}
    return SearchSpace(
        "tiny",
        [Choice("channels", (4, 8)), Choice("kernel", (3, 5))],
        [Slot("stem", (0, 1), stem), Slot("body", (0, 1), body), Slot("head", (0,), head)],
        input_channels=1,
        image_sizes=[8],
        resolution=None,
        classes=classes,
    )


TINY = tiny()


def split(count, seed):
    """Class 0 is bright on the left, class 1 on top."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 2
    images = rng.normal(0, 0.3, (count, 1, 8, 8)).astype(np.float32)
    images[labels == 0, :, :, :4] += 1
    images[labels == 1, :, :4, :] += 1
    return Split(images, labels)
