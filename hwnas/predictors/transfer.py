"""Few-shot transfer: a few measured latencies on a new device price all candidates of a table."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import SpecError
from hwnas.predictors.candidates import Candidates, Floats, Indices
from hwnas.predictors.checks import between_0_and_1, number, whole_number
from hwnas.predictors.learning_curve import more_samples
from hwnas.predictors.mixture import solve
from hwnas.predictors.priors import CONSTANT, PRIORS, Prior

LEAST_SAMPLES = 3
OUTLIER_LOG, OUTLIER_Z, OUTLIER_NOISE = 0.7, 5.0, 100.0
"""A sample that is off by a factor of two, and by five times what is usual for the samples,
is kept with so much noise that it says nothing."""

FEWEST_TO_DOUBT = 5
POOL = 2000
"""Candidates among which samples are chosen, at most."""


SCALE_SHAPE = 1.0
"""Shape of the scale's prior around imagined devices, so wide that it says but an order."""

MOST_MEANS = 400
"""Imagined devices that a prediction averages, those with the most evidence."""


class FewShot:
    """Latencies of all candidates on a device of which a few were measured.

    Gaussian processes on the logarithm of latency. Where references and what a device pays for
    are both known, their means are imagined devices (:mod:`hwnas.predictors.imagined`): prices
    of operations drawn near those of the references, each weighted by its evidence, and their
    covariance is what prices miss. Otherwise the mean is what the references have in common.
    The covariance is a sum: what references share, lines and smooth functions of them (so the
    covariance between architectures is the empirical one over the reference devices, as in
    probabilistic PCA; Tipping and Bishop, 1999), and lines through architecture features,
    for what no reference shows. Several weightings of these terms
    are averaged by their evidence (Rasmussen and Williams, 2006, section 5.2), the scale
    integrated out. Latencies in whole milliseconds get the noise of rounding.

    Args:
        priors: The weightings. Those around imagined devices are used where there are such
            devices, and the others where there are none.

    Learned: ``indices_``, ``weights_`` (of the priors, by evidence), ``out_of_fold_`` (log
    errors of the samples, each predicted without it), ``cross_validated_error_`` (their
    mean in per cent), ``doubted_`` (which samples were taken for outliers).
    """

    def __init__(self, priors: Sequence[Prior] = PRIORS) -> None:
        self.priors = priors

    def fit(self, candidates: Candidates, indices: ArrayLike, latency_ms: ArrayLike) -> "FewShot":
        """Fit on the samples.

        Args:
            candidates: What is known of all.
            indices: Which were measured, ``(m,)``, m at least 3.
            latency_ms: Their latencies on the new device, milliseconds.

        Raises:
            SpecError: Too few samples, indices that are no whole numbers of candidates, one
                index with several latencies, latencies that are not positive, or no prior.
        """
        if not self.priors:
            raise SpecError("priors must hold at least one Prior; PRIORS has those that are usual")
        self.candidates_ = candidates
        self.indices_, self.latency_ms_ = _samples(candidates.count, indices, latency_ms)
        imagined = candidates.imagined
        around = imagined is not None and any(prior.around for prior in self.priors)
        self._means = imagined if around else None
        # Where nothing else is given, priors of the other kind will do.
        self._priors = [p for p in self.priors if p.around == around] or list(self.priors)
        logs = np.log(self.latency_ms_)
        rounding = _rounding(self.latency_ms_)
        if self._means is None:
            # Weights are relative to the spread here.
            rounding = rounding / max(float(logs.var()), 1e-4)
        self._shape = 0.0 if self._means is None else SCALE_SHAPE
        apart = logs[:, None] - self._expected(self.indices_)
        # The median: the mean would follow a near-zero outlier.
        self._centre = np.median(apart, axis=0)
        self._logs = apart - self._centre
        terms = candidates.terms(self.indices_, self.indices_)
        self.doubted_ = np.zeros(len(logs), dtype=bool)
        self._solve(terms, rounding)
        if len(logs) >= FEWEST_TO_DOUBT:
            usual = 1.4826 * float(np.median(np.abs(self.out_of_fold_)))
            size = np.abs(self.out_of_fold_)
            worst = size == size.max()
            # One at a time, at most a fifth: what an outlier spoils looks like one.
            for _ in range(len(logs) // 5):
                bad = worst & (size > OUTLIER_LOG) & (size > OUTLIER_Z * usual)
                if not bad.any():
                    break
                self.doubted_ |= bad
                self._solve(terms, rounding)
                size = np.where(self.doubted_, 0.0, np.abs(self.out_of_fold_))
                usual = 1.4826 * float(np.median(size[~self.doubted_]))
                worst = size == size.max()
        trusted = self.out_of_fold_[~self.doubted_]
        self.cross_validated_error_ = float(100 * np.abs(np.expm1(-trusted)).mean())
        return self

    def _expected(self, rows: Indices | slice, kept: Indices | slice = slice(None)) -> Floats:
        """The means of the processes, ``(rows, means)``."""
        if self._means is None:
            return self.candidates_.expected[rows][:, None]
        return self._means.logs(rows, kept)

    def _solve(self, terms: Mapping[str, Floats], rounding: Floats) -> None:
        """Weigh priors and means; average what they say of each sample from the others."""
        noise = rounding + OUTLIER_NOISE * self.doubted_
        self._mixture = solve(
            [prior.covariance(terms) + np.diag(prior.noise + noise) for prior in self._priors],
            self._logs,
            (~self.doubted_).astype(float),
            self._shape,
        )
        self.weights_: Floats = self._mixture.weights.sum(axis=1)
        self.out_of_fold_: Floats = self._mixture.out_of_fold

    def predict(self) -> Floats:
        """Latencies of all candidates, ``(n,)`` ms.

        Raises:
            SpecError: This is not fitted.
        """
        return np.asarray(np.exp(self._posterior()[0]))

    def predict_interval(self, level: float = 0.9) -> tuple[Floats, Floats, Floats]:
        """Latencies of all candidates with lower and upper bounds, each ``(n,)`` ms.

        Bounds are of Student's t with one degree of freedom fewer than samples.

        Args:
            level: Probability that the latency is between them, above 0 and below 1.

        Raises:
            SpecError: The level is none, or this is not fitted.
        """
        from scipy.stats import t

        level = between_0_and_1("level", level)
        mean, spread = self._posterior()
        width = float(t.ppf((1 + level) / 2, len(self.indices_) - 1)) * spread
        return np.exp(mean), np.exp(mean - width), np.exp(mean + width)

    def _require_fitted(self) -> None:
        if not hasattr(self, "cross_validated_error_"):
            raise SpecError("this FewShot is not fitted: call fit(candidates, indices, latency_ms)")

    def _posterior(self) -> tuple[Floats, Floats]:
        self._require_fitted()
        terms = self.candidates_.terms(slice(None), self.indices_)
        own = self.candidates_.variances()
        kept = np.argsort(-self._mixture.weights.sum(axis=0))[:MOST_MEANS]
        weights = self._mixture.weights[:, kept] / self._mixture.weights[:, kept].sum()
        logs = self._logs[:, kept]
        # Candidates of one kind have the same mean on every imagined device.
        kinds: Indices | slice = slice(None)
        examples: Indices | slice = slice(None)
        if self._means is not None:
            kinds, examples = self._means.kinds, self._means.examples
        before = self._expected(examples, kept) + self._centre[kept]
        before = before - (level := float(np.median(self._centre[kept])))
        mean, square, variance = (np.zeros(self.candidates_.count) for _ in range(3))
        for prior, inverse, scale, part in zip(
            self._priors, self._mixture.inverses, self._mixture.scales, weights, strict=True
        ):
            across = prior.covariance(terms)
            gain = across @ inverse
            left = prior.covariance(own) - (gain * across).sum(axis=1) + prior.noise
            variance += part.sum() * scale * np.maximum(left, prior.noise)
            # Moments of before + gain @ logs over the means, without that matrix.
            weighted = part[:, None] * logs.T
            mean += (before @ part)[kinds] + gain @ weighted.sum(axis=0)
            square += (before**2 @ part)[kinds]
            square += 2 * (gain * (before @ weighted)[kinds]).sum(axis=1)
            square += (gain @ (logs @ weighted) * gain).sum(axis=1)
        return mean + level, np.sqrt(variance + np.maximum(square - mean**2, 0.0))

    def needs_more(self, target_pct: float, seed: int = 0) -> int | None:
        """About how many more samples the error needs to fall to a target.

        A power law through the cross-validated errors of subsets of the samples, as
        learning curves have it (Hestness et al., 2017). An estimate from few samples; it is
        not followed beyond a hundred times the samples that there are.

        Args:
            target_pct: The error wanted, per cent.
            seed: Seed of the subsets.

        Returns:
            ``None`` where the error is low enough already.

        Raises:
            SpecError: The target is no number, or this is not fitted.
        """
        self._require_fitted()
        now = self.cross_validated_error_
        if now <= number("target_pct", target_pct):
            return None
        return more_samples(len(self.indices_), now, self._halved(seed), target_pct)

    def _halved(self, seed: int) -> float | None:
        """The cross-validated error of half the samples; ``None`` where that is too few."""
        count = len(self.indices_)
        half = (count + 1) // 2
        if half < LEAST_SAMPLES:
            return None
        rng = np.random.default_rng(seed)
        errors = []
        for _ in range(10):
            own = rng.choice(count, half, replace=False)
            model = FewShot(self.priors)
            model.fit(self.candidates_, self.indices_[own], self.latency_ms_[own])
            errors.append(model.cross_validated_error_)
        return float(np.mean(errors))


def choose(candidates: Candidates, count: int, seed: int = 0) -> Indices:
    """Which candidates to measure on a new device, what tells most first.

    Each is the one that lowers the sum of the prior's variances most (Cohn, Ghahramani
    and Jordan, 1996); latencies of the new device play no part. The first of a longer
    choice are those of a shorter one.

    Args:
        candidates: What is known of all.
        count: How many; all where there are fewer.
        seed: Seed of the pool that is chosen from.

    Raises:
        SpecError: The number is not whole, or not positive.
    """
    whole_number("count", count, least=1)
    rng = np.random.default_rng(seed)
    size = min(candidates.count, max(POOL, count))
    pool = rng.permutation(candidates.count)[:size]
    prior = Prior()
    # A known constant would make the first choice one of the middle; an unknown one any.
    covariance = prior.covariance(candidates.terms(pool, pool)) - CONSTANT + 1.0
    chosen: list[int] = []
    for _ in range(min(count, size)):
        gain = (covariance**2).sum(axis=1) / (covariance.diagonal() + prior.noise)
        gain[chosen] = -1.0
        best = int(gain.argmax())
        chosen.append(best)
        row = covariance[best].copy()
        covariance -= np.outer(row, row) / (row[best] + prior.noise)
    return pool[chosen]


def _rounding(latency_ms: Floats) -> Floats:
    """Variance of the logarithm by rounding to whole milliseconds, ``(m,)``."""
    if not (latency_ms == np.rint(latency_ms)).all():
        return np.zeros(len(latency_ms))
    noise: Floats = 1 / 12 / latency_ms**2
    return noise


def _samples(candidates: int, indices: ArrayLike, latency_ms: ArrayLike) -> tuple[Indices, Floats]:
    given, latencies = np.asarray(indices), np.asarray(latency_ms)
    if given.ndim != 1 or given.shape != latencies.shape:
        raise SpecError(
            f"indices and latencies are (m,) each; received {given.shape} and {latencies.shape}"
        )
    if len(given) < LEAST_SAMPLES:
        raise SpecError(f"at least {LEAST_SAMPLES} samples are needed; received {len(given)}")
    if given.dtype.kind not in "iu":
        advice = "; np.flatnonzero(mask) are those of a mask" if given.dtype.kind == "b" else ""
        raise SpecError(f"indices are whole numbers; received {given.dtype}{advice}")
    if given.min() < 0 or given.max() >= candidates:
        raise SpecError(f"indices are from 0 to {candidates - 1}; received {given.tolist()}")
    numbers = latencies.dtype.kind in "iuf"
    if not (numbers and np.isfinite(latencies).all() and (latencies > 0).all()):
        raise SpecError("latencies are positive milliseconds; measure again what is not")
    chosen, measured = given.astype(np.int64), latencies.astype(float)
    order = np.lexsort((measured, chosen))
    same = np.diff(chosen[order]) == 0
    if (same & (np.diff(measured[order]) != 0)).any():
        several = int(chosen[order][1:][same & (np.diff(measured[order]) != 0)][0])
        raise SpecError(
            f"index {several} has several latencies; give one of each, such as their median"
        )
    return chosen, measured
