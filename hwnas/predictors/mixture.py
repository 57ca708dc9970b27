"""A mixture of Gaussian processes: some covariances, some means, averaged by their evidence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.predictors.boosting import Floats


@dataclass(frozen=True)
class Mixture:
    """Processes with V means each, and what samples say of them.

    The evidence of each pair of covariance and mean has the scale integrated out (Rasmussen and
    Williams, 2006, section 5.2), under an inverse gamma prior. Means that are draws of a
    distribution over devices are thereby weighted by importance.

    Args:
        inverses: Of the covariances of the samples, each ``(m, m)``.
        weights: Of the covariances and the means, ``(priors, V)``; they add up to 1.
        scales: What variances are multiplied by, one of each covariance.
        out_of_fold: Log error of each sample, predicted from the others, ``(m,)``.
    """

    inverses: Sequence[Floats]
    weights: Floats
    scales: Floats
    out_of_fold: Floats


def solve(
    covariances: Sequence[Floats], residuals: Floats, trusted: Floats, shape: float
) -> Mixture:
    """Weigh covariances and means by what they say of the samples.

    Args:
        covariances: Of the samples with their noise, each ``(m, m)``.
        residuals: Of the samples from each mean, ``(m, V)``.
        trusted: 1 for a sample whose error counts for the scale, else 0, ``(m,)``.
        shape: Shape and rate of the gamma prior of the inverse scale; 0 where the scale is
            not known at all.
    """
    count = len(residuals)
    inverses: list[Floats] = []
    evidence, scales, without, errors = [], [], [], []
    for covariance in covariances:
        inverse: Floats = np.asarray(np.linalg.inv(covariance), dtype=float)
        solved = inverse @ residuals
        diagonal = inverse.diagonal()[:, None]
        standard = solved**2 / diagonal
        misfit = (residuals * solved).sum(axis=0)
        logdet = np.linalg.slogdet(covariance)[1]
        evidence.append(-0.5 * logdet - _penalty(misfit, count - 1, shape))
        # Closed form of what each sample's weights would be without it.
        without.append(
            -0.5 * (logdet + np.log(diagonal)) - _penalty(misfit - standard, count - 2, shape)
        )
        errors.append(solved / diagonal)
        inverses.append(inverse)
        scales.append((2 * shape + trusted @ standard) / (2 * shape + trusted.sum()))
    weights = np.exp(np.array(evidence) - np.max(evidence))
    weights /= weights.sum()
    if shape:
        odds = np.array(without)
        odds = np.exp(odds - odds.max(axis=(0, 2), keepdims=True))
        odds /= odds.sum(axis=(0, 2), keepdims=True)
    else:
        # Two samples that are left may be fitted exactly, and without a prior of the scale the
        # process that does so would have all the weight.
        odds = weights[:, None, :]
    own = weights.sum(axis=1)
    scale = (weights * np.array(scales)).sum(axis=1) / np.maximum(own, 1e-300)
    return Mixture(inverses, weights, scale, (odds * np.array(errors)).sum(axis=(0, 2)))


def _penalty(misfit: Floats, free: int, shape: float) -> Floats:
    found: Floats = (shape + 0.5 * free) * np.log(np.maximum(shape + 0.5 * misfit, 5e-13))
    return found
