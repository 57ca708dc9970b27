"""Which networks to measure: those that tell most about the others of their space."""

import numpy as np

from hwnas.export.bags import SpaceBags
from hwnas.predictors.boosting import Floats
from hwnas.predictors.features import SUMS, bag_features, bag_sums, kernel_work
from hwnas.spaces.space import Genotypes

REACH = 0.7
"""Distance, in standard deviations of the average feature, over which residuals are alike."""

NOISE = 0.1
"""Variance of a measured residual, as a share of that of the residuals of a space."""


def network_features(bags: SpaceBags, genotypes: Genotypes) -> Floats:
    """What the residual will see of networks, ``(n, features)``, before anything is measured.

    In place of a kernel's price stands its work.

    Args:
        bags: The space's blocks.
        genotypes: Its networks, ``(n, choices)``.
    """
    work = {kernel: kernel_work(kernel) for bag in bags.kernels for kernel in bag}
    # The row behind the last is that of an absent block, which index -1 finds.
    sums = np.stack([*(bag_sums(bag, work) for bag in bags.kernels), np.zeros(len(SUMS))])
    return bag_features(sums[bags.block_indices(genotypes)].sum(axis=1))


def most_telling(features: Floats, count: int) -> list[int]:
    """Samples whose values, once known, leave the least variance in those of all samples.

    The values are taken for a Gaussian process over the features, and each sample is the
    one that lowers the sum of the variances most (the "active learning" criterion of Cohn,
    Ghahramani and Jordan, 1996, for Gaussian processes as in Seo et al., 2000). Which ones
    are chosen does not depend on the values, so they can be chosen before any is known. The
    first of a longer choice are those of a shorter one.

    Args:
        features: Of the samples, ``(n, k)``.
        count: How many to choose; all where there are fewer.

    Returns:
        Indices, what tells most first.
    """
    scale = features.std(axis=0)
    unit = (features - features.mean(axis=0)) / np.where(scale > 1e-9, scale, 1.0)
    squares = (unit**2).sum(axis=1)
    distance = np.maximum(squares[:, None] + squares[None] - 2 * unit @ unit.T, 0.0)
    covariance: Floats = np.exp(-distance / (2 * REACH**2 * unit.shape[1]))
    chosen: list[int] = []
    for _ in range(min(count, len(features))):
        gain = (covariance**2).sum(axis=1) / (covariance.diagonal() + NOISE)
        gain[chosen] = -1.0
        best = int(gain.argmax())
        chosen.append(best)
        row = covariance[best].copy()
        covariance -= np.outer(row, row) / (row[best] + NOISE)
    return chosen
