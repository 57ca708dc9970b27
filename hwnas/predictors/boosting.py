"""Gradient-boosted trees; the one file that imports XGBoost."""

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import MissingExtraError, ProfileError

Floats = NDArray[np.float64]

THREADS = 1
"""XGBoost and torch each bring an OpenMP of their own, and a process in which both
start threads can crash; the trees here are small enough for one."""


class BoostedTrees:
    """XGBoost's regressor with the settings used here, kept as XGBoost's own JSON.

    Args:
        trees: Number of trees.
        depth: Depth of each.
        rate: Learning rate.
        seed: Seed of row sampling.
        rows: Share of the rows that each tree sees.
    """

    def __init__(
        self, trees: int = 200, depth: int = 4, rate: float = 0.08, seed: int = 0, rows: float = 0.8
    ) -> None:
        self.trees = trees
        self.depth = depth
        self.rate = rate
        self.seed = seed
        self.rows = rows

    def fit(
        self, features: Floats, target: Floats, monotone: tuple[int, ...] = ()
    ) -> "BoostedTrees":
        """Fit on ``(n, features)`` and ``(n,)``.

        Args:
            features: The rows.
            target: What to predict.
            monotone: Per feature 1 (rising), -1 (falling) or 0; empty for none.
        """
        xgboost = _xgboost()
        parameters: dict[str, Any] = {
            "max_depth": self.depth,
            "eta": self.rate,
            "subsample": self.rows,
            "lambda": 1.0,
            "min_child_weight": 2,
            "objective": "reg:squarederror",
            "seed": self.seed,
            "base_score": 0.0,
            "nthread": THREADS,
            "tree_method": "hist",
        }
        if monotone:
            parameters["monotone_constraints"] = f"({','.join(map(str, monotone))})"
        data = xgboost.DMatrix(features, label=target, nthread=THREADS)
        self.booster_ = xgboost.train(parameters, data, num_boost_round=self.trees)
        return self

    def predict(self, features: Floats) -> Floats:
        """Predictions ``(n,)`` for ``(n, features)``."""
        if len(features) == 0:
            return np.zeros(0)
        values: Floats = self.booster_.inplace_predict(
            np.asarray(features, dtype=np.float32)
        ).astype(np.float64)
        return values

    def to_json(self) -> str:
        """The trees as XGBoost's JSON."""
        return str(self.booster_.save_raw(raw_format="json").decode())

    @classmethod
    def from_json(cls, text: str) -> "BoostedTrees":
        """The trees that :meth:`to_json` wrote.

        Raises:
            ProfileError: The text is not XGBoost's JSON.
        """
        xgboost = _xgboost()
        trees = cls()
        try:
            trees.booster_ = xgboost.Booster(
                params={"nthread": THREADS}, model_file=bytearray(text.encode())
            )
        except xgboost.core.XGBoostError as error:
            raise ProfileError(
                "the predictor's trees cannot be read; fit again with 'hwnas fit'"
            ) from error
        return trees


def _xgboost() -> Any:
    try:
        return importlib.import_module("xgboost")
    except ModuleNotFoundError as error:
        raise MissingExtraError("xgboost is not installed: pip install xgboost") from error
