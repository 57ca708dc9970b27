"""Choices of a kind moved together: what grids and compound scaling go over."""

from collections.abc import Sequence

import numpy as np

from hwnas.spaces.space import Genotypes, SearchSpace


def choice_groups(space: SearchSpace) -> dict[str, list[int]]:
    """Indices of the choices by what they decide, as ``depth`` for ``stage2.depth``.

    In a grid over a network's scale all depths, all kernels or all widths are set
    alike; a grid over every choice by itself would have millions of points.

    Args:
        space: Its choices are named by what they decide behind a last dot.
    """
    groups: dict[str, list[int]] = {}
    for index, choice in enumerate(space.choices):
        groups.setdefault(choice.name.rpartition(".")[2], []).append(index)
    return groups


def levels(space: SearchSpace, members: Sequence[int]) -> int:
    """Number of levels of a group: that of its choice with most values."""
    return max(len(space.choices[index].values) for index in members)


def at_levels(space: SearchSpace, groups: Sequence[Sequence[int]], picked: Genotypes) -> Genotypes:
    """Genotypes whose groups are at levels, canonical.

    A choice with fewer values than its group has levels takes the nearest.

    Args:
        space: The space.
        groups: Indices of the choices of each group; together they are all.
        picked: Levels ``(n, groups)``.
    """
    genotypes = np.zeros((len(picked), space.length), dtype=np.int64)
    for column, members in enumerate(groups):
        most = levels(space, members) - 1
        for index in members:
            own = len(space.choices[index].values) - 1
            share = picked[:, column] / most if most else np.zeros(len(picked))
            genotypes[:, index] = np.rint(share * own).astype(np.int64)
    return space.canonical(genotypes)
