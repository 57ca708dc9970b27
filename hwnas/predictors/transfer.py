"""Few-shot transfer: a few measured latencies on a new device price all candidates of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import SpecError
from hwnas.predictors.candidates import Candidates, Floats, Indices
from hwnas.predictors.checks import between_0_and_1, number, whole_number
from hwnas.predictors.learning_curve import more_samples

LEAST_SAMPLES = 3
CONSTANT = 25.0
"""Prior variance of the mean: as good as unknown."""

OUTLIER_LOG, OUTLIER_Z, OUTLIER_NOISE = 0.7, 5.0, 100.0
"""A sample that is off by a factor of two, and by five times what is usual for the samples,
is kept with so much noise that it says nothing."""

FEWEST_TO_DOUBT = 5
POOL = 2000
"""Candidates among which samples are chosen, at most."""


@dataclass(frozen=True)
class Prior:
    """Weights of the terms of a covariance, and the noise of a sample, all relative.

    Args:
        shared: What all references have in common (their mean standardised log).
        devices: Any line through the references.
        curved: Smooth functions of the references.
        features: Any line through the first matrix of architecture features.
        details: Any line through the other matrices, which share the weight.
        noise: Variance of a sample that nothing explains.
    """

    shared: float = 1.0
    devices: float = 0.1
    curved: float = 0.03
    features: float = 0.1
    details: float = 0.01
    noise: float = 0.03


PRIORS = tuple(
    Prior(features=features, details=details, noise=noise)
    for features in (0.03, 0.1, 0.3)
    for details in (0.0, 0.03)
    for noise in (0.01, 0.03, 0.1, 0.3)
)
"""Found on the reference and validation devices of HELP's table, each predicted without its
family; averaging these was better there than any single one (docs/transfer.md)."""


class FewShot:
    """Latencies of all candidates on a device of which a few were measured.

    A Gaussian process on the logarithm of latency. Its covariance is a sum: what the
    reference devices have in common, lines and smooth functions of the references (so the
    covariance between architectures is the empirical one over the reference devices, as in
    probabilistic PCA; Tipping and Bishop, 1999), and lines through architecture features,
    for what no reference shows. Several weightings of these terms
    are averaged by their evidence (Rasmussen and Williams, 2006, section 5.2), the scale
    integrated out. Latencies in whole milliseconds get the noise of rounding.

    Args:
        priors: The weightings.

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
        logs = np.log(self.latency_ms_) - candidates.expected[self.indices_]
        # The median: the mean would follow a near-zero outlier.
        self._centre = float(np.median(logs))
        self._logs = logs - self._centre
        terms = candidates.terms(self.indices_, self.indices_)
        rounding = _rounding(self.latency_ms_)
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

    def _solve(self, terms: Mapping[str, Floats], rounding: Floats) -> None:
        """Solve for every prior; average what each says of each sample from the others."""
        count = len(self._logs)
        evidence, left_out, standard = [], [], []
        self._inverses, self._scales = [], []
        for prior in self.priors:
            noise = prior.noise + rounding + OUTLIER_NOISE * self.doubted_
            covariance = _weighted(terms, prior) + np.diag(noise)
            inverse = np.linalg.inv(covariance)
            solved = inverse @ self._logs
            sign, logdet = np.linalg.slogdet(covariance)
            misfit = max(float(self._logs @ solved), 1e-12)
            evidence.append(-0.5 * logdet - 0.5 * (count - 1) * np.log(misfit))
            diagonal = inverse.diagonal()
            left_out.append(solved / diagonal)
            standard.append(solved**2 / diagonal)
            self._inverses.append(inverse)
            # Of the errors of left-out samples, so that it holds where the prior is wrong.
            self._scales.append(float(np.mean(standard[-1][~self.doubted_])))
        odds = np.exp(np.array(evidence) - max(evidence))
        self.weights_: Floats = odds / odds.sum()
        self.out_of_fold_: Floats = self.weights_ @ np.array(left_out)

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
        means, variances = [], []
        for prior, inverse, scale in zip(self.priors, self._inverses, self._scales, strict=True):
            across = _weighted(terms, prior)
            gain = across @ inverse
            means.append(gain @ self._logs)
            left = _weighted(own, prior) - (gain * across).sum(axis=1) + prior.noise
            variances.append(scale * np.maximum(left, prior.noise))
        mean: Floats = self.weights_ @ np.array(means)
        between = self.weights_ @ (np.array(means) - mean) ** 2
        mean = mean + self._centre + self.candidates_.expected
        return mean, np.sqrt(self.weights_ @ np.array(variances) + between)

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
    covariance = _weighted(candidates.terms(pool, pool), prior) - CONSTANT + 1.0
    chosen: list[int] = []
    for _ in range(min(count, size)):
        gain = (covariance**2).sum(axis=1) / (covariance.diagonal() + prior.noise)
        gain[chosen] = -1.0
        best = int(gain.argmax())
        chosen.append(best)
        row = covariance[best].copy()
        covariance -= np.outer(row, row) / (row[best] + prior.noise)
    return pool[chosen]


def _weighted(terms: Mapping[str, Floats], prior: Prior) -> Floats:
    found: Floats = CONSTANT + sum(getattr(prior, name) * term for name, term in terms.items())
    return found


def _rounding(latency_ms: Floats) -> Floats:
    """Relative noise of rounding to whole milliseconds, ``(m,)``, in units of the spread."""
    if not (latency_ms == np.rint(latency_ms)).all():
        return np.zeros(len(latency_ms))
    spread = max(float(np.log(latency_ms).var()), 1e-4)
    noise: Floats = 1 / 12 / latency_ms**2 / spread
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
