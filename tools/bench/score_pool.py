"""Estimates and trained accuracies of the same architectures, from a run folder or a table."""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas.cli.score_table import numbers
from hwnas.cli.tables import CsvTable, read_table
from hwnas.errors import HwnasError, RequestError
from hwnas.estimators.collecting import Record, pool_values

Floats = NDArray[np.float64]

LEAST = 24
"""Architectures below which halves say nothing."""
REFERENCE_PREFIX = "reference:"


@dataclass(frozen=True)
class Pool:
    """Estimates and trained accuracies of the same architectures.

    Args:
        values: By estimator, ``(n,)``, higher is better.
        seconds: By estimator, cost of one estimate.
        truth: Trained accuracies ``(n,)``, finite.
        train_s: Cost of one training of the truth; 0 where it is not known.
    """

    values: dict[str, Floats]
    seconds: dict[str, float]
    truth: Floats
    train_s: float


def read_pool(path: Path, given: argparse.Namespace) -> Pool:
    """The pool of a run folder or a table."""
    pool = _of_run(path) if path.is_dir() else _of_table(path, given)
    if len(pool.truth) < LEAST:
        raise RequestError(
            f"'{path}' has {len(pool.truth)} architectures with an accuracy; {LEAST} are needed to "
            "choose on one half and judge on the other"
        )
    return pool


def _of_run(folder: Path) -> Pool:
    path = folder / "estimates.jsonl"
    try:
        payload = path.read_bytes()
        # A torn last line, which a run that was cut off leaves, is passed over.
        events = [json.loads(line) for line in payload[: payload.rfind(b"\n") + 1].splitlines()]
        records = [Record.from_json(event["estimate"]) for event in events if "estimate" in event]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"'{path}' is not of 'hwnas score --run': {error}") from error
    by_name: dict[str, dict[str, Record]] = {}
    for record in records:
        by_name.setdefault(record.estimator, {})[record.architecture] = record
    references = [name for name in by_name if name.startswith(REFERENCE_PREFIX)]
    if len(references) != 1:
        raise RequestError(f"'{path}' must have one reference, found {references or 'none'}")
    reference = by_name.pop(references[0])
    # Every estimator and the reference: a run that is not finished has some of the last.
    known = [
        key
        for key, record in reference.items()
        if math.isfinite(record.value) and all(key in own for own in by_name.values())
    ]
    return Pool(
        {
            name: np.array(pool_values(name, [own[key] for key in known]))
            for name, own in by_name.items()
        },
        {name: _mean([own[key].seconds for key in known]) for name, own in by_name.items()},
        np.array([reference[key].value for key in known]),
        _mean([reference[key].seconds for key in known]),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _of_table(path: Path, given: argparse.Namespace) -> Pool:
    if given.accuracy is None:
        raise RequestError("with a table give --accuracy COLUMN, the column of the truth")
    table = read_table(path)
    truth = numbers(table, given.accuracy)
    known = np.isfinite(truth)
    names = given.scores.split(",") if given.scores else _number_columns(table, given.accuracy)
    costs = dict(item.split("=", 1) for item in given.costs.split(",")) if given.costs else {}
    unknown = sorted(costs.keys() - set(names))
    if unknown:
        raise RequestError(f"--costs names {', '.join(unknown)}, which is no score here")
    try:
        seconds = {name: float(costs.get(name, 0.0)) for name in names}
    except ValueError as error:
        raise RequestError(f"--costs is such as a=0.1,b=2: {error}") from error
    return Pool(
        {name: numbers(table, name)[known] for name in names}, seconds, truth[known], given.train_s
    )


def _number_columns(table: CsvTable, accuracy: str) -> list[str]:
    found = []
    for name in table.columns:
        try:
            column = numbers(table, name)
        except HwnasError:
            continue
        if name != accuracy and np.isfinite(column).any():
            found.append(name)
    return found
