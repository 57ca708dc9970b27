"""Weightings of the terms of a covariance between candidates, and the ones that are averaged."""

from collections.abc import Mapping
from dataclasses import dataclass

from hwnas.predictors.boosting import Floats

CONSTANT = 25.0
"""Prior variance of the mean: as good as unknown."""


@dataclass(frozen=True)
class Prior:
    """Weights of the terms of a covariance, and the noise of a sample.

    They are relative to each other. For a process around imagined devices they are squared
    logarithms, of which the scale's prior expects about this much.

    Args:
        shared: What all references have in common (their mean standardised log).
        devices: Any line through the references.
        curved: Smooth functions of the references.
        features: Any line through the first matrix of architecture features.
        details: Any line through the other matrices, which share the weight.
        noise: Variance of a sample that nothing explains.
        around: Whether the means are imagined devices.
    """

    shared: float = 1.0
    devices: float = 0.1
    curved: float = 0.03
    features: float = 0.1
    details: float = 0.01
    noise: float = 0.03
    around: bool = False

    def covariance(self, terms: Mapping[str, Floats]) -> Floats:
        """The weighted sum of the terms, and of a constant."""
        found: Floats = CONSTANT + sum(getattr(self, name) * term for name, term in terms.items())
        return found


PLAIN = tuple(
    Prior(features=features, details=details, noise=noise)
    for features in (0.03, 0.1, 0.3)
    for details in (0.0, 0.03)
    for noise in (0.01, 0.03, 0.1, 0.3)
)
"""Around what the references have in common."""

AROUND = (
    Prior(shared=0.0, devices=0.0, curved=0.0, features=0.0, details=0.0, noise=0.01, around=True),
    Prior(
        shared=0.0,
        devices=0.01,
        curved=0.01,
        features=0.003,
        details=0.0,
        noise=0.01,
        around=True,
    ),
)
"""Around imagined devices, which explain all but noise, or all but what few samples cannot tell."""

PRIORS = PLAIN + AROUND
"""Found on the reference and validation devices of HELP's table, each predicted without its
family; averaging was better there than any single one (docs/transfer.md)."""
