"""Architectures as numbers: what blocks they have at which resolution, and what else is known."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import RequestError
from hwnas.spaces.architecture import Architecture

Floats = NDArray[np.float64]

SIZE, BLOCK, SCORE, CURVE = "size", "block", "score", "curve"

WIDE = 10.0
"""A positive score that varies by more than this factor is taken by its logarithm."""


@dataclass(frozen=True)
class Sample:
    """What is known of an architecture that was not trained to the end.

    Args:
        architecture: The architecture.
        scores: Zero-shot scores or the like by name, higher is better.
        curve: Validation accuracies after the first epochs of a training.
    """

    architecture: Architecture
    scores: Mapping[str, float] = field(default_factory=dict)
    curve: tuple[float, ...] = ()


def architecture_features(architecture: Architecture) -> dict[str, float]:
    """Named features of an architecture of any space.

    Logarithms of MACs and parameters, depth, image size; and by the resolution at which a
    block stands, how many there are of each kind and of each setting that is a name, and
    the sum of the logarithms of each setting that is a number. An architecture is a bag
    here too: a feature means the same in networks of different depth, but of the blocks
    at one resolution neither the order is seen, nor which settings stand together.

    Args:
        architecture: The architecture.
    """
    found: defaultdict[str, float] = defaultdict(float)
    side = architecture.input_shape[-1]
    found[f"{SIZE}:macs"] = math.log1p(architecture.macs)
    found[f"{SIZE}:parameters"] = math.log1p(architecture.parameters)
    found[f"{SIZE}:depth"] = float(len(architecture.blocks))
    found[f"{SIZE}:image"] = float(side)
    for item in architecture.placed:
        shape = item.input_shape
        level = f"{BLOCK}:" + (f"1/{side // shape[-1]}" if len(shape) == 3 else "tokens")
        found[f"{level} {item.spec.kind}"] += 1
        for name, value in item.spec.arguments:
            if isinstance(value, (bool, str)):
                found[f"{level} {name}={value}"] += 1
            else:
                found[f"{level} {name}"] += math.log1p(abs(value))
    return dict(found)


class Features:
    """Samples as rows of a matrix, each column standardised.

    Columns that never vary are left out. The groups (size, blocks, scores, curve) weigh
    the same however many columns they have, so that distances between rows do not forget
    one score among a hundred settings of blocks.

    Learned: ``names_``, ``scores_`` (the names that a sample must have), ``epochs_`` (how
    long its curve must be), ``logged_``, ``mean_``, ``scale_``.
    """

    def fit(self, samples: Sequence[Sample], epochs: int) -> "Features":
        """Learn the columns. Scores that not all samples have are left out.

        Args:
            samples: At least one.
            epochs: How much of the curves counts; 0 for none.
        """
        self.epochs_ = epochs
        shared = set.intersection(*(set(sample.scores) for sample in samples))
        self.scores_ = tuple(sorted(shared))
        named = [self._named(sample) for sample in samples]
        union = sorted(set[str]().union(*named))
        columns = {
            name: column
            for name, column in zip(union, _matrix(named, union).T, strict=True)
            if _varies(column)
        }
        self.names_ = tuple(columns)
        self.logged_ = tuple(
            name.startswith(f"{SCORE}:") and _is_wide(column) for name, column in columns.items()
        )
        groups = [name.partition(":")[0] for name in self.names_]
        sizes = Counter(groups)
        weights = np.array([math.sqrt(sizes[group]) for group in groups])
        values = self._logged(_matrix(named, self.names_))
        self.mean_: Floats = np.nanmean(values, axis=0)
        self.scale_: Floats = np.nanstd(values, axis=0) * weights
        return self

    def transform(self, samples: Sequence[Sample]) -> Floats:
        """The rows, ``(n, columns)``; a score that is not finite is put at the mean.

        Raises:
            RequestError: A sample lacks a score or the curve that all had when fitted.
        """
        raw = _matrix([self._named(sample) for sample in samples], self.names_)
        rows: Floats = np.nan_to_num((self._logged(raw) - self.mean_) / self.scale_, nan=0.0)
        return rows

    def _named(self, sample: Sample) -> dict[str, float]:
        lacking = [name for name in self.scores_ if name not in sample.scores]
        if lacking:
            raise RequestError(
                f"the predictor was fitted with the scores {', '.join(self.scores_)}; a sample "
                f"lacks {', '.join(lacking)}"
            )
        if len(sample.curve) < self.epochs_:
            raise RequestError(
                f"the predictor was fitted with the first {self.epochs_} epochs of a training; "
                f"a sample has {len(sample.curve)}"
            )
        named = architecture_features(sample.architecture)
        named |= {f"{SCORE}:{name}": float(sample.scores[name]) for name in self.scores_}
        early = sample.curve[: self.epochs_]
        return named | {f"{CURVE}:{epoch}": float(own) for epoch, own in enumerate(early, 1)}

    def _logged(self, raw: Floats) -> Floats:
        values = np.where(np.isfinite(raw), raw, np.nan)
        # Where no logarithm is taken, of one.
        positive = np.where(np.array(self.logged_, dtype=bool), values, 1.0)
        logs = np.log(np.where(positive > 0, positive, np.nan))
        found: Floats = np.where(np.array(self.logged_, dtype=bool), logs, values)
        return found

    def to_json(self) -> dict[str, Any]:
        """What was learned, as plain values."""
        return {
            "names": list(self.names_),
            "scores": list(self.scores_),
            "epochs": self.epochs_,
            "logged": list(self.logged_),
            "mean": self.mean_.tolist(),
            "scale": self.scale_.tolist(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Features":
        """What :meth:`to_json` wrote."""
        features = cls()
        features.names_ = tuple(value["names"])
        features.scores_ = tuple(value["scores"])
        features.epochs_ = int(value["epochs"])
        features.logged_ = tuple(map(bool, value["logged"]))
        features.mean_ = np.array(value["mean"], dtype=float)
        features.scale_ = np.array(value["scale"], dtype=float)
        return features


def _matrix(named: Sequence[Mapping[str, float]], names: Sequence[str]) -> Floats:
    """A row per sample and a column per name; a block that is not there is counted 0 times."""
    rows = [[own.get(name, 0.0) for name in names] for own in named]
    return np.array(rows, dtype=float).reshape(len(named), len(names))


def _varies(column: Floats) -> bool:
    known = column[np.isfinite(column)]
    return len(known) > 0 and bool(known.max() > known.min())


def _is_wide(column: Floats) -> bool:
    known = column[np.isfinite(column)]
    return bool(known.min() > 0 and known.max() > WIDE * known.min())
