"""Splitting labelled images so that every part has the classes in the same shares."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def stratified_split(
    labels: NDArray[np.int64], shares: Sequence[float], rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Indices of disjoint parts that cover all items.

    Every item gets the fractional position that it has in its shuffled class;
    all items in the order of these positions, cut at the shares, give each part
    each class in its share, to within one item.

    Args:
        labels: Class of each item, ``(n,)``.
        shares: Share of each part; they sum to 1.
        rng: Source of randomness.

    Returns:
        One sorted array of indices per share.
    """
    order = rng.permutation(len(labels))
    positions = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        positions[members] = (np.arange(len(members)) + rng.random()) / len(members)
    ranked = np.argsort(positions, kind="stable").astype(np.int64)
    cuts = np.round(np.cumsum(shares)[:-1] * len(labels)).astype(int)
    return [np.sort(part) for part in np.split(ranked, cuts)]
