"""What the learned predictor chooses from: the mean, a Gaussian process, boosted trees."""

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hwnas.predictors.boosting import BoostedTrees

Floats = NDArray[np.float64]


class Regressor(Protocol):
    """Learns a standardised target and tells how sure it is."""

    def fit(self, rows: Floats, target: Floats) -> "Regressor":
        """Fit on ``(n, columns)`` and a target ``(n,)`` of mean 0 and deviation 1."""
        ...

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Means and variances, each ``(n,)``."""
        ...

    def to_json(self) -> dict[str, Any]:
        """What was learned, as plain values."""
        ...


class MeanRegressor:
    """The mean of all trials: what must be beaten to claim that anything was learned."""

    def fit(self, rows: Floats, target: Floats) -> "MeanRegressor":
        """Nothing is kept of the rows."""
        self.mean_, self.variance_ = float(target.mean()), float(target.var())
        return self

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """The same mean and variance for all rows."""
        return np.full(len(rows), self.mean_), np.full(len(rows), self.variance_)

    def to_json(self) -> dict[str, Any]:
        """Mean and variance."""
        return {"mean": self.mean_, "variance": self.variance_}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "MeanRegressor":
        """What :meth:`to_json` wrote."""
        found = cls()
        found.mean_, found.variance_ = float(value["mean"]), float(value["variance"])
        return found


class ProcessRegressor:
    """scikit-learn's Gaussian process: a Matérn 5/2 function, a line and noise.

    Rasmussen and Williams, 2006; the weights of the three and the length scale maximise
    the marginal likelihood.
    """

    def fit(self, rows: Floats, target: Floats) -> "ProcessRegressor":
        """Fit the covariance's parameters and keep the trials."""
        return self._fit(rows, target, None)

    def _fit(self, rows: Floats, target: Floats, theta: Floats | None) -> "ProcessRegressor":
        # Imported here because scikit-learn takes a second to import.
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import (
            ConstantKernel,
            DotProduct,
            Matern,
            WhiteKernel,
        )

        kernel = (
            ConstantKernel(1.0, (1e-3, 1e2)) * Matern(2.0, (0.1, 1e2), nu=2.5)
            + ConstantKernel(0.1, (1e-4, 1e1)) * DotProduct(sigma_0=0.0, sigma_0_bounds="fixed")
            + WhiteKernel(0.1, (1e-4, 1e1))
        )
        if theta is not None:
            kernel = kernel.clone_with_theta(theta)
        self.process_ = GaussianProcessRegressor(
            kernel, optimizer="fmin_l_bfgs_b" if theta is None else None
        )
        with warnings.catch_warnings():
            # A parameter at its bound (no line in the data, say) is an answer.
            warnings.simplefilter("ignore")
            self.process_.fit(rows, target)
        return self

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Posterior means and variances, noise included."""
        if len(rows) == 0:
            return np.zeros(0), np.zeros(0)
        with warnings.catch_warnings():
            # Variances below 0 by rounding are put at 0.
            warnings.simplefilter("ignore")
            mean, deviation = self.process_.predict(rows, return_std=True)
        return np.asarray(mean, dtype=float), np.asarray(deviation, dtype=float) ** 2

    def to_json(self) -> dict[str, Any]:
        """The covariance's parameters (logarithms) and the trials."""
        return {
            "theta": self.process_.kernel_.theta.tolist(),
            "rows": self.process_.X_train_.tolist(),
            "target": self.process_.y_train_.tolist(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ProcessRegressor":
        """What :meth:`to_json` wrote."""
        rows, target, theta = (
            np.array(value[name], dtype=float) for name in ("rows", "target", "theta")
        )
        return cls()._fit(rows, target, theta)


class TreesRegressor:
    """Gradient-boosted trees on bootstrap samples of the trials; they disagree where unsure.

    XGBoost (Chen and Guestrin, 2016), bagged (Breiman, 1996). The variance is that between
    the members only; what noise comes on top, the predictor learns from trials left out.

    Args:
        members: How many are averaged.
        trees: Trees of each.
        depth: Of each tree.
        rate: Learning rate.
        seed: Seed of the bootstrap samples.
    """

    def __init__(
        self, members: int = 6, trees: int = 100, depth: int = 3, rate: float = 0.08, seed: int = 0
    ) -> None:
        self.members = members
        self.trees = trees
        self.depth = depth
        self.rate = rate
        self.seed = seed

    def fit(self, rows: Floats, target: Floats) -> "TreesRegressor":
        """Grow every member on a resample of its own."""
        rng = np.random.default_rng(self.seed)
        self.members_: list[BoostedTrees] = []
        for number in range(self.members):
            drawn = rng.integers(len(rows), size=len(rows))
            member = BoostedTrees(self.trees, self.depth, self.rate, self.seed + number)
            self.members_.append(member.fit(rows[drawn], target[drawn]))
        return self

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and variance over the members."""
        all_of = np.array([member.predict(rows) for member in self.members_])
        return all_of.mean(axis=0), all_of.var(axis=0)

    def to_json(self) -> dict[str, Any]:
        """The trees of each member as XGBoost's JSON."""
        return {"members": [member.to_json() for member in self.members_]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "TreesRegressor":
        """What :meth:`to_json` wrote."""
        found = cls(members=len(value["members"]))
        found.members_ = [BoostedTrees.from_json(text) for text in value["members"]]
        return found


MEAN = "mean"
REGRESSORS: dict[str, Callable[[], Regressor]] = {
    MEAN: MeanRegressor,
    "gaussian-process": ProcessRegressor,
    "trees": TreesRegressor,
}
READERS: dict[str, Callable[[Mapping[str, Any]], Regressor]] = {
    MEAN: MeanRegressor.from_json,
    "gaussian-process": ProcessRegressor.from_json,
    "trees": TreesRegressor.from_json,
}


def left_out(
    model: Callable[[], Regressor], rows: Floats, target: Floats, folds: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Means and variances of every row by a model that did not see its fold.

    Args:
        model: Makes a new regressor.
        rows: ``(n, columns)``.
        target: ``(n,)``.
        folds: The fold of each, ``(n,)``.
    """
    mean, variance = np.full(len(rows), math.nan), np.full(len(rows), math.nan)
    for fold in np.unique(folds):
        own = folds == fold
        mean[own], variance[own] = model().fit(rows[~own], target[~own]).predict(rows[own])
    return mean, variance
