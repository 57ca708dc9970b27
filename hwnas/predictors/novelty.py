"""How far something lies from what a correction was fitted on."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.predictors.boosting import Floats

LEAST_SPREAD = 0.05
"""Spread that a feature has at least; features are logarithms and shares."""

FAR = 3.0
"""Multiples of the usual distance from which on something is wholly new."""

ROWS = 4096


class Novelty:
    """0 for what lies among the samples, 1 for what is far from all of them.

    By the distances to the samples in standardised features, each beside the largest
    distance from a sample of the same group to the nearest other: up to that it is 0, and
    1 from ``FAR`` times that on. A group of very different samples does not make what lies
    near another, narrow group a part of it.

    Learned: ``known_`` (samples, standardised), ``centre_``, ``scale_``, ``reach_`` (of each
    sample's group).
    """

    def fit(self, features: Floats, groups: Sequence[str] | None = None) -> "Novelty":
        """Fit on features ``(n, k)``; with fewer than two samples everything is new.

        Args:
            features: The samples.
            groups: The group of each; without it all are of one.
        """
        count, width = features.shape
        self.centre_ = features.mean(axis=0) if count else np.zeros(width)
        self.scale_ = np.maximum(features.std(axis=0) if count else 0.0, LEAST_SPREAD)
        # Rounded, so that a profile stays small; the same after it was saved.
        self.known_: Floats = np.round((features - self.centre_) / self.scale_, 3)
        self.reach_: Floats = np.zeros(count)
        names = np.array(groups or [""] * count)
        squares = self._squares(self.known_)
        np.fill_diagonal(squares, np.inf)
        for name in np.unique(names):
            own = names == name
            if own.sum() >= 2:
                nearest = squares[np.ix_(own, own)].min(axis=1)
                self.reach_[own] = round(float(np.sqrt(np.maximum(nearest, 0.0).max())), 4)
        return self

    def _squares(self, rows: Floats) -> Floats:
        known = self.known_
        squares: Floats = (
            (rows**2).sum(axis=1)[:, None] + (known**2).sum(axis=1) - 2 * rows @ known.T
        )
        return squares

    def of(self, features: Floats) -> Floats:
        """Novelty ``(n,)`` of features ``(n, k)``."""
        found = np.ones(len(features))
        if len(self.known_) < 2:
            return found
        for begin in range(0, len(features), ROWS):
            rows = (features[begin : begin + ROWS] - self.centre_) / self.scale_
            squares = np.maximum(self._squares(rows), 0.0)
            ratio = np.sqrt((squares / np.maximum(self.reach_, 1e-9) ** 2).min(axis=1))
            found[begin : begin + ROWS] = np.clip((ratio - 1) / (FAR - 1), 0.0, 1.0)
        return found

    def to_json(self) -> dict[str, Any]:
        """What was learned, as plain values."""
        return {
            "known": self.known_.tolist(),
            "centre": self.centre_.tolist(),
            "scale": self.scale_.tolist(),
            "reach": self.reach_.tolist(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Novelty":
        """What :meth:`to_json` wrote."""
        novelty = cls()
        novelty.centre_, novelty.scale_ = np.array(value["centre"]), np.array(value["scale"])
        novelty.known_ = np.array(value["known"]).reshape(-1, len(novelty.centre_))
        novelty.reach_ = np.array(value["reach"], dtype=float)
        return novelty
