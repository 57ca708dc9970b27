"""Estimates of the same architectures by several estimators, remembered as they are made."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.linalg import LinAlgError  # type: ignore[attr-defined]  # public, says its documentation

from hwnas.errors import DivergedError, RequestError
from hwnas.estimators.az_nas import AzNasScore, pool_scores
from hwnas.estimators.base import AccuracyEstimator, Budget, Estimate
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.space import SearchSpace

CHUNK = 64
DRAWS_EACH = 200
"""Genotypes drawn for each architecture wanted, before a space counts as used up."""


@dataclass(frozen=True)
class Sampled:
    """An architecture of a sample.

    Args:
        genotype: Its genes.
        architecture: What they decode to.
    """

    genotype: tuple[int, ...]
    architecture: Architecture


@dataclass(frozen=True)
class Record:
    """One estimate, as a journal keeps it.

    Args:
        estimator: Who made it.
        architecture: Digest of the architecture.
        genotype: Its genes.
        value: The estimate; NaN where there is none.
        seconds: What it cost.
        provenance: How it was made.
    """

    estimator: str
    architecture: str
    genotype: tuple[int, ...]
    value: float
    seconds: float
    provenance: dict[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """What it is an estimate of, and by whom."""
        return self.estimator, self.architecture

    def to_json(self) -> dict[str, Any]:
        """Plain values; a value that is not finite is ``None``."""
        return {
            "estimator": self.estimator,
            "architecture": self.architecture,
            "genotype": list(self.genotype),
            **Estimate(self.value, self.seconds, self.provenance).to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Record":
        """What :meth:`to_json` wrote."""
        return cls(
            estimator=str(value["estimator"]),
            architecture=str(value["architecture"]),
            genotype=tuple(value["genotype"]),
            value=math.nan if value["value"] is None else float(value["value"]),
            seconds=float(value["seconds"]),
            provenance=dict(value["provenance"]),
        )


def distinct_sample(space: SearchSpace, count: int, seed: int) -> list[Sampled]:
    """Random architectures of a space, all different; a larger sample starts with the smaller.

    Args:
        space: The space.
        count: How many.
        seed: Seed of the draws.

    Raises:
        RequestError: The space has not so many, or they were not met in 200 draws for each.
    """
    if count > space.size:
        raise RequestError(
            f"space '{space.name}' has {space.size} architectures; --n must be at most that, "
            f"received {count}"
        )
    rng = np.random.default_rng(seed)
    found: dict[str, Sampled] = {}
    for _ in range(-(-count * DRAWS_EACH // CHUNK)):
        for genes in space.sample(rng, CHUNK).tolist():
            architecture = space.decode(genes)
            found.setdefault(architecture.digest, Sampled(tuple(genes), architecture))
            if len(found) == count:
                return list(found.values())
    raise RequestError(
        f"space '{space.name}' gave only {len(found)} different architectures in "
        f"{count * DRAWS_EACH} draws; give --n {len(found)} or fewer"
    )


def collect(
    sample: Sequence[Sampled],
    judges: Mapping[str, tuple[AccuracyEstimator, Budget]],
    *,
    known: Iterable[Record] = (),
    remember: Callable[[Record], None],
    on_step: Callable[[int, int], None] | None = None,
) -> dict[str, list[Record]]:
    """Estimates of every architecture by every judge; those that are known are not made again.

    Architecture by architecture, so that a run that is cut off leaves whole rows, and so
    that the time left can be told from the time spent.

    Args:
        sample: The architectures.
        judges: By name, the estimator and what one estimate may cost.
        known: Estimates of an earlier run.
        remember: Given each new estimate at once.
        on_step: Told how many estimates there are, and of how many.

    Returns:
        By name, the estimates in the order of the sample. A training that diverged has NaN,
        and so has a score whose eigenvalues or arithmetic failed on an architecture; the
        reason is in the provenance.
    """
    there = {record.key: record for record in known}
    total, done = len(sample) * len(judges), 0
    found: dict[str, list[Record]] = {name: [] for name in judges}
    for item in sample:
        for name, (judge, budget) in judges.items():
            record = there.get((name, item.architecture.digest))
            if record is None:
                record = _made(name, judge, budget, item)
                remember(record)
            found[name].append(record)
            done += 1
            if on_step is not None:
                on_step(done, total)
    return found


def pool_values(name: str, records: Sequence[Record]) -> list[float]:
    """The values of one estimator on a pool of architectures, ``(n,)``.

    Those of the records, but for AZ-NAS, whose score is a rank in the pool: it is
    ranked in this one, not in what a run happened to have seen before.

    Args:
        name: The estimator.
        records: Its estimates.
    """
    if name == AzNasScore.name:
        return pool_scores([record.provenance for record in records])
    return [record.value for record in records]


def _made(name: str, judge: AccuracyEstimator, budget: Budget, item: Sampled) -> Record:
    begin = time.perf_counter()
    try:
        estimate = judge.estimate(item.architecture, budget)
    # Of one architecture; whatever is wrong with the request would be so with all others.
    except (DivergedError, ArithmeticError, LinAlgError) as error:
        reason = {"estimator": name, "reason": f"{error}" or type(error).__name__}
        estimate = Estimate(math.nan, time.perf_counter() - begin, reason)
    return Record(
        name,
        item.architecture.digest,
        item.genotype,
        estimate.value,
        estimate.seconds,
        estimate.provenance,
    )
