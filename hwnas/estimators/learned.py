"""The learned predictor: accuracy from what is known of architectures and a few trainings."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from hwnas.errors import HwnasError, RequestError, UnknownNameError
from hwnas.estimators.base import AccuracyEstimator, Budget, Estimate
from hwnas.estimators.encoding import Features, Floats, Sample
from hwnas.estimators.ranking import rank_statistics
from hwnas.estimators.regressors import MEAN, READERS, REGRESSORS, left_out
from hwnas.files import write_text
from hwnas.spaces.architecture import Architecture

SCHEMA = 1
LEAST_TRIALS = 8
FOLDS = 5

GAIN = 0.95
"""A model must bring the error on trials left out below this share of the mean's error …"""

SURE = 0.975
"""… and be nearer than the mean by more than chance gives at this level (a paired t-test of
squared errors, one-sided; a half of 0.05 because two models are tried)."""


MOST_FOR_PROCESS = 1000
"""Trials up to which the Gaussian process is tried: its time grows with their third power."""


class LearnedPredictor:
    """Accuracy with a standard deviation, from encodings, scores and early learning curves.

    A Gaussian process and boosted trees are compared by five-fold cross-validation with the
    mean of the trials; where neither is clearly nearer, the mean is what is kept, and
    ``verdict_`` says so. Deviations are widened or narrowed to what the trials left out
    were off by.

    Args:
        epochs: Epochs of a learning curve that count. Curves are used where all trials have
            that many and go on behind them, or end elsewhere than at the trial's accuracy.
        models: Which of ``REGRESSORS`` to try besides the mean.
        seed: Seed of the folds.

    Learned: ``chosen_`` (the model), ``errors_`` (root mean square error on trials left out,
    by model, in the unit of the accuracies), ``out_of_fold_`` (``(trials,)``, what the chosen
    one says of each trial without having seen it), ``kendall_`` (of these; NaN for the mean),
    ``trials_``, ``left_out_`` (trials without a finite accuracy), ``verdict_``.

    Raises:
        UnknownNameError: A model does not exist.
    """

    def __init__(
        self,
        *,
        epochs: int = 1,
        models: Sequence[str] = ("gaussian-process", "trees"),
        seed: int = 0,
    ) -> None:
        for name in models:
            if name not in REGRESSORS:
                raise UnknownNameError("model", name, REGRESSORS)
        self.epochs = epochs
        self.models = tuple(models)
        self.seed = seed

    @property
    def trusted(self) -> bool:
        """Whether it learned more than the mean of the trials."""
        return self.chosen_ != MEAN

    def fit(self, samples: Sequence[Sample], accuracies: ArrayLike) -> "LearnedPredictor":
        """Fit on trials.

        Args:
            samples: What is known of each architecture.
            accuracies: What it reached, ``(n,)``; those that are not finite are left out.

        Raises:
            RequestError: Fewer than eight trials with an accuracy, or lengths differ.
        """
        given = np.asarray(accuracies, dtype=float)
        if given.shape != (len(samples),):
            raise RequestError(
                f"a learned predictor takes one accuracy per sample; received {len(samples)} "
                f"samples and accuracies of shape {given.shape}"
            )
        known = np.flatnonzero(np.isfinite(given))
        self.trials_, self.left_out_ = len(known), len(given) - len(known)
        if self.trials_ < LEAST_TRIALS:
            raise RequestError(
                f"a learned predictor needs at least {LEAST_TRIALS} trials with an accuracy; "
                f"received {self.trials_}; train more architectures"
            )
        own, accuracy = [samples[index] for index in known.tolist()], given[known]
        self.features_ = Features().fit(own, self._early(own, accuracy))
        rows = self.features_.transform(own)
        self.mean_, self.scale_ = float(accuracy.mean()), float(accuracy.std()) or 1.0
        self._choose(rows, (accuracy - self.mean_) / self.scale_)
        self.model_ = REGRESSORS[self.chosen_]().fit(rows, (accuracy - self.mean_) / self.scale_)
        self.kendall_ = (
            rank_statistics(self.out_of_fold_, accuracy).kendall if self.trusted else math.nan
        )
        self.verdict_ = self._verdict()
        return self

    def _early(self, samples: Sequence[Sample], accuracy: Floats) -> int:
        """Epochs of the curves that can be used; 0 where some trial has none."""
        if self.epochs < 1 or any(len(sample.curve) < self.epochs for sample in samples):
            return 0
        # A curve that ends in the accuracy itself would be the answer, not an early sign of it.
        ends = all(
            len(sample.curve) == self.epochs and math.isclose(sample.curve[-1], own, abs_tol=1e-5)
            for sample, own in zip(samples, accuracy, strict=True)
        )
        return 0 if ends else self.epochs

    def _choose(self, rows: Floats, target: Floats) -> None:
        count = len(target)
        folds = np.random.default_rng(self.seed).permutation(count) % min(FOLDS, count)
        tried = [MEAN]
        # Without a column that varies, or an accuracy that does, there is nothing to learn.
        if rows.shape[1] and np.ptp(target):
            tried += [
                name
                for name in self.models
                if name != MEAN and not (name == "gaussian-process" and count > MOST_FOR_PROCESS)
            ]
        found = {name: left_out(REGRESSORS[name], rows, target, folds) for name in tried}
        errors = {
            name: math.sqrt(float(((mean - target) ** 2).mean()))
            for name, (mean, _) in found.items()
        }
        best = min(errors, key=lambda name: errors[name])
        gains = (found[MEAN][0] - target) ** 2 - (found[best][0] - target) ** 2
        clear = errors[best] < GAIN * errors[MEAN] and _above_nothing(gains)
        self.chosen_ = best if clear else MEAN
        self.errors_ = {name: self.scale_ * error for name, error in errors.items()}
        mean, variance = found[self.chosen_]
        squares = (mean - target) ** 2
        # What is missing of the variance, then a factor: after both, the trials left out are
        # off by as much as was promised, on average.
        self.noise_ = max(0.0, float((squares - variance).mean()))
        total = np.maximum(variance + self.noise_, 1e-12)
        self.factor_ = max(float((squares / total).mean()), 1e-12)
        if self.chosen_ == MEAN:
            self.out_of_fold_: Floats = np.full(count, self.mean_)
        else:
            self.out_of_fold_ = self.mean_ + self.scale_ * mean

    def _verdict(self) -> str:
        error, usual = self.errors_[self.chosen_], self.errors_[MEAN]
        if not self.trusted:
            return (
                f"{self.trials_} trials are too few to learn from: on trials left out nothing is "
                f"clearly nearer than their mean, which is off by {usual:.3g}; every "
                "architecture gets the mean"
            )
        return (
            f"{self.chosen_} from {self.trials_} trials: off by {error:.3g} on trials left out "
            f"(their mean by {usual:.3g}), Kendall {self.kendall_:.2f}"
        )

    def predict(self, samples: Sequence[Sample]) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the accuracy of each, ``(n,)``, in its unit.

        The deviation is that of one training, noise included. The mean may leave the range
        that an accuracy can have.

        Args:
            samples: With the scores and curves that the predictor was fitted with.

        Raises:
            RequestError: A sample lacks one of these.
        """
        mean, variance = self.model_.predict(self.features_.transform(samples))
        total = np.maximum(variance + self.noise_, 1e-12) * self.factor_
        return self.mean_ + self.scale_ * mean, self.scale_ * np.sqrt(total)

    def to_json(self) -> dict[str, Any]:
        """The fitted predictor as plain values."""
        return {
            "schema": SCHEMA,
            "kind": "learned-accuracy",
            "epochs": self.epochs,
            "models": list(self.models),
            "seed": self.seed,
            "trials": self.trials_,
            "left_out": self.left_out_,
            "chosen": self.chosen_,
            "errors": self.errors_,
            "kendall": self.kendall_ if math.isfinite(self.kendall_) else None,
            "verdict": self.verdict_,
            "out_of_fold": self.out_of_fold_.tolist(),
            "mean": self.mean_,
            "scale": self.scale_,
            "noise": self.noise_,
            "factor": self.factor_,
            "features": self.features_.to_json(),
            "model": self.model_.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "LearnedPredictor":
        """What :meth:`to_json` wrote.

        Raises:
            RequestError: It is of another schema or not a learned predictor.
        """
        if value.get("kind") != "learned-accuracy" or value.get("schema") != SCHEMA:
            raise RequestError(
                f"not a learned predictor of schema {SCHEMA}: kind {value.get('kind')!r}, schema "
                f"{value.get('schema')!r}; fit it again"
            )
        found = cls(epochs=value["epochs"], models=value["models"], seed=value["seed"])
        found.trials_, found.left_out_ = int(value["trials"]), int(value["left_out"])
        found.chosen_ = str(value["chosen"])
        found.errors_ = {name: float(error) for name, error in value["errors"].items()}
        found.kendall_ = math.nan if value["kendall"] is None else float(value["kendall"])
        found.verdict_ = str(value["verdict"])
        found.out_of_fold_ = np.array(value["out_of_fold"], dtype=float)
        found.mean_, found.scale_ = float(value["mean"]), float(value["scale"])
        found.noise_, found.factor_ = float(value["noise"]), float(value["factor"])
        found.features_ = Features.from_json(value["features"])
        found.model_ = READERS[found.chosen_](value["model"])
        return found

    def save(self, path: Path | str) -> None:
        """Write the fitted predictor as JSON, whole or not at all.

        Raises:
            StorageError: The disk is full or not writable.
        """
        write_text(Path(path), json.dumps(self.to_json()) + "\n")

    @classmethod
    def load(cls, path: Path | str) -> "LearnedPredictor":
        """The predictor that :meth:`save` wrote.

        Raises:
            RequestError: The file is missing, broken or of another kind.
        """
        try:
            value = json.loads(Path(path).read_text(encoding="utf-8"))
            if not isinstance(value, dict):
                raise TypeError("no object")
            return cls.from_json(value)
        except OSError as error:
            raise RequestError(f"'{path}' cannot be read: {error.strerror}") from error
        # What a garbled file raises depends on where it is garbled.
        except (HwnasError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RequestError(
                f"'{path}' is no learned predictor ({error}); fit it again and save it"
            ) from error


def _above_nothing(gains: Floats) -> bool:
    """Whether the mean of gains is above 0 by more than chance."""
    error = float(gains.std(ddof=1)) / math.sqrt(len(gains))
    return float(gains.mean()) > float(stats.t.ppf(SURE, len(gains) - 1)) * error


class LearnedEstimator:
    """A fitted predictor as an estimator.

    Args:
        predictor: Fitted without curves, which an architecture alone does not have.
        scorers: Makes the scores that the predictor was fitted with, by name.

    Raises:
        RequestError: A score has no scorer, or the predictor wants curves.
    """

    name = "learned"

    def __init__(
        self,
        predictor: LearnedPredictor,
        scorers: Mapping[str, AccuracyEstimator] | None = None,
    ) -> None:
        wanted = predictor.features_.scores_
        lacking = [name for name in wanted if name not in (scorers or {})]
        if lacking or predictor.features_.epochs_:
            missing = ", ".join(lacking) or "a learning curve"
            raise RequestError(
                f"the predictor was fitted with {missing}, which this estimator cannot make; "
                "give scorers for all scores, or call predict() with what is known"
            )
        self.predictor = predictor
        self.scorers = {name: (scorers or {})[name] for name in wanted}

    def estimate(self, architecture: Architecture, budget: Budget) -> Estimate:
        """The predicted accuracy; its standard deviation is in the provenance, as ``std``.

        Args:
            architecture: What to predict.
            budget: Given to the scorers.
        """
        begin = time.perf_counter()
        scores = {
            name: scorer.estimate(architecture, budget).value
            for name, scorer in self.scorers.items()
        }
        mean, deviation = self.predictor.predict([Sample(architecture, scores)])
        provenance = {
            "estimator": self.name,
            "std": float(deviation[0]),
            "model": self.predictor.chosen_,
            "trials": self.predictor.trials_,
            "trusted": self.predictor.trusted,
        }
        return Estimate(float(mean[0]), time.perf_counter() - begin, provenance)
