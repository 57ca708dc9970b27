"""Splitting labelled images so that every part has the classes in the same shares."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import DataError


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
        One sorted array of indices per share; each has items of every class.

    Raises:
        DataError: A class has fewer items than there are parts.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if len(counts) and counts.min() < len(shares):
        raise DataError(
            f"class {classes[counts.argmin()]} has {counts.min()} images, too few to split in "
            f"{len(shares)}; give every class at least {len(shares)}, better many more"
        )
    order = rng.permutation(len(labels))
    positions = np.empty(len(labels))
    for label in classes:
        members = order[labels[order] == label]
        positions[members] = (np.arange(len(members)) + rng.random()) / len(members)
    ranked = np.argsort(positions, kind="stable").astype(np.int64)
    cuts = np.round(np.cumsum(shares)[:-1] * len(labels)).astype(int)
    owner = np.searchsorted(cuts, np.argsort(ranked), side="right")
    # Rounding can leave a small class out of a part: one of its items is moved there.
    for label in classes:
        members = np.flatnonzero(labels == label)
        held = np.bincount(owner[members], minlength=len(shares))
        for part in np.flatnonzero(held == 0):
            giver = held.argmax()
            owner[members[owner[members] == giver][0]] = part
            held[giver] -= 1
            held[part] += 1
    return [np.flatnonzero(owner == part).astype(np.int64) for part in range(len(shares))]
