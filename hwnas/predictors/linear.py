"""A line through features, for what changes steadily with the size of a network."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwnas.predictors.boosting import Floats

PENALTIES = tuple(float(value) for value in np.logspace(-3, 3, 25))


class LinearModel:
    """Ridge regression on standardised features; its penalty by leave-one-out (Golub et al., 1979).

    Outside the range of what it was fitted on it is constant, so that a line
    does not run away where nothing was measured.

    Learned: ``low_``, ``high_`` (range of the features), ``weights_``, ``intercept_``.
    """

    def fit(self, features: Floats, values: Floats) -> "LinearModel":
        """Fit on features ``(n, k)`` and values ``(n,)``, n at least 2."""
        from sklearn.linear_model import RidgeCV

        self.low_, self.high_ = features.min(axis=0), features.max(axis=0)
        spread = features.std(axis=0)
        scale = np.where(spread > 1e-9, spread, 1.0)
        centre = features.mean(axis=0)
        ridge = RidgeCV(PENALTIES).fit((features - centre) / scale, values)
        self.weights_: Floats = np.where(spread > 1e-9, ridge.coef_ / scale, 0.0)
        self.intercept_ = float(ridge.intercept_ - centre @ self.weights_)
        return self

    def predict(self, features: Floats) -> Floats:
        """Values ``(n,)`` for features ``(n, k)``."""
        values: Floats = np.clip(features, self.low_, self.high_) @ self.weights_ + self.intercept_
        return values

    def to_json(self) -> dict[str, Any]:
        """What was learned, as plain values."""
        return {
            "low": self.low_.tolist(),
            "high": self.high_.tolist(),
            "weights": self.weights_.tolist(),
            "intercept": self.intercept_,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "LinearModel":
        """What :meth:`to_json` wrote."""
        model = cls()
        model.low_, model.high_ = np.array(value["low"]), np.array(value["high"])
        model.weights_, model.intercept_ = np.array(value["weights"]), float(value["intercept"])
        return model
