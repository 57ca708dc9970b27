"""Model-based search: a learned accuracy predictor, and expected feasible improvement."""

import math
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import RequestError
from hwnas.search.constraint import Floats, Genotype, LatencyConstraint, rows
from hwnas.search.strategy import Proposer
from hwnas.spaces.space import Genotypes, SearchSpace

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

POOL = 400
ELITE = 8
LATEST = 400
"""Trials that the model is fitted on at most: the best half of them, and the newest."""
REFIT = 0.2
"""Share of new trials after which the covariance is fitted anew."""


class ModelBased(Proposer):
    """Bayesian optimisation over genotypes under the limit.

    A Gaussian process (scikit-learn's; Matérn 5/2 plus a line plus noise) learns the
    accuracy of what was told. Candidates are random feasible genotypes and mutants of the
    best ones; the one proposed has the largest expected improvement (Jones et al., 1998)
    times the probability that it keeps the limit (Gardner et al., 2014). Several at once are
    chosen one after the other, each as if those before had come out as predicted
    (Ginsbourger et al., 2010, "kriging believer").

    Args:
        space: Where to search.
        constraint: The limit.
        seed: Seed of everything random.
        initial: Random architectures before the model is asked.

    Raises:
        RequestError: ``initial`` is below 2.
    """

    name = "model"

    def __init__(
        self,
        space: SearchSpace,
        constraint: LatencyConstraint,
        seed: int,
        *,
        initial: int = 12,
    ) -> None:
        super().__init__(space, constraint, seed)
        if initial < 2:
            raise RequestError(f"initial must be at least 2, received {initial}")
        self.initial = initial
        self.told: dict[Genotype, float] = {}
        self._encoding = Encoding(space)
        self._theta: Floats | None = None
        self._fitted_on = 0

    def ask(self, count: int) -> list[Genotype]:
        """Random genotypes at first, then those of the largest expected improvement."""
        if len(self.told) < self.initial or len(set(self.told.values())) < 2:
            return self.fill(count, [])
        candidates = self._candidates(count)
        if not len(candidates):
            return self.fill(count, [])
        genotypes, values = self._trials()
        mean, scale = float(values.mean()), float(values.std()) or 1.0
        known, target = self._encoding(genotypes), (values - mean) / scale
        process = self._process(known, target)
        within = self.constraint.probability(candidates)
        encoded = self._encoding(candidates)
        left = np.ones(len(candidates), dtype=bool)
        found: list[Genotype] = []
        while len(found) < count and left.any():
            expected, deviation = _predicted(process, encoded)
            gain = expected_improvement(expected, deviation, float(target.max())) * within
            pick = int(np.where(left, gain, -math.inf).argmax())
            left[pick] = False
            self.fresh(candidates[pick][None], count, found)
            if len(found) < count:
                known = np.concatenate([known, encoded[pick][None]])
                target = np.append(target, expected[pick])
                process = self._fixed(known, target)
        return self.fill(count, found)

    def _candidates(self, count: int) -> Genotypes:
        """Feasible genotypes that were not proposed: random ones and mutants of the best."""
        best = sorted(self.told, key=lambda item: -self.told[item])[:ELITE]
        mutants = [
            self.space.mutate(self.rng, np.repeat(rows(best), POOL // 2 // len(best), 0), rate)
            for rate in (0.0, 0.2)
        ]
        drawn = np.unique(np.concatenate([self.sampled(POOL), *mutants]), axis=0)
        new = [i for i, row in enumerate(drawn) if tuple(row.tolist()) not in self.proposed]
        fresh = drawn[new]
        if len(fresh):
            fresh = fresh[self.constraint.feasible(fresh)]
        if len(fresh) < count:
            # Few are feasible: those that repairing finds.
            more: list[Genotype] = []
            before = set(self.proposed)
            self.fill(POOL // 8, more)
            self.proposed = before
            if more:
                fresh = np.unique(np.concatenate([fresh, rows(more)]), axis=0)
        return fresh

    def _trials(self) -> tuple[Genotypes, Floats]:
        """What the model is fitted on."""
        items = list(self.told.items())
        if len(items) > LATEST:
            half = LATEST // 2
            newest, older = items[-half:], items[:-half]
            items = sorted(older, key=lambda item: -item[1])[:half] + newest
        return rows([genotype for genotype, _ in items]), np.array([value for _, value in items])

    def _process(self, known: Floats, target: Floats) -> "GaussianProcessRegressor":
        """A process whose covariance is fitted anew when enough is new."""
        if self._theta is not None and len(self.told) < (1 + REFIT) * self._fitted_on:
            return self._fixed(known, target)
        process = _regressor(None)
        with warnings.catch_warnings():
            # A parameter at its bound (no line in the data, say) is an answer.
            warnings.simplefilter("ignore")
            process.fit(known, target)
        self._theta, self._fitted_on = np.array(process.kernel_.theta), len(self.told)
        return process

    def _fixed(self, known: Floats, target: Floats) -> "GaussianProcessRegressor":
        process = _regressor(self._theta)
        process.fit(known, target)
        return process

    def tell(self, genotype: Genotype, value: float) -> None:
        """Remember a trial for the model; NaN is not learned from."""
        self.proposed.add(genotype)
        if value == value:
            self.told[genotype] = float(value)

    def state_dict(self) -> dict[str, Any]:
        """Generator and covariance; the trials come back by :meth:`recall`."""
        theta = None if self._theta is None else self._theta.tolist()
        return {**super().state_dict(), "theta": theta, "fitted_on": self._fitted_on}

    def recall(self, told: Iterable[tuple[Genotype, float]]) -> None:
        """All that was told by the state's time, in its order."""
        self.told = {genotype: float(value) for genotype, value in told if value == value}

    def load_state_dict(self, state: dict[str, Any], proposed: Iterable[Genotype]) -> None:
        """Go on from what :meth:`state_dict` gave, after all that was proposed."""
        super().load_state_dict(state, proposed)
        self._theta = None if state["theta"] is None else np.array(state["theta"], dtype=float)
        self._fitted_on = int(state["fitted_on"])


class Encoding:
    """Genotypes as rows of numbers, for distances between them.

    A choice of numbers is one column, from 0 to 1 by the order of its values; one of names
    has a column per value. A choice that is switched off is put in the middle.

    Args:
        space: The space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._ordered = [
            all(isinstance(v, int | float) and not isinstance(v, bool) for v in choice.values)
            for choice in space.choices
        ]

    def __call__(self, genotypes: Genotypes) -> Floats:
        """Rows ``(n, columns)`` of genotypes ``(n, choices)``."""
        active = self.space.active(genotypes)
        columns = []
        for index, choice in enumerate(self.space.choices):
            count = len(choice.values)
            if count < 2:
                continue
            if self._ordered[index]:
                own = genotypes[:, index] / (count - 1)
                columns.append(np.where(active[:, index], own, 0.5)[:, None])
            else:
                # Two different names are at distance 1, as the ends of an order are.
                hot = np.eye(count)[genotypes[:, index]] / math.sqrt(2)
                middle = 1 / count / math.sqrt(2)
                columns.append(np.where(active[:, index][:, None], hot, middle))
        return np.concatenate(columns, axis=1) if columns else np.zeros((len(genotypes), 1))


def expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """E[max(0, f − best)] of normal f, ``(n,)``.

    Args:
        mean: Expected values ``(n,)``.
        deviation: Standard deviations ``(n,)``; 0 where there is no doubt.
        best: What is to be improved on.
    """
    from scipy.special import ndtr

    spread = np.maximum(deviation, 1e-12)
    z = (mean - best) / spread
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    gain: Floats = np.maximum(0.0, (mean - best) * ndtr(z) + spread * density)
    return gain


def _regressor(theta: Floats | None) -> "GaussianProcessRegressor":
    # Imported here because scikit-learn takes a second to import.
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

    kernel = (
        ConstantKernel(1.0, (1e-2, 1e2)) * Matern(1.5, (0.2, 20.0), nu=2.5)
        + ConstantKernel(0.1, (1e-4, 1e1)) * DotProduct(sigma_0=0.0, sigma_0_bounds="fixed")
        + WhiteKernel(0.05, (1e-4, 1e0))
    )
    if theta is not None:
        kernel = kernel.clone_with_theta(theta)
    return GaussianProcessRegressor(kernel, optimizer="fmin_l_bfgs_b" if theta is None else None)


def _predicted(process: "GaussianProcessRegressor", encoded: Floats) -> tuple[Floats, Floats]:
    """Means and standard deviations of the accuracy itself, without the trials' noise."""
    with warnings.catch_warnings():
        # Variances below 0 by rounding are put at 0.
        warnings.simplefilter("ignore")
        mean, deviation = process.predict(encoded, return_std=True)
    noise = math.exp(process.kernel_.theta[-1])
    return np.asarray(mean), np.sqrt(np.maximum(0.0, np.asarray(deviation) ** 2 - noise))
